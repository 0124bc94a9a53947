//! Brings cards and accounts together and lets each exchange take its course: one task decides who goes with whom, and every
//! exchange runs in one of its own until it is settled.

use super::ExchangeOptions;
use super::board::Notice;
use super::course::{Course, Ended, Intent, Means, NotStarted, Stage, Steps};
use super::gateway::Gateway;
use super::pools::{Chosen, Pools};
use crate::clock::Clock;
use crate::control::Control;
use crate::domain::AccountId;
use crate::domain::account::AccountView;
use crate::domain::account::exchange::CardRef;
use crate::domain::redemption::{Redemption, RedemptionStatus};
use crate::provider::Provider;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{Id, JoinSet};

/// Notices taken in at once.
const NOTICES: usize = 1_024;
/// Exchanges under way at the same time, but for those in doubt.
pub const EXCHANGES_MAX: usize = 8_192;
/// How long calls that are under way may take once the engine stops.
const LAST_CALLS: Duration = Duration::from_secs(10);

/// How exchanges stand, as of a moment ago.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Cards that wait for an account, or for the provider.
    pub queued: usize,
    /// Cards that are being exchanged.
    pub locking: usize,
    pub in_doubt: usize,
    pub free_accounts: usize,
    /// Whether the provider is left alone because it does not answer.
    pub breaker_is_open: bool,
}

/// See the module.
pub struct Exchanger {
    pub listener: mpsc::UnboundedReceiver<Notice>,
    pub pools: Pools,
    /// Cards that a start found locked or in doubt.
    pub under_way: Vec<Arc<Redemption>>,
    pub clock: Arc<dyn Clock>,
    pub options: ExchangeOptions,
    pub control: Arc<Control<Stats>>,
}

/// An exchange whose task runs.
struct Running {
    card: Arc<Redemption>,
    place: u64,
    stage: watch::Sender<Stage>,
    settled: watch::Sender<bool>,
}

impl Exchanger {
    /// Runs until it is stopped. Needs a thread that runs local tasks. Without a provider cards wait.
    pub async fn run(self, steps: Rc<dyn Steps>, provider: Option<Rc<dyn Provider>>) {
        let Self { mut listener, pools, under_way, clock, options, control } = self;
        let changed = Rc::new(Notify::new());
        let gateway =
            provider.map(|provider| Gateway::new(provider, clock.clone(), &options, changed.clone()));
        let (locked, in_doubt) = (Cell::new(0), Cell::new(0));
        let means =
            Rc::new(Means { steps, gateway, clock, options, locked, in_doubt, changed: changed.clone() });
        let mut stop = control.stopping();
        let (tasks, running, on) = (JoinSet::new(), HashMap::new(), HashMap::new());
        let mut work = Work { means, pools, stop: control.stopping(), tasks, running, on };
        for card in under_way {
            work.go_on(card);
        }
        let mut notices = Vec::new();
        loop {
            work.match_up();
            control.show(work.stats());
            tokio::select! {
                // In this order, so that a run can be repeated. Notices may come last: each end takes them in, too.
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ended) = work.tasks.join_next_with_id() => {
                    // What an exchange did to its account was told before it ended.
                    while let Ok(notice) = listener.try_recv() {
                        work.take(notice);
                    }
                    work.ended(ended);
                }
                () = changed.notified() => {}
                count = listener.recv_many(&mut notices, NOTICES) => {
                    if count == 0 {
                        break;
                    }
                    notices.drain(..).for_each(|notice| work.take(notice));
                }
            }
        }
        // What is cut off is in doubt, and asked for by the next start.
        let last = async { while work.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_CALLS, last).await;
        work.tasks.abort_all();
        control.end();
    }
}

struct Work {
    means: Rc<Means>,
    pools: Pools,
    stop: watch::Receiver<bool>,
    tasks: JoinSet<Ended>,
    running: HashMap<Id, Running>,
    /// The exchange that runs on each account, or is about to. One that has written its end down may still be among the
    /// running when the next one begins.
    on: HashMap<AccountId, Id>,
}

