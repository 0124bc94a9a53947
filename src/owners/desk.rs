//! What a balance's owner keeps beside the balance: the records of its user that the store may not have yet, and the
//! user's unexpired idempotency keys.

use super::hold::KeyGuard;
use super::mailbox::{AskKey, KeyAnswer};
use super::slot::Pin;
use crate::canary::{Canary, Moment};
use crate::domain::balance::Balance;
use crate::domain::order::Order;
use crate::domain::redemption::Redemption;
use crate::domain::withdrawal::Withdrawal;
use crate::domain::{Event, OrderId, Record, RedemptionId, Seq, Timestamp, WithdrawalId};
use crate::store::StoredKey;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;

/// See the module.
#[derive(Default)]
pub struct BalanceDesk {
    /// Ascending by position.
    unstored: VecDeque<Arc<Record>>,
    /// Made with the first key: most owners never see one.
    keys: Option<Box<Keys>>,
}

#[derive(Default)]
struct Keys {
    states: HashMap<[u8; 16], KeyState>,
    /// Answered keys, oldest first.
    ages: VecDeque<(Timestamp, [u8; 16])>,
}

enum KeyState {
    Running { request: [u8; 16], waiting: Vec<(Pin<Balance>, oneshot::Sender<KeyAnswer>)> },
    Answered { request: [u8; 16], seq: Seq },
}

impl BalanceDesk {
    /// The keys as they were stored.
    pub fn with_keys(stored: Vec<StoredKey>) -> Self {
        if stored.is_empty() || Canary::KeysNotLoaded.sings() {
            return Self::default();
        }
        let mut keys = Keys::default();
        for StoredKey { fingerprint, request, seq, at } in stored {
            keys.states.insert(fingerprint, KeyState::Answered { request, seq });
            keys.ages.push_back((at, fingerprint));
        }
        keys.ages.make_contiguous().sort_unstable();
        Self { keys: Some(Box::new(keys)), ..Self::default() }
    }

    /// Records of this user that the store may not have, oldest first.
    pub fn unstored(&self) -> impl DoubleEndedIterator<Item = &Arc<Record>> {
        self.unstored.iter()
    }

    /// Each record once, and not always in order: others that it touches may have been quicker.
    pub(super) fn remember(&mut self, record: &Arc<Record>) {
        let place = self.unstored.partition_point(|known| known.seq < record.seq);
        debug_assert!(self.unstored.get(place).is_none_or(|known| known.seq != record.seq), "noted twice");
        self.unstored.insert(place, record.clone());
    }

    pub(super) fn forget(&mut self, stored: Seq) -> Seq {
        let mut last = Seq::ZERO;
        while self.unstored.front().is_some_and(|record| record.seq <= stored) {
            last = self.unstored.pop_front().map_or(last, |record| record.seq);
        }
        if self.unstored.is_empty() {
            self.unstored.shrink_to_fit();
        }
        last
    }

    /// An order as it was at `read_at`, with what happened to it since.
    pub fn overlaid(&self, order: &Order, read_at: Seq) -> Order {
        let mut order = order.clone();
        for record in self.unstored.iter().filter(|record| record.seq > read_at) {
            for event in &record.events {
                order.apply(event, record.at);
            }
        }
        order
    }

    /// An order that was placed in a record which the store may not have, as it was placed, and that position.
    pub fn placed(&self, id: OrderId) -> Option<(Arc<Order>, Seq)> {
        self.unstored.iter().rev().find_map(|record| {
            record.events.iter().find_map(|event| match event {
                Event::OrderPlaced(order) if order.id == id => Some((order.clone(), record.seq)),
                _ => None,
            })
        })
    }

    /// A withdrawal as it was at `read_at`, with what happened to it since.
    pub fn withdrawal(&self, withdrawal: &Withdrawal, read_at: Seq) -> Withdrawal {
        let mut withdrawal = *withdrawal;
        for record in self.unstored.iter().filter(|record| record.seq > read_at) {
            record.events.iter().for_each(|event| withdrawal.apply(event, record.at));
        }
        withdrawal
    }

    /// A withdrawal that was asked for in a record which the store may not have, as it was asked for, and that position.
    pub fn asked(&self, id: WithdrawalId) -> Option<(Withdrawal, Seq)> {
        self.unstored.iter().rev().find_map(|record| {
            record.events.iter().find_map(|event| match event {
                Event::WithdrawalRequested(withdrawal) if withdrawal.id == id => {
                    Some((**withdrawal, record.seq))
                }
                _ => None,
            })
        })
    }

