//! Sentences about the schedule, and a naive model that it must agree with.

use super::*;
use crate::domain::message::{MessageKey, Payload};
use crate::domain::order::Pricing;
use crate::domain::{MessageId, Money, OrderId, RedemptionId, UserId};
use crate::messages::Profile;
use MessageKind::{OrderShipped, ProcessOrder, RedeemCard, UpgradeCheck};
use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

const PASSES: MessageKind = ProcessOrder;
const BLOCKS: MessageKind = OrderShipped;
const NOTHING: [u64; 0] = [];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(seconds)
}

fn profiles() -> Profiles {
    Profiles {
        process_order: Profile { concurrency: 2, on_failed: OnFailed::PassFailed, ..Profile::default() },
        order_shipped: Profile { concurrency: 3, on_failed: OnFailed::BlockKey, ..Profile::default() },
        upgrade_check: Profile::default(),
        redeem_card: Profile::default(),
    }
}

/// A message of this kind and key, queued at second 0 by record `place`.
fn message(kind: MessageKind, key: u128, place: u64) -> OpenMessage {
    let order_id = OrderId::new(Uuid::from_u128(key));
    let payload = match kind {
        ProcessOrder => Payload::ProcessOrder { order_id, pricing: Pricing::Claimed },
        OrderShipped => Payload::OrderShipped { order_id, total: Money::ZERO },
        UpgradeCheck => Payload::UpgradeCheck { withdrawal_id: None },
        RedeemCard => Payload::RedeemCard {
            redemption_id: RedemptionId::new(Uuid::from_u128(key)),
            payout: Money::ZERO,
        },
    };
    let id = MessageId::new(Uuid::from_u128(u128::from(place)));
    OpenMessage::queued(Arc::new(Message { id, user_id: UserId::new(1), payload, created_at: at(0) }))
}

/// A schedule at a moment, and the messages that it was told of, by place.
struct Rig {
    schedule: Schedule,
    now: i64,
    open: BTreeMap<u64, OpenMessage>,
}

impl Rig {
    fn new() -> Self {
        Self { schedule: Schedule::new(profiles(), &BTreeMap::new()), now: 0, open: BTreeMap::new() }
    }

    fn queue(&mut self, kind: MessageKind, key: u128, place: u64) {
        self.open.insert(place, message(kind, key, place));
        self.stands(place, Some(self.now));
    }

    /// The message failed, or was put back, and is tried at `next` if at all.
    fn stands(&mut self, place: u64, next: Option<i64>) {
        let open = self.open.get_mut(&place).expect("queued");
        open.next_attempt_at = next.map(at);
        self.schedule.stands(open, Seq::new(place), at(self.now));
    }

    fn ended(&mut self, place: u64, done: bool) {
        let open = self.open.remove(&place).expect("queued");
        self.schedule.ended(&open.message, Seq::new(place), done);
    }

    fn put_back(&mut self, place: u64, until: i64) {
        let spot = self.schedule.spot(&self.open[&place].message, Seq::new(place));
        self.schedule.put_back(spot, at(until));
    }

    fn next(&mut self) -> Option<u64> {
        let Due { spot, message } = self.schedule.next(at(self.now))?;
        assert_eq!(self.open[&spot.place.get()].message, message);
        Some(spot.place.get())
    }

