//! Durable messages: work that a record asked for and that is done later, effectively once. A message is state of the owner
//! that commits its effect; a failed attempt, a retry and a purge are that owner's events, and so is the end of the message,
//! in one record with its effect.

use super::entity::Decision;
use super::event::{Event, words};
use super::ids::{MessageId, OrderId, RedemptionId, UserId, WithdrawalId};
use super::money::Money;
use super::order::Pricing;
use super::rejection::{Missing, Rejection};
use super::text::{TEXT_MAX, Text};
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which work is to be done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Decides an order that was accepted to be decided in the background.
    ProcessOrder,
    /// Tells the outside that an order was shipped.
    OrderShipped,
    /// Looks whether a distributor has reached a higher level.
    UpgradeCheck,
    /// Pays a gift card that was exchanged while its user's balance had no room.
    RedeemCard,
}

words!(MessageKind {
    ProcessOrder = "process_order",
    OrderShipped = "order_shipped",
    UpgradeCheck = "upgrade_check",
    RedeemCard = "redeem_card",
});

/// Which of a user's owners keeps a message: the one that commits its effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeper {
    Balance,
    Distributor,
}

impl MessageKind {
    pub const ALL: [Self; 4] = [Self::ProcessOrder, Self::OrderShipped, Self::UpgradeCheck, Self::RedeemCard];

    pub const fn keeper(self) -> Keeper {
        match self {
            Self::ProcessOrder | Self::OrderShipped | Self::RedeemCard => Keeper::Balance,
            Self::UpgradeCheck => Keeper::Distributor,
        }
    }
}

/// What the work is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    ProcessOrder {
        order_id: OrderId,
        pricing: Pricing,
    },
    OrderShipped {
        order_id: OrderId,
        total: Money,
    },
    /// Of the distributor that the message belongs to; `withdrawal_id` is the one that it was completed for.
    UpgradeCheck {
        withdrawal_id: Option<WithdrawalId>,
    },
    RedeemCard {
        redemption_id: RedemptionId,
        payout: Money,
    },
}

/// What is kept in order: messages of one kind with the same key are done one after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MessageKey {
    Order(OrderId),
    Distributor(UserId),
    Redemption(RedemptionId),
}

impl std::fmt::Display for MessageKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Order(id) => id.fmt(out),
            Self::Distributor(id) => id.fmt(out),
            Self::Redemption(id) => id.fmt(out),
        }
    }
}

/// A message as it was queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    pub id: MessageId,
    /// Whose owner keeps it.
    pub user_id: UserId,
    pub payload: Payload,
    pub created_at: Timestamp,
}

impl Message {
    pub const fn kind(&self) -> MessageKind {
        match self.payload {
            Payload::ProcessOrder { .. } => MessageKind::ProcessOrder,
            Payload::OrderShipped { .. } => MessageKind::OrderShipped,
            Payload::UpgradeCheck { .. } => MessageKind::UpgradeCheck,
            Payload::RedeemCard { .. } => MessageKind::RedeemCard,
        }
    }

    pub const fn key(&self) -> MessageKey {
        match self.payload {
            Payload::ProcessOrder { order_id, .. } | Payload::OrderShipped { order_id, .. } => {
                MessageKey::Order(order_id)
            }
            Payload::UpgradeCheck { .. } => MessageKey::Distributor(self.user_id),
            Payload::RedeemCard { redemption_id, .. } => MessageKey::Redemption(redemption_id),
        }
    }

    /// What events say of which message they are about.
    pub const fn reference(&self) -> MessageRef {
        MessageRef { id: self.id, kind: self.kind(), user_id: self.user_id }
    }
}

/// Which message an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageRef {
    pub id: MessageId,
    pub kind: MessageKind,
    pub user_id: UserId,
}

/// A message that is not done yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenMessage {
    pub message: Arc<Message>,
    /// Attempts that failed.
    pub attempts: u32,
    /// Of these, the ones before it was last put back by an operator.
    pub forgiven: u32,
    /// When it may be tried (again); `None` for a dead letter.
    pub next_attempt_at: Option<Timestamp>,
}

impl OpenMessage {
    /// As it stands right after it was queued.
    pub fn queued(message: Arc<Message>) -> Self {
        let next_attempt_at = Some(message.created_at);
        Self { message, attempts: 0, forgiven: 0, next_attempt_at }
    }

    pub const fn is_dead(&self) -> bool {
        self.next_attempt_at.is_none()
    }

    /// The number of the attempt that is due, from 1.
    pub const fn attempt(&self) -> u32 {
        self.attempts + 1
    }

    /// Takes in what happened to this message; its end is not a state of it.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::MessageFailed { attempt, next_attempt_at, .. } => {
                self.attempts = *attempt;
                self.next_attempt_at = *next_attempt_at;
            }
            Event::MessageRetried { attempts, next_attempt_at, .. } => {
                self.forgiven = *attempts;
                self.next_attempt_at = Some(*next_attempt_at);
            }
            _ => {}
        }
    }
}

