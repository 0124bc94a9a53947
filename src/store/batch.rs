//! A run of records turned into rows: history row by row, hot state coalesced to its newest value per key. Shared by
//! both stores, so that they can differ in their SQL only.

use super::account_rows::AccountRows;
use super::message_rows::MessageRows;
use super::redemption_rows::RedemptionRows;
use super::withdrawal_rows::WithdrawalRows;
use crate::domain::event::{Entry, Event, MovementKind, Namespace, StockMove};
use crate::domain::order::{Failure, GoodsReturn, Order, OrderStatus};
use crate::domain::outcome::Outcome;
use crate::domain::product::Details;
use crate::domain::session::SessionGrant;
use crate::domain::user::Profile;
use crate::domain::{FamilyId, OrderId, ProductId, Record, Seq, Timestamp, UserId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of one transaction, about: many cards may be one record, and no statement may take long.
pub const ROWS_MAX: usize = 100_000;

/// The rows of the records `after + 1 ..= to`.
#[derive(Debug, Default)]
pub struct Batch {
    /// The watermark that the batch continues.
    pub after: Seq,
    /// The watermark when it is written.
    pub to: Seq,
    pub products: BTreeMap<ProductId, ProductState>,
    pub movements: Vec<MovementRow>,
    pub users: Vec<UserRow>,
    pub balances: BTreeMap<UserId, BalanceState>,
    pub entries: Vec<EntryRow>,
    /// Orders placed within the batch, as they stand at its end.
    pub orders: BTreeMap<OrderId, OrderRow>,
    /// Steps of orders that were placed before the batch.
    pub order_steps: BTreeMap<OrderId, OrderStep>,
    pub returns: Vec<ReturnRow>,
    pub sessions: BTreeMap<FamilyId, SessionState>,
    /// The holder at the end of the batch; none when the name was freed.
    pub names: BTreeMap<(Namespace, Arc<str>), Option<u64>>,
    pub keys: Vec<KeyRow>,
    pub messages: MessageRows,
    pub withdrawals: WithdrawalRows,
    pub accounts: AccountRows,
    pub redemptions: RedemptionRows,
}

/// A product's newest state; `details` only when they changed (or the product is new).
#[derive(Debug)]
pub struct ProductState {
    pub details: Option<Arc<Details>>,
    /// The record that created it, when that is in this batch.
    pub created_seq: Option<Seq>,
    pub stock: i64,
    pub version: u64,
    pub updated_at: Timestamp,
}

#[derive(Debug)]
pub struct MovementRow {
    pub seq: Seq,
    pub at: Timestamp,
    pub movement: StockMove,
}

#[derive(Debug)]
pub struct UserRow {
    pub id: UserId,
    pub created_seq: Seq,
    pub profile: Arc<Profile>,
}

#[derive(Debug, Clone, Copy)]
pub struct BalanceState {
    pub amount: i64,
    pub version: u64,
}

#[derive(Debug)]
pub struct EntryRow {
    pub seq: Seq,
    pub at: Timestamp,
    pub entry: Entry,
}

#[derive(Debug)]
pub struct OrderRow {
    pub created_seq: Seq,
    pub order: Arc<Order>,
    pub status: OrderStatus,
    /// Why it failed, when that was decided within the batch.
    pub failure: Option<Arc<Failure>>,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct OrderStep {
    /// None when only goods were returned.
    pub status: Option<OrderStatus>,
    pub failure: Option<Arc<Failure>>,
    pub updated_at: Timestamp,
}

#[derive(Debug)]
pub struct ReturnRow {
    pub seq: Seq,
    pub at: Timestamp,
    pub goods: Arc<GoodsReturn>,
}

/// What changed of a session; `grant` when it was opened within the batch.
#[derive(Debug, Default)]
pub struct SessionState {
    pub grant: Option<SessionGrant>,
    pub rotated: Option<(u32, Timestamp)>,
    pub revoked_at: Option<Timestamp>,
}

#[derive(Debug)]
pub struct KeyRow {
    pub caller: UserId,
    pub fingerprint: [u8; 16],
    pub request: [u8; 16],
    pub seq: Seq,
    pub at: Timestamp,
    /// JSON of the [`Outcome`].
    pub outcome: String,
}

impl Batch {
    /// The rows of `records`, which follow `after` without gap.
    pub fn of<'a>(after: Seq, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut batch = Self { after, to: after, ..Self::default() };
        for record in records {
            debug_assert_eq!(record.seq, batch.to.next(), "a batch has no gap");
            batch.take(record);
        }
        batch
    }

    fn take(&mut self, record: &Record) {
        self.to = record.seq;
        for event in &record.events {
            self.take_event(record, event);
        }
        if let (Some(key), Some(outcome)) = (&record.key, Outcome::of(record, None)) {
            // An outcome is plain data, so its serialisation cannot fail.
            let outcome = serde_json::to_string(&outcome).unwrap_or_default();
            let (caller, fingerprint, request) = (key.caller, key.fingerprint, key.request);
            self.keys.push(KeyRow { caller, fingerprint, request, seq: record.seq, at: record.at, outcome });
        }
    }

    fn take_event(&mut self, record: &Record, event: &Event) {
        let (seq, at) = (record.seq, record.at);
        match event {
            Event::ProductCreated { product_id, details, posting } => {
                let state = ProductState {
                    details: Some(details.clone()),
                    created_seq: Some(seq),
                    stock: posting.total,
                    version: posting.version,
                    updated_at: at,
                };
                self.products.insert(*product_id, state);
                if posting.delta != 0 {
                    let (product_id, kind) = (*product_id, MovementKind::Initial);
                    let (order_id, reason, posting) = (None, None, *posting);
                    let movement = StockMove { product_id, kind, order_id, reason, posting };
                    self.movements.push(MovementRow { seq, at, movement });
                }
            }
            Event::ProductChanged { product_id, details, posting } => {
                let state = self.product(*product_id, posting.total, posting.version, at);
                state.details = Some(details.clone());
            }
            Event::StockMoved(movement) => {
                let posting = movement.posting;
                self.product(movement.product_id, posting.total, posting.version, at);
                self.movements.push(MovementRow { seq, at, movement: movement.clone() });
            }
            Event::UserRegistered { user_id, profile } => {
                self.users.push(UserRow { id: *user_id, created_seq: seq, profile: profile.clone() });
            }
            Event::EntryPosted(entry) => self.entry(entry.clone(), seq, at),
            Event::OrderPlaced(order) => {
                let row = OrderRow {
                    created_seq: seq,
                    order: order.clone(),
                    status: order.status,
                    failure: order.failure.clone().map(Arc::new),
                    updated_at: order.updated_at,
                };
                self.orders.insert(order.id, row);
            }
            Event::OrderAdvanced { order_id, status, .. } => self.step(*order_id, Some(*status), None, at),
            Event::OrderFailed { order_id, failure, .. } => {
                self.step(*order_id, Some(OrderStatus::Failed), Some(failure), at);
            }
            Event::GoodsReturned(goods) => {
                self.returns.push(ReturnRow { seq, at, goods: goods.clone() });
                if let Some(order_id) = goods.order_id {
                    self.step(order_id, None, None, at);
                }
            }
            Event::SessionOpened { family_id, grant } => {
                self.sessions.entry(*family_id).or_default().grant = Some(*grant);
            }
            Event::SessionRotated { family_id, generation, rotated_at } => {
                self.sessions.entry(*family_id).or_default().rotated = Some((*generation, *rotated_at));
            }
            Event::SessionRevoked { family_id, revoked_at } => {
                self.sessions.entry(*family_id).or_default().revoked_at = Some(*revoked_at);
            }
            Event::NameTaken { namespace, name, holder } => {
                self.names.insert((*namespace, name.clone()), Some(*holder));
            }
            Event::NameFreed { namespace, name } => {
                self.names.insert((*namespace, name.clone()), None);
            }
            Event::NamesTaken { namespace, names, holder } => {
                self.names.extend(names.iter().map(|name| ((*namespace, name.clone()), Some(*holder))));
            }
            Event::NamesFreed { namespace, names } => {
                self.names.extend(names.iter().map(|name| ((*namespace, name.clone()), None)));
            }
            Event::MessageQueued(_)
            | Event::MessageFailed { .. }
            | Event::MessageDone(_)
            | Event::MessageRetried { .. }
            | Event::MessagePurged(_) => self.messages.take(record, event),
            Event::PayoutCounted(_) => {
                self.messages.take(record, event);
                self.withdrawals.take(record, event);
            }
            Event::WithdrawalRequested(_)
            | Event::WithdrawalEnded { .. }
            | Event::DistributorUpgraded(_)
            | Event::LevelsSet(_) => self.withdrawals.take(record, event),
            Event::PlanCreated(_) | Event::AccountCreated { .. } | Event::AccountChanged(_) => {
                self.accounts.take(record, event);
            }
            Event::CardsHandedIn(_) => self.redemptions.take(record, event),
            Event::RedemptionStepped(step) => {
                self.redemptions.take(record, event);
                self.messages.take(record, event);
                if let Some(entry) = step.entry() {
                    self.entry(entry, seq, at);
                }
            }
        }
    }

    fn entry(&mut self, entry: Entry, seq: Seq, at: Timestamp) {
        let (amount, version) = (entry.posting.total, entry.posting.version);
        self.balances.insert(entry.user_id, BalanceState { amount, version });
        self.entries.push(EntryRow { seq, at, entry });
    }

    fn product(&mut self, id: ProductId, stock: i64, version: u64, at: Timestamp) -> &mut ProductState {
        let state = self.products.entry(id).or_insert(ProductState {
            details: None,
            created_seq: None,
            stock,
            version,
            updated_at: at,
        });
        (state.stock, state.version) = (stock, version);
        state.updated_at = state.updated_at.max(at);
        state
    }

    fn step(
        &mut self,
        id: OrderId,
        status: Option<OrderStatus>,
        failure: Option<&Arc<Failure>>,
        at: Timestamp,
    ) {
        let failure = failure.cloned();
        if let Some(row) = self.orders.get_mut(&id) {
            row.status = status.unwrap_or(row.status);
            row.failure = failure.or(row.failure.take());
            row.updated_at = at;
            return;
        }
        let step = self.order_steps.entry(id).or_insert(OrderStep { status, failure: None, updated_at: at });
        step.status = status.or(step.status);
        step.failure = failure.or(step.failure.take());
        step.updated_at = at;
    }
}
