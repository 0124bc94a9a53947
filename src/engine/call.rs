//! What callers hand in and get back.

use super::lines::Lines;
pub use crate::domain::order::Pricing;
use crate::domain::product::Change;
use crate::domain::session::SessionGrant;
use crate::domain::text::{Email, Name, Sku, Text};
use crate::domain::user::Role;
use crate::domain::{
    FamilyId, Money, OrderId, Outcome, ProductId, Quantity, Seq, Stock, StockChange, UserId,
};
use serde::{Deserialize, Serialize};

/// The circumstances of a mutating call. The default: the engine itself asks, without a key, durable in the journal.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Who asks, for the audit trail and as the scope of `key`.
    pub(super) caller: Option<UserId>,
    /// Only with a caller.
    pub(super) key: Option<String>,
    pub(super) durability: Durability,
    pub(super) lane: Lane,
    /// The answer may come before the record is durable: whoever asks waits for that in another way.
    pub(super) unawaited: bool,
}

/// Whose places an operation takes: none takes them from the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Lane {
    #[default]
    Callers,
    Messages,
    Exchanges,
}

impl Call {
    /// A call on behalf of a user, without a key.
    pub fn by(caller: UserId) -> Self {
        Self { caller: Some(caller), ..Self::default() }
    }

    /// A call on behalf of a user under an idempotency key: with the same request it gets the first reply again. The money is the
    /// caller's own, or the caller is an administrator; whoever embeds the engine sees to that.
    pub fn keyed(caller: UserId, key: impl Into<String>) -> Self {
        Self { caller: Some(caller), key: Some(key.into()), ..Self::default() }
    }

    /// For a message.
    pub(super) fn in_background() -> Self {
        Self { lane: Lane::Messages, ..Self::default() }
    }

    /// For a step of an exchange.
    pub(super) fn for_exchange() -> Self {
        Self { lane: Lane::Exchanges, ..Self::default() }
    }

    /// For a message's effect, which ends the message in the same record: the dispatcher waits until that is durable.
    pub(super) fn for_effect() -> Self {
        Self { unawaited: true, ..Self::in_background() }
    }

    /// For the parts of this call that are operations of their own: its key is the whole's, and the whole waits for the last
    /// of them.
    pub(super) fn of_part(&self) -> Self {
        Self { key: None, durability: Durability::Journal, unawaited: true, ..self.clone() }
    }

    /// The same, answered once that is reached.
    pub fn durable_in(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }
}

/// What must have happened before the reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// fdatasync of the journal returned: survives a crash and a power cut.
    #[default]
    Journal,
    /// The store has committed it too. When the store is lost after admission the reply comes with `Journal`.
    Store,
}

/// A successful mutation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub outcome: Outcome,
    /// The journal position of the record (or of the state, when nothing had to be changed); durable.
    pub seq: Seq,
    /// The outcome was remembered under the key, not executed now.
    pub replayed: bool,
    /// What was reached.
    pub durability: Durability,
}

/// Something read, complete up to `as_of`, which is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read<T> {
    pub value: T,
    pub as_of: Seq,
}

/// A page of a list, newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    /// Continue with `Page::before` set to this.
    pub next: Option<u64>,
}

/// How fresh a read has to be, and for whom.
#[derive(Clone, Copy, Debug, Default)]
pub struct Freshness {
    /// Wait (bounded) until the read reflects this position.
    pub min_seq: Option<Seq>,
    /// The caller: lists reflect at least the caller's own acknowledged writes.
    pub caller: Option<UserId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PurchaseRequest {
    pub user_id: UserId,
    pub product_id: ProductId,
    pub quantity: Quantity,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderRequest {
    /// Who buys and pays.
    pub user_id: UserId,
    pub lines: Lines,
    pub pricing: Pricing,
}

/// An order to take a step on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StepRequest {
    pub order_id: OrderId,
    /// Only if it belongs to this user; otherwise it is "not found".
    pub of: Option<UserId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnRequest {
    pub user_id: UserId,
    /// Bounds the return by what this order has left.
    pub order_id: Option<OrderId>,
    pub lines: Lines,
    pub reason: Option<Text>,
}

/// A credit or a debit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AdjustRequest {
    pub user_id: UserId,
    pub amount: Money,
    pub reference: Option<Text>,
    pub description: Option<Text>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransferRequest {
    pub from: UserId,
    pub to: UserId,
    pub amount: Money,
    pub description: Option<Text>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewItemRequest {
    pub sku: Option<Sku>,
    pub name: Name,
    pub description: Option<Text>,
    pub price: Money,
    pub stock: Stock,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangeItemRequest {
    pub product_id: ProductId,
    pub change: Change,
    /// Only if the item is at this revision.
    pub if_revision: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MoveStockRequest {
    pub product_id: ProductId,
    pub delta: StockChange,
    pub reason: Option<Text>,
}

/// An item to delete or restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ItemRequest {
    pub product_id: ProductId,
    pub if_revision: Option<u64>,
}

/// A user to be registered.
#[derive(Clone, Debug)]
pub struct NewUserRequest {
    pub name: Name,
    pub email: Email,
    /// In clear, 8–1024 characters; hashed before anything is recorded. Without one there is no login.
    pub password: Option<String>,
    pub role: Role,
    /// Also open a session, in the same record.
    pub open_session: bool,
}

/// A session as its tokens are made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenedSession {
    pub family_id: FamilyId,
    pub grant: SessionGrant,
    pub generation: u32,
}
