//! Tries messages: in parallel over keys, in order within one, each kind within its bounds. What an attempt comes to is
//! written down by the owner that keeps the message; until that is durable, nothing is made of it here.

use super::board::{Board, Change, Notice};
use super::profile::Profiles;
use super::schedule::{Due, Schedule, Spot, Stats};
use crate::clock::Clock;
use crate::control::Control;
use crate::domain::Timestamp;
use crate::domain::message::{Message, MessageKind, error_text};
use crate::domain::text::Text;
use crate::journal::Position;
use async_trait::async_trait;
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Notices taken in at once.
const NOTICES: usize = 1_024;
/// Messages behind one that its handler is told of.
const BEHIND: usize = 256;
/// How long an attempt rests that the engine itself was in the way of.
const REST: Duration = Duration::from_millis(500);
/// How long attempts that are under way may take once the engine stops.
const LAST_ATTEMPTS: Duration = Duration::from_secs(10);

/// One try of a message.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub message: Arc<Message>,
    /// From 1, over the whole life of the message.
    pub number: u32,
    /// Messages with the same key that wait for this one only: a handler may end them with it.
    pub behind: Vec<Arc<Message>>,
}

/// Why an attempt did not succeed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The engine itself was in the way (full, stopping, its store away): not counted, made again.
    Interrupted(String),
    /// Another attempt may go better.
    Temporary(String),
    /// No attempt will: straight to the dead letters.
    Permanent(String),
}

/// Who does the work.
#[async_trait(?Send)]
pub trait Handler: 'static {
    /// Does what the message asks for and records its end together with the effect. Dropped when its time is over.
    async fn attempt(&self, attempt: &Attempt) -> Result<(), Trouble>;

    /// Records that the attempt failed; without a next one the message is a dead letter.
    async fn fail(&self, attempt: &Attempt, error: Text, next: Option<Timestamp>) -> Result<(), Trouble>;
}

/// See the module.
pub struct Dispatcher {
    /// Not kept alive from here: with the engine the board goes, and with it what tells of changes.
    pub board: Weak<Board>,
    pub listener: mpsc::UnboundedReceiver<Notice>,
    pub profiles: Profiles,
    pub clock: Arc<dyn Clock>,
    pub durable: Arc<Position>,
    pub control: Arc<Control<Stats>>,
    /// How many messages were done before.
    pub succeeded: BTreeMap<MessageKind, u64>,
}

/// How an attempt's task ended.
struct Ended {
    spot: Spot,
    /// Nothing was recorded: when to make it again.
    again_at: Option<Timestamp>,
}

