//! What goes wrong in one life of a simulated engine. Each run has its own mixture of troubles, others being off, so that none
//! always hides another.

use super::chance::Chance;
use super::clients::Room;
use super::line::Line;
use purser::journal::JournalOptions;
use purser::journal::simulated::{EIO, Fault, Kind};
use std::time::Duration;

/// How a life ends, if nothing else ends it before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The power goes after so long.
    PowerCut(Duration),
    /// Only the process dies: the disk keeps what was written.
    Killed(Duration),
    /// In good order, once the clients have asked for all that they want.
    Stopped,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    pub end: End,
    /// At the n-th operation on the disk, of one kind or of any.
    pub disk: Option<(Option<Kind>, u64, Fault)>,
    /// Bytes that the disk holds beyond what it starts with, if it may get full.
    pub room: Option<u64>,
    pub line: Line,
    /// The one to the provider of gift cards.
    pub provider: Line,
    /// Whether the line is like that from the start on, which then fails more often than not.
    pub is_line_bad_at_start: bool,
    /// Seconds by which the clock jumps now and then.
    pub jumps: i64,
    /// The longest pause between two steps of the journal.
    pub pause: Duration,
    pub requests: u64,
    /// The longest that a client waits before it asks for more.
    pub thinking: Duration,
    /// Nothing goes wrong: all that is still open has to come to an end.
    pub is_last: bool,
}

/// What is switched on in a whole run.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a kind of trouble that is on or off by itself")]
pub struct Mixture {
    pub journal: JournalOptions,
    /// For records: segments that are small fill up soon.
    pub room: Room,
    pub batch_records_max: usize,
    pub idle_seconds: u32,
    pub lives: u64,
    pub clients: u64,
    /// How much slower everybody is: then owners go to rest.
    tempo: u64,
    power: bool,
    errors: bool,
    full: bool,
    line: bool,
    away: bool,
    provider: bool,
    jumps: bool,
    slow: bool,
}

impl Mixture {
    pub fn of(chance: &mut Chance) -> Self {
        let room = chance.one_of(&[Room::Small, Room::Small, Room::Medium, Room::Large]);
        Self {
            room,
            journal: JournalOptions {
                segment_bytes: segment_bytes(room),
                keep_segments: chance.one_of(&[0, 1, 100]),
            },
            batch_records_max: chance.one_of(&[1, 3, 10, 1_000]),
            idle_seconds: chance.one_of(&[1, 1, 300]),
            lives: 2 + chance.below(4),
            clients: 1 + chance.below(8),
            tempo: chance.one_of(&[1, 1, 40]),
            power: chance.percent(80),
            errors: chance.percent(55),
            full: chance.percent(15),
            line: chance.percent(50),
            away: chance.percent(40),
            provider: chance.percent(60),
            jumps: chance.percent(30),
            slow: chance.percent(45),
        }
    }

    pub fn plan(&self, chance: &mut Chance) -> Plan {
        let moment = Duration::from_millis((1 + chance.below(300)) * self.tempo);
        let end = match chance.below(10) {
            0..=4 if self.power => End::PowerCut(moment),
            0..=7 => End::Killed(moment),
            _ => End::Stopped,
        };
        let disk = match chance.below(10) {
            0..=1 if self.power => {
                let most = chance.one_of(&[30, 300, 300]);
                let kinds = [None, None, Some(Kind::SyncDirectory), Some(Kind::Rename), Some(Kind::SyncFile)];
                let kind = chance.one_of(&kinds);
                // There are few operations of one kind.
                let most = if kind.is_some_and(|kind| kind != Kind::SyncFile) { 12 } else { most };
                Some((kind, chance.below(most), Fault::Crash))
            }
            2..=7 if self.errors => {
                // Of most interest is the one whose success is told.
                let rare = [Kind::Write, Kind::Create, Kind::Rename, Kind::SyncDirectory];
                let kind = if chance.percent(60) { Kind::SyncFile } else { chance.one_of(&rare) };
                let nth = chance.below(30);
                let fault = if chance.percent(50) { Fault::Once(EIO) } else { Fault::ForEver(EIO) };
                Some((Some(kind), nth, fault))
            }
            _ => None,
        };
        let line = |on: bool, share: u64| if on { share } else { 0 };
        Plan {
            end,
            disk,
            room: (self.full && chance.percent(50)).then(|| self.journal.segment_bytes * chance.below(3)),
            line: Line {
                lost_before: line(self.line, chance.below(20)),
                lost_after: line(self.line, chance.below(20)),
                hanging: line(self.line && chance.percent(20), 2),
                deadlocks: line(self.line, chance.below(12)),
                away: line(self.away, chance.below(90)),
            },
            provider: Line {
                lost_before: line(self.provider, chance.below(30)),
                lost_after: line(self.provider, chance.below(30)),
                hanging: line(self.provider, chance.below(20)),
                deadlocks: 0,
                away: line(self.provider, chance.below(20)),
            },
            is_line_bad_at_start: chance.percent(15),
            jumps: if self.jumps { 1 + signed(chance.below(3_600)) } else { 0 },
            pause: Duration::from_micros(if self.slow { 40_000 } else { 1_500 }),
            requests: 5 + chance.below(60),
            thinking: Duration::from_millis(9 * self.tempo),
            is_last: false,
        }
    }

    /// A short run in which nothing goes wrong by chance.
    #[allow(dead_code, reason = "the canaries need no such run")]
    pub fn calm() -> Self {
        Self {
            journal: JournalOptions { segment_bytes: segment_bytes(Room::Medium), keep_segments: 0 },
            room: Room::Medium,
            batch_records_max: 3,
            idle_seconds: 1,
            lives: 1,
            clients: 3,
            tempo: 1,
            power: false,
            errors: false,
            full: false,
            line: false,
            away: false,
            provider: false,
            jumps: false,
            slow: false,
        }
    }

    /// Whether gift cards are handed in.
    pub fn with_cards(&self) -> bool {
        self.room > Room::Small
    }

    /// Its one life, with this fault of the disk.
    #[allow(dead_code, reason = "as above")]
    pub fn plan_with(disk: Option<(Option<Kind>, u64, Fault)>) -> Plan {
        Plan { disk, requests: 12, is_last: false, ..Self::last() }
    }

    /// The last life: nothing goes wrong any more.
    pub fn last() -> Plan {
        Plan {
            end: End::Stopped,
            disk: None,
            room: None,
            line: Line::default(),
            provider: Line::default(),
            is_line_bad_at_start: false,
            jumps: 0,
            pause: Duration::from_micros(1_500),
            requests: 2,
            thinking: Duration::from_millis(9),
            is_last: true,
        }
    }
}

/// The smallest in which such records fit: an eighth is the largest record.
const fn segment_bytes(room: Room) -> u64 {
    match room {
        Room::Small => 24 << 10,
        Room::Medium => 36 << 10,
        Room::Large => 192 << 10,
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("a small number")
}
