//! Lines of goods, as orders and returns ask for them.

use crate::domain::{Money, ProductId, Quantity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Deref;

/// One product, how many units of it, and at which price each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LineRequest {
    pub product_id: ProductId,
    pub quantity: Quantity,
    pub unit_price: Money,
}

/// 1 to [`Lines::MAX`] lines, together worth no more than 2^53−1; the same product may stand on several.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<LineRequest>")]
pub struct Lines(Vec<LineRequest>);

impl Lines {
    /// The most lines of one order or return.
    pub const MAX: usize = 1_000;

    /// `None` without a line, with too many, or past the limit of money.
    pub fn new(lines: Vec<LineRequest>) -> Option<Self> {
        let sound = (1..=Self::MAX).contains(&lines.len()) && total_of(&lines).is_some();
        sound.then_some(Self(lines))
    }

    pub fn total(&self) -> Money {
        // Looked at when the lines were made.
        total_of(self).unwrap_or_default()
    }

    /// Units per product, in the order of the products.
    pub fn units(&self) -> BTreeMap<ProductId, i64> {
        let mut units = BTreeMap::new();
        for line in &self.0 {
            *units.entry(line.product_id).or_insert(0) += i64::from(line.quantity.get());
        }
        units
    }
}

impl Deref for Lines {
    type Target = [LineRequest];

    fn deref(&self) -> &[LineRequest] {
        &self.0
    }
}

impl TryFrom<Vec<LineRequest>> for Lines {
    type Error = &'static str;

    fn try_from(lines: Vec<LineRequest>) -> Result<Self, Self::Error> {
        Self::new(lines).ok_or("1 to 1,000 lines worth no more than 2^53-1")
    }
}

/// What lines are worth together; `None` past the limit of money.
pub fn total_of(lines: &[LineRequest]) -> Option<Money> {
    lines.iter().try_fold(Money::ZERO, |total, line| total.checked_add(line.unit_price.times(line.quantity)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LIMIT;

    fn line(unit_price: i64) -> LineRequest {
        let (product_id, unit_price) = (ProductId::new(1), Money::new(unit_price).expect("in range"));
        LineRequest { product_id, quantity: Quantity::new(2).expect("two"), unit_price }
    }

    #[test]
    fn there_is_at_least_one_line_and_not_too_many_or_too_dear_ones() {
        assert_eq!(Lines::new(Vec::new()), None);
        assert_eq!(Lines::new(vec![line(1); Lines::MAX + 1]), None);
        assert_eq!(Lines::new(vec![line(LIMIT / 2), line(1)]), None);
        let lines = Lines::new(vec![line(1); Lines::MAX]).expect("sound");
        assert_eq!(lines.total(), Money::new(2_000).expect("in range"));
        assert_eq!(lines.units(), BTreeMap::from([(ProductId::new(1), 2_000)]));
    }
}
