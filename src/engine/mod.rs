//! The only door for HTTP, the command line and Rust callers. Every mutation runs in a task of its own, decided by the
//! owners it touches, and is answered when its journal record is durable.

mod accounts;
mod acknowledged;
mod assembly;
pub mod audit;
mod background;
pub mod boot;
pub mod call;
mod card_codes;
pub mod data_dir;
mod distributors;
pub mod error;
mod fingerprints;
mod housekeeping;
mod items;
mod lines;
mod messages;
mod money;
pub mod offline;
mod operate;
pub mod options;
mod orders;
mod passwords;
mod reads;
mod redemptions;
mod restore;
mod shutdown;
mod simulated;
mod start_error;
mod state;
mod store_runtime;
mod users;
mod withdrawals;

pub use crate::messages::{KindStats, Stats as MessageStats};
pub use crate::redemption::Stats as ExchangeStats;
pub use accounts::{ACCOUNTS_MAX, ImportRequest, NewAccountRequest, NewPlanRequest};
pub use audit::{Drift, DriftReport};
pub use call::*;
pub use distributors::{CHECKED_MAX, DistributorState};
pub use error::{Busy, EngineError};
pub use lines::{LineRequest, Lines};
pub use messages::{DeadLetter, RETRIED_MAX};
pub use options::{EngineOptions, ProviderChoice, StoreChoice};
pub use redemptions::{BatchFigures, CardRequest, Resolution, ResolveRequest};
pub use shutdown::Shutdown;
pub use start_error::StartError;
pub use state::{Backlog, Health, JournalHealth, OwnerState, StoreHealth};
pub use withdrawals::WithdrawalRequest;

use crate::clock::{Clock, SystemClock};
use crate::control::Control;
use crate::domain::account::Account;
use crate::domain::balance::{Balance, BalanceView};
use crate::domain::directory::{DIRECTORY_SHARDS, Directory};
use crate::domain::distributor::Distributor;
use crate::domain::ids::ShardId;
use crate::domain::level::LevelList;
use crate::domain::order::Order;
use crate::domain::outcome::{Movement, NewUser, PostedEntry};
use crate::domain::plan::PlanList;
use crate::domain::product::{Product, ProductView};
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::{FamilyId, Operation, OrderId, ProductId, Seq, UserId};
use crate::journal::{HaltReason, disk::Disk};
use crate::owners::admission::Admission;
use crate::owners::homes::{self, Homes};
use crate::owners::{Ground, Supervisor};
use crate::store::write_behind::Status;
use crate::store::{Check, ItemFilter, OrderFilter, Page, Store};
use acknowledged::Acknowledged;
use orders::StepKind;
use passwords::Passwords;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

/// A running engine; cheap to clone. End it with [`Engine::shutdown`].
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    ground: Arc<Ground>,
    products: Arc<Supervisor<Product>>,
    balances: Arc<Supervisor<Balance>>,
    sessions: Arc<Supervisor<Session>>,
    directories: Arc<Supervisor<Directory>>,
    distributors: Arc<Supervisor<Distributor>>,
    levels: Arc<Supervisor<LevelList>>,
    accounts: Arc<Supervisor<Account>>,
    plans: Arc<Supervisor<PlanList>>,
    card_codes: card_codes::CardCodes,
    admission: Arc<Admission>,
    /// What messages ask for has places of its own: neither takes them from the other.
    background: Arc<Admission>,
    /// The same for exchanges.
    exchanging: Arc<Admission>,
    coming_cards: redemptions::ComingCards,
    acknowledged: Acknowledged,
    homes: Arc<Homes>,
    store: Arc<dyn Store>,
    store_status: Arc<Status>,
    epoch: i64,
    disk: Arc<dyn Disk>,
    fingerprints: fingerprints::Fingerprints,
    secret: Vec<u8>,
    dispatch: Arc<Control<MessageStats>>,
    exchange: Arc<Control<ExchangeStats>>,
    passwords: Passwords,
    record_bytes_max: usize,
    next_shard: AtomicU16,
    flushing: Mutex<Option<tokio::task::JoinHandle<()>>>,
    /// The store's own: database work, loads, housekeeping.
    runtime: tokio::runtime::Handle,
    _keeper: store_runtime::RuntimeKeeper,
    options: EngineOptions,
    _directory: data_dir::DataDir,
}

impl Inner {
    fn next_shard(&self) -> ShardId {
        ShardId::new(self.next_shard.fetch_add(1, Ordering::Relaxed) % DIRECTORY_SHARDS)
    }
}

