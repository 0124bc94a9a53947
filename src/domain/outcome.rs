//! What a caller is told: a pure function of the committed record, so that the reply to a retry, also after a restart,
//! is the first reply again.

use super::account::{AccountView, Lock};
use super::event::{Entry, Event, MovementKind};
use super::ids::{BatchId, OrderId, ProductId, Seq, TransferId, UserId};
use super::level::Levels;
use super::money::Money;
use super::order::{GoodsReturn, Order, OrderStatus};
use super::plan::Plan;
use super::product::ProductView;
use super::record::{Batch, Operation, Record, Snapshot};
use super::redemption::{CardProblem, HandedIn, Redemption};
use super::rejection::Rejection;
use super::time::Timestamp;
use super::user::Role;
use super::withdrawal::Withdrawal;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The result of a committed operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    Purchased(Purchased),
    Ordered {
        order_id: OrderId,
        status: OrderStatus,
        total: Money,
    },
    /// The order after the step.
    OrderStepped(Arc<Order>),
    Returned {
        goods: Arc<GoodsReturn>,
        balance: i64,
    },
    Posted(PostedEntry),
    Transferred {
        id: TransferId,
        amount: Money,
        balance: i64,
    },
    /// An item created, changed, restocked or restored.
    Item(ProductView),
    ItemDeleted(ProductView),
    Registered(NewUser),
    /// Sessions answer with tokens, which are computed, not stored.
    SessionChanged,
    Refused(Rejection),
    /// A message was queued, ended, failed, was put back or given up, or its effect was decided.
    MessageStepped,
    /// The withdrawal after the step.
    Withdrawal(Withdrawal),
    LevelsSet(Arc<Levels>),
    Batch(Batch),
    PlanCreated(Arc<Plan>),
    /// The account that came to be, or after the step.
    Account(Arc<AccountView>),
    /// The redemption as it was handed in, or after the step; without its code.
    Redemption(Arc<Redemption>),
    /// An exchange was doubted or ended.
    ExchangeStepped,
    /// With the lock that it got.
    ExchangeStarted(Lock),
    /// How many cards were taken in, and the places of those that were not.
    BatchHandedIn {
        batch_id: BatchId,
        total: u32,
        rejected: Vec<(u32, CardProblem)>,
    },
    /// How many of the batch's cards were cancelled.
    BatchCancelled {
        count: u32,
    },
    /// How many accounts came to be, and the places of those that did not because there is no such plan.
    AccountsImported {
        count: u32,
        left_out: Vec<u32>,
    },
}

/// A purchase as its buyer sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Purchased {
    pub order_id: OrderId,
    pub product_id: ProductId,
    pub quantity: u32,
    pub unit_price: Money,
    pub total: Money,
    /// The product's stock right after this purchase.
    pub remaining_stock: i64,
    /// The buyer's balance right after this purchase.
    pub balance: i64,
}

/// A balance entry with its position.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PostedEntry {
    pub entry: Entry,
    pub seq: Seq,
    pub at: Timestamp,
}

/// A stock movement with its position.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Movement {
    pub seq: Seq,
    pub delta: i64,
    pub stock_after: i64,
    pub version: u64,
    pub kind: MovementKind,
    pub order_id: Option<OrderId>,
    pub reason: Option<Arc<str>>,
    pub at: Timestamp,
}

/// A user as others may see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewUser {
    pub id: UserId,
    pub name: Arc<str>,
    pub email: Arc<str>,
    pub role: Role,
    pub created_at: Timestamp,
}

impl Outcome {
    /// The reply to a step that was taken before or changes nothing.
    pub fn unchanged(operation: Operation, shown: Option<&Snapshot>) -> Option<Self> {
        match (operation, shown) {
            (_, Some(Snapshot::Order(order))) => Some(Self::OrderStepped(order.clone())),
            (Operation::DeleteItem, Some(Snapshot::Product(view))) => Some(Self::ItemDeleted(view.clone())),
            (_, Some(Snapshot::Product(view))) => Some(Self::Item(view.clone())),
            (Operation::Refresh | Operation::Logout, _) => Some(Self::SessionChanged),
            (_, Some(Snapshot::Withdrawal(withdrawal))) => Some(Self::Withdrawal(*withdrawal)),
            (_, Some(Snapshot::Batch(batch))) => Some(Self::Batch(*batch)),
            (_, Some(Snapshot::Account(view))) => Some(Self::Account(view.clone())),
            (_, Some(Snapshot::Redemption(card))) => Some(Self::Redemption(card.clone())),
            (Operation::DoubtRedemption | Operation::EndRedemption, _) => Some(Self::ExchangeStepped),
            (Operation::CancelBatch, _) => Some(Self::BatchCancelled { count: 0 }),
            (_, Some(Snapshot::LeftOut(left_out))) => {
                Some(Self::AccountsImported { count: 0, left_out: left_out.clone() })
            }
            (
                Operation::StepMessage
                | Operation::DecideOrder
                | Operation::CheckUpgrade
                | Operation::PayCard,
                _,
            ) => Some(Self::MessageStepped),
            _ => None,
        }
    }