impl Work {
    fn match_up(&mut self) {
        let Some(appetite) = self.means.gateway.as_ref().map(Gateway::appetite) else { return };
        while self.tasks.len() - self.means.in_doubt.get() < EXCHANGES_MAX
            && self.unlocked() < appetite
            && let Some(Chosen { card, place, account_id }) = self.pools.choose()
        {
            self.spawn(card, place, Stage::Chosen(account_id));
        }
    }

    /// A start found the card on its account.
    fn go_on(&mut self, card: Arc<Redemption>) {
        let Some(account_id) = card.account_id else { return };
        let intent = Intent { account_id, card: CardRef::of(&card), fence: card.fence };
        let is_doubted = card.status == RedemptionStatus::InDoubt;
        self.spawn(card, 0, if is_doubted { Stage::Doubted(intent) } else { Stage::Locked(intent) });
    }

    fn spawn(&mut self, card: Arc<Redemption>, place: u64, stage: Stage) {
        let account_id = stage.account_id();
        let (stage, settled) = (watch::Sender::new(stage), watch::Sender::new(false));
        let course = Course {
            means: self.means.clone(),
            card: card.clone(),
            stage: stage.clone(),
            settled: settled.clone(),
            stop: self.stop.clone(),
        };
        let id = self.tasks.spawn_local(async move { course.run().await }).id();
        self.running.insert(id, Running { card, place, stage, settled });
        self.on.insert(account_id, id);
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Account(view) => {
                self.look_at(&view);
                self.pools.account(&view);
            }
            Notice::Card(card, place) => self.pools.card(card, place),
            Notice::Cancelled(id) => self.pools.forget(id),
        }
    }

    /// What an account's change means for the exchange on it.
    fn look_at(&mut self, view: &AccountView) {
        let id = view.account.id;
        let Some(running) = self.on.get(&id).and_then(|task| self.running.get(task)) else { return };
        let (lock, stage) = (view.lock, running.stage.borrow().clone());
        let is_its_own = lock.is_some_and(|lock| lock.redemption_id == running.card.id);
        if let Stage::Locked(intent) | Stage::Doubted(intent) = stage
            && lock.is_none_or(|lock| lock.fence != intent.fence)
        {
            running.settled.send_replace(true);
        }
        // The match has become a lock; from here on the account's own changes say when it is free again.
        if is_its_own {
            self.pools.answered(view.account.country, id);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Ended), tokio::task::JoinError>) {
        let (task, ended) = match ended {
            Ok((task, ended)) => (task, Some(ended)),
            Err(error) => (error.id(), None),
        };
        let Some(Running { card, place, stage, .. }) = self.running.remove(&task) else { return };
        let stage = stage.borrow().clone();
        let account_id = stage.account_id();
        if self.on.get(&account_id) == Some(&task) {
            self.on.remove(&account_id);
        }
        if let Stage::Chosen(_) = stage {
            self.pools.answered(card.country, account_id);
        }
        match (ended, stage) {
            (Some(Ended::Stopped | Ended::Settled | Ended::NotStarted(NotStarted::Card)), _) => {}
            (Some(Ended::NotStarted(_)), _) => self.pools.card(card, place),
            (Some(Ended::Sealed), _) => tracing::error!(redemption = %card.id,
                "a card's code cannot be opened with this secret: it waits until it is cancelled, or the secret is back"),
            (None, stage) => {
                tracing::error!(redemption = %card.id, "an exchange panicked; it goes on from what is written down");
                match stage {
                    Stage::Chosen(_) => self.pools.card(card, place),
                    locked => self.spawn(card, place, locked),
                }
            }
        }
    }

    /// Exchanges that wait for the provider, and for their locks.
    fn unlocked(&self) -> usize {
        self.running.len().saturating_sub(self.means.locked.get())
    }

    fn stats(&self) -> Stats {
        let in_doubt = self.means.in_doubt.get();
        Stats {
            // Those that have an account wait for the provider, until they are locked for it.
            queued: self.pools.waiting() + self.unlocked(),
            locking: self.means.locked.get() - in_doubt,
            in_doubt,
            free_accounts: self.pools.free(),
            breaker_is_open: self.means.gateway.as_ref().is_some_and(Gateway::breaker_is_open),
        }
    }
}

#[cfg(test)]
#[path = "exchanger_tests.rs"]
mod tests;
