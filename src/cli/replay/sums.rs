//! What the file says should have changed, per product and per customer, added up line by line and independently of
//! how the lines were put into orders.

use super::line::{Kind, Line};
use std::collections::{BTreeMap, HashSet};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums<'a> {
    /// Change of stock by stock code.
    pub stock: BTreeMap<&'a str, i128>,
    /// Change of balance by customer, minor units.
    pub balance: BTreeMap<&'a str, i128>,
    pub units_sold: i128,
    pub units_returned: i128,
    pub amount_sold: i128,
    pub amount_returned: i128,
}

impl<'a> Sums<'a> {
    /// Adds up the lines, but for those on the given lines of the file, which the server refused.
    pub fn new(lines: &[Line<'a>], refused: &HashSet<u64>) -> Self {
        let mut sums = Self::default();
        for line in lines.iter().filter(|line| !refused.contains(&line.row.line)) {
            let units = i128::from(line.quantity);
            let amount = units * i128::from(line.price);
            let sign = match line.kind {
                Kind::Order => {
                    sums.units_sold += units;
                    sums.amount_sold += amount;
                    -1
                }
                Kind::Return => {
                    sums.units_returned += units;
                    sums.amount_returned += amount;
                    1
                }
            };
            *sums.stock.entry(line.row.sku.as_str()).or_default() += sign * units;
            *sums.balance.entry(line.customer).or_default() += sign * amount;
        }
        sums
    }
}
