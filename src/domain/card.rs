//! Gift cards' codes. A code is money to whoever reads it: it is shown by its last four characters only, and written
//! neither to logs nor into errors. So there is no `Display` and no `Serialize`; who needs it all says so.

use std::fmt;
use zeroize::Zeroizing;

/// Letters and digits of a code, at least.
pub const CODE_MIN: usize = 4;
/// And at most.
pub const CODE_MAX: usize = 64;

/// Characters that may be shown.
const SHOWN: usize = 4;

/// A card's code in the form in which codes are compared: upper case, without spaces and dashes. Erased when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct CardCode(Zeroizing<String>);

impl CardCode {
    /// Takes a code as people write it. The error says what is wrong, without the code.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Never reallocated, which would leave copies behind.
        let mut code = Zeroizing::new(String::with_capacity(CODE_MAX));
        for character in text.chars().filter(|character| !is_separator(*character)) {
            if !character.is_ascii_alphanumeric() {
                return Err("must consist of letters A to Z, digits, spaces and dashes".into());
            }
            if code.len() == CODE_MAX {
                return Err(format!("must have at most {CODE_MAX} letters and digits"));
            }
            code.push(character.to_ascii_uppercase());
        }
        if code.len() < CODE_MIN {
            return Err(format!("must have at least {CODE_MIN} letters and digits"));
        }
        Ok(Self(code))
    }

    /// The code itself: for its hash, its encryption and the provider.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown of it.
    pub fn last4(&self) -> &str {
        &self.0[self.0.len() - SHOWN..]
    }

    /// `text` with this code replaced by its end, however it is written there: others may repeat it in what they say.
    pub fn redact(&self, text: &str) -> String {
        let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let taken = if let Some(bytes) = self.bytes_at_start(rest) {
                clean.push('…');
                clean.push_str(self.last4());
                bytes
            } else {
                clean.push(first);
                first.len_utf8()
            };
            rest = &rest[taken..];
        }
        clean
    }

    /// How many bytes the code takes up where `text` begins; `None` if it does not stand there.
    fn bytes_at_start(&self, text: &str) -> Option<usize> {
        let mut missing = self.0.chars().peekable();
        for (index, character) in text.char_indices() {
            if missing.next_if(|expected| character.eq_ignore_ascii_case(expected)).is_some() {
                if missing.peek().is_none() {
                    return Some(index + character.len_utf8());
                }
            } else if index == 0 || !is_separator(character) {
                return None;
            }
        }
        None
    }
}

fn is_separator(character: char) -> bool {
    matches!(character, ' ' | '-')
}

impl fmt::Debug for CardCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CardCode(…{})", self.last4())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_compare_without_spaces_and_dashes_and_in_upper_case() {
        let code = CardCode::parse(" abcd-Efgh 1234 -").expect("a code");
        assert_eq!(code.expose(), "ABCDEFGH1234");
        assert_eq!(code, CardCode::parse("ABCDEFGH1234").expect("a code"));
    }

    #[test]
    fn a_code_has_four_to_sixty_four_letters_and_digits() {
        for good in ["ABC1", "a-b c-1", &"7".repeat(64), &"7-".repeat(64)] {
            assert!(CardCode::parse(good).is_ok(), "{good} was refused");
        }
        let strange = ["ÄBCD1", "ABC\u{a0}D1", "ABCD\0", "ABCD_1", "ABCD\t1"];
        for bad in ["", " - ", "ABC", "A-B-C", &"7".repeat(65)].into_iter().chain(strange) {
            assert!(CardCode::parse(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn neither_an_error_nor_debug_shows_a_code() {
        let long = "SECRET".repeat(20);
        for bad in ["SECRET!CODE", long.as_str(), "SEC"] {
            let error = CardCode::parse(bad).expect_err("no code");
            assert!(!error.contains("SEC"), "{error}");
        }
        let code = CardCode::parse("SECRET9876").expect("a code");
        assert_eq!(code.last4(), "9876");
        assert_eq!(format!("{code:?}"), "CardCode(…9876)");
    }

    #[test]
    fn what_others_say_of_a_card_is_shown_without_its_code() {
        let code = CardCode::parse("ABAB-CD12").expect("a code");
        let redacted = [
            ("ababcd12 is used", "…CD12 is used"),
            ("card ABAB CD-12, or abABab-cd12", "card …CD12, or ab…CD12"),
            ("ABABCD1", "ABABCD1"),
            ("—ÄBABCD12— ABAB.CD12", "—ÄBABCD12— ABAB.CD12"),
            ("", ""),
        ];
        for (said, shown) in redacted {
            assert_eq!(code.redact(said), shown);
        }
    }
}