    /// All that may be started now.
    fn start(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Ready, delayed, running, failed and succeeded.
    fn counts(&self, kind: MessageKind) -> [u64; 5] {
        let counts = self.schedule.stats().by_kind[&kind];
        [counts.ready, counts.delayed, counts.running, counts.failed, counts.succeeded_total]
    }
}

#[test]
fn messages_with_one_key_are_tried_in_the_order_of_their_queueing_one_at_a_time() {
    let mut rig = Rig::new();
    for place in [5, 6, 7] {
        rig.queue(PASSES, 1, place);
    }
    for place in [5, 6, 7] {
        assert_eq!(rig.start(), [place]);
        rig.ended(place, true);
    }
    assert_eq!(rig.start(), NOTHING);
    assert_eq!(rig.counts(PASSES), [0, 0, 0, 0, 3]);
}

#[test]
fn what_was_open_at_the_start_keeps_its_order_however_it_comes_in() {
    let mut rig = Rig::new();
    for place in [7, 5, 6] {
        rig.queue(BLOCKS, 1, place);
    }
    assert_eq!(rig.start(), [5]);
}

#[test]
fn keys_and_kinds_do_not_wait_for_each_other() {
    let mut rig = Rig::new();
    rig.queue(BLOCKS, 1, 1);
    rig.queue(BLOCKS, 2, 2);
    rig.queue(PASSES, 1, 3);
    let mut started = rig.start();
    started.sort_unstable();
    assert_eq!(started, [1, 2, 3]);
}

#[test]
fn no_more_of_a_kind_are_tried_at_once_than_its_bound_and_the_longest_waiting_comes_next() {
    let mut rig = Rig::new();
    for place in 1..=4 {
        rig.queue(PASSES, place.into(), place);
        rig.queue(BLOCKS, place.into(), place + 10);
        rig.now += 1;
    }
    assert_eq!(rig.start(), [1, 2, 11, 12, 13]);
    assert_eq!(rig.counts(PASSES), [2, 0, 2, 0, 0]);
    rig.ended(2, true);
    assert_eq!(rig.start(), [3]);
}

#[test]
fn a_delayed_message_is_tried_when_its_time_has_come_and_holds_its_key_until_then() {
    let mut rig = Rig::new();
    rig.queue(PASSES, 1, 1);
    rig.queue(PASSES, 1, 2);
    assert_eq!(rig.schedule.wake_at(), None);
    assert_eq!(rig.start(), [1]);
    rig.stands(1, Some(5));
    assert_eq!(rig.schedule.wake_at(), Some(at(5)));
    rig.now = 4;
    assert_eq!(rig.start(), NOTHING);
    assert_eq!(rig.counts(PASSES), [1, 1, 0, 0, 0]);
    rig.now = 5;
    assert_eq!(rig.start(), [1]);
    assert_eq!(rig.schedule.wake_at(), None);
}

#[test]
fn a_dead_letter_stops_its_key_where_order_matters_most() {
    let mut rig = Rig::new();
    rig.queue(BLOCKS, 1, 1);
    rig.queue(BLOCKS, 1, 2);
    assert_eq!(rig.start(), [1]);
    rig.stands(1, None);
    assert_eq!(rig.start(), NOTHING);
    assert_eq!(rig.counts(BLOCKS), [1, 0, 0, 1, 0]);
    rig.ended(1, false);
    assert_eq!(rig.start(), [2]);
    assert_eq!(rig.counts(BLOCKS), [0, 0, 1, 0, 0], "a purge is no success");
}

#[test]
fn elsewhere_a_dead_letter_is_passed_and_comes_back_to_its_place() {
    let mut rig = Rig::new();
    for place in [1, 2, 3] {
        rig.queue(PASSES, 1, place);
    }
    assert_eq!(rig.start(), [1]);
    rig.stands(1, None);
    assert_eq!(rig.start(), [2]);
    rig.stands(1, Some(0));
    assert_eq!(rig.start(), NOTHING, "one of its key is being tried");
    rig.ended(2, true);
    assert_eq!(rig.start(), [1], "before those that were queued after it");
    rig.ended(1, true);
    assert_eq!(rig.start(), [3]);
}

#[test]
fn an_attempt_that_was_put_back_rests_and_is_neither_failed_nor_done() {
    let mut rig = Rig::new();
    rig.queue(PASSES, 1, 1);
    assert_eq!(rig.start(), [1]);
    rig.put_back(1, 2);
    assert_eq!(rig.counts(PASSES), [0, 1, 0, 0, 0]);
    assert_eq!(rig.start(), NOTHING);
    rig.now = 2;
    assert_eq!(rig.start(), [1]);
    rig.stands(1, Some(9));
    rig.put_back(1, 3);
    assert_eq!(rig.schedule.wake_at(), Some(at(9)), "what the journal says of it holds");
}

#[test]
fn the_age_of_the_longest_waiting_survives_a_restart() {
    let mut rig = Rig::new();
    rig.now = 60;
    let open = message(PASSES, 1, 1);
    rig.schedule.stands(&open, Seq::new(1), at(rig.now));
    assert!((rig.schedule.stats().oldest_ready_seconds(at(61)) - 61.0).abs() < 1e-6);
    assert!(rig.schedule.next(at(61)).is_some());
    assert_eq!(rig.schedule.stats().oldest_ready, None);
}

/// What may happen; an index picks among the messages that it may happen to.
#[derive(Clone, Debug)]
enum Step {
    Queue(MessageKind, u128),
    Fail(Index, Option<i64>),
    PutBack(Index, i64),
    Done(Index),
    Retry(Index, i64),
    Purge(Index),
    Pass(i64),
    StartOne,
    StartAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![Just(PASSES), Just(BLOCKS)];
    let index = any::<Index>;
    let step = prop_oneof![
        4 => (kind, 0..4u128).prop_map(|(kind, key)| Step::Queue(kind, key)),
        2 => (index(), prop::option::weighted(0.5, 0..8i64)).prop_map(|(index, delay)| Step::Fail(index, delay)),
        1 => (index(), 0..4i64).prop_map(|(index, delay)| Step::PutBack(index, delay)),
        2 => index().prop_map(Step::Done),
        2 => (index(), 0..4i64).prop_map(|(index, delay)| Step::Retry(index, delay)),
        1 => index().prop_map(Step::Purge),
        2 => (0..4i64).prop_map(Step::Pass),
        2 => Just(Step::StartOne),
        3 => Just(Step::StartAll),
    ];
    prop::collection::vec(step, 1..120)
}

/// All messages in the order of their queueing, looked through from end to end each time.
#[derive(Default)]
struct Model {
    messages: BTreeMap<u64, (MessageKind, MessageKey, State)>,
    succeeded: BTreeMap<MessageKind, u64>,
}

impl Model {
    fn pick(&self, index: Index, wanted: impl Fn(State) -> bool) -> Option<u64> {
        let found: Vec<_> =
            self.messages.iter().filter(|(_, (.., state))| wanted(*state)).map(|(place, _)| *place).collect();
        (!found.is_empty()).then(|| *index.get(&found))
    }

