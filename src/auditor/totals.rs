//! Running totals of one kind, with what each was at any position.

use super::facts::Step;
use std::collections::BTreeMap;

/// No total may pass it.
const LIMIT: i64 = (1 << 53) - 1;

/// Whether so much money is a reason to refuse. What passes every limit is told as the limit, which somebody may have.
pub const fn is_too_dear(asked: i64, available: i64) -> bool {
    available < asked || asked == LIMIT
}

#[derive(Debug)]
struct Total {
    version: u64,
    /// Position and total of each step, and what was known before the first one.
    steps: Vec<(u64, i64)>,
}

/// See the module.
#[derive(Debug)]
pub struct Totals {
    kind: &'static str,
    of: BTreeMap<u128, Total>,
}

impl Totals {
    pub const fn new(kind: &'static str) -> Self {
        Self { kind, of: BTreeMap::new() }
    }

    /// What it was before the journal that is read.
    pub fn begin(&mut self, id: u128, total: i64, version: u64) {
        self.of.insert(id, Total { version, steps: vec![(0, total)] });
    }

    /// # Errors
    /// The step does not follow from the one before, or leaves the range.
    pub fn take(&mut self, seq: u64, id: u128, step: Step) -> Result<(), String> {
        let kind = self.kind;
        let known = self.of.entry(id).or_insert_with(|| Total { version: 0, steps: Vec::new() });
        let before = known.steps.last().map_or(0, |(_, total)| *total);
        if step.version != known.version + 1 || Some(step.total) != before.checked_add(step.delta) {
            let version = known.version;
            return Err(format!("{kind} {id} stood at {before}, version {version}, and is posted {step:?}"));
        }
        if !(0..=LIMIT).contains(&step.total) {
            return Err(format!("{kind} {id} comes to {}", step.total));
        }
        known.version = step.version;
        known.steps.push((seq, step.total));
        Ok(())
    }

    /// What it was once the record at `seq` was taken in; 0 if there was none of it.
    pub fn at(&self, id: u128, seq: u64) -> i64 {
        let Some(known) = self.of.get(&id) else { return 0 };
        let behind = known.steps.partition_point(|(at, _)| *at <= seq);
        behind.checked_sub(1).map_or(0, |place| known.steps[place].1)
    }

    /// Whether any of them was that once the record at `seq` was taken in; 0 is what is not there.
    pub fn any_at(&self, total: i64, seq: u64) -> bool {
        total == 0 || self.of.keys().any(|id| self.at(*id, seq) == total)
    }

    /// Whether it was ever so from one position to another.
    pub fn was(&self, id: u128, from: u64, to: u64, is_so: impl Fn(i64) -> bool) -> bool {
        let steps = self.of.get(&id).map_or(&[][..], |known| &known.steps);
        let between = steps.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, total)| *total);
        is_so(self.at(id, from)) || between.into_iter().any(is_so)
    }

    pub fn sum(&self) -> i128 {
        self.of.values().filter_map(|known| known.steps.last()).map(|(_, total)| i128::from(*total)).sum()
    }
}
