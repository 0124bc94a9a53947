//! Bounded text. Everything accepted here fits both stores: no U+0000, and at most the stated number of characters.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Characters in a name or an sku.
pub const NAME_MAX: usize = 200;
/// Characters in a description, reason or reference.
pub const TEXT_MAX: usize = 2_000;
/// Characters in an email address (RFC 5321's path limit).
pub const EMAIL_MAX: usize = 254;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text; the error says what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> Result<(), String> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }
            /// Text that was checked before it was stored.
            pub fn stored(text: String) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

text!(
    /// A display name: 1–200 characters, not only white space.
    Name,
    |text| bounded(text, 1, NAME_MAX)
);
text!(
    /// A stock-keeping unit: 1–200 characters, compared as written.
    Sku,
    |text| bounded(text, 1, NAME_MAX)
);
text!(
    /// A description, reason or reference: at most 2,000 characters, may be empty.
    Text,
    |text| bounded(text, 0, TEXT_MAX)
);
text!(
    /// An email address as written; unique in lower case ([`Email::key`]).
    Email,
    |text| {
        bounded(text, 3, EMAIL_MAX)?;
        let (local, host) = text.split_once('@').ok_or("must contain one @")?;
        let plain = |part: &str| {
            !part.is_empty() && !part.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control())
        };
        if plain(local) && plain(host) { Ok(()) } else { Err("must be an email address".into()) }
    }
);

impl Email {
    /// The form in which addresses are compared.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

fn bounded(text: &str, least: usize, most: usize) -> Result<(), String> {
    if text.contains('\0') {
        return Err("must not contain U+0000".into());
    }
    let characters = text.chars().count();
    if characters > most {
        return Err(format!("must be at most {most} characters"));
    }
    if characters < least || (least > 0 && text.trim().is_empty()) {
        return Err(format!("must be at least {least} characters, not only white space"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_free_of_nul() {
        assert!(Name::parse(&"ä".repeat(200)).is_ok());
        assert!(Name::parse(&"a".repeat(201)).is_err());
        assert!(Name::parse("  ").is_err());
        assert!(Text::parse("a\0b").is_err());
        assert!(Text::parse("").is_ok());
    }

    #[test]
    fn an_email_is_compared_in_lower_case() {
        assert_eq!(Email::parse("Ann@Example.ORG").expect("valid").key(), "ann@example.org");
        for bad in ["ann", "@x", "ann@", "a b@c", "a@b@c"] {
            assert!(Email::parse(bad).is_err(), "{bad} was accepted");
        }
    }
}