impl Dispatcher {
    /// Runs until it is stopped or the engine halts. Needs a thread that runs local tasks.
    pub async fn run(mut self, handler: Rc<dyn Handler>) {
        let mut schedule = Schedule::new(self.profiles, &self.succeeded);
        let mut stop = self.control.stopping();
        let mut stop_meanwhile = stop.clone();
        let mut running: JoinSet<Ended> = JoinSet::new();
        let mut notices = Vec::new();
        loop {
            let now = self.clock.now();
            while !*stop.borrow()
                && let Some(due) = schedule.next(now)
            {
                let behind = schedule.behind(due.spot, BEHIND);
                self.start(&handler, &mut running, due, behind);
            }
            self.control.show(schedule.stats());
            let wake = async {
                match schedule.wake_at() {
                    Some(at) => self.clock.until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // In this order, so that a run can be repeated: the end, and what has ended, are never kept waiting.
                biased;
                // Not `changed`: what was looked at above counts as seen.
                _ = stop.wait_for(|stop| *stop) => break,
                Some(mut ended) = running.join_next() => loop {
                    if let Ok(Ended { spot, again_at: Some(at) }) = ended {
                        schedule.put_back(spot, at);
                    }
                    let Some(next) = running.try_join_next() else { break };
                    ended = next;
                },
                count = self.listener.recv_many(&mut notices, NOTICES) => {
                    let last = notices.iter().map(|notice| notice.seq).max();
                    let Some(last) = last.filter(|_| count > 0) else { break };
                    tokio::select! {
                        biased;
                        durable = self.durable.wait(last) => if durable.is_err() { break },
                        _ = stop_meanwhile.wait_for(|stop| *stop) => break,
                    }
                    let now = self.clock.now();
                    notices.drain(..).for_each(|notice| take(&mut schedule, &notice, now));
                }
                () = wake => {}
            }
        }
        // What is cut off was not counted, and is tried again by the next start.
        let last = async { while running.join_next().await.is_some() {} };
        let deadline = self.clock.now().plus(LAST_ATTEMPTS);
        tokio::select! {
            biased;
            () = last => {}
            () = self.clock.until(deadline) => {}
        }
        running.abort_all();
        self.control.end();
    }

    fn start(
        &self,
        handler: &Rc<dyn Handler>,
        running: &mut JoinSet<Ended>,
        due: Due,
        behind: Vec<Arc<Message>>,
    ) {
        let Due { spot, message } = due;
        // Gone already: the notice of its end is on its way here.
        let Some(board) = self.board.upgrade() else { return };
        let Some(posted) = board.get(message.id) else { return };
        let attempt = Attempt { message, number: posted.open.attempt(), behind };
        let (handler, clock) = (handler.clone(), self.clock.clone());
        let profile = *self.profiles.of(attempt.message.kind());
        running.spawn_local(async move {
            let (id, kind) = (attempt.message.id, attempt.message.kind().word());
            let begun = clock.now();
            let trouble = {
                let work = AssertUnwindSafe(handler.attempt(&attempt)).catch_unwind();
                tokio::select! {
                    biased;
                    result = work => result.unwrap_or_else(|panic| Err(Trouble::Temporary(said(&*panic)))),
                    () = clock.until(begun.plus(profile.timeout)) => {
                        let limit = profile.timeout.as_secs_f64();
                        Err(Trouble::Temporary(format!("no end within {limit} s")))
                    }
                }
            };
            let again_at = Some(clock.now().plus(REST));
            let still = board.get(id).filter(|posted| posted.open.attempt() == attempt.number);
            let trouble = match (trouble, &still) {
                (Ok(()), Some(_)) => Trouble::Temporary("the attempt ended without an end of the message".into()),
                (Ok(()), None) => {
                    count(kind, "done");
                    return Ended { spot, again_at: None };
                }
                // Whatever it came to, somebody else has dealt with the message.
                (Err(_), None) => return Ended { spot, again_at: None },
                (Err(trouble), Some(_)) => trouble,
            };
            let (error, may_retry) = match trouble {
                Trouble::Interrupted(error) => {
                    tracing::debug!(%id, kind, error, "an attempt was interrupted");
                    count(kind, "interrupted");
                    return Ended { spot, again_at };
                }
                Trouble::Temporary(error) => (error, true),
                Trouble::Permanent(error) => (error, false),
            };
            count(kind, "failed");
            let open = still.filter(|_| may_retry).map(|posted| posted.open);
            let next = open.and_then(|open| profile.next_attempt(&open, clock.now()));
            let recorded = AssertUnwindSafe(handler.fail(&attempt, error_text(&error), next)).catch_unwind();
            match recorded.await.unwrap_or_else(|panic| Err(Trouble::Temporary(said(&*panic)))) {
                // Not if its late end came first.
                Ok(()) if board.get(id).is_some_and(|posted| posted.open.is_dead()) => {
                    metrics::counter!("purser_messages_dead_total", "kind" => kind).increment(1);
                    tracing::error!(%id, kind, key = %attempt.message.key(), attempts = attempt.number, error,
                        "a message is a dead letter; look at it with `purser messages show`, then retry or purge it");
                }
                Ok(()) => tracing::warn!(%id, kind, attempt = attempt.number, error, "an attempt failed"),
                Err(trouble) => {
                    tracing::warn!(%id, kind, ?trouble, "a failed attempt could not be recorded; it is made again");
                    return Ended { spot, again_at };
                }
            }
            Ended { spot, again_at: None }
        });
    }
}

fn take(schedule: &mut Schedule, notice: &Notice, now: Timestamp) {
    match &notice.change {
        Change::Stands(open) => schedule.stands(open, notice.place, now),
        Change::Ended { message, done } => schedule.ended(message, notice.place, *done),
    }
}

fn count(kind: &'static str, result: &'static str) {
    metrics::counter!("purser_message_attempts_total", "kind" => kind, "result" => result).increment(1);
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("without a word"))
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
