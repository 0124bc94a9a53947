//! The dispatcher at work, with a clock that the tests move, on one thread: hours pass in milliseconds.

use super::*;
use crate::clock::ManualClock;
use crate::domain::message::{Keeper, MessageStep, MessageTurn, OpenMessage, Payload};
use crate::domain::order::Pricing;
use crate::domain::{Event, MessageId, Operation, OrderId, Record, Seq, UserId};
use crate::messages::Profile;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local, yield_now};
use uuid::Uuid;

/// What an attempt does.
#[derive(Clone, Debug)]
enum Does {
    Succeeds,
    Fails,
    /// As [`Does::Fails`], and that cannot be written down either.
    FailsUnheard,
    IsRefused,
    IsInterrupted,
    Panics,
    /// Succeeds when told to, whether or not anybody still waits for it: as the engine's own operations do.
    Goes(Rc<Notify>),
}

/// An owner of messages without an engine around it.
struct Owner {
    board: Arc<Board>,
    durable: Arc<Position>,
    clock: Arc<ManualClock>,
    seq: Cell<u64>,
    /// Whether records become durable at once.
    syncs: Cell<bool>,
    /// What the next attempts do; the others succeed.
    plan: RefCell<VecDeque<Does>>,
    /// Message, number and second of each attempt.
    attempts: RefCell<Vec<(u128, u32, i64)>>,
    unheard: Cell<bool>,
}

impl Owner {
    fn record(&self, events: Vec<Event>) {
        self.seq.set(self.seq.get() + 1);
        let seq = Seq::new(self.seq.get());
        let (at, operation) = (self.clock.now(), Operation::StepMessage);
        let record = Record { seq, at, operation, caller: None, key: None, refusal: None, events };
        self.board.note(&record, Keeper::Balance, UserId::new(1));
        if self.syncs.get() {
            self.durable.advance(seq);
        }
    }

    fn step(&self, id: MessageId, step: MessageStep) {
        let open = self.board.get(id).map(|posted| posted.open);
        let decision = MessageTurn { id, step, open }.decide().expect("decided");
        if !decision.is_void() {
            self.record(decision.own.into_iter().collect());
        }
    }
}

/// The owner as the dispatcher sees it.
struct Works(Rc<Owner>);

#[async_trait(?Send)]
impl Handler for Works {
    async fn attempt(&self, attempt: &Attempt) -> Result<(), Trouble> {
        let (owner, id) = (self.0.clone(), attempt.message.id);
        let begun = (id.get().as_u128(), attempt.number, owner.clock.now().seconds());
        owner.attempts.borrow_mut().push(begun);
        let planned = owner.plan.borrow_mut().pop_front();
        let finish = MessageStep::Finish { attempt: attempt.number };
        match planned.unwrap_or(Does::Succeeds) {
            Does::Succeeds => owner.step(id, finish),
            Does::Fails => return Err(Trouble::Temporary("no answer".into())),
            Does::FailsUnheard => {
                owner.unheard.set(true);
                return Err(Trouble::Temporary("no answer".into()));
            }
            Does::IsRefused => return Err(Trouble::Permanent("unknown order".into())),
            Does::IsInterrupted => return Err(Trouble::Interrupted("overloaded".into())),
            Does::Panics => panic!("out of its mind"),
            Does::Goes(when) => {
                let work = async move {
                    when.notified().await;
                    owner.step(id, finish);
                };
                spawn_local(work).await.expect("it does not panic");
            }
        }
        Ok(())
    }

    async fn fail(&self, attempt: &Attempt, error: Text, next: Option<Timestamp>) -> Result<(), Trouble> {
        assert!(!self.0.unheard.replace(false), "nobody hears this");
        let (attempt, id) = (attempt.number, attempt.message.id);
        self.0.step(id, MessageStep::Fail { attempt, error, next_attempt_at: next });
        Ok(())
    }
}

/// A dispatcher at work for an owner.
struct Rig {
    owner: Rc<Owner>,
    control: Arc<Control<Stats>>,
}

impl Rig {
    fn start() -> Self {
        let exact = Profile { jitter: 0.0, ..Profile::default() };
        Self::restart(exact, Vec::new(), 0)
    }

