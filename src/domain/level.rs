//! The levels that distributors climb, one list for all.

use super::entity::{Decision, Entity, Verdict};
use super::event::Event;
use super::money::Money;
use super::text::Name;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A level's place, from 0.
pub type Rank = u32;

/// One level: reached when the total of completed withdrawals is the threshold or more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Level {
    pub name: Name,
    pub threshold: Money,
}

/// All levels by their rank: 1 to [`Levels::MAX`], thresholds ascending.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Levels(Vec<Level>);

impl Levels {
    /// The most levels there may be.
    pub const MAX: usize = 100;

    /// `None` when there are too few or too many, or the thresholds do not ascend.
    pub fn new(levels: Vec<Level>) -> Option<Self> {
        let ascend = levels.windows(2).all(|pair| pair[0].threshold < pair[1].threshold);
        ((1..=Self::MAX).contains(&levels.len()) && ascend).then_some(Self(levels))
    }

    /// The levels as they were stored, in the order of their ranks; none were: the level that everybody begins with.
    pub fn stored(levels: Vec<Level>) -> Self {
        if levels.is_empty() {
            let name = Name::stored("Starter".into());
            return Self(vec![Level { name, threshold: Money::ZERO }]);
        }
        Self(levels)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Rank, &Level)> {
        self.0.iter().enumerate().map(|(rank, level)| (rank as Rank, level))
    }

    /// A level's name; the last one's for ranks that were taken off the list.
    pub fn name(&self, rank: Rank) -> Name {
        let level = self.0.get(rank as usize).or(self.0.last());
        level.map_or_else(|| Name::stored(String::new()), |level| level.name.clone())
    }

    /// The highest rank that a total reaches, if it reaches one.
    pub fn reached(&self, total: i64) -> Option<Rank> {
        self.iter().filter(|(_, level)| level.threshold.minor() <= total).map(|(rank, _)| rank).last()
    }
}

/// The list with its owner.
#[derive(Clone, Debug)]
pub struct LevelList {
    levels: Arc<Levels>,
}

/// What the owner of the list commits: the whole list anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetLevels(pub Arc<Levels>);

impl LevelList {
    pub fn stored(levels: Levels) -> Self {
        Self { levels: Arc::new(levels) }
    }

    pub fn levels(&self) -> Arc<Levels> {
        self.levels.clone()
    }
}

impl Entity for LevelList {
    type Claim = std::convert::Infallible;
    type Grant = ();
    type Command = SetLevels;

    fn unborn() -> Self {
        Self::stored(Levels::stored(Vec::new()))
    }

    fn claim(&mut self, claim: &Self::Claim, _contended: bool) -> Verdict<()> {
        match *claim {}
    }

    fn release(&mut self, claim: &Self::Claim) {
        match *claim {}
    }

    fn decide(&self, command: &SetLevels, _at: Timestamp, _contended: bool) -> Verdict<Decision> {
        Verdict::Granted(Decision::one(Event::LevelsSet(command.0.clone())))
    }

    fn apply(&mut self, event: &Event, _at: Timestamp) {
        if let Event::LevelsSet(levels) = event {
            self.levels = levels.clone();
        }
    }

    fn version(&self) -> u64 {
        0
    }

    fn is_level(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(thresholds: &[i64]) -> Option<Levels> {
        let level = |minor: &i64| Level {
            name: Name::parse(&format!("from {minor}")).expect("a name"),
            threshold: Money::new(*minor).expect("in range"),
        };
        Levels::new(thresholds.iter().map(level).collect())
    }

    #[test]
    fn a_total_reaches_the_highest_level_whose_threshold_it_has() {
        let levels = levels(&[0, 100, 500]).expect("ascending");
        for (total, rank) in [(0, 0), (99, 0), (100, 1), (499, 1), (500, 2), (i64::MAX, 2)] {
            assert_eq!(levels.reached(total), Some(rank), "{total}");
        }
        assert_eq!((levels.name(1).as_str(), levels.name(7).as_str()), ("from 100", "from 500"));
    }

    #[test]
    fn thresholds_ascend_and_there_is_at_least_one() {
        for wrong in [&[][..], &[0, 0], &[5, 4], &[0; Levels::MAX + 1]] {
            assert_eq!(levels(wrong), None, "{wrong:?}");
        }
        assert_eq!(levels(&[5]).expect("one").reached(4), None);
    }
}
