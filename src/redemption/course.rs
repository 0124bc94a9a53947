//! The course of one exchange: from the match of a card and an account to the durable end, whatever the provider makes of it.
//! Before the intent is durable the provider is not asked. From there on it may have seen the card, so only this course sends
//! it, under the same redemption and lock: again where the provider says that it did not take it, or that it never saw it.
//! What nobody knows is written down as a doubt, and asked for until it is known or an operator settles it.

use super::ExchangeOptions;
use super::gateway::{Gateway, Pass};
use crate::canary::Canary;
use crate::clock::Clock;
use crate::domain::account::Lock;
use crate::domain::account::exchange::{CardRef, Ending};
use crate::domain::card::CardCode;
use crate::domain::redemption::{CardFailure, Redemption};
use crate::domain::text::Text;
use crate::domain::{AccountId, Timestamp};
use crate::provider::{Answer, Exchange, Standing};
use async_trait::async_trait;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How long the engine is left alone after it was in the way.
const REST: Duration = Duration::from_millis(500);

/// An exchange that an account is locked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intent {
    pub account_id: AccountId,
    pub card: CardRef,
    pub fence: u64,
}

/// Why no account was locked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotStarted {
    /// The card is not queued any more.
    Card,
    /// The account is not free any more.
    Account,
    /// The engine itself was in the way: try again.
    Interrupted,
}

/// Why an end was not written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotEnded {
    /// The account cannot take it in.
    Refused(String),
    /// The engine itself was in the way: try again.
    Interrupted,
}

/// Who writes the steps down: the engine. Each is durable when it returns.
#[async_trait(?Send)]
pub trait Steps: 'static {
    /// The code to be sent; none when it cannot be opened with today's secret.
    fn code(&self, card: &Redemption) -> Option<CardCode>;
    async fn start(
        &self,
        card: &CardRef,
        account_id: AccountId,
        timeout: Duration,
    ) -> Result<Lock, NotStarted>;
    /// Whether the account is still locked for it: an operator may have settled it. None when the engine is in the way.
    async fn is_locked(&self, intent: &Intent) -> Option<bool>;
    /// The provider may have taken the card. `attempts`: how often it was asked to since that was last written down.
    async fn doubt(&self, intent: &Intent, attempts: u32, why: &str) -> Result<(), NotEnded>;
    /// All that follows from the end, in one record.
    async fn end(&self, intent: &Intent, ending: Ending, attempts: u32) -> Result<(), NotEnded>;
}

/// What all courses share.
pub struct Means {
    pub steps: Rc<dyn Steps>,
    /// None without a provider: then doubts are written down, and nobody is asked.
    pub gateway: Option<Gateway>,
    pub clock: Arc<dyn Clock>,
    pub options: ExchangeOptions,
    /// How many accounts are locked, and how many of these in doubt.
    pub locked: Cell<usize>,
    pub in_doubt: Cell<usize>,
    /// Told of each change of what is counted here.
    pub changed: Rc<Notify>,
}

/// Counts something as long as it lasts.
struct Counted<'a> {
    count: &'a Cell<usize>,
    changed: &'a Notify,
}

impl Means {
    fn counted<'a>(&'a self, count: &'a Cell<usize>) -> Counted<'a> {
        count.set(count.get() + 1);
        self.changed.notify_one();
        Counted { count, changed: &self.changed }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.count.set(self.count.get() - 1);
        self.changed.notify_one();
    }
}

/// Where an exchange stands when its course begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// A match.
    Chosen(AccountId),
    /// A start found it so, or it was cut off: the provider may have been asked.
    Locked(Intent),
    /// As before, and the doubt is written down.
    Doubted(Intent),
}

impl Stage {
    pub const fn account_id(&self) -> AccountId {
        match self {
            Self::Chosen(id) => *id,
            Self::Locked(intent) | Self::Doubted(intent) => intent.account_id,
        }
    }
}

/// How a course ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The account is locked for it no more.
    Settled,
    NotStarted(NotStarted),
    /// Nobody can send this card.
    Sealed,
    /// The engine stops. What is under way goes on at the next start.
    Stopped,
}

/// One exchange on its way.
pub struct Course {
    pub means: Rc<Means>,
    pub card: Arc<Redemption>,
    /// How far it is; told to whoever would go on in its place.
    pub stage: watch::Sender<Stage>,
    /// Set once the account is not locked for it any more.
    pub settled: watch::Sender<bool>,
    pub stop: watch::Receiver<bool>,
}