    /// At this second, with these messages open, the first of them queued by record 1.
    fn restart(profile: Profile, open: Vec<OpenMessage>, second: i64) -> Self {
        let (board, listener) = Board::new();
        let (board, control) = (Arc::new(board), Arc::new(Control::default()));
        let clock = Arc::new(ManualClock::at(at(second)));
        let seq = open.len() as u64;
        for (open, place) in open.into_iter().zip(1..) {
            board.restore(open, Seq::new(place));
        }
        let durable = Arc::new(Position::new(Seq::new(seq), Arc::default()));
        let dispatcher = Dispatcher {
            board: Arc::downgrade(&board),
            listener,
            profiles: Profiles {
                process_order: profile,
                order_shipped: profile,
                upgrade_check: profile,
                redeem_card: profile,
            },
            clock: clock.clone(),
            durable: durable.clone(),
            control: control.clone(),
            succeeded: BTreeMap::from([(MessageKind::ProcessOrder, 7)]),
        };
        let owner = Rc::new(Owner {
            board,
            durable,
            clock,
            seq: Cell::new(seq),
            syncs: Cell::new(true),
            plan: RefCell::default(),
            attempts: RefCell::default(),
            unheard: Cell::new(false),
        });
        spawn_local(dispatcher.run(Rc::new(Works(owner.clone()))));
        Self { owner, control }
    }

    fn plan(&self, does: impl IntoIterator<Item = Does>) {
        self.owner.plan.borrow_mut().extend(does);
    }

    fn queue(&self, id: u128) {
        self.owner.record(vec![Event::MessageQueued(message(id))]);
    }

    /// Lets everything happen that happens without time passing.
    async fn settle(&self) {
        for _ in 0..200 {
            yield_now().await;
        }
    }

    async fn pass(&self, seconds: i64) {
        for _ in 0..seconds {
            self.settle().await;
            self.owner.clock.advance_seconds(1);
        }
        self.settle().await;
    }

    fn attempts(&self) -> Vec<(u128, u32, i64)> {
        self.owner.attempts.borrow().clone()
    }

    fn open(&self, id: u128) -> Option<OpenMessage> {
        self.owner.board.get(MessageId::new(Uuid::from_u128(id))).map(|posted| posted.open)
    }

