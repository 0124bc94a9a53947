//! From what was sent to domain types: every problem of a request is collected under its field's path.

use super::extract::uuid;
use super::problem::{FieldErrors, Problem};
use crate::domain::country::Country;
use crate::domain::money::{AMOUNT_MAX, QUANTITY_MAX};
use crate::domain::plan::BasisPoints;
use crate::domain::text::{Email, Name, Sku, Text};
use crate::domain::user::Role;
use crate::domain::{LIMIT, Money, PlanId, ProductId, Quantity, Stock, StockChange, UserId};
use std::fmt::Display;

/// Characters of the shortest and of the longest password.
const PASSWORD_MIN: usize = 8;
pub const PASSWORD_MAX: usize = 1_024;

/// What is wrong with a request so far. Paths are only written out when something is wrong.
#[derive(Debug, Default)]
pub struct Checks {
    errors: FieldErrors,
}

impl Checks {
    pub fn add(&mut self, path: impl Display, message: impl Into<String>) {
        self.errors.entry(path.to_string()).or_default().push(message.into());
    }

    /// The parsed value if nothing was wrong with the whole request.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::validation(self.errors)),
        }
    }

    /// The same for a part of a request that may fail alone: what is wrong with it, in one line.
    pub fn explain<T>(self, value: Option<T>) -> Result<T, String> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => {
                let told =
                    |(path, messages): (&String, &Vec<String>)| format!("{path}: {}", messages.join(", "));
                Err(self.errors.iter().map(told).collect::<Vec<_>>().join("; "))
            }
        }
    }

    fn take<T>(&mut self, path: impl Display, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|message| self.add(path, message)).ok()
    }

    fn within(&mut self, path: impl Display, value: i64, least: i64, most: i64) -> Option<i64> {
        if value < least {
            self.add(path, format!("must be at least {least}"));
        } else if value > most {
            self.add(path, format!("must be at most {most}"));
        } else {
            return Some(value);
        }
        None
    }

    pub fn quantity(&mut self, path: impl Display, value: i64) -> Option<Quantity> {
        let units = self.within(path, value, 1, i64::from(QUANTITY_MAX))?;
        Quantity::new(u32::try_from(units).ok()?)
    }

    /// How many, from 1 to `most`.
    pub fn count(&mut self, path: impl Display, value: i64, most: u32) -> Option<u32> {
        self.within(path, value, 1, most.into())?.try_into().ok()
    }

    /// A price or a total: may be 0.
    pub fn money(&mut self, path: impl Display, value: i64) -> Option<Money> {
        self.within(path, value, 0, LIMIT).and_then(Money::new)
    }

    /// A credit, a debit or a transfer.
    pub fn amount(&mut self, path: impl Display, value: i64) -> Option<Money> {
        self.within(path, value, 1, AMOUNT_MAX).and_then(Money::new)
    }

    /// What a card was worth.
    pub fn worth(&mut self, path: impl Display, value: i64) -> Option<Money> {
        self.within(path, value, 1, LIMIT).and_then(Money::new)
    }

    pub fn stock(&mut self, path: impl Display, value: i64) -> Option<Stock> {
        self.within(path, value, 0, LIMIT).and_then(Stock::new)
    }

    /// A change of stock, up or down.
    pub fn delta(&mut self, path: impl Display, value: i64) -> Option<StockChange> {
        if value == 0 {
            self.add(path, "must not be 0");
            return None;
        }
        self.within(path, value, -LIMIT, LIMIT).and_then(StockChange::new)
    }

    fn id(&mut self, path: impl Display, value: i64) -> Option<u64> {
        self.within(path, value, 1, LIMIT)?.try_into().ok()
    }

    pub fn product_id(&mut self, path: impl Display, value: i64) -> Option<ProductId> {
        self.id(path, value).map(ProductId::new)
    }

    pub fn user_id(&mut self, path: impl Display, value: i64) -> Option<UserId> {
        self.id(path, value).map(UserId::new)
    }

    pub fn basis_points(&mut self, path: impl Display, value: i64) -> Option<BasisPoints> {
        let points = self.within(path, value, 0, BasisPoints::MAX.into())?;
        BasisPoints::new(points.try_into().ok()?)
    }

    pub fn country(&mut self, path: impl Display, text: &str) -> Option<Country> {
        self.take(path, Country::parse(text).ok_or_else(|| "must be a two-letter country code".to_owned()))
    }

    pub fn plan_id(&mut self, path: impl Display, text: &str) -> Option<PlanId> {
        self.take(path, uuid(text).map(PlanId::new).ok_or_else(|| "must be the id of a plan".to_owned()))
    }

    pub fn name(&mut self, path: impl Display, text: &str) -> Option<Name> {
        self.take(path, Name::parse(text))
    }

    pub fn sku(&mut self, path: impl Display, text: &str) -> Option<Sku> {
        self.take(path, Sku::parse(text))
    }

    pub fn text(&mut self, path: impl Display, text: &str) -> Option<Text> {
        self.take(path, Text::parse(text))
    }

    pub fn email(&mut self, path: impl Display, text: &str) -> Option<Email> {
        self.take(path, Email::parse(text))
    }

    pub fn role(&mut self, path: impl Display, word: &str) -> Option<Role> {
        self.take(path, Role::from_word(word).ok_or_else(|| "must be user or admin".to_owned()))
    }

    /// A password to be set.
    pub fn password(&mut self, path: impl Display, text: String) -> Option<String> {
        let length = text.chars().count();
        if text.contains('\0') {
            self.add(path, "must not contain U+0000");
        } else if length < PASSWORD_MIN {
            self.add(path, format!("must be at least {PASSWORD_MIN} characters"));
        } else if length > PASSWORD_MAX {
            self.add(path, format!("must be at most {PASSWORD_MAX} characters"));
        } else {
            return Some(text);
        }
        None
    }

    #[expect(clippy::option_option, reason = "no field is not the same as a wrong one")]
    /// An optional field: `None` when something is wrong with it, `Some(None)` when it is not there.
    pub fn optional<T, V>(
        &mut self,
        value: Option<V>,
        check: impl FnOnce(&mut Self, V) -> Option<T>,
    ) -> Option<Option<T>> {
        match value {
            None => Some(None),
            Some(value) => check(self, value).map(Some),
        }
    }
}