/// What is to be done next.
enum Next {
    Ends(Ending),
    /// The provider never saw it.
    Send,
    Doubt(String),
    /// Nothing was learnt, or nothing was done; the provider may say for how long it wants to be left alone.
    Wait(Option<Duration>),
}

/// What a course knows of its calls.
struct Calls<'a> {
    begun: Timestamp,
    exchange: Option<Exchange>,
    /// When nothing that was sent can still be on its way.
    quiet_at: Timestamp,
    /// Of those to take the card, how many are not written down yet.
    unwritten: u32,
    delay: Duration,
    /// Why the provider did not take it the last time that it said so.
    not_taken: Option<String>,
    /// The account cannot take in what the provider says.
    is_refused: bool,
    doubted: Option<Counted<'a>>,
}

impl Course {
    pub async fn run(&self) -> Ended {
        let first = self.stage.borrow().clone();
        let code = self.means.steps.code(&self.card);
        let exchange = code.map(|code| Exchange {
            redemption_id: self.card.id.get(),
            account: first.account_id().to_string(),
            code,
            country: self.card.country.to_string(),
        });
        // Whatever was sent before was sent before now.
        let begun = self.means.clock.now();
        let quiet_at = begun.plus(self.means.options.timeout);
        let (unwritten, delay) = (0, self.means.options.first_delay);
        let mut calls = Calls {
            begun,
            exchange,
            quiet_at,
            unwritten,
            delay,
            not_taken: None,
            is_refused: false,
            doubted: None,
        };
        let _locked;
        let (intent, pass) = match first {
            Stage::Chosen(account_id) => {
                if calls.exchange.is_none() {
                    return Ended::Sealed;
                }
                match self.start(account_id).await {
                    Ok((intent, pass)) => {
                        _locked = self.means.counted(&self.means.locked);
                        calls.begun = self.means.clock.now();
                        (intent, Some(pass))
                    }
                    Err(ended) => return ended,
                }
            }
            Stage::Locked(intent) => {
                _locked = self.means.counted(&self.means.locked);
                calls.unwritten = 1;
                if let Err(ended) = self.doubt(&intent, &mut calls, "the engine was stopped meanwhile").await
                {
                    return ended;
                }
                (intent, None)
            }
            Stage::Doubted(intent) => {
                _locked = self.means.counted(&self.means.locked);
                calls.doubted = Some(self.means.counted(&self.means.in_doubt));
                (intent, None)
            }
        };
        self.settle(&intent, pass, &mut calls).await
    }

    /// The pass comes before the lock: a card that meets an open breaker stays queued. Nobody keeps one while the engine is in
    /// the way.
    async fn start(&self, account_id: AccountId) -> Result<(Intent, Pass<'_>), Ended> {
        let card = CardRef::of(&self.card);
        loop {
            let pass = self.pass().await.ok_or(Ended::Stopped)?;
            match self.means.steps.start(&card, account_id, self.means.options.timeout).await {
                Ok(lock) => {
                    let intent = Intent { account_id, card, fence: lock.fence };
                    self.stage.send_replace(Stage::Locked(intent.clone()));
                    return Ok((intent, pass));
                }
                Err(NotStarted::Interrupted) => {
                    drop(pass);
                    self.rest(REST).await.ok_or(Ended::Stopped)?;
                }
                Err(not) => return Err(Ended::NotStarted(not)),
            }
        }
    }