    fn set(&mut self, place: u64, state: State) {
        self.messages.get_mut(&place).expect("open").2 = state;
    }

    fn pass(&mut self, now: Timestamp) {
        for (.., state) in self.messages.values_mut() {
            if let State::Delayed { until } = *state
                && until <= now
            {
                *state = State::Ready { since: until };
            }
        }
    }

    /// The rules, word by word.
    fn may_start(&self, place: u64) -> bool {
        let (kind, key, state) = self.messages[&place];
        let running = self.messages.values().filter(|it| it.0 == kind && it.2 == State::Running).count();
        let in_the_way = |(other, it): (&u64, &(MessageKind, MessageKey, State))| {
            let passed = kind == PASSES && it.2 == State::Failed;
            (it.0, it.1) == (kind, key) && (it.2 == State::Running || (*other < place && !passed))
        };
        matches!(state, State::Ready { .. })
            && running < profiles().of(kind).concurrency
            && !self.messages.iter().any(in_the_way)
    }

    fn counts(&self, kind: MessageKind) -> [u64; 5] {
        let mut counts = KindStats::default();
        self.messages.values().filter(|it| it.0 == kind).for_each(|it| *counts.count(it.2) += 1);
        let succeeded = self.succeeded.get(&kind).copied().unwrap_or(0);
        [counts.ready, counts.delayed, counts.running, counts.failed, succeeded]
    }
}

/// The schedule and its model, side by side.
struct Pair {
    rig: Rig,
    model: Model,
}

impl Pair {
    fn start(&mut self, most: usize) {
        self.model.pass(at(self.rig.now));
        for _ in 0..most {
            let Some(place) = self.rig.next() else {
                let forgotten: Vec<_> =
                    self.model.messages.keys().filter(|place| self.model.may_start(**place)).collect();
                assert!(forgotten.is_empty(), "{forgotten:?} could be tried");
                break;
            };
            assert!(self.model.may_start(place), "{place} must wait: {:?}", self.model.messages);
            self.model.set(place, State::Running);
        }
    }

