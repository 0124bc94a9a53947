//! Facts worth journalling. An event belongs to exactly one entity; several of them make a
//! [`Record`](super::record::Record). The enum's order and every field are the journal's format (version 1): change
//! them only together with a new version byte.

use super::account::{NewAccount, Transition};
use super::distributor::{Payout, Upgrade};
use super::ids::{FamilyId, OrderId, ProductId, UserId, WithdrawalId};
use super::level::Levels;
use super::message::{Message, MessageRef};
use super::money::Delta;
use super::order::{Failure, GoodsReturn, Order, OrderStatus};
use super::plan::Plan;
use super::product::Details;
use super::redemption::{HandedIn, RedemptionStep};
use super::session::SessionGrant;
use super::text::Text;
use super::time::Timestamp;
use super::user::Profile;
use super::withdrawal::{Withdrawal, WithdrawalStatus};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// One step of an entity's running total. The tail of the journal fills `total` and `version` when the record is
/// enqueued; versions of one entity are gapless in journal order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Posting {
    pub delta: Delta,
    /// The total after this step.
    pub total: i64,
    pub version: u64,
}

impl Posting {
    /// A step whose figures the tail has yet to assign.
    pub const fn of(delta: Delta) -> Self {
        Self { delta, total: 0, version: 0 }
    }
}

/// Why a product's stock moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    Initial,
    Restock,
    Adjust,
    Sale,
    Cancel,
    Return,
}

/// Why a balance moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Increment,
    Decrement,
    Order,
    Cancel,
    Return,
    TransferIn,
    TransferOut,
    Withdrawal,
    WithdrawalRejected,
    /// The user's share of a gift card.
    Payout,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        impl $name {
            /// The word that the API and both stores use.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
            /// The inverse of [`Self::word`].
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use words;

words!(MovementKind {
    Initial = "initial",
    Restock = "restock",
    Adjust = "adjust",
    Sale = "sale",
    Cancel = "cancel",
    Return = "return",
});
words!(EntryKind {
    Increment = "increment",
    Decrement = "decrement",
    Order = "order",
    Cancel = "cancel",
    Return = "return",
    TransferIn = "transfer_in",
    TransferOut = "transfer_out",
    Withdrawal = "withdrawal",
    WithdrawalRejected = "withdrawal_rejected",
    Payout = "payout",
});

/// The kinds of unique names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Namespace {
    /// Emails, in lower case; held by users.
    Email,
    /// SKUs, as written; held by products.
    Sku,
    /// Keyed hashes of gift cards' codes; held by the users who handed them in.
    Card,
}

words!(Namespace { Email = "email", Sku = "sku", Card = "card" });

/// A stock movement's particulars.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StockMove {
    pub product_id: ProductId,
    pub kind: MovementKind,
    pub order_id: Option<OrderId>,
    pub reason: Option<Text>,
    pub posting: Posting,
}

/// A balance entry's particulars.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub user_id: UserId,
    pub kind: EntryKind,
    pub order_id: Option<OrderId>,
    pub reference: Option<Text>,
    pub description: Option<Text>,
    pub posting: Posting,
}

/// One fact about one entity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// A product came to be; the posting's delta is its initial stock.
    ProductCreated {
        product_id: ProductId,
        details: Arc<Details>,
        posting: Posting,
    },
    /// Name, sku, description, price or deletion changed; `details` is the whole new state, the delta 0.
    ProductChanged {
        product_id: ProductId,
        details: Arc<Details>,
        posting: Posting,
    },
    StockMoved(StockMove),
    UserRegistered {
        user_id: UserId,
        profile: Arc<Profile>,
    },
    EntryPosted(Entry),
    OrderPlaced(Arc<Order>),
    OrderAdvanced {
        order_id: OrderId,
        user_id: UserId,
        status: OrderStatus,
    },
    GoodsReturned(Arc<GoodsReturn>),
    SessionOpened {
        family_id: FamilyId,
        grant: SessionGrant,
    },
    /// The refresh token of `generation` was issued.
    SessionRotated {
        family_id: FamilyId,
        generation: u32,
        rotated_at: Timestamp,
    },
    SessionRevoked {
        family_id: FamilyId,
        revoked_at: Timestamp,
    },
    /// `holder` is the id of the user or product that the name now belongs to.
    NameTaken {
        namespace: Namespace,
        name: Arc<str>,
        holder: u64,
    },
    NameFreed {
        namespace: Namespace,
        name: Arc<str>,
    },
    MessageQueued(Arc<Message>),
    /// An attempt failed; without a next one the message is a dead letter.
    MessageFailed {
        message: MessageRef,
        attempt: u32,
        error: Text,
        next_attempt_at: Option<Timestamp>,
    },
    /// Its effect is in the same record.
    MessageDone(MessageRef),
    /// An operator put a dead letter back, of which so many attempts failed.
    MessageRetried {
        message: MessageRef,
        attempts: u32,
        next_attempt_at: Timestamp,
    },
    /// An operator gave a dead letter up.
    MessagePurged(MessageRef),
    /// A pending order was decided against.
    OrderFailed {
        order_id: OrderId,
        user_id: UserId,
        failure: Arc<Failure>,
    },
    WithdrawalRequested(Arc<Withdrawal>),
    WithdrawalEnded {
        withdrawal_id: WithdrawalId,
        user_id: UserId,
        status: WithdrawalStatus,
    },
    /// The distributor's part of a completed withdrawal: its total, and the message of a check.
    PayoutCounted(Payout),
    DistributorUpgraded(Arc<Upgrade>),
    LevelsSet(Arc<Levels>),
    PlanCreated(Arc<Plan>),
    AccountCreated {
        account: Arc<NewAccount>,
        posting: Posting,
    },
    /// Boxed, for it is larger than what is sold a thousand times a second.
    AccountChanged(Box<Transition>),
    CardsHandedIn(Arc<HandedIn>),
    /// Boxed as transitions are.
    RedemptionStepped(Box<RedemptionStep>),
    /// Of one shard of the directory, as their freeing is.
    NamesTaken {
        namespace: Namespace,
        names: Vec<Arc<str>>,
        holder: u64,
    },
    NamesFreed {
        namespace: Namespace,
        names: Vec<Arc<str>>,
    },
}

