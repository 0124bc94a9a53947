//! Amounts and quantities: integers, never floats. Money is in minor units (1999 = 19.99) of the one configured
//! currency. Everything that is stored stays within `0..=LIMIT`, so that JSON readers and both stores agree on it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest amount, total or stock: 2^53 − 1, the last integer that every JSON reader holds exactly.
pub const LIMIT: i64 = (1 << 53) - 1;

/// The largest single credit or debit over the API.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// The largest quantity of one order line.
pub const QUANTITY_MAX: u32 = 1_000_000;

/// A signed change of a total, `-LIMIT..=LIMIT`.
pub type Delta = i64;

/// An amount of money in minor units, `0..=LIMIT`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(i64);

impl Money {
    pub const ZERO: Self = Self(0);

    /// `None` outside `0..=LIMIT`.
    pub const fn new(minor: i64) -> Option<Self> {
        if minor >= 0 && minor <= LIMIT { Some(Self(minor)) } else { None }
    }
    pub const fn minor(self) -> i64 {
        self.0
    }
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::new)
    }
    /// The price of `quantity` units; `None` past the limit.
    pub fn times(self, quantity: Quantity) -> Option<Self> {
        self.0.checked_mul(i64::from(quantity.get())).and_then(Self::new)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// How many units of one product, `1..=QUANTITY_MAX`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(u32);

impl Quantity {
    /// `None` outside `1..=QUANTITY_MAX`.
    pub const fn new(units: u32) -> Option<Self> {
        if units >= 1 && units <= QUANTITY_MAX { Some(Self(units)) } else { None }
    }
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Units of one product that are there, `0..=LIMIT`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stock(i64);

impl Stock {
    /// `None` outside `0..=LIMIT`.
    pub const fn new(units: i64) -> Option<Self> {
        if units >= 0 && units <= LIMIT { Some(Self(units)) } else { None }
    }
    pub const fn units(self) -> i64 {
        self.0
    }
}

/// Units that come (positive) or go (negative), `-LIMIT..=LIMIT` without 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StockChange(i64);

impl StockChange {
    /// `None` for 0 and outside `-LIMIT..=LIMIT`.
    pub const fn new(units: i64) -> Option<Self> {
        if units != 0 && units >= -LIMIT && units <= LIMIT { Some(Self(units)) } else { None }
    }
    pub const fn units(self) -> Delta {
        self.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_and_its_changes_stay_in_their_ranges() {
        assert_eq!((Stock::new(-1), Stock::new(LIMIT + 1)), (None, None));
        assert_eq!((StockChange::new(0), StockChange::new(i64::MIN)), (None, None));
        assert_eq!(StockChange::new(-LIMIT).map(StockChange::units), Some(-LIMIT));
    }

    #[test]
    fn money_never_leaves_its_range() {
        assert_eq!(Money::new(-1), None);
        assert_eq!(Money::new(LIMIT + 1), None);
        let most = Money::new(LIMIT).expect("the limit itself is allowed");
        assert_eq!(most.checked_add(Money(1)), None);
        assert_eq!(most.times(Quantity(2)), None);
        assert_eq!(Money(7).times(Quantity(3)), Some(Money(21)));
    }
}
