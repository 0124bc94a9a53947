//! What runs have gone through, counted: one that went through too little shows nothing.

use std::ops::AddAssign;

/// How much one run, or many, have exercised.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Figures {
    pub runs: u64,
    pub lives: u64,
    pub power_cuts: u64,
    pub kills: u64,
    pub stops: u64,
    /// Lives that the disk ended.
    pub halts: u64,
    /// Starts that failed because of something that was planned.
    pub failed_starts: u64,
    /// Operations of the disk that failed, power cuts included.
    pub disk_faults: u64,
    pub disk_errors: u64,
    /// Lives whose disk was full.
    pub full: u64,
    pub lost_before: u64,
    pub lost_after: u64,
    pub hung: u64,
    pub deadlocks: u64,
    pub away: u64,
    pub jumps: u64,
    /// Bits of a copy of the journal that turned, and no start went on; that were taken for a torn end; behind the end.
    pub rot_noticed: u64,
    pub rot_torn: u64,
    pub rot_behind: u64,
    /// Calls of the provider that left it open whether it has taken a card.
    pub doubts: u64,
    /// Its other calls that came to nothing.
    pub unanswered: u64,
    /// Gift cards that it has taken.
    pub cards: u64,
    pub records: u64,
    pub acknowledged: u64,
    pub refused: u64,
    pub read: u64,
    /// Answers that nobody heard: so many of them were there, and so many were not.
    pub unheard_there: u64,
    pub unheard_not: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, more: Self) {
        self.runs += more.runs;
        self.lives += more.lives;
        self.power_cuts += more.power_cuts;
        self.kills += more.kills;
        self.stops += more.stops;
        self.halts += more.halts;
        self.failed_starts += more.failed_starts;
        self.disk_faults += more.disk_faults;
        self.disk_errors += more.disk_errors;
        self.full += more.full;
        self.lost_before += more.lost_before;
        self.lost_after += more.lost_after;
        self.hung += more.hung;
        self.deadlocks += more.deadlocks;
        self.away += more.away;
        self.jumps += more.jumps;
        self.rot_noticed += more.rot_noticed;
        self.rot_torn += more.rot_torn;
        self.rot_behind += more.rot_behind;
        self.doubts += more.doubts;
        self.unanswered += more.unanswered;
        self.cards += more.cards;
        self.records += more.records;
        self.acknowledged += more.acknowledged;
        self.refused += more.refused;
        self.read += more.read;
        self.unheard_there += more.unheard_there;
        self.unheard_not += more.unheard_not;
    }
}

#[allow(dead_code, reason = "the canaries only ask whether something is wrong")]
impl Figures {
    /// Everything that was made to go wrong, a power cut at an operation of the disk as one.
    pub fn faults(&self) -> u64 {
        let lost = self.lost_before + self.lost_after + self.hung + self.away + self.doubts + self.unanswered;
        let rot = self.rot_noticed + self.rot_torn + self.rot_behind;
        self.power_cuts + self.kills + self.disk_errors + self.full + self.deadlocks + rot + lost
    }
}