    /// Ready, delayed, running, failed and succeeded, of which there were seven before.
    fn counts(&self) -> [u64; 5] {
        let counts = self.control.stats().by_kind[&MessageKind::ProcessOrder];
        [counts.ready, counts.delayed, counts.running, counts.failed, counts.succeeded_total]
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(second)
}

/// Each with a key of its own.
fn message(id: u128) -> Arc<Message> {
    let payload =
        Payload::ProcessOrder { order_id: OrderId::new(Uuid::from_u128(id)), pricing: Pricing::Claimed };
    let id = MessageId::new(Uuid::from_u128(id));
    Arc::new(Message { id, user_id: UserId::new(1), payload, created_at: at(0) })
}

fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn by_default_a_message_is_tried_again_after_1_5_and_25_seconds_and_is_a_dead_letter_then() {
    on_one_thread(async {
        let rig = Rig::start();
        rig.plan(vec![Does::Fails; 9]);
        rig.queue(1);
        rig.pass(30).await;
        assert_eq!(rig.counts(), [0, 1, 0, 0, 7]);
        rig.pass(3_600).await;
        assert_eq!(rig.attempts(), [(1, 1, 0), (1, 2, 1), (1, 3, 6), (1, 4, 31)]);
        assert!(rig.open(1).expect("it is kept").is_dead());
        assert_eq!(rig.counts(), [0, 0, 0, 1, 7]);
    });
}

#[test]
fn a_dead_letter_that_is_put_back_is_tried_as_often_as_a_new_message() {
    on_one_thread(async {
        let rig = Rig::start();
        rig.plan(vec![Does::Fails; 7]);
        rig.queue(1);
        rig.pass(60).await;
        let retry = MessageStep::Retry { next_attempt_at: at(60) };
        rig.owner.step(MessageId::new(Uuid::from_u128(1)), retry);
        rig.pass(60).await;
        assert_eq!(rig.attempts()[4..], [(1, 5, 60), (1, 6, 61), (1, 7, 66), (1, 8, 91)]);
        assert_eq!(rig.counts(), [0, 0, 0, 0, 8]);
    });
}

#[test]
fn a_hundred_thousand_messages_that_wait_at_a_start_are_done_once_each_a_few_at_a_time() {
    const WAITING: u128 = 100_000;
    on_one_thread(async {
        let open = (1..=WAITING).map(|id| OpenMessage::queued(message(id))).collect();
        let profile = Profile { jitter: 0.0, concurrency: 10, ..Profile::default() };
        let rig = Rig::restart(profile, open, 3_600);
        let gates: Vec<Rc<Notify>> = (0..10).map(|_| Rc::default()).collect();
        rig.plan(gates.iter().map(|gate| Does::Goes(gate.clone())));
        rig.settle().await;
        assert_eq!(rig.counts(), [WAITING as u64 - 10, 0, 10, 0, 7]);
        rig.plan([Does::Fails, Does::Panics, Does::IsRefused]);
        rig.queue(WAITING + 1);
        for gate in gates {
            gate.notify_one();
        }
        while rig.counts()[0] > 0 || rig.counts()[2] > 0 {
            yield_now().await;
        }
        assert_eq!(rig.counts(), [0, 2, 0, 1, 7 + WAITING as u64 - 2]);
        rig.pass(1).await;
        assert_eq!(rig.counts(), [0, 0, 0, 1, 7 + WAITING as u64]);
        let mut tried: Vec<u128> = rig.attempts().into_iter().map(|(id, _, _)| id).collect();
        assert_eq!(tried.len() as u128, WAITING + 1 + 2, "two were tried again");
        tried.sort_unstable();
        tried.dedup();
        assert!(tried.into_iter().eq(1..=WAITING + 1), "each was tried");
    });
}

#[test]
fn what_no_attempt_can_mend_is_a_dead_letter_at_once() {
    on_one_thread(async {
        let rig = Rig::start();
        rig.plan([Does::IsRefused]);
        rig.queue(1);
        rig.pass(60).await;
        assert_eq!(rig.attempts().len(), 1);
        assert!(rig.open(1).expect("it is kept").is_dead());
    });
}

#[test]
fn a_panic_is_a_failed_attempt_and_the_next_one_comes() {
    on_one_thread(async {
        let rig = Rig::start();
        rig.plan([Does::Panics]);
        rig.queue(1);
        rig.settle().await;
        assert_eq!(rig.open(1).map(|open| open.attempts), Some(1));
        rig.queue(2);
        rig.pass(1).await;
        assert_eq!(rig.attempts(), [(1, 1, 0), (2, 1, 0), (1, 2, 1)]);
        assert_eq!(rig.counts(), [0, 0, 0, 0, 9]);
    });
}

#[test]
fn a_message_that_panics_each_time_is_a_dead_letter_after_its_last_attempt_and_others_go_on() {
    on_one_thread(async {
        let rig = Rig::start();
        rig.plan(vec![Does::Panics; 4]);
        rig.queue(1);
        rig.pass(3_600).await;
        assert_eq!(rig.attempts(), [(1, 1, 0), (1, 2, 1), (1, 3, 6), (1, 4, 31)]);
        assert!(rig.open(1).expect("it is kept").is_dead());
        rig.queue(2);
        rig.settle().await;
        assert_eq!((rig.open(2), rig.counts()), (None, [0, 0, 0, 1, 8]));
    });
}

#[test]
fn an_attempt_that_takes_too_long_failed_and_its_late_end_changes_nothing() {
    on_one_thread(async {
        let rig = Rig::start();
        let (first, second) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        rig.plan([Does::Goes(first.clone()), Does::Goes(second.clone())]);
        rig.queue(1);
        rig.pass(9).await;
        assert_eq!(rig.counts(), [0, 0, 1, 0, 7]);
        rig.pass(1).await;
        assert_eq!(rig.open(1).map(|open| open.attempts), Some(1));
        rig.pass(1).await;
        assert_eq!(rig.attempts(), [(1, 1, 0), (1, 2, 11)]);
        first.notify_one();
        rig.settle().await;
        assert_eq!(rig.open(1).map(|open| open.attempts), Some(1), "it is not done by the first attempt");
        second.notify_one();
        rig.settle().await;
        assert_eq!(rig.open(1), None);
        assert_eq!(rig.counts(), [0, 0, 0, 0, 8]);
    });
}

#[test]
fn an_attempt_that_the_engine_was_in_the_way_of_is_made_again_and_not_counted() {
    on_one_thread(async {
        let rig = Rig::start();
        rig.plan(vec![Does::IsInterrupted; 10]);
        rig.queue(1);
        rig.pass(3).await;
        assert_eq!(rig.open(1).map(|open| open.attempts), Some(0));
        assert_eq!(rig.counts(), [0, 1, 0, 0, 7]);
        rig.pass(20).await;
        assert_eq!(rig.attempts().len(), 11);
        assert!(rig.attempts().iter().all(|(_, number, _)| *number == 1));
        assert_eq!(rig.counts(), [0, 0, 0, 0, 8]);
    });
}

#[test]
fn a_failure_that_cannot_be_written_down_leaves_the_message_as_it_was() {
    on_one_thread(async {
        let rig = Rig::start();
        rig.plan([Does::FailsUnheard]);
        rig.queue(1);
        rig.pass(1).await;
        assert_eq!(rig.attempts(), [(1, 1, 0), (1, 1, 1)]);
        assert_eq!(rig.counts(), [0, 0, 0, 0, 8]);
    });
}

#[test]
fn nothing_starts_before_the_record_that_asks_for_it_is_durable() {
    on_one_thread(async {
        let rig = Rig::start();
        rig.owner.syncs.set(false);
        rig.plan([Does::Fails]);
        rig.queue(1);
        rig.pass(60).await;
        assert_eq!(rig.attempts(), []);
        rig.owner.durable.advance(Seq::new(1));
        rig.pass(60).await;
        assert_eq!(rig.attempts(), [(1, 1, 60)], "that it failed is not durable");
        rig.owner.durable.advance(Seq::new(2));
        rig.settle().await;
        assert_eq!(rig.attempts(), [(1, 1, 60), (1, 2, 120)]);
    });
}

#[test]
fn a_stop_starts_nothing_more_and_waits_for_what_runs() {
    on_one_thread(async {
        let rig = Rig::start();
        let end = Rc::new(Notify::new());
        rig.plan([Does::Goes(end.clone())]);
        rig.queue(1);
        rig.settle().await;
        rig.control.stop();
        rig.queue(2);
        rig.pass(5).await;
        assert_eq!(rig.attempts().len(), 1);
        assert!(rig.control.ended().now_or_never().is_none(), "the first attempt runs");
        end.notify_one();
        rig.control.ended().await;
        assert_eq!((rig.open(1), rig.attempts().len()), (None, 1));
    });
}

#[test]
fn a_stop_is_heard_while_a_record_is_on_its_way_to_the_disk() {
    on_one_thread(async {
        let rig = Rig::start();
        rig.owner.syncs.set(false);
        rig.queue(1);
        rig.settle().await;
        rig.control.stop();
        rig.settle().await;
        rig.owner.durable.advance(Seq::new(1));
        rig.settle().await;
        assert!(rig.control.ended().now_or_never().is_some(), "the stop was not heard");
        assert_eq!(rig.attempts(), []);
    });
}

#[test]
fn what_does_not_end_after_a_stop_is_cut_off_and_not_counted() {
    on_one_thread(async {
        let patient = Profile { timeout: Duration::from_mins(1), ..Profile::default() };
        let rig = Rig::restart(patient, Vec::new(), 0);
        rig.plan([Does::Goes(Rc::default())]);
        rig.queue(1);
        rig.pass(5).await;
        rig.control.stop();
        rig.pass(9).await;
        assert!(rig.control.ended().now_or_never().is_none());
        rig.pass(1).await;
        assert!(rig.control.ended().now_or_never().is_some());
        assert_eq!(rig.open(1).map(|open| open.attempts), Some(0));
    });
}

#[test]
fn after_a_restart_everything_goes_on_where_it_was() {
    on_one_thread(async {
        let standing = |id, attempts, next: Option<i64>| OpenMessage {
            attempts,
            next_attempt_at: next.map(at),
            ..OpenMessage::queued(message(id))
        };
        let open = vec![
            standing(1, 2, Some(3_625)),
            standing(2, 0, Some(0)),
            standing(3, 4, None),
            standing(4, 3, Some(3_700)),
        ];
        let rig = Rig::restart(Profile { jitter: 0.0, ..Profile::default() }, open, 3_600);
        rig.plan([Does::Succeeds, Does::Fails, Does::Succeeds, Does::Fails]);
        rig.settle().await;
        assert_eq!(rig.counts(), [0, 2, 0, 1, 8]);
        rig.pass(200).await;
        assert_eq!(rig.attempts(), [(2, 1, 3_600), (1, 3, 3_625), (1, 4, 3_650), (4, 4, 3_700)]);
        assert_eq!(rig.counts(), [0, 0, 0, 2, 9]);
        assert!(rig.open(3).expect("it is kept").is_dead() && rig.open(4).expect("it is kept").is_dead());
    });
}
