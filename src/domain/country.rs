//! Countries, by their two-letter code.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An ISO 3166-1 alpha-2 code, in upper case; whether a country has it is not looked up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Country([u8; 2]);

impl Country {
    /// `None` unless it is two ASCII letters, in whatever case.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_alphabetic).then(|| Self(code.map(|letter| letter.to_ascii_uppercase())))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters_whatever_their_case() {
        assert_eq!(Country::parse("de"), Country::parse("DE"));
        assert_eq!(Country::parse("de").expect("a code").as_str(), "DE");
        for wrong in ["", "D", "DEU", "D1", "ä"] {
            assert_eq!(Country::parse(wrong), None, "{wrong}");
        }
    }
}