    /// A redemption as it was at `read_at`, with what happened to it since.
    pub fn card(&self, card: &Redemption, read_at: Seq) -> Redemption {
        let mut card = card.clone();
        for record in self.unstored.iter().filter(|record| record.seq > read_at) {
            record.events.iter().for_each(|event| card.apply(event, record.at));
        }
        card
    }

    /// A redemption that was handed in by a record which the store may not have, as it was handed in, and that position.
    pub fn handed_in(&self, id: RedemptionId) -> Option<(Redemption, Seq)> {
        self.unstored.iter().rev().find_map(|record| {
            record.events.iter().find_map(|event| match event {
                Event::CardsHandedIn(cards) if cards.cards.iter().any(|card| card.id == id) => {
                    let card = cards.redemptions(record.at).find(|card| card.id == id)?;
                    Some((card, record.seq))
                }
                _ => None,
            })
        })
    }

    fn record(&self, seq: Seq) -> Option<Arc<Record>> {
        let place = self.unstored.binary_search_by_key(&seq, |record| record.seq).ok()?;
        self.unstored.get(place).cloned()
    }

    /// Tells whether the request behind a key is to be run, runs already, or was answered.
    pub(super) fn ask(&mut self, ask: AskKey, most: usize, expired: Timestamp) {
        let AskKey { pin, fingerprint, request, reply } = ask;
        let keys = self.keys.get_or_insert_default();
        keys.expire(expired);
        let too_many = keys.states.len() >= most;
        let answer =
            match keys.states.get_mut(&fingerprint) {
                None if too_many => KeyAnswer::TooMany { oldest: keys.ages.front().map(|(at, _)| *at) },
                None => {
                    keys.states.insert(fingerprint, KeyState::Running { request, waiting: Vec::new() });
                    Moment::KeyReserved.reached();
                    KeyAnswer::New(KeyGuard::new(pin, fingerprint, request))
                }
                Some(
                    KeyState::Running { request: known, .. } | KeyState::Answered { request: known, .. },
                ) if *known != request => KeyAnswer::Reused,
                Some(KeyState::Running { waiting, .. }) => return waiting.push((pin, reply)),
                Some(KeyState::Answered { seq, .. }) => {
                    let seq = *seq;
                    KeyAnswer::Answered { seq, record: self.record(seq) }
                }
            };
        drop(reply.send(answer));
    }

    /// The request behind a key is in the journal: all who wait for it hear.
    pub(super) fn answered(&mut self, fingerprint: [u8; 16], record: &Arc<Record>) {
        let keys = self.keys.get_or_insert_default();
        let Some(KeyState::Running { request, waiting }) = keys.states.remove(&fingerprint) else { return };
        keys.states.insert(fingerprint, KeyState::Answered { request, seq: record.seq });
        keys.ages.push_back((record.at, fingerprint));
        for (_, reply) in waiting {
            drop(reply.send(KeyAnswer::Answered { seq: record.seq, record: Some(record.clone()) }));
        }
    }

    /// The request behind a key ended without an answer: the next in line runs it.
    pub(super) fn dropped(&mut self, fingerprint: [u8; 16]) {
        let Some(keys) = &mut self.keys else { return };
        let Some(KeyState::Running { request, waiting }) = keys.states.get_mut(&fingerprint) else { return };
        // If its receiver is gone the guard comes back and this happens again.
        let heir = waiting.iter().position(|(_, reply)| !reply.is_closed());
        match heir.map(|heir| waiting.remove(heir)) {
            Some((pin, reply)) => {
                drop(reply.send(KeyAnswer::New(KeyGuard::new(pin, fingerprint, *request))));
            }
            None => {
                keys.states.remove(&fingerprint);
            }
        }
    }
}

impl Keys {
    fn expire(&mut self, expired: Timestamp) {
        while self.ages.front().is_some_and(|(at, _)| *at <= expired) {
            if let Some((_, fingerprint)) = self.ages.pop_front() {
                self.states.remove(&fingerprint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Operation;

    fn record(seq: u64) -> Arc<Record> {
        let (seq, at, operation) = (Seq::new(seq), Timestamp::from_micros(1), Operation::Increment);
        Arc::new(Record { seq, at, operation, caller: None, key: None, refusal: None, events: Vec::new() })
    }

    #[test]
    fn records_are_kept_in_order_until_they_are_stored() {
        let mut desk = BalanceDesk::default();
        for seq in [5, 3, 4, 6] {
            desk.remember(&record(seq));
        }
        assert_eq!(desk.unstored().map(|record| record.seq.get()).collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(desk.forget(Seq::new(5)), Seq::new(5));
        assert_eq!(desk.unstored().map(|record| record.seq.get()).collect::<Vec<_>>(), [6]);
    }
}
