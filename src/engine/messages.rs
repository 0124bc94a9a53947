//! What messages ask for, done with the engine's own operations; and what operators do with dead letters.

use super::call::{Call, Freshness, Listed, OrderRequest, Read};
use super::operate::{Stop, Work};
use super::orders::committed;
use super::reads::{cut, one_more};
use super::{Answer, Engine, EngineError, Inner, background};
use crate::domain::balance::BalanceCommand;
use crate::domain::distributor::DistributorCommand;
use crate::domain::message::{Keeper, Message, MessageKind, MessageStep, MessageTurn, OpenMessage, Payload};
use crate::domain::order::Order;
use crate::domain::record::{Batch, Snapshot};
use crate::domain::rejection::Missing;
use crate::domain::text::Text;
use crate::domain::{MessageId, Operation, Rejection, Seq, Timestamp};
use crate::messages::board::{Notice, Posted};
use crate::messages::webhook::Webhook;
use crate::messages::{Attempt, Dispatcher, Handler, Stats, Trouble};
use crate::owners::mailbox::Committed;
use crate::store::{AttemptError, Page};
use async_trait::async_trait;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// Dead letters put back at once, at most.
pub const RETRIED_MAX: u32 = 1_000;
/// Between two of them, so that they do not all come at once.
const STAGGER: Duration = Duration::from_millis(10);

/// A dead letter with what went wrong.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub open: OpenMessage,
    pub errors: Vec<AttemptError>,
}

/// An attempt of a message, as its owner is told of it.
#[derive(Clone)]
pub(super) struct Turn {
    pub message: Arc<Message>,
    pub attempt: u32,
}

impl Turn {
    pub fn of(attempt: &Attempt) -> Self {
        Self { message: attempt.message.clone(), attempt: attempt.number }
    }

    pub fn to(&self, step: MessageStep) -> MessageTurn {
        MessageTurn::new(self.message.id, step)
    }
}

/// The dispatcher's way to the engine.
pub(super) struct Errands {
    pub engine: Weak<Inner>,
    pub webhook: Option<Webhook>,
}

impl Errands {
    fn engine(&self) -> Result<Arc<Inner>, Trouble> {
        self.engine.upgrade().ok_or_else(|| Trouble::Interrupted("the engine is gone".into()))
    }

    /// Tells the outside that an order was shipped: the log always, a webhook if there is one.
    async fn tell_shipped(&self, attempt: &Attempt, body: serde_json::Value) -> Result<(), Trouble> {
        let engine = self.engine()?;
        let message = &attempt.message;
        // Whoever is told must not be told again because the end could not be written down.
        let _owner = engine.pin(&engine.balances, message.user_id, Missing::User).await.map_err(trouble)?;
        drop(engine.enter(&Call::in_background()).map_err(trouble)?);
        if let Some(webhook) = &self.webhook {
            webhook.post(message.id, engine.ground.clock.now(), body.to_string()).await?;
        }
        tracing::info!(target: "audit", id = %message.id, data = %body["data"], "order.shipped");
        let step = MessageStep::Finish { attempt: attempt.number };
        engine.step_message(message.clone(), step).await.map(drop).map_err(trouble)
    }
}

/// What an engine's error means for an attempt.
fn trouble(error: EngineError) -> Trouble {
    match error {
        EngineError::NotExecuted(_) | EngineError::Unknown => Trouble::Interrupted(error.to_string()),
        EngineError::Rejected { .. } => Trouble::Permanent(error.to_string()),
        EngineError::Internal => Trouble::Temporary(error.to_string()),
    }
}

