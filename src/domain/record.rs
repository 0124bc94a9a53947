//! The unit of the journal: one atomic set of events with its position, cause and, when the caller gave an
//! idempotency key, the key that it answers. Serialised with postcard behind a version byte (`journal/codec`).

use super::account::{AccountView, Lock};
use super::event::Event;
use super::ids::{Seq, UserId};
use super::order::Order;
use super::product::{Details, ProductView};
use super::redemption::Redemption;
use super::rejection::Rejection;
use super::time::Timestamp;
use super::withdrawal::Withdrawal;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What was asked for; names the shape of the reply when the record is read back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Operation {
    Purchase,
    Order,
    Cancel,
    Ship,
    Deliver,
    Return,
    Increment,
    Decrement,
    Transfer,
    CreateItem,
    ChangeItem,
    MoveStock,
    DeleteItem,
    RestoreItem,
    Register,
    Login,
    Refresh,
    Logout,
    /// A pending order is decided.
    DecideOrder,
    /// A message ends, fails, is put back or given up.
    StepMessage,
    RequestWithdrawal,
    CompleteWithdrawal,
    RejectWithdrawal,
    /// A distributor's level is looked at.
    CheckUpgrade,
    /// Such a look is asked for beside any withdrawal.
    QueueCheck,
    SetLevels,
    /// Many dead letters are put back, each by an operation of its own.
    RetryMessages,
    /// Many looks at distributors' levels are asked for, each by an operation of its own.
    BatchCheck,
    CreatePlan,
    CreateAccount,
    ImportAccounts,
    SetLogin,
    CompleteAccount,
    HandInCards,
    CancelRedemption,
    CancelBatch,
    StartRedemption,
    DoubtRedemption,
    EndRedemption,
    ResolveRedemption,
    /// A payout that had no room on its balance is made.
    PayCard,
}

/// A key's claim on the record: both are keyed hashes, so neither can be guessed from the journal or the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyUse {
    pub caller: UserId,
    /// Of the key itself.
    pub fingerprint: [u8; 16],
    /// Of the whole request, to tell a retry from another request under the same key.
    pub request: [u8; 16],
    /// What the reply shows beyond the events' own figures.
    pub snapshot: Option<Snapshot>,
}

/// State that a reply shows and the record's events do not hold whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Snapshot {
    Order(Arc<Order>),
    /// Of the record's one product; the figures are in its event.
    Details(Arc<Details>),
    /// Of a product that was left as it is.
    Product(ProductView),
    Withdrawal(Withdrawal),
    Batch(Batch),
    /// As it was before the record.
    Account(Arc<AccountView>),
    /// Places of accounts that an import left out.
    LeftOut(Vec<u32>),
    /// As it was before the record, without its code.
    Redemption(Arc<Redemption>),
    /// The lock that an exchange got.
    Lock(Lock),
}

/// What an operation made of many has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// How many of them went through.
    pub count: u32,
    /// Behind whom the next batch goes on; none when there is no more.
    pub next_after: Option<UserId>,
}

/// A remembered "no": the state it was decided on is that of `as_of`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    pub rejection: Rejection,
    pub as_of: Seq,
}

/// One atomic set of events.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Assigned by the tail; 0 before.
    pub seq: Seq,
    /// When it was decided. A label: it orders nothing.
    pub at: Timestamp,
    pub operation: Operation,
    /// Who asked, for the audit trail; none for the engine itself and for anonymous calls.
    pub caller: Option<UserId>,
    pub key: Option<KeyUse>,
    /// Only with a key and without events.
    pub refusal: Option<Refusal>,
    pub events: Vec<Event>,
}

impl Record {
    /// About how many rows it makes in the store.
    pub fn rows(&self) -> usize {
        let rows = |event: &Event| match event {
            Event::CardsHandedIn(cards) => 1 + cards.cards.len(),
            Event::NamesTaken { names, .. } | Event::NamesFreed { names, .. } => names.len(),
            Event::OrderPlaced(order) => 1 + order.lines.len(),
            _ => 1,
        };
        self.events.iter().map(rows).sum()
    }
}