/// A user with the session that was opened for it.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    pub user: NewUser,
    pub session: Option<OpenedSession>,
    pub seq: Seq,
}

/// What a mutation answers: the outcome once it is durable, or why there is none.
pub type Answer = Result<Reply, EngineError>;
/// What a list answers.
pub type ListAnswer<T> = Result<Read<Listed<T>>, EngineError>;

impl Engine {
    /// Starts an engine: creates what is missing, recovers, and is ready when this returns.
    ///
    /// # Errors
    /// [`StartError`] when something is not as it should be. A journal that is damaged, and a journal and a store that do not
    /// belong together, are left as they were.
    pub async fn start(options: EngineOptions) -> Result<Self, StartError> {
        Self::start_with(options, Arc::new(SystemClock), Arc::new(|_, _| {})).await
    }

    /// As [`Self::start`], with a clock and with somebody who is told how recovery goes.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(
        options: EngineOptions,
        clock: Arc<dyn Clock>,
        progress: boot::Progress,
    ) -> Result<Self, StartError> {
        boot::start(options, clock, progress).await
    }

    /// Buys units of one product at its price. [`Outcome::Purchased`](crate::domain::Outcome::Purchased).
    ///
    /// # Errors
    /// Rejections: not found, item deleted, insufficient stock, insufficient balance.
    pub async fn purchase(&self, call: Call, request: PurchaseRequest) -> Answer {
        self.inner.operate(call, Operation::Purchase, request, orders::purchase).await
    }

    /// Buys several lines, all or nothing. [`Outcome::Ordered`](crate::domain::Outcome::Ordered).
    ///
    /// # Errors
    /// Rejections: as a purchase, unknown product, price changed.
    pub async fn order(&self, call: Call, request: OrderRequest) -> Answer {
        self.inner.operate(call, Operation::Order, request, orders::order).await
    }

    /// Refunds and restocks an order in one step.
    ///
    /// # Errors
    /// Rejections: not found, invalid state, balance or stock limit.
    pub async fn cancel(&self, call: Call, request: StepRequest) -> Answer {
        self.step(call, Operation::Cancel, request, StepKind::Cancel).await
    }

    /// Marks a processed order as shipped.
    ///
    /// # Errors
    /// Rejections: not found, invalid state.
    pub async fn ship(&self, call: Call, request: StepRequest) -> Answer {
        self.step(call, Operation::Ship, request, StepKind::Ship).await
    }

    /// Marks a shipped order as delivered.
    ///
    /// # Errors
    /// Rejections: not found, invalid state.
    pub async fn deliver(&self, call: Call, request: StepRequest) -> Answer {
        self.step(call, Operation::Deliver, request, StepKind::Deliver).await
    }

    async fn step(&self, call: Call, operation: Operation, request: StepRequest, kind: StepKind) -> Answer {
        self.inner
            .operate(call, operation, request, move |work, request| orders::step(work, request, kind))
            .await
    }

    /// Takes goods back: stock and money move in one record.
    ///
    /// # Errors
    /// Rejections: not found, unknown product, invalid state, balance or stock limit.
    pub async fn take_back(&self, call: Call, request: ReturnRequest) -> Answer {
        self.inner.operate(call, Operation::Return, request, orders::take_back).await
    }

    /// Puts money on a balance. [`Outcome::Posted`](crate::domain::Outcome::Posted).
    ///
    /// # Errors
    /// Rejections: not found, balance limit.
    pub async fn credit(&self, call: Call, request: AdjustRequest) -> Answer {
        self.inner.operate(call, Operation::Increment, request, money::adjust).await
    }

    /// Takes money off a balance.
    ///
    /// # Errors
    /// Rejections: not found, insufficient balance.
    pub async fn debit(&self, call: Call, request: AdjustRequest) -> Answer {
        self.inner.operate(call, Operation::Decrement, request, money::adjust).await
    }

    /// Moves money between two balances.
    ///
    /// # Errors
    /// Rejections: not found, self transfer, insufficient balance, balance limit.
    pub async fn transfer(&self, call: Call, request: TransferRequest) -> Answer {
        self.inner.operate(call, Operation::Transfer, request, money::transfer).await
    }

    /// Creates an item. [`Outcome::Item`](crate::domain::Outcome::Item), as all changes of items answer.
    ///
    /// # Errors
    /// Rejections: sku taken.
    pub async fn create_item(&self, call: Call, request: NewItemRequest) -> Answer {
        self.inner.operate(call, Operation::CreateItem, request, items::create).await
    }

    /// Changes an item's terms, once no sale under the old ones is under way.
    ///
    /// # Errors
    /// Rejections: not found, item deleted, sku taken, version conflict.
    pub async fn change_item(&self, call: Call, request: ChangeItemRequest) -> Answer {
        self.inner.operate(call, Operation::ChangeItem, request, items::change).await
    }

    /// Adds stock, or takes some away.
    ///
    /// # Errors
    /// Rejections: not found, item deleted, insufficient stock, stock limit.
    pub async fn add_stock(&self, call: Call, request: MoveStockRequest) -> Answer {
        self.inner.operate(call, Operation::MoveStock, request, items::move_stock).await
    }

    /// Deletes an item; it keeps its sku and can be restored.
    ///
    /// # Errors
    /// Rejections: not found, version conflict.
    pub async fn delete_item(&self, call: Call, request: ItemRequest) -> Answer {
        self.inner.operate(call, Operation::DeleteItem, request, items::delete).await
    }

    /// Undoes a deletion.
    ///
    /// # Errors
    /// Rejections: not found.
    pub async fn restore_item(&self, call: Call, request: ItemRequest) -> Answer {
        self.inner.operate(call, Operation::RestoreItem, request, items::restore).await
    }

    /// Creates a user on an admin's behalf. [`Outcome::Registered`](crate::domain::Outcome::Registered).
    ///
    /// # Errors
    /// Rejections: email taken.
    pub async fn create_user(&self, call: Call, request: NewUserRequest) -> Answer {
        self.inner.create_user(call, request).await
    }

    /// Registers a user, with a session if asked for, in one record.
    ///
    /// # Errors
    /// Rejections: email taken.
    pub async fn register(&self, request: NewUserRequest) -> Result<LoggedIn, EngineError> {
        self.inner.register(request).await
    }

    /// Opens a session. An unknown user and a wrong password cost and answer the same.
    ///
    /// # Errors
    /// Rejections: invalid credentials.
    pub async fn log_in(&self, email: &str, password: String) -> Result<LoggedIn, EngineError> {
        self.inner.log_in(email, password).await
    }

    /// Opens a session of a user for an administrator: for support and load tests. It lasts as long as an access token.
    ///
    /// # Errors
    /// Rejections: not found.
    pub async fn issue_token(&self, admin: UserId, user_id: UserId) -> Result<LoggedIn, EngineError> {
        self.inner.issue_token(admin, user_id).await
    }

    /// Trades a refresh token's generation for its successor; durable at the position that comes with it.
    ///
    /// # Errors
    /// Rejections: token expired, token revoked (also when a token comes back after the grace: the family ends).
    pub async fn refresh(
        &self,
        family_id: FamilyId,
        generation: u32,
    ) -> Result<(OpenedSession, Seq), EngineError> {
        self.inner.refresh(family_id, generation).await
    }

    /// Ends a session; durable when this returns.
    ///
    /// # Errors
    /// Rejections: token revoked, for an unknown session.
    pub async fn log_out(&self, family_id: FamilyId) -> Result<Seq, EngineError> {
        self.inner.log_out(family_id).await
    }

    /// The record that revoked a session, if one did. No hop and no load.
    pub fn revoked_by(&self, family_id: FamilyId) -> Option<Seq> {
        self.inner.ground.revocations.revoked_by(family_id)
    }

    /// Returns when the position is durable.
    ///
    /// # Errors
    /// When the engine halted before.
    pub async fn durable(&self, seq: Seq) -> Result<(), EngineError> {
        Ok(self.inner.ground.durable.wait(seq).await?)
    }

    /// An item from its owner; deleted ones too.
    ///
    /// # Errors
    /// Rejections: not found.
    pub async fn item(&self, id: ProductId, fresh: Freshness) -> Result<Read<ProductView>, EngineError> {
        self.inner.item(id, fresh).await
    }

    /// A balance with its user, from its owner.
    ///
    /// # Errors
    /// Rejections: not found.
    pub async fn balance(&self, id: UserId, fresh: Freshness) -> Result<Read<BalanceView>, EngineError> {
        self.inner.balance(id, fresh).await
    }

    /// An order as it now stands; with `of`, only that user's.
    ///
    /// # Errors
    /// Rejections: not found.
    pub async fn order_by_id(
        &self,
        id: OrderId,
        of: Option<UserId>,
        fresh: Freshness,
    ) -> Result<Read<Order>, EngineError> {
        self.inner.order_by_id(id, of, fresh).await
    }

    /// Items, newest first.
    ///
    /// # Errors
    /// [`Busy::ReadTimeout`] and [`Busy::StoreUnavailable`], as all lists.
    pub async fn items(&self, filter: ItemFilter, page: Page, fresh: Freshness) -> ListAnswer<ProductView> {
        self.inner.items(filter, page, fresh).await
    }

    /// Stock movements of an item, newest first.
    ///
    /// # Errors
    /// As [`Self::items`]; rejections: not found.
    pub async fn movements(&self, id: ProductId, page: Page, fresh: Freshness) -> ListAnswer<Movement> {
        self.inner.movements(id, page, fresh).await
    }

    /// Users, newest first; `query` is a part of a name or an email address.
    ///
    /// # Errors
    /// As [`Self::items`].
    pub async fn users(
        &self,
        query: Option<String>,
        page: Page,
        fresh: Freshness,
    ) -> ListAnswer<BalanceView> {
        self.inner.users(query, page, fresh).await
    }

    /// Entries of a balance, newest first, with those that the store does not have yet.
    ///
    /// # Errors
    /// As [`Self::items`]; rejections: not found.
    pub async fn entries(&self, id: UserId, page: Page, fresh: Freshness) -> ListAnswer<PostedEntry> {
        self.inner.entries(id, page, fresh).await
    }

    /// Orders, newest first; a caller's own with those that the store does not have yet.
    ///
    /// # Errors
    /// As [`Self::items`].
    pub async fn orders(&self, filter: OrderFilter, page: Page, fresh: Freshness) -> ListAnswer<Order> {
        self.inner.orders(filter, page, fresh).await
    }

    /// Whether and why the engine can serve.
    pub fn health(&self) -> Health {
        self.inner.health()
    }

    /// Some resident owners; `None` for a kind that does not exist.
    pub async fn owners(&self, kind: Option<&str>, limit: usize) -> Option<Vec<OwnerState>> {
        self.inner.owners(kind, limit).await
    }

    /// One owner; `None` for a kind or an id that cannot exist.
    pub async fn owner(&self, kind: &str, id: &str) -> Option<OwnerState> {
        self.inner.owner(kind, id).await
    }

    /// Recomputes stock, money and orders and compares journal, store and owners.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn audit(&self) -> Result<Read<Vec<Check>>, EngineError> {
        self.inner.audit().await
    }

    /// Compares owners, stored rows and stored movements with the journal's tail, and rewrites rows that drifted.
    ///
    /// # Errors
    /// When the store cannot be asked; rejections: not found.
    pub async fn sync_stock(&self, id: Option<ProductId>) -> Result<Read<DriftReport>, EngineError> {
        self.inner.sync_stock(id).await
    }

    /// Lets owners live on the calling thread's arbiter, which must outlive the engine's work. For HTTP workers.
    pub fn lend_this_arbiter(&self) {
        homes::lend_this_arbiter(&self.inner.ground.durable, &self.inner.ground.stored);
    }

    /// Runs a future on a thread where owners live: a loop of calls in it changes threads once, not at every call. It must
    /// not block, for owners wait behind it. `None` when the engine is stopping, or the future panicked.
    pub async fn run_beside_owners<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let run = async move {
            // A caller that is gone is not told.
            let _ = reply.send(future.await);
        };
        if self.inner.homes.choose().arbiter.spawn(run) { answer.await.ok() } else { None }
    }

    /// Brings the gauges up to date, right before they are read.
    pub fn refresh_metrics(&self) {
        self.inner.refresh_metrics();
    }

    /// The secret that tokens are signed with: configured, or made in the data directory.
    pub fn secret(&self) -> &[u8] {
        &self.inner.secret
    }

    /// The user with this email address.
    ///
    /// # Errors
    /// When the store has to be asked and cannot be.
    pub async fn user_by_email(&self, email: &Email) -> Result<Option<NewUser>, EngineError> {
        Ok(self.inner.user_by_email(email).await?.as_ref().map(users::new_user))
    }

    /// Returns when the engine halts; then the process should exit with code 4.
    pub async fn halted(&self) -> HaltReason {
        self.inner.ground.halt.halted().await
    }

    /// Admits nothing more, awaits what is in progress, closes the journal, brings the backlog into the store and
    /// releases it. HTTP workers that lent their arbiters must be stopped afterwards, not before.
    pub async fn shutdown(&self) -> Shutdown {
        self.inner.shutdown().await
    }
}
