//! Which message is tried next: pure, and told the time. Messages of one kind with one key stand in a lane, in the order in
//! which they were queued; only the first of a lane may be tried, and none while another one is. Kinds keep within their
//! bounds.

use super::profile::{OnFailed, Profiles};
use crate::domain::message::{Message, MessageKind, OpenMessage};
use crate::domain::{Seq, Timestamp};
use foldhash::quality::RandomState;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Schedule {
    profiles: Profiles,
    hasher: RandomState,
    /// Lane by lane.
    items: BTreeMap<Spot, Item>,
    /// Lanes of which one is being tried.
    busy: HashSet<u64, RandomState>,
    /// When delayed messages are due, the first on top; entries of messages that are not delayed until then count for nothing.
    timers: BinaryHeap<Reverse<(Timestamp, Spot)>>,
    /// Since when ready ones are ready.
    ready: BTreeSet<(Timestamp, Spot)>,
    kinds: BTreeMap<MessageKind, Turns>,
}

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Spot {
    /// A hash of kind and key, which is shorter than they are. Lanes that share one by chance wait for each other, no more.
    lane: u64,
    /// The record that queued the message, and no other one.
    place: Seq,
}

/// A message whose turn has come.
#[derive(Clone, Debug)]
pub struct Due {
    pub spot: Spot,
    pub message: Arc<Message>,
}

#[derive(Debug)]
struct Item {
    message: Arc<Message>,
    state: State,
}

/// What a message waits for, or since when it does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Ready { since: Timestamp },
    Delayed { until: Timestamp },
    Running,
    Failed,
}

/// One kind's messages.
#[derive(Debug, Default)]
struct Turns {
    /// Ready, and first in their lanes when they came here.
    /// The longest due first, and of those the one that was queued first.
    due: BTreeSet<(Timestamp, Seq, Spot)>,
    counts: KindStats,
}

/// How many messages of a kind stand how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct KindStats {
    pub ready: u64,
    pub delayed: u64,
    pub running: u64,
    pub failed: u64,
    /// Since the store was made.
    pub succeeded_total: u64,
}

/// How all messages stand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    pub by_kind: BTreeMap<MessageKind, KindStats>,
    /// Since when the longest waiting of the ready ones has been ready.
    pub oldest_ready: Option<Timestamp>,
}

impl Stats {
    /// How long that one has been ready.
    pub fn oldest_ready_seconds(&self, now: Timestamp) -> f64 {
        self.oldest_ready.map_or(0.0, |since| (now.micros() - since.micros()).max(0) as f64 / 1e6)
    }
}

impl KindStats {
    fn count(&mut self, state: State) -> &mut u64 {
        match state {
            State::Ready { .. } => &mut self.ready,
            State::Delayed { .. } => &mut self.delayed,
            State::Running => &mut self.running,
            State::Failed => &mut self.failed,
        }
    }
}

impl Schedule {
    /// `succeeded`: how many were done before.
    pub fn new(profiles: Profiles, succeeded: &BTreeMap<MessageKind, u64>) -> Self {
        let turns = |kind| {
            let succeeded_total = succeeded.get(&kind).copied().unwrap_or(0);
            let counts = KindStats { succeeded_total, ..KindStats::default() };
            (kind, Turns { counts, ..Turns::default() })
        };
        Self {
            profiles,
            hasher: RandomState::default(),
            items: BTreeMap::new(),
            busy: HashSet::default(),
            timers: BinaryHeap::new(),
            ready: BTreeSet::new(),
            kinds: MessageKind::ALL.into_iter().map(turns).collect(),
        }
    }

    /// A message is new, failed, or was put back.
    pub fn stands(&mut self, open: &OpenMessage, place: Seq, now: Timestamp) {
        let message = &open.message;
        let state = match open.next_attempt_at {
            None => State::Failed,
            Some(at) if at > now => State::Delayed { until: at },
            Some(at) => State::Ready { since: at },
        };
        let spot = self.spot(message, place);
        match self.items.entry(spot) {
            Entry::Occupied(_) => self.turn(spot, state),
            Entry::Vacant(entry) => {
                entry.insert(Item { message: message.clone(), state });
                self.enter(spot, message.kind(), state);
                self.look_at(spot.lane);
            }
        }
    }

    /// A message is done or given up.
    pub fn ended(&mut self, message: &Message, place: Seq, done: bool) {
        let (spot, kind) = (self.spot(message, place), message.kind());
        if done && let Some(turns) = self.kinds.get_mut(&kind) {
            turns.counts.succeeded_total += 1;
        }
        let Some(item) = self.items.remove(&spot) else { return };
        self.leave(spot, kind, item.state);
        self.look_at(spot.lane);
    }

    /// An attempt ended without a word on it in the journal (the store was away, say): it is made again, under its number.
    pub fn put_back(&mut self, spot: Spot, until: Timestamp) {
        if self.items.get(&spot).is_some_and(|item| item.state == State::Running) {
            self.turn(spot, State::Delayed { until });
        }
    }