    /// Reads the reply out of a record that has its position and figures. `shown` is what the commit showed beyond the
    /// events; for a keyed record it is in the record itself.
    ///
    /// `None` only for a record whose events do not fit its operation, which no owner writes.
    pub fn of(record: &Record, shown: Option<&Snapshot>) -> Option<Self> {
        if let Some(refusal) = &record.refusal {
            return Some(Self::Refused(refusal.rejection.clone()));
        }
        let snapshot = record.key.as_ref().and_then(|key| key.snapshot.as_ref()).or(shown);
        match record.operation {
            Operation::Purchase => purchased(record),
            Operation::Order => order(record).map(|order| Self::Ordered {
                order_id: order.id,
                status: order.status,
                total: order.total,
            }),
            Operation::Cancel | Operation::Ship | Operation::Deliver => match snapshot {
                Some(Snapshot::Order(order)) => {
                    let mut order = Order::clone(order);
                    if !record.events.is_empty() {
                        order.updated_at = record.at;
                    }
                    Some(Self::OrderStepped(Arc::new(order)))
                }
                _ => None,
            },
            Operation::Return => record.events.iter().find_map(|event| match event {
                Event::GoodsReturned(goods) => {
                    Some(Self::Returned { goods: goods.clone(), balance: entry(record)?.posting.total })
                }
                _ => None,
            }),
            Operation::Increment | Operation::Decrement => entry(record).map(|entry| {
                Self::Posted(PostedEntry { entry: entry.clone(), seq: record.seq, at: record.at })
            }),
            Operation::Transfer => transferred(record),
            Operation::CreateItem | Operation::ChangeItem | Operation::MoveStock | Operation::RestoreItem => {
                item(record, snapshot).map(Self::Item)
            }
            Operation::DeleteItem => item(record, snapshot).map(Self::ItemDeleted),
            Operation::Register => registered(record),
            Operation::Login | Operation::Refresh | Operation::Logout => Some(Self::SessionChanged),
            Operation::DecideOrder
            | Operation::StepMessage
            | Operation::CheckUpgrade
            | Operation::QueueCheck
            | Operation::PayCard => Some(Self::MessageStepped),
            Operation::RequestWithdrawal => record.events.iter().find_map(|event| match event {
                Event::WithdrawalRequested(withdrawal) => Some(Self::Withdrawal(**withdrawal)),
                _ => None,
            }),
            Operation::CompleteWithdrawal | Operation::RejectWithdrawal => match snapshot {
                Some(Snapshot::Withdrawal(withdrawal)) => {
                    let updated_at = if record.events.is_empty() { withdrawal.updated_at } else { record.at };
                    Some(Self::Withdrawal(Withdrawal { updated_at, ..*withdrawal }))
                }
                _ => None,
            },
            Operation::SetLevels => record.events.iter().find_map(|event| match event {
                Event::LevelsSet(levels) => Some(Self::LevelsSet(levels.clone())),
                _ => None,
            }),
            Operation::RetryMessages | Operation::BatchCheck => match snapshot {
                Some(Snapshot::Batch(batch)) => Some(Self::Batch(*batch)),
                _ => None,
            },
            Operation::CreatePlan => record.events.iter().find_map(|event| match event {
                Event::PlanCreated(plan) => Some(Self::PlanCreated(plan.clone())),
                _ => None,
            }),
            Operation::CreateAccount => record.events.iter().find_map(|event| match event {
                Event::AccountCreated { account, posting } => {
                    Some(Self::Account(Arc::new(AccountView::created(account.clone(), posting, record.at))))
                }
                _ => None,
            }),
            Operation::ImportAccounts => match snapshot {
                // One event for each account, and a record has fewer than 2^32.
                Some(Snapshot::LeftOut(left_out)) => Some(Self::AccountsImported {
                    count: record.events.len() as u32,
                    left_out: left_out.clone(),
                }),
                _ => None,
            },
            Operation::SetLogin | Operation::CompleteAccount => stepped_account(record, snapshot),
            Operation::HandInCards => record.events.iter().find_map(|event| match event {
                Event::CardsHandedIn(cards) => handed_in(cards, record.at),
                _ => None,
            }),
            Operation::CancelRedemption | Operation::ResolveRedemption => stepped_card(record, snapshot),
            Operation::CancelBatch => {
                let cancelled =
                    record.events.iter().filter(|event| matches!(event, Event::RedemptionStepped(_)));
                // A batch has fewer than 2^32 cards.
                Some(Self::BatchCancelled { count: cancelled.count() as u32 })
            }
            Operation::StartRedemption => match snapshot {
                Some(Snapshot::Lock(lock)) => Some(Self::ExchangeStarted(*lock)),
                _ => None,
            },
            Operation::DoubtRedemption | Operation::EndRedemption => Some(Self::ExchangeStepped),
        }
    }
}

