//! What a code asks for, told from how it begins. In `OK100X7`, 100 is the worth; what follows the X only makes codes
//! different.

use std::time::Duration;

/// What is to become of a card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// For this reason.
    Refuse(&'static str),
    Take {
        amount: u64,
        /// Answered so much later.
        delay: Duration,
        /// What goes wrong the first time.
        hitch: Option<Hitch>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hitch {
    /// The connection is closed, the card not taken.
    DropBefore,
    /// The card is taken, and the connection closed.
    DropAfter,
    /// 429, the card not taken.
    TooMany,
    /// 500, the card not taken.
    Broken,
}

pub const INVALID: &str = "the code is invalid";
pub const USED: &str = "the card was used before";

/// How codes begin that are taken. `TWICE` answers a second time when the status is asked for, as all of them do.
const TAKEN: [(&str, Option<Hitch>); 6] = [
    ("OK", None),
    ("TWICE", None),
    ("DROPB", Some(Hitch::DropBefore)),
    ("DROPA", Some(Hitch::DropAfter)),
    ("R429", Some(Hitch::TooMany)),
    ("E500", Some(Hitch::Broken)),
];

impl Rule {
    /// `code` in the form in which codes are compared.
    pub fn of(code: &str) -> Self {
        if code.starts_with("USED") {
            return Self::Refuse(USED);
        }
        Self::slow(code).or_else(|| Self::taken(code)).unwrap_or(Self::Refuse(INVALID))
    }

    fn slow(code: &str) -> Option<Self> {
        let (millis, rest) = number(code.strip_prefix("SLOW")?)?;
        let (amount, _) = number(rest)?;
        Some(Self::Take { amount, delay: Duration::from_millis(millis), hitch: None })
    }

    fn taken(code: &str) -> Option<Self> {
        let (rest, hitch) =
            TAKEN.iter().find_map(|(start, hitch)| Some((code.strip_prefix(start)?, *hitch)))?;
        let (amount, _) = number(rest)?;
        Some(Self::Take { amount, delay: Duration::ZERO, hitch })
    }
}

/// The digits up to the next X, and what stands behind it.
fn number(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.split_once('X')?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_what_becomes_of_its_card() {
        let take = |amount, millis, hitch| Rule::Take { amount, delay: Duration::from_millis(millis), hitch };
        let rules = [
            ("OK1999X", take(1999, 0, None)),
            ("OK5X7X8", take(5, 0, None)),
            ("TWICE12XA", take(12, 0, None)),
            ("SLOW250X12XA", take(12, 250, None)),
            ("DROPB7X1", take(7, 0, Some(Hitch::DropBefore))),
            ("DROPA7X1", take(7, 0, Some(Hitch::DropAfter))),
            ("R4297X1", take(7, 0, Some(Hitch::TooMany))),
            ("E5007X1", take(7, 0, Some(Hitch::Broken))),
            ("USED", Rule::Refuse(USED)),
            ("USED5X", Rule::Refuse(USED)),
            ("INVALID5X", Rule::Refuse(INVALID)),
        ];
        for (code, rule) in rules {
            assert_eq!(Rule::of(code), rule, "{code}");
        }
    }

    #[test]
    fn anything_else_is_invalid() {
        let others = [
            "",
            "HELLO",
            "OK",
            "OKX",
            "OK100",
            "OK10A0X",
            "SLOW10X",
            "SLOWX10X",
            "X",
            "ok100X",
            "OK99999999999999999999X",
        ];
        for other in others {
            assert_eq!(Rule::of(other), Rule::Refuse(INVALID), "{other}");
        }
    }
}