#[async_trait(?Send)]
impl Handler for Errands {
    async fn attempt(&self, attempt: &Attempt) -> Result<(), Trouble> {
        let message = &attempt.message;
        match message.payload {
            Payload::ProcessOrder { order_id, pricing } => {
                self.engine()?.decide_order(attempt, order_id, pricing).await.map_err(trouble)
            }
            Payload::UpgradeCheck { withdrawal_id } => {
                self.engine()?.check_upgrade(attempt, withdrawal_id).await.map_err(trouble)
            }
            Payload::RedeemCard { .. } => match self.engine()?.pay_card(attempt).await {
                Ok(()) => Ok(()),
                // There may be room later.
                Err(EngineError::Rejected { rejection: Rejection::BalanceLimit, .. }) => {
                    Err(Trouble::Temporary(Rejection::BalanceLimit.to_string()))
                }
                Err(error) => Err(trouble(error)),
            },
            Payload::OrderShipped { order_id, total } => {
                let at = message.created_at.rfc3339();
                let data = json!({
                    "order_id": order_id, "user_id": message.user_id, "total_amount": total,
                });
                let body = json!({"type": "order.shipped", "timestamp": at, "data": data});
                self.tell_shipped(attempt, body).await
            }
        }
    }

    async fn fail(&self, attempt: &Attempt, error: Text, next: Option<Timestamp>) -> Result<(), Trouble> {
        let step = MessageStep::Fail { attempt: attempt.number, error, next_attempt_at: next };
        let engine = self.engine()?;
        engine.step_message(attempt.message.clone(), step).await.map(drop).map_err(trouble)
    }
}

impl Engine {
    /// Places an order that is decided in the background. [`Outcome::Ordered`](crate::domain::Outcome::Ordered), pending; it
    /// ends as processed, or as failed with the refusal.
    ///
    /// # Errors
    /// Rejections: not found, unknown product.
    pub async fn accept_order(&self, call: Call, request: OrderRequest) -> Answer {
        self.inner.operate(call, Operation::Order, request, background::accept).await
    }

    /// How many messages stand how, as of a moment ago.
    pub fn message_stats(&self) -> Stats {
        self.inner.dispatch.stats()
    }

    /// Dead letters, the newest first, with all that went wrong.
    ///
    /// # Errors
    /// When the store cannot be asked, or has not caught up in time.
    pub async fn dead_letters(
        &self,
        kind: Option<MessageKind>,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<DeadLetter>>, EngineError> {
        self.inner.dead_letters(kind, page, fresh).await
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`Self::dead_letters`]; rejections: not found.
    pub async fn dead_letter(
        &self,
        id: MessageId,
        fresh: Freshness,
    ) -> Result<Read<DeadLetter>, EngineError> {
        self.inner.dead_letter(id, fresh).await
    }

    /// Puts a dead letter back, to be tried at once and as often as a new one; its history stays.
    ///
    /// # Errors
    /// Rejections: not found.
    pub async fn retry_message(&self, call: Call, id: MessageId) -> Answer {
        self.inner.retry_message(call, id).await
    }

    /// Puts up to `limit` (at most [`RETRIED_MAX`]) dead letters back, the oldest first and a little apart.
    /// [`Outcome::Batch`](crate::domain::Outcome::Batch) says how many. Each is an operation of its own: a call that was cut
    /// short by a crash puts back what is left when it comes again.
    ///
    /// # Errors
    /// What stopped it before the first one.
    pub async fn retry_messages(&self, call: Call, kind: Option<MessageKind>, limit: u32) -> Answer {
        let (parts, request) = (call.of_part(), (kind, limit));
        let run = move |work: Work, _| retry_many(work, parts, kind, limit);
        self.inner.operate(call, Operation::RetryMessages, request, run).await
    }

    /// Gives a dead letter up, and with it what waited for it.
    ///
    /// # Errors
    /// Rejections: not found.
    pub async fn purge_message(&self, call: Call, id: MessageId) -> Answer {
        self.inner.purge_message(call, id).await
    }
}

impl Inner {
    /// Starts the dispatcher on one of the engine's own arbiters.
    pub(super) fn start_dispatch(
        self: &Arc<Self>,
        listener: mpsc::UnboundedReceiver<Notice>,
        succeeded: BTreeMap<MessageKind, u64>,
    ) -> Result<(), String> {
        let profiles = self.options.profiles;
        let timeout = profiles.of(MessageKind::OrderShipped).timeout;
        let webhook = self.options.webhook.as_ref();
        if webhook.is_some_and(|options| options.secret.is_empty()) {
            tracing::warn!(
                "webhooks are not signed: set webhook.secret, so that receivers can tell who sent them"
            );
        }
        let webhook = webhook.map(|options| Webhook::new(options, timeout)).transpose()?;
        let dispatcher = Dispatcher {
            board: Arc::downgrade(&self.ground.messages),
            listener,
            profiles,
            clock: self.ground.clock.clone(),
            durable: self.ground.durable.clone(),
            control: self.dispatch.clone(),
            succeeded,
        };
        let (engine, halt) = (Arc::downgrade(self), self.ground.halt.clone());
        self.homes.first().arbiter.spawn_fn(move || {
            let errands = Rc::new(Errands { engine, webhook });
            actix_rt::spawn(halt.guard("the dispatcher", dispatcher.run(errands)));
        });
        Ok(())
    }