    /// The message stands as if it had just been told so.
    fn stands(&mut self, place: u64, next: Option<i64>) {
        self.rig.stands(place, next);
        let now = at(self.rig.now);
        self.model.set(
            place,
            match next.map(at) {
                None => State::Failed,
                Some(until) if until > now => State::Delayed { until },
                Some(since) => State::Ready { since },
            },
        );
    }

    fn end(&mut self, place: u64, done: bool) {
        self.rig.ended(place, done);
        let (kind, ..) = self.model.messages.remove(&place).expect("open");
        *self.model.succeeded.entry(kind).or_default() += u64::from(done);
    }

    fn take(&mut self, step: &Step, place: u64) {
        let now = self.rig.now;
        let running = |state| state == State::Running;
        let failed = |state| state == State::Failed;
        match step {
            Step::Queue(kind, key) => {
                let key = OrderId::new(Uuid::from_u128(*key));
                self.rig.queue(*kind, key.get().as_u128(), place);
                let state = State::Ready { since: at(now) };
                self.model.messages.insert(place, (*kind, MessageKey::Order(key), state));
            }
            Step::Fail(index, delay) => {
                if let Some(place) = self.model.pick(*index, running) {
                    self.stands(place, delay.map(|delay| now + delay));
                }
            }
            Step::PutBack(index, delay) => {
                if let Some(place) = self.model.pick(*index, running) {
                    self.rig.put_back(place, now + delay);
                    self.model.set(place, State::Delayed { until: at(now + delay) });
                }
            }
            Step::Done(index) => {
                if let Some(place) = self.model.pick(*index, running) {
                    self.end(place, true);
                }
            }
            Step::Retry(index, delay) => {
                if let Some(place) = self.model.pick(*index, failed) {
                    self.stands(place, Some(now + delay));
                }
            }
            Step::Purge(index) => {
                if let Some(place) = self.model.pick(*index, failed) {
                    self.end(place, false);
                }
            }
            Step::Pass(seconds) => self.rig.now += seconds,
            Step::StartOne => self.start(1),
            Step::StartAll => self.start(usize::MAX),
        }
    }

    fn check(&mut self) {
        for kind in MessageKind::ALL {
            assert_eq!(self.rig.counts(kind), self.model.counts(kind), "{kind:?}");
        }
        let states = || self.model.messages.values().map(|it| it.2);
        let until = |state| if let State::Delayed { until } = state { Some(until) } else { None };
        assert_eq!(self.rig.schedule.wake_at(), states().filter_map(until).min());
        let since = |state| if let State::Ready { since } = state { Some(since) } else { None };
        assert_eq!(self.rig.schedule.stats().oldest_ready, states().filter_map(since).min());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_naive_model_would_try_the_same_messages_and_loses_none(steps in steps()) {
        let mut pair = Pair { rig: Rig::new(), model: Model::default() };
        for (step, place) in steps.iter().zip(1..) {
            pair.take(step, place);
            pair.check();
        }
        // However it stands by now, all of it can be brought to an end.
        while !pair.model.messages.is_empty() {
            let mut left = pair.model.messages.clone().into_iter();
            while let Some((place, _)) = left.find(|(_, it)| it.2 == State::Failed) {
                pair.stands(place, Some(pair.rig.now));
            }
            pair.rig.now += 10;
            pair.start(usize::MAX);
            let running = pair.model.messages.clone().into_iter().filter(|(_, it)| it.2 == State::Running);
            let running: Vec<_> = running.map(|(place, _)| place).collect();
            prop_assert!(!running.is_empty(), "stuck: {:?}", pair.model.messages);
            for place in running {
                pair.end(place, true);
            }
            pair.check();
        }
        prop_assert!(pair.rig.schedule.items.is_empty() && pair.rig.schedule.busy.is_empty());
    }
}