impl Event {
    /// The message that this event is about, if it is about one.
    pub fn message(&self) -> Option<MessageRef> {
        match self {
            Self::MessageQueued(message) | Self::PayoutCounted(Payout { message, .. }) => {
                Some(message.reference())
            }
            Self::MessageFailed { message, .. }
            | Self::MessageDone(message)
            | Self::MessageRetried { message, .. }
            | Self::MessagePurged(message) => Some(*message),
            Self::RedemptionStepped(step) => step.owed.as_ref().map(|message| message.reference()),
            _ => None,
        }
    }

    /// The message that this event queues, if it queues one.
    pub fn queued(&self) -> Option<&Arc<Message>> {
        match self {
            Self::MessageQueued(message) | Self::PayoutCounted(Payout { message, .. }) => Some(message),
            Self::RedemptionStepped(step) => step.owed.as_ref(),
            _ => None,
        }
    }

    /// The balance entry that this event posts, if it posts one.
    pub fn entry(&self) -> Option<Cow<'_, Entry>> {
        match self {
            Self::EntryPosted(entry) => Some(Cow::Borrowed(entry)),
            Self::RedemptionStepped(step) => step.entry().map(Cow::Owned),
            _ => None,
        }
    }

    /// The order that this event places or changes, and whose it is.
    pub fn order(&self) -> Option<(OrderId, UserId)> {
        match self {
            Self::OrderPlaced(order) => Some((order.id, order.user_id)),
            Self::OrderAdvanced { order_id, user_id, .. } | Self::OrderFailed { order_id, user_id, .. } => {
                Some((*order_id, *user_id))
            }
            Self::GoodsReturned(goods) => goods.order_id.map(|order_id| (order_id, goods.user_id)),
            _ => None,
        }
    }

    /// The step of a running total that this event makes, if it makes one.
    pub fn posting(&self) -> Option<&Posting> {
        match self {
            Self::ProductCreated { posting, .. }
            | Self::ProductChanged { posting, .. }
            | Self::AccountCreated { posting, .. }
            | Self::PayoutCounted(Payout { posting, .. }) => Some(posting),
            Self::StockMoved(StockMove { posting, .. }) | Self::EntryPosted(Entry { posting, .. }) => {
                Some(posting)
            }
            Self::AccountChanged(transition) => Some(&transition.posting),
            Self::RedemptionStepped(step) => step.paid.as_ref(),
            Self::UserRegistered { .. }
            | Self::OrderPlaced(_)
            | Self::OrderAdvanced { .. }
            | Self::GoodsReturned(_)
            | Self::SessionOpened { .. }
            | Self::SessionRotated { .. }
            | Self::SessionRevoked { .. }
            | Self::NameTaken { .. }
            | Self::NameFreed { .. }
            | Self::MessageQueued(_)
            | Self::MessageFailed { .. }
            | Self::MessageDone(_)
            | Self::MessageRetried { .. }
            | Self::MessagePurged(_)
            | Self::OrderFailed { .. }
            | Self::WithdrawalRequested(_)
            | Self::WithdrawalEnded { .. }
            | Self::DistributorUpgraded(_)
            | Self::LevelsSet(_)
            | Self::PlanCreated(_)
            | Self::CardsHandedIn(_)
            | Self::NamesTaken { .. }
            | Self::NamesFreed { .. } => None,
        }
    }

    /// As [`Self::posting`], for the tail to fill in.
    pub fn posting_mut(&mut self) -> Option<&mut Posting> {
        match self {
            Self::ProductCreated { posting, .. }
            | Self::ProductChanged { posting, .. }
            | Self::AccountCreated { posting, .. }
            | Self::PayoutCounted(Payout { posting, .. }) => Some(posting),
            Self::StockMoved(StockMove { posting, .. }) | Self::EntryPosted(Entry { posting, .. }) => {
                Some(posting)
            }
            Self::AccountChanged(transition) => Some(&mut transition.posting),
            Self::RedemptionStepped(step) => step.paid.as_mut(),
            _ => None,
        }
    }
}