    /// A step that the dispatcher knows to be due.
    async fn step_message(self: &Arc<Self>, message: Arc<Message>, step: MessageStep) -> Answer {
        let id = message.id;
        let run = move |work: Work, _| step_one(work, message, step);
        self.operate(Call::in_background(), Operation::StepMessage, id, run).await
    }

    /// A step that an administrator takes on a dead letter.
    async fn step_dead(self: &Arc<Self>, call: Call, id: MessageId, step: MessageStep) -> Answer {
        // What makes a retry under a key the same request; the moment of it does not.
        let request = (id, step == MessageStep::Purge);
        let run = move |mut work: Work, _| async move {
            match work.engine.dead(id) {
                Ok(posted) => step_one(work, posted.open.message, step).await,
                Err(as_of) => Err(work.refused(Rejection::NotFound(Missing::Message), as_of)),
            }
        };
        self.operate(call, Operation::StepMessage, request, run).await
    }

    /// A dead letter, or the record since which there is none.
    fn dead(&self, id: MessageId) -> Result<Posted, Seq> {
        let posted = self.ground.messages.get(id).filter(|posted| posted.open.is_dead());
        posted.ok_or_else(|| self.ground.messages.last_death().max(self.ground.durable.get()))
    }

    async fn retry_message(self: &Arc<Self>, call: Call, id: MessageId) -> Answer {
        let step = MessageStep::Retry { next_attempt_at: self.ground.clock.now() };
        self.step_dead(call, id, step).await
    }

    async fn purge_message(self: &Arc<Self>, call: Call, id: MessageId) -> Answer {
        self.step_dead(call, id, MessageStep::Purge).await
    }