/// What is to become of a message. Attempts come with their number: one that is not the current one any more (it timed out,
/// or the message was ended meanwhile) changes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageStep {
    /// The attempt did what the message asked for.
    Finish { attempt: u32 },
    /// The attempt failed; `None`: it was the last one.
    Fail { attempt: u32, error: Text, next_attempt_at: Option<Timestamp> },
    /// An operator puts a dead letter back.
    Retry { next_attempt_at: Timestamp },
    /// An operator gives a dead letter up.
    Purge,
}

/// A step of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageTurn {
    pub id: MessageId,
    pub step: MessageStep,
    /// The message as it stands, `None` when it has ended; its owner fills this in, in the turn that decides.
    pub open: Option<OpenMessage>,
}

impl MessageTurn {
    pub const fn new(id: MessageId, step: MessageStep) -> Self {
        Self { id, step, open: None }
    }

    pub fn decide(&self) -> Result<Decision, Rejection> {
        step(self.open.as_ref(), &self.step)
    }
}

fn step(open: Option<&OpenMessage>, step: &MessageStep) -> Result<Decision, Rejection> {
    let current = |attempt: &u32| open.filter(|open| !open.is_dead() && open.attempt() == *attempt);
    let dead = || open.filter(|open| open.is_dead()).ok_or(Rejection::NotFound(Missing::Message));
    let event = match step {
        MessageStep::Finish { attempt } => {
            current(attempt).map(|open| Event::MessageDone(open.message.reference()))
        }
        MessageStep::Fail { attempt, error, next_attempt_at } => {
            current(attempt).map(|open| Event::MessageFailed {
                message: open.message.reference(),
                attempt: *attempt,
                error: error.clone(),
                next_attempt_at: *next_attempt_at,
            })
        }
        MessageStep::Retry { next_attempt_at } => {
            let open = dead()?;
            Some(Event::MessageRetried {
                message: open.message.reference(),
                attempts: open.attempts,
                next_attempt_at: *next_attempt_at,
            })
        }
        MessageStep::Purge => Some(Event::MessagePurged(dead()?.message.reference())),
    };
    Ok(event.map(Decision::one).unwrap_or_default())
}

/// What went wrong, as it may be kept: bounded, and free of U+0000.
pub fn error_text(error: &str) -> Text {
    let kept: String = error.chars().filter(|character| *character != '\0').take(TEXT_MAX).collect();
    Text::stored(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn open() -> OpenMessage {
        let payload =
            Payload::OrderShipped { order_id: OrderId::new(Uuid::from_u128(1)), total: Money::ZERO };
        let (id, created_at) = (MessageId::new(Uuid::from_u128(2)), Timestamp::from_micros(0));
        OpenMessage::queued(Arc::new(Message { id, user_id: UserId::new(1), payload, created_at }))
    }

    /// Decides, and takes in what was decided; true when anything was.
    fn take(open: &mut OpenMessage, wanted: &MessageStep) -> bool {
        let decision = step(Some(open), wanted).expect("decided");
        decision.own.iter().for_each(|event| open.apply(event));
        !decision.is_void()
    }

    fn fail(attempt: u32, next: Option<i64>) -> MessageStep {
        let next_attempt_at = next.map(Timestamp::from_micros);
        MessageStep::Fail { attempt, error: error_text("no answer"), next_attempt_at }
    }

    #[test]
    fn an_attempt_that_is_not_the_current_one_changes_nothing() {
        let mut message = open();
        assert!(take(&mut message, &fail(1, Some(5))));
        for stale in [MessageStep::Finish { attempt: 1 }, fail(1, None), MessageStep::Finish { attempt: 3 }] {
            assert!(!take(&mut message, &stale), "{stale:?}");
        }
        assert!(take(&mut message, &MessageStep::Finish { attempt: 2 }));
        assert!(step(None, &MessageStep::Finish { attempt: 2 }).expect("decided").is_void());
    }

    #[test]
    fn only_a_dead_letter_is_put_back_or_purged() {
        let mut message = open();
        let retry = MessageStep::Retry { next_attempt_at: Timestamp::from_micros(9) };
        let missing = Err(Rejection::NotFound(Missing::Message));
        for wanted in [&retry, &MessageStep::Purge] {
            assert_eq!(step(Some(&message), wanted), missing);
            assert_eq!(step(None, wanted), missing);
        }
        assert!(take(&mut message, &fail(1, None)));
        assert!(!take(&mut message, &MessageStep::Finish { attempt: 2 }), "a dead letter is not tried");
        assert!(take(&mut message, &retry));
        assert_eq!((message.attempts, message.forgiven, message.attempt()), (1, 1, 2));
        assert!(take(&mut message, &fail(2, None)));
        assert!(take(&mut message, &MessageStep::Purge));
    }

    #[test]
    fn what_is_kept_of_an_error_fits_the_store() {
        let kept = error_text(&"a\0ä".repeat(2_000));
        assert_eq!(kept.as_str().chars().count(), TEXT_MAX);
        assert!(Text::parse(kept.as_str()).is_ok());
    }
}