    /// The next message to be tried; it counts as running from now on.
    pub fn next(&mut self, now: Timestamp) -> Option<Due> {
        while let Some((at, spot)) = self.first_timer().filter(|(at, _)| *at <= now) {
            self.timers.pop();
            self.turn(spot, State::Ready { since: at });
        }
        for kind in MessageKind::ALL {
            let most = self.profiles.of(kind).concurrency as u64;
            while let Some(turns) = self.kinds.get_mut(&kind).filter(|turns| turns.counts.running < most)
                && let Some((_, _, spot)) = turns.due.pop_first()
            {
                // Another one may have come back to its place before it; then its lane is looked at again.
                if self.first(spot.lane) == Some(spot)
                    && let Some(message) = self.items.get(&spot).map(|item| item.message.clone())
                {
                    self.turn(spot, State::Running);
                    return Some(Due { spot, message });
                }
            }
        }
        None
    }

    /// Messages that wait behind this one for no other reason, up to so many.
    pub fn behind(&self, spot: Spot, most: usize) -> Vec<Arc<Message>> {
        let key = self.items.get(&spot).map(|item| (item.message.kind(), item.message.key()));
        let is_ready = |item: &&Item| {
            matches!(item.state, State::Ready { .. })
                && Some((item.message.kind(), item.message.key())) == key
        };
        let waiting = self.lane(Spot { place: spot.place.next(), ..spot }).map(|(_, item)| item);
        waiting.take(most).filter(is_ready).map(|item| item.message.clone()).collect()
    }

    /// When something becomes due by itself.
    pub fn wake_at(&mut self) -> Option<Timestamp> {
        self.first_timer().map(|(at, _)| at)
    }

    fn first_timer(&mut self) -> Option<(Timestamp, Spot)> {
        loop {
            let Reverse((until, spot)) = *self.timers.peek()?;
            if self.items.get(&spot).is_some_and(|item| item.state == State::Delayed { until }) {
                return Some((until, spot));
            }
            self.timers.pop();
        }
    }

    pub fn stats(&self) -> Stats {
        let by_kind = self.kinds.iter().map(|(kind, turns)| (*kind, turns.counts)).collect();
        Stats { by_kind, oldest_ready: self.ready.first().map(|(since, _)| *since) }
    }

    fn spot(&self, message: &Message, place: Seq) -> Spot {
        Spot { lane: self.hasher.hash_one((message.kind(), message.key())), place }
    }

    /// The message of a lane that is tried next. A dead letter is passed by others, or in their way.
    fn first(&self, lane: u64) -> Option<Spot> {
        if self.busy.contains(&lane) {
            return None;
        }
        let is_passed = |item: &Item| {
            let profile = self.profiles.of(item.message.kind());
            item.state == State::Failed && profile.on_failed == OnFailed::PassFailed
        };
        let mut all = self.lane(Spot { lane, place: Seq::ZERO });
        all.find(|(_, item)| !is_passed(item)).map(|(spot, _)| *spot)
    }

    /// A lane from one of its spots on. One end is looked for only: with many lanes that is what a turn costs most.
    fn lane(&self, from: Spot) -> impl Iterator<Item = (&Spot, &Item)> {
        self.items.range(from..).take_while(move |(spot, _)| spot.lane == from.lane)
    }

    /// If the first of a lane may be tried, it waits for its kind's turn.
    fn look_at(&mut self, lane: u64) {
        if let Some(spot) = self.first(lane)
            && let Some(Item { message, state: State::Ready { since } }) = self.items.get(&spot)
            && let Some(turns) = self.kinds.get_mut(&message.kind())
        {
            turns.due.insert((*since, spot.place, spot));
        }
    }

    fn turn(&mut self, spot: Spot, state: State) {
        let Some(item) = self.items.get_mut(&spot) else { return };
        let (kind, before) = (item.message.kind(), std::mem::replace(&mut item.state, state));
        self.leave(spot, kind, before);
        self.enter(spot, kind, state);
        self.look_at(spot.lane);
    }

    fn enter(&mut self, spot: Spot, kind: MessageKind, state: State) {
        if let Some(turns) = self.kinds.get_mut(&kind) {
            *turns.counts.count(state) += 1;
        }
        match state {
            State::Ready { since } => drop(self.ready.insert((since, spot))),
            State::Delayed { until } => self.timers.push(Reverse((until, spot))),
            State::Running => drop(self.busy.insert(spot.lane)),
            State::Failed => {}
        }
    }

    fn leave(&mut self, spot: Spot, kind: MessageKind, state: State) {
        let Some(turns) = self.kinds.get_mut(&kind) else { return };
        *turns.counts.count(state) -= 1;
        match state {
            State::Ready { since } => {
                turns.due.remove(&(since, spot.place, spot));
                self.ready.remove(&(since, spot));
            }
            State::Running => drop(self.busy.remove(&spot.lane)),
            State::Delayed { .. } | State::Failed => {}
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