fn order(record: &Record) -> Option<&Arc<Order>> {
    record.events.iter().find_map(|event| match event {
        Event::OrderPlaced(order) => Some(order),
        _ => None,
    })
}

fn entry(record: &Record) -> Option<&Entry> {
    record.events.iter().find_map(|event| match event {
        Event::EntryPosted(entry) => Some(entry),
        _ => None,
    })
}

fn purchased(record: &Record) -> Option<Outcome> {
    let order = order(record)?;
    let line = order.lines.first()?;
    let remaining_stock = record.events.iter().find_map(|event| match event {
        Event::StockMoved(movement) => Some(movement.posting.total),
        _ => None,
    })?;
    Some(Outcome::Purchased(Purchased {
        order_id: order.id,
        product_id: line.product_id,
        quantity: line.quantity.get(),
        unit_price: line.unit_price,
        total: order.total,
        remaining_stock,
        balance: entry(record)?.posting.total,
    }))
}

fn transferred(record: &Record) -> Option<Outcome> {
    let sent = entry(record)?;
    let id = uuid::Uuid::parse_str(sent.reference.as_ref()?.as_str()).ok()?;
    Some(Outcome::Transferred {
        id: TransferId::new(id),
        amount: Money::new(-sent.posting.delta)?,
        balance: sent.posting.total,
    })
}

fn item(record: &Record, snapshot: Option<&Snapshot>) -> Option<ProductView> {
    if let Some(Snapshot::Product(unchanged)) = snapshot {
        return Some(unchanged.clone());
    }
    let (product_id, details, posting) = record.events.iter().find_map(|event| match event {
        Event::ProductCreated { product_id, details, posting }
        | Event::ProductChanged { product_id, details, posting } => {
            Some((*product_id, Some(details), posting))
        }
        Event::StockMoved(movement) => Some((movement.product_id, None, &movement.posting)),
        _ => None,
    })?;
    let details = match (details, snapshot) {
        (Some(details), _) | (None, Some(Snapshot::Details(details))) => details.clone(),
        _ => return None,
    };
    let (stock, version) = (posting.total, posting.version);
    Some(ProductView { product_id, details, stock, version, updated_at: record.at })
}

/// What a code is sealed in goes to nobody who asks.
fn handed_in(cards: &HandedIn, at: Timestamp) -> Option<Outcome> {
    Some(match cards.batch_id {
        None => {
            let card = cards.redemptions(at).next()?;
            Outcome::Redemption(Arc::new(Redemption { code: None, ..card }))
        }
        Some(batch_id) => Outcome::BatchHandedIn {
            batch_id,
            // A batch has fewer than 2^32 cards.
            total: cards.cards.len() as u32,
            rejected: cards.rejected.clone(),
        },
    })
}

fn stepped_card(record: &Record, snapshot: Option<&Snapshot>) -> Option<Outcome> {
    let Some(Snapshot::Redemption(before)) = snapshot else { return None };
    let mut card = Redemption::clone(before);
    for event in &record.events {
        card.apply(event, record.at);
    }
    Some(Outcome::Redemption(Arc::new(card)))
}

fn stepped_account(record: &Record, snapshot: Option<&Snapshot>) -> Option<Outcome> {
    let Some(Snapshot::Account(before)) = snapshot else { return None };
    let after = |event: &Event| match event {
        Event::AccountChanged(transition) => Some(Arc::new(before.after(transition, record.at))),
        _ => None,
    };
    Some(Outcome::Account(record.events.iter().find_map(after).unwrap_or_else(|| before.clone())))
}

fn registered(record: &Record) -> Option<Outcome> {
    record.events.iter().find_map(|event| match event {
        Event::UserRegistered { user_id, profile } => Some(Outcome::Registered(NewUser {
            id: *user_id,
            name: profile.name.as_str().into(),
            email: profile.email.as_str().into(),
            role: profile.role,
            created_at: profile.created_at,
        })),
        _ => None,
    })
}
