//! The only door for HTTP, the command line and Rust callers.

pub mod call;
pub mod error;

pub use call::*;
pub use error::{Busy, EngineError};

use crate::domain::balance::BalanceView;
use crate::domain::order::Order;
use crate::domain::outcome::{Movement, NewUser, PostedEntry};
use crate::domain::product::ProductView;
use crate::domain::{FamilyId, OrderId, ProductId, Seq, UserId};
use crate::store::{Check, ItemFilter, OrderFilter, Page};
use std::sync::Arc;

/// Skeleton of the door (signatures final, bodies to come).
#[derive(Clone)]
pub struct Engine {
    _inner: Arc<()>,
}

/// One owner as an operator sees it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct OwnerState {
    pub kind: &'static str,
    pub id: String,
    pub resident: bool,
    pub mailbox_depth: u32,
    pub holds: i64,
    pub last_seq: u64,
}

/// Whether and why the engine can serve.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Health {
    pub ready: bool,
    /// "running", "draining" or "halted".
    pub state: &'static str,
    pub reason: Option<String>,
    pub journal: JournalHealth,
    pub store: StoreHealth,
    pub backlog: Backlog,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct JournalHealth {
    pub appended: u64,
    pub durable: u64,
    pub disk_full: bool,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct StoreHealth {
    pub kind: &'static str,
    pub reachable: bool,
    pub stored: u64,
}

#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Backlog {
    pub records: u64,
    pub bytes: u64,
    pub seconds: f64,
}

/// One product of the drift report.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Drift {
    pub product_id: u64,
    pub owner_stock: i64,
    pub stored_stock: i64,
    pub movements_sum: i64,
    pub journal_tail: i64,
    pub rewritten: bool,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct DriftReport {
    pub checked: u64,
    pub drifted: Vec<Drift>,
}

/// A user with the session that was opened for it.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    pub user: NewUser,
    pub session: Option<OpenedSession>,
    pub seq: Seq,
}

type Answer = Result<Reply, EngineError>;
type Page2<T> = Result<Read<Listed<T>>, EngineError>;

#[allow(unused_variables, clippy::unused_async)]
impl Engine {
    pub async fn purchase(&self, call: Call, request: PurchaseRequest) -> Answer { unimplemented!() }
    pub async fn order(&self, call: Call, request: OrderRequest) -> Answer { unimplemented!() }
    pub async fn cancel(&self, call: Call, request: StepRequest) -> Answer { unimplemented!() }
    pub async fn ship(&self, call: Call, request: StepRequest) -> Answer { unimplemented!() }
    pub async fn deliver(&self, call: Call, request: StepRequest) -> Answer { unimplemented!() }
    pub async fn take_back(&self, call: Call, request: ReturnRequest) -> Answer { unimplemented!() }
    pub async fn credit(&self, call: Call, request: AdjustRequest) -> Answer { unimplemented!() }
    pub async fn debit(&self, call: Call, request: AdjustRequest) -> Answer { unimplemented!() }
    pub async fn transfer(&self, call: Call, request: TransferRequest) -> Answer { unimplemented!() }
    pub async fn create_item(&self, call: Call, request: NewItemRequest) -> Answer { unimplemented!() }
    pub async fn change_item(&self, call: Call, request: ChangeItemRequest) -> Answer { unimplemented!() }
    pub async fn add_stock(&self, call: Call, request: MoveStockRequest) -> Answer { unimplemented!() }
    pub async fn delete_item(&self, call: Call, request: ItemRequest) -> Answer { unimplemented!() }
    pub async fn restore_item(&self, call: Call, request: ItemRequest) -> Answer { unimplemented!() }

    /// POST /users by an admin (keyed): `Outcome::Registered`.
    pub async fn create_user(&self, call: Call, request: NewUserRequest) -> Answer { unimplemented!() }
    pub async fn register(&self, request: NewUserRequest) -> Result<LoggedIn, EngineError> { unimplemented!() }
    /// Unknown user and wrong password are the same `InvalidCredentials` after the same work.
    pub async fn log_in(&self, email: &str, password: String) -> Result<LoggedIn, EngineError> { unimplemented!() }
    pub async fn refresh(&self, family_id: FamilyId, generation: u32) -> Result<OpenedSession, EngineError> { unimplemented!() }
    pub async fn log_out(&self, family_id: FamilyId) -> Result<Seq, EngineError> { unimplemented!() }
    /// Synchronous fast path: None = not revoked. Some(seq) = revoked by that record.
    pub fn revoked_by(&self, family_id: FamilyId) -> Option<Seq> { unimplemented!() }
    /// Waits until a position is durable (for gating a 401 on a revocation).
    pub async fn durable(&self, seq: Seq) -> Result<(), EngineError> { unimplemented!() }

    /// Deleted items are shown too; the caller hides them.
    pub async fn item(&self, id: ProductId, fresh: Freshness) -> Result<Read<ProductView>, EngineError> { unimplemented!() }
    pub async fn balance(&self, id: UserId, fresh: Freshness) -> Result<Read<BalanceView>, EngineError> { unimplemented!() }
    /// `of`: only if it belongs to this user.
    pub async fn order_by_id(&self, id: OrderId, of: Option<UserId>, fresh: Freshness) -> Result<Read<Order>, EngineError> { unimplemented!() }
    pub async fn items(&self, filter: ItemFilter, page: Page, fresh: Freshness) -> Page2<ProductView> { unimplemented!() }
    pub async fn movements(&self, id: ProductId, page: Page, fresh: Freshness) -> Page2<Movement> { unimplemented!() }
    pub async fn users(&self, query: Option<String>, page: Page, fresh: Freshness) -> Page2<BalanceView> { unimplemented!() }
    pub async fn entries(&self, id: UserId, page: Page, fresh: Freshness) -> Page2<PostedEntry> { unimplemented!() }
    pub async fn orders(&self, filter: OrderFilter, page: Page, fresh: Freshness) -> Page2<Order> { unimplemented!() }

    pub fn health(&self) -> Health { unimplemented!() }
    /// `kind`: "product", "balance", "session" or "directory"; None for an unknown kind.
    pub async fn owners(&self, kind: Option<&str>, limit: usize) -> Option<Vec<OwnerState>> { unimplemented!() }
    pub async fn owner(&self, kind: &str, id: &str) -> Option<OwnerState> { unimplemented!() }
    pub async fn audit(&self) -> Result<Read<Vec<Check>>, EngineError> { unimplemented!() }
    pub async fn sync_stock(&self, id: Option<ProductId>) -> Result<Read<DriftReport>, EngineError> { unimplemented!() }
    /// To be called on each HTTP worker when it starts: owners may then live on its arbiter.
    pub fn lend_this_arbiter(&self) { unimplemented!() }
    /// Updates gauges (backlog, residents, permits …) right before metrics are rendered.
    pub fn refresh_metrics(&self) { unimplemented!() }
}
