//! A running total as its owner sees it. Its own decisions and the changes that other owners committed arrive in any
//! order; what may be spent binds at once, what is published advances only over gapless versions.

use super::event::Posting;
use super::money::Delta;

/// One entity's total: of stock, or of money.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Every change that has arrived, whatever its version.
    bound: i64,
    /// The total at `version`.
    published: i64,
    version: u64,
    /// Arrived before their predecessors.
    early: Vec<Posting>,
}

impl Ledger {
    /// The total as it was stored.
    pub const fn new(total: i64, version: u64) -> Self {
        Self { bound: total, published: total, version, early: Vec::new() }
    }

    /// What decisions are made on.
    pub const fn bound(&self) -> i64 {
        self.bound
    }

    /// The total that readers may see, with its version.
    pub const fn published(&self) -> (i64, u64) {
        (self.published, self.version)
    }

    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether everything that arrived is also published.
    pub fn is_level(&self) -> bool {
        self.early.is_empty()
    }

    /// Takes in one step, in whatever order steps arrive. A version that was seen already changes nothing.
    pub fn post(&mut self, posting: &Posting) {
        if posting.version <= self.version {
            return;
        }
        self.bound += posting.delta;
        if posting.version == self.version + 1 {
            self.publish(posting);
            while let Some(next) = self.early.iter().position(|step| step.version == self.version + 1) {
                let step = self.early.swap_remove(next);
                self.publish(&step);
            }
        } else {
            self.early.push(*posting);
        }
    }

    fn publish(&mut self, posting: &Posting) {
        self.published = posting.total;
        self.version = posting.version;
    }
}

/// Whether `total` may grow by `delta` without passing the limit of the stores and of JSON.
pub const fn has_room(total: i64, delta: Delta) -> bool {
    delta <= super::money::LIMIT && total <= super::money::LIMIT - delta
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_the_order_of_arrival_the_total_ends_the_same(
            deltas in prop::collection::vec(-50i64..50, 1..40),
            seed in any::<u64>(),
        ) {
            let mut total = 0;
            let mut steps: Vec<Posting> = deltas.iter().enumerate().map(|(index, delta)| {
                total += delta;
                Posting { delta: *delta, total, version: index as u64 + 1 }
            }).collect();
            let count = steps.len();
            for index in 0..count {
                steps.swap(index, (seed.rotate_left(index as u32 * 7) as usize) % count);
            }
            let mut ledger = Ledger::new(0, 0);
            for step in &steps {
                let before = ledger.published();
                ledger.post(step);
                let after = ledger.published();
                prop_assert!(after.1 >= before.1);
                prop_assert_eq!(after.0, deltas[..after.1 as usize].iter().sum::<i64>());
            }
            prop_assert_eq!(ledger.published(), (total, count as u64));
            prop_assert_eq!(ledger.bound(), total);
            prop_assert!(ledger.is_level());
        }
    }
}