    async fn dead_letters(
        &self,
        kind: Option<MessageKind>,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<DeadLetter>>, EngineError> {
        let deaths = Some(self.ground.messages.last_death());
        self.caught_up(Freshness { min_seq: fresh.min_seq.max(deaths), ..fresh }).await?;
        let found = self.ground.store.read(|store| store.failed_messages(kind, one_more(page))).await?;
        let as_of = found.watermark;
        let listed = cut(found.value, page);
        let ids: Vec<_> = listed.rows.iter().map(|open| open.message.id).collect();
        let mut errors = self.errors_of(&ids).await?;
        let letter = |open: OpenMessage| {
            let errors = errors.remove(&open.message.id).unwrap_or_default();
            DeadLetter { open, errors }
        };
        let rows = listed.rows.into_iter().map(letter).collect();
        Ok(Read { value: Listed { rows, next: listed.next }, as_of })
    }

    async fn dead_letter(&self, id: MessageId, fresh: Freshness) -> Result<Read<DeadLetter>, EngineError> {
        let Posted { open, seq, .. } = match self.dead(id) {
            Ok(posted) => posted,
            Err(as_of) => {
                self.ground.durable.wait(as_of).await?;
                return Err(self.edge_rejection(Rejection::NotFound(Missing::Message)));
            }
        };
        let wanted = Freshness { min_seq: fresh.min_seq.max(Some(seq)), ..fresh };
        self.caught_up(wanted).await?;
        let errors = self.errors_of(&[id]).await?.remove(&id).unwrap_or_default();
        Ok(Read { value: DeadLetter { open, errors }, as_of: self.ground.stored.get() })
    }

    async fn errors_of(
        &self,
        ids: &[MessageId],
    ) -> Result<HashMap<MessageId, Vec<AttemptError>>, EngineError> {
        let found = self.ground.store.read(|store| store.attempt_errors(ids)).await?;
        let mut errors: HashMap<_, Vec<_>> = HashMap::new();
        for error in found.value {
            errors.entry(error.message_id).or_default().push(error);
        }
        Ok(errors)
    }
}

async fn retry_many(
    mut work: Work,
    call: Call,
    kind: Option<MessageKind>,
    limit: u32,
) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let now = engine.ground.clock.now();
    let dead = engine.ground.messages.dead(kind, limit.min(RETRIED_MAX) as usize);
    let (mut count, mut seq) = (0, engine.ground.messages.last_death().max(engine.ground.durable.get()));
    for message in dead {
        let step = MessageStep::Retry { next_attempt_at: now.plus(STAGGER * count) };
        match engine.step_dead(call.clone(), message.id, step).await {
            Ok(reply) => (count, seq) = (count + 1, reply.seq),
            // Somebody else dealt with it meanwhile.
            Err(EngineError::Rejected { .. }) => {}
            Err(other) if count == 0 => return Err(other.into()),
            // What was done is told; the rest can be asked for again.
            Err(_) => break,
        }
    }
    work.sum_up(Snapshot::Batch(Batch { count, next_after: None }), seq).await
}

/// Takes the step at the owner that keeps the message.
async fn step_one(mut work: Work, message: Arc<Message>, step: MessageStep) -> Result<Committed, Stop> {
    work.extra_bytes = match &step {
        MessageStep::Fail { error, .. } => error.as_str().len(),
        _ => 0,
    };
    match message.kind().keeper() {
        Keeper::Balance => step_at_balance(work, message, step).await,
        Keeper::Distributor => {
            let engine = work.engine.clone();
            let owner = engine.pin(&engine.distributors, message.user_id, Missing::User).await?;
            let _permit = work.admit(&owner)?;
            let space = work.space().await?;
            let command = DistributorCommand::Message(MessageTurn::new(message.id, step));
            committed(work.commit(&owner, command, Vec::new(), space, None).await?)
        }
    }
}

async fn step_at_balance(
    mut work: Work,
    message: Arc<Message>,
    step: MessageStep,
) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.balances, message.user_id, Missing::User).await?;
    let _permit = work.admit(&owner)?;
    loop {
        // Giving up what an order waits for ends the order.
        let waiting = match (&step, message.payload) {
            (MessageStep::Purge, Payload::ProcessOrder { order_id, .. }) => {
                super::orders::find(&engine, order_id).await?
            }
            _ => None,
        };
        let (order, read_at): (Option<Arc<Order>>, _) = match waiting {
            Some(found) => (Some(found.order), Some(found.read_at)),
            None => (None, None),
        };
        let space = work.space().await?;
        let command = BalanceCommand::Message { turn: MessageTurn::new(message.id, step.clone()), order };
        match work.commit(&owner, command, Vec::new(), space, read_at).await? {
            Some(committed) => return Ok(committed),
            None if read_at.is_none() => return Err(EngineError::Internal.into()),
            None => {}
        }
    }
}