    /// From the durable intent to the durable end.
    async fn settle<'a>(&'a self, intent: &Intent, pass: Option<Pass<'_>>, calls: &mut Calls<'a>) -> Ended {
        let mut sends = pass.is_some();
        let mut ready = pass;
        loop {
            let pass = match ready.take() {
                Some(pass) => Some(pass),
                None => match self.unless_overdue(intent, calls, self.pass()).await {
                    Ok(pass) => pass,
                    Err(ended) => return ended,
                },
            };
            let Some(pass) = pass else { return self.ended() };
            let next = match (sends, calls.doubted.is_some()) {
                (false, _) => self.ask(pass, calls).await,
                (true, false) => self.send(pass, calls).await,
                // An operator may have settled it, and nobody told yet.
                (true, true) => match self.means.steps.is_locked(intent).await {
                    Some(true) => self.send(pass, calls).await,
                    Some(false) => return Ended::Settled,
                    None => Next::Wait(Some(REST)),
                },
            };
            let pause = match next {
                Next::Ends(ending) => match self.end(intent, ending, calls).await {
                    Ok(()) => {
                        let seconds = (self.means.clock.now().micros() - calls.begun.micros()) as f64 / 1e6;
                        metrics::histogram!("purser_redemption_seconds").record(seconds);
                        return Ended::Settled;
                    }
                    Err(NotEnded::Interrupted) => return self.ended(),
                    Err(NotEnded::Refused(why)) => {
                        // Said once: it will be the same each time that the provider is asked.
                        if !std::mem::replace(&mut calls.is_refused, true)
                            && let Err(ended) = self.doubt(intent, calls, &why).await
                        {
                            return ended;
                        }
                        sends = false;
                        calls.next_delay(&self.means.options, None)
                    }
                },
                Next::Send => {
                    sends = true;
                    Duration::ZERO
                }
                Next::Doubt(why) => {
                    if let Err(ended) = self.doubt(intent, calls, &why).await {
                        return ended;
                    }
                    sends = false;
                    Duration::ZERO
                }
                Next::Wait(least) => calls.next_delay(&self.means.options, least),
            };
            match self.unless_overdue(intent, calls, self.rest(pause)).await {
                Ok(Some(())) => {}
                Ok(None) => return self.ended(),
                Err(ended) => return ended,
            }
        }
    }

    /// Waits for that. Meanwhile a card whose lock is older than a call may take, and that the provider still says it has not
    /// taken, is written down as in doubt: whoever has waited for so long may want to settle it by hand. It is sent again as
    /// before.
    async fn unless_overdue<'a, T>(
        &'a self,
        intent: &Intent,
        calls: &mut Calls<'a>,
        wait: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        tokio::pin!(wait);
        if let (Some(why), None) = (&calls.not_taken, &calls.doubted) {
            let timeout = self.means.options.timeout;
            tokio::select! {
                biased;
                value = &mut wait => return Ok(value),
                () = self.means.clock.until(calls.begun.plus(timeout)) => {}
            }
            let why = format!("not taken within {timeout:?}: {why}");
            self.write_doubt(intent, calls, &why).await?;
            let (redemption, account) = (self.card.id, intent.account_id);
            tracing::error!(%redemption, %account, fence = intent.fence, why, "a card is shown as in doubt, for the provider \
                does not take it: it is sent again; `purser redemptions resolve` settles it by hand");
        }
        Ok(wait.await)
    }

    async fn send(&self, pass: Pass<'_>, calls: &mut Calls<'_>) -> Next {
        let Some(exchange) = &calls.exchange else { return Next::Wait(None) };
        calls.unwritten += 1;
        let (begun, options) = (self.means.clock.now(), &self.means.options);
        tracing::debug!(redemption = %self.card.id, "a card is sent to the provider");
        let answer = pass.exchange(exchange).await;
        let outcome = match &answer {
            Answer::Taken { .. } => "taken",
            Answer::Refused { .. } => "refused",
            Answer::NotTaken { .. } => "not_taken",
            Answer::InDoubt { .. } => "in_doubt",
        };
        self.observe("exchange", outcome, begun);
        if !matches!(answer, Answer::NotTaken { .. }) {
            calls.quiet_at = self.means.clock.now().max(begun.plus(options.timeout));
        }
        if Canary::DoubtRefused.sings()
            && let (Answer::InDoubt { .. }, Ok(reason)) = (&answer, Text::parse("in doubt"))
        {
            return Next::Ends(refused(reason));
        }
        match answer {
            Answer::Taken { amount } => Next::Ends(Ending::Taken(amount)),
            Answer::Refused { reason } => Next::Ends(refused(reason)),
            Answer::NotTaken { why, retry_after } => {
                tracing::debug!(redemption = %self.card.id, why, "the provider did not take a card this time");
                calls.not_taken = Some(why);
                Next::Wait(retry_after)
            }
            Answer::InDoubt { why } => Next::Doubt(why),
        }
    }

    /// What became of a card that the provider may have.
    async fn ask(&self, pass: Pass<'_>, calls: &Calls<'_>) -> Next {
        let begun = self.means.clock.now();
        let standing = pass.status(self.card.id.get()).await;
        let outcome = match &standing {
            Standing::Taken { .. } => "taken",
            Standing::Refused { .. } => "refused",
            Standing::Unknown => "unknown",
            Standing::NoAnswer { .. } => "no_answer",
        };
        self.observe("status", outcome, begun);
        match standing {
            Standing::Taken { amount } => Next::Ends(Ending::Taken(amount)),
            Standing::Refused { reason } => Next::Ends(refused(reason)),
            // Before that an exchange that was sent may still arrive there.
            Standing::Unknown if begun >= calls.quiet_at && calls.exchange.is_some() => Next::Send,
            Standing::Unknown | Standing::NoAnswer { .. } => Next::Wait(None),
        }
    }

    fn observe(&self, call: &'static str, outcome: &'static str, begun: Timestamp) {
        let seconds = (self.means.clock.now().micros() - begun.micros()) as f64 / 1e6;
        metrics::histogram!("purser_provider_call_seconds", "call" => call, "outcome" => outcome)
            .record(seconds);
        tracing::debug!(redemption = %self.card.id, call, outcome, seconds, "the provider was called");
    }

    async fn doubt<'a>(&'a self, intent: &Intent, calls: &mut Calls<'a>, why: &str) -> Result<(), Ended> {
        self.write_doubt(intent, calls, why).await?;
        let (redemption, account) = (self.card.id, intent.account_id);
        tracing::error!(%redemption, %account, fence = intent.fence, why, "a card is in doubt: the provider may have taken it. \
            It is asked until it says so; `purser redemptions resolve` settles it by hand");
        Ok(())
    }

    async fn write_doubt<'a>(
        &'a self,
        intent: &Intent,
        calls: &mut Calls<'a>,
        why: &str,
    ) -> Result<(), Ended> {
        loop {
            match self.means.steps.doubt(intent, calls.unwritten, why).await {
                Ok(()) => break,
                Err(NotEnded::Interrupted) => self.rest(REST).await.ok_or_else(|| self.ended())?,
                Err(NotEnded::Refused(_)) => return Err(Ended::Settled),
            }
        }
        calls.unwritten = 0;
        calls.doubted.get_or_insert_with(|| self.means.counted(&self.means.in_doubt));
        self.stage.send_replace(Stage::Doubted(intent.clone()));
        Ok(())
    }

    async fn end(&self, intent: &Intent, ending: Ending, calls: &Calls<'_>) -> Result<(), NotEnded> {
        loop {
            match self.means.steps.end(intent, ending.clone(), calls.unwritten).await {
                // Not given up for a stop that has begun: what the provider said would have to be asked for again.
                Err(NotEnded::Interrupted) if !*self.stop.borrow() => {
                    let until = self.means.clock.now().plus(REST);
                    self.means.clock.until(until).await;
                }
                otherwise => return otherwise,
            }
        }
    }

    /// The next pass; none when the engine stops, the account is settled, or there is no provider.
    async fn pass(&self) -> Option<Pass<'_>> {
        let Some(gateway) = &self.means.gateway else {
            self.over().await;
            return None;
        };
        tokio::select! {
            biased;
            () = self.over() => None,
            pass = gateway.pass() => Some(pass),
        }
    }

    /// Waits; none when there is nothing to wait for any more.
    async fn rest(&self, pause: Duration) -> Option<()> {
        let until = self.means.clock.now().plus(pause);
        tokio::select! {
            biased;
            () = self.over() => None,
            () = self.means.clock.until(until) => Some(()),
        }
    }

    /// Returns when the engine stops, or the account is not locked for this any more.
    async fn over(&self) {
        let (mut stop, mut settled) = (self.stop.clone(), self.settled.subscribe());
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            _ = settled.wait_for(|settled| *settled) => {}
        }
    }

    fn ended(&self) -> Ended {
        if *self.settled.borrow() { Ended::Settled } else { Ended::Stopped }
    }
}

impl Calls<'_> {
    fn next_delay(&mut self, options: &ExchangeOptions, least: Option<Duration>) -> Duration {
        // Whatever the provider asks for: a card must not wait for years.
        let delay = self.delay.max(least.unwrap_or_default().min(options.last_delay));
        self.delay = (self.delay * 2).min(options.last_delay);
        delay
    }
}

fn refused(reason: Text) -> Ending {
    Ending::Untaken(Arc::new(CardFailure { code: "refused".into(), detail: reason }))
}
