//! The journal folded record by record into plain maps of what the store's rows have to say. Nothing that makes the rows
//! (`purser::store`) is called here, nor what takes events in: an error there is to be found.

use purser::domain::account::{AccountStatus, LoginStatus, NewAccount, Transition, TransitionReason};
use purser::domain::event::{Entry, Namespace};
use purser::domain::message::{Message, MessageKind};
use purser::domain::order::{Failure, Order, OrderStatus};
use purser::domain::product::Details;
use purser::domain::redemption::{CardFailure, HandedIn, NewCard, RedemptionStatus, RedemptionStep};
use purser::domain::text::Text;
use purser::domain::withdrawal::Withdrawal;
use purser::domain::{
    AccountId, BatchId, EntryKind, Event, MessageId, OrderId, Posting, ProductId, Record, RedemptionId,
    Timestamp, UserId, WithdrawalId,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Cards of one record have this many places.
const PLACES: u64 = 16_384;

/// One row, as SQLite's `json_array` writes it.
macro_rules! row {
    ($($value:expr),* $(,)?) => {
        serde_json::json!([$($value),*]).to_string()
    };
}
pub(super) use row;

pub struct Product {
    pub details: Arc<Details>,
    pub created_seq: u64,
    pub last: Posting,
    pub updated_at: Timestamp,
}

pub struct Placed {
    pub order: Arc<Order>,
    pub created_seq: u64,
    pub status: OrderStatus,
    pub failure: Option<Failure>,
    pub updated_at: Timestamp,
}

/// A message that is not done.
pub struct Open {
    pub message: Arc<Message>,
    pub created_seq: u64,
    pub attempts: u32,
    pub forgiven: u32,
    pub next_attempt_at: Option<Timestamp>,
    /// When each attempt failed, and why.
    pub errors: Vec<(u32, Timestamp, String)>,
}

pub struct Account {
    pub made: Arc<NewAccount>,
    pub created_at: Timestamp,
    pub last: Transition,
    pub fence: u64,
    pub used_at: Timestamp,
    pub updated_at: Timestamp,
}

pub struct Card {
    pub made: NewCard,
    pub place: u64,
    pub user: UserId,
    pub batch: Option<BatchId>,
    pub created_at: Timestamp,
    /// The last step; at first one that leads nowhere.
    pub status: RedemptionStatus,
    pub locked: Option<(AccountId, u64)>,
    pub amount: Option<i64>,
    pub payout: Option<i64>,
    pub failure: Option<Arc<CardFailure>>,
    pub attempts: u32,
    pub updated_at: Timestamp,
}

/// See the module. What never changes is kept as its row.
#[derive(Default)]
pub struct Fold {
    pub products: BTreeMap<ProductId, Product>,
    pub movements: Vec<String>,
    pub users: Vec<String>,
    /// Amount and version.
    pub balances: BTreeMap<UserId, (i64, u64)>,
    pub entries: Vec<String>,
    pub orders: BTreeMap<OrderId, Placed>,
    pub names: BTreeMap<(Namespace, Arc<str>), u64>,
    pub keys: BTreeMap<(UserId, [u8; 16]), String>,
    pub messages: BTreeMap<MessageId, Open>,
    pub done: BTreeMap<MessageKind, u64>,
    pub withdrawals: BTreeMap<WithdrawalId, (u64, Withdrawal)>,
    /// What was paid out to each, and how often.
    pub distributors: BTreeMap<UserId, (i64, u64)>,
    pub plans: Vec<String>,
    pub accounts: BTreeMap<AccountId, Account>,
    pub transitions: Vec<String>,
    pub cards: BTreeMap<RedemptionId, Card>,
    pub batches: Vec<String>,
}

pub fn hex(id: Uuid) -> String {
    id.simple().to_string()
}

/// As SQLite writes it: what is not there has no digits.
pub fn hex_if_any(id: Option<Uuid>) -> String {
    id.map(hex).unwrap_or_default()
}

impl Fold {
    /// # Errors
    /// An event of which no rows are known.
    pub fn take(&mut self, record: &Record) -> Result<(), String> {
        let (seq, at) = (record.seq.get(), record.at);
        if let Some(key) = &record.key {
            let (print, request) = (Uuid::from_bytes(key.fingerprint), Uuid::from_bytes(key.request));
            let row = row!(key.caller.get(), hex(print), hex(request), seq, at.micros());
            self.keys.insert((key.caller, key.fingerprint), row);
        }
        for event in &record.events {
            if let Some(message) = event.queued() {
                self.queue(message, seq);
            }
            self.event(event, seq, at)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event, seq: u64, at: Timestamp) -> Result<(), String> {
        match event {
            Event::ProductCreated { .. } | Event::ProductChanged { .. } | Event::StockMoved(_) => {
                self.item(event, seq, at);
            }
            Event::UserRegistered { user_id, profile } => {
                let (name, email) = (profile.name.as_str(), profile.email.as_str());
                let (id, password, role) =
                    (user_id.get(), profile.password_hash.as_deref(), profile.role.word());
                let (name_key, email_key) = (name.to_lowercase(), email.to_lowercase());
                let made = profile.created_at.micros();
                self.users.push(row!(id, name, name_key, email, email_key, password, role, seq, made));
                self.balances.entry(*user_id).or_insert((0, 0));
            }
            Event::EntryPosted(entry) => self.post(entry, seq, at),
            Event::OrderPlaced(_) | Event::OrderAdvanced { .. } | Event::OrderFailed { .. } => {
                self.order(event, seq, at);
            }
            Event::NameTaken { namespace, name, holder } => {
                self.names.insert((*namespace, name.clone()), *holder);
            }
            Event::NamesTaken { namespace, names, holder } => {
                self.names.extend(names.iter().map(|name| ((*namespace, name.clone()), *holder)));
            }
            Event::NameFreed { namespace, name } => {
                self.names.remove(&(*namespace, name.clone()));
            }
            Event::NamesFreed { namespace, names } => {
                for name in names {
                    self.names.remove(&(*namespace, name.clone()));
                }
            }
            // The message itself is queued already.
            Event::MessageQueued(_) => {}
            Event::MessageFailed { .. }
            | Event::MessageRetried { .. }
            | Event::MessageDone(_)
            | Event::MessagePurged(_) => self.message(event, at),
            Event::WithdrawalRequested(withdrawal) => {
                self.withdrawals.insert(withdrawal.id, (seq, **withdrawal));
            }
            Event::WithdrawalEnded { withdrawal_id, status, .. } => {
                if let Some((_, known)) = self.withdrawals.get_mut(withdrawal_id) {
                    (known.status, known.updated_at) = (*status, at);
                }
            }
            Event::PayoutCounted(payout) => {
                let Posting { total, version, .. } = payout.posting;
                self.distributors.insert(payout.user_id, (total, version));
            }
            Event::PlanCreated(plan) => {
                let (id, name, target) = (hex(plan.id.get()), plan.name.as_str(), plan.target.minor());
                self.plans.push(row!(seq, id, name, target, plan.payout.get(), plan.created_at.micros()));
            }
            Event::AccountCreated { account, posting } => self.open_account(account, *posting, seq, at),
            Event::AccountChanged(transition) => self.change_account(transition, seq, at),
            Event::CardsHandedIn(cards) => self.hand_in(cards, seq, at),
            Event::RedemptionStepped(step) => self.step(step, seq, at),
            // Nobody here returns goods, signs in or climbs. Whoever lets them says here what it makes of the rows.
            Event::GoodsReturned(_)
            | Event::SessionOpened { .. }
            | Event::SessionRotated { .. }
            | Event::SessionRevoked { .. }
            | Event::DistributorUpgraded(_)
            | Event::LevelsSet(_) => return Err(format!("no rows are known of {event:?}")),
        }
        Ok(())
    }

    fn item(&mut self, event: &Event, seq: u64, at: Timestamp) {
        let (id, posting, kind, order, reason) = match event {
            Event::ProductCreated { product_id, details, posting } => {
                let (details, last) = (details.clone(), *posting);
                let product = Product { details, created_seq: seq, last, updated_at: at };
                self.products.insert(*product_id, product);
                (*product_id, posting, "initial", None, None)
            }
            Event::ProductChanged { product_id, details, posting } => {
                if let Some(known) = self.products.get_mut(product_id) {
                    known.details = details.clone();
                }
                (*product_id, posting, "none", None, None)
            }
            Event::StockMoved(moved) => {
                let reason = moved.reason.as_ref().map(|text| text.as_str());
                (moved.product_id, &moved.posting, moved.kind.word(), moved.order_id, reason)
            }
            _ => return,
        };
        if let Some(known) = self.products.get_mut(&id) {
            known.last = *posting;
            // A clock may have been put back.
            known.updated_at = known.updated_at.max(at);
        }
        let Posting { delta, total, version } = *posting;
        // A change of the terms, and a first stock of nothing, move none.
        if delta != 0 {
            let order = hex_if_any(order.map(|id| id.get()));
            let row = row!(id.get(), version, seq, delta, total, kind, order, reason, at.micros());
            self.movements.push(row);
        }
    }

    fn post(&mut self, entry: &Entry, seq: u64, at: Timestamp) {
        let Posting { delta, total, version } = entry.posting;
        let (user, kind, at) = (entry.user_id.get(), entry.kind.word(), at.micros());
        let order = hex_if_any(entry.order_id.map(|id| id.get()));
        let reference = entry.reference.as_ref().map(|text| text.as_str());
        let description = entry.description.as_ref().map(|text| text.as_str());
        self.balances.insert(entry.user_id, (total, version));
        let row = row!(user, version, seq, delta, total, kind, order, reference, description, at);
        self.entries.push(row);
    }

    fn order(&mut self, event: &Event, seq: u64, at: Timestamp) {
        match event {
            Event::OrderPlaced(order) => {
                let (status, failure, updated_at) = (order.status, order.failure.clone(), order.updated_at);
                let order = order.clone();
                let id = order.id;
                self.orders.insert(id, Placed { order, created_seq: seq, status, failure, updated_at });
            }
            Event::OrderAdvanced { order_id, status, .. } => {
                if let Some(known) = self.orders.get_mut(order_id) {
                    (known.status, known.updated_at) = (*status, at);
                }
            }
            Event::OrderFailed { order_id, failure, .. } => {
                if let Some(known) = self.orders.get_mut(order_id) {
                    (known.status, known.updated_at) = (OrderStatus::Failed, at);
                    known.failure = Some(Failure::clone(failure));
                }
            }
            _ => {}
        }
    }

    fn queue(&mut self, message: &Arc<Message>, seq: u64) {
        let open = Open {
            message: message.clone(),
            created_seq: seq,
            attempts: 0,
            forgiven: 0,
            next_attempt_at: Some(message.created_at),
            errors: Vec::new(),
        };
        self.messages.insert(message.id, open);
    }

    fn message(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::MessageFailed { message, attempt, error, next_attempt_at } => {
                if let Some(known) = self.messages.get_mut(&message.id) {
                    (known.attempts, known.next_attempt_at) = (*attempt, *next_attempt_at);
                    known.errors.push((*attempt, at, error.as_str().to_owned()));
                }
            }
            Event::MessageRetried { message, attempts, next_attempt_at } => {
                if let Some(known) = self.messages.get_mut(&message.id) {
                    (known.forgiven, known.next_attempt_at) = (*attempts, Some(*next_attempt_at));
                }
            }
            Event::MessageDone(message) => {
                self.messages.remove(&message.id);
                *self.done.entry(message.kind).or_default() += 1;
            }
            Event::MessagePurged(message) => {
                self.messages.remove(&message.id);
            }
            _ => {}
        }
    }

    fn open_account(&mut self, account: &Arc<NewAccount>, posting: Posting, seq: u64, at: Timestamp) {
        let last = Transition {
            account_id: account.id,
            from: AccountStatus::Waiting,
            to: AccountStatus::Waiting,
            login: LoginStatus::Active,
            reason: TransitionReason::Created,
            lock: None,
            redemption_id: None,
            posting,
        };
        self.note(&last, seq, at);
        let made = account.clone();
        let account = Account { made, created_at: at, last, fence: 0, used_at: at, updated_at: at };
        self.accounts.insert(account.made.id, account);
    }

    fn change_account(&mut self, transition: &Transition, seq: u64, at: Timestamp) {
        self.note(transition, seq, at);
        if let Some(known) = self.accounts.get_mut(&transition.account_id) {
            (known.last, known.updated_at) = (transition.clone(), at);
            if let Some(lock) = transition.lock {
                (known.fence, known.used_at) = (lock.fence, lock.since);
            }
        }
    }

    fn note(&mut self, change: &Transition, seq: u64, at: Timestamp) {
        let Posting { delta, total, version } = change.posting;
        let (from, to, login) = (change.from.word(), change.to.word(), change.login.word());
        let (account, reason) = (hex(change.account_id.get()), change.reason.word());
        let card = hex_if_any(change.redemption_id.map(|id| id.get()));
        let at = at.micros();
        self.transitions.push(row!(account, version, seq, from, to, login, reason, card, delta, total, at));
    }

    fn hand_in(&mut self, cards: &HandedIn, seq: u64, at: Timestamp) {
        let (user, batch) = (cards.user_id, cards.batch_id);
        if let Some(batch) = batch {
            self.batches.push(row!(seq, hex(batch.get()), user.get(), cards.cards.len()));
        }
        for (card, place) in cards.cards.iter().zip(seq * PLACES..) {
            let handed_in = Card {
                made: card.clone(),
                place,
                user,
                batch,
                created_at: at,
                status: RedemptionStatus::Queued,
                locked: None,
                amount: None,
                payout: None,
                failure: None,
                attempts: 0,
                updated_at: at,
            };
            self.cards.insert(card.id, handed_in);
        }
    }

    fn step(&mut self, step: &RedemptionStep, seq: u64, at: Timestamp) {
        if let Some(known) = self.cards.get_mut(&step.redemption_id) {
            (known.status, known.updated_at) = (step.to, at);
            known.locked = step.locked.or(known.locked);
            known.amount = step.amount.map(|amount| amount.minor()).or(known.amount);
            known.payout = step.payout.map(|payout| payout.minor()).or(known.payout);
            known.failure.clone_from(&step.failure);
            known.attempts += step.attempts;
        }
        if let Some(posting) = step.paid {
            let reference = Some(Text::stored(step.redemption_id.get().to_string()));
            let (user_id, kind, description) = (step.user_id, EntryKind::Payout, None);
            let entry = Entry { user_id, kind, order_id: None, reference, description, posting };
            self.post(&entry, seq, at);
        }
    }
}
