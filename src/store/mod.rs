//! The store: a queryable projection of the journal. It may lag behind the journal and never leads it. One trait, two
//! implementations with the same meaning. Records get there by [`Store::apply`] only, from write-behind and, at a start or after
//! a rewind, from [`replay`](mod@replay); the one other change of rows is [`Store::prune_keys`], which forgets what expired.

mod account_rows;
pub mod batch;
mod checks;
pub mod error;
mod message_rows;
mod numbers;
pub mod postgres;
pub mod reading;
mod redemption_rows;
pub mod replay;
mod rows;
pub mod sqlite;
mod withdrawal_rows;
pub mod write_behind;
mod writer;

pub use batch::Batch;
pub use error::StoreError;
pub use reading::StoreReader;

use crate::domain::account::{AccountStatus, AccountView, LoginStatus, TransitionReason};
use crate::domain::balance::BalanceView;
use crate::domain::country::Country;
use crate::domain::directory::UniqueName;
use crate::domain::distributor::{DistributorView, Upgrade};
use crate::domain::event::Namespace;
use crate::domain::ids::ShardId;
use crate::domain::level::{Levels, Rank};
use crate::domain::message::{MessageKind, OpenMessage};
use crate::domain::order::{Order, OrderStatus};
use crate::domain::outcome::{Movement, Outcome, PostedEntry};
use crate::domain::plan::{Plan, PlanList};
use crate::domain::product::ProductView;
use crate::domain::redemption::{Redemption, RedemptionStatus};
use crate::domain::session::SessionView;
use crate::domain::text::Text;
use crate::domain::withdrawal::Withdrawal;
use crate::domain::{
    AccountId, BatchId, FamilyId, MessageId, Money, OrderId, ProductId, RedemptionId, Seq, Timestamp, UserId,
    WithdrawalId,
};
use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// A value read from the store together with the position that the store had reached in that very snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<T> {
    pub value: T,
    pub watermark: Seq,
}

/// Who opens the store, and with which journal.
#[derive(Clone, Debug)]
pub struct Claim {
    pub journal_id: Uuid,
    /// Shown to whoever is refused because of us: host, process, directory.
    pub holder: String,
    /// The journal holds no record yet, so it may continue a store that another journal released.
    pub journal_is_empty: bool,
    /// Take the store from whatever journal held it, knowingly losing what that journal had not stored yet.
    pub accept_loss: bool,
}

/// The right to write: every write compares the epoch, and a higher one ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub epoch: i64,
    /// The last record that the store has.
    pub watermark: Seq,
}

/// A balance as it was stored, with the keys that its owner has to remember.
#[derive(Clone, Debug)]
pub struct StoredBalance {
    pub view: BalanceView,
    pub keys: Vec<StoredKey>,
    /// Those that have not come to an end.
    pub cards: Vec<Redemption>,
}

/// One unexpired idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredKey {
    pub fingerprint: [u8; 16],
    pub request: [u8; 16],
    pub seq: Seq,
    pub at: Timestamp,
}

/// What a key was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOutcome {
    pub seq: Seq,
    pub outcome: Outcome,
}

/// The ids in use within one directory shard (`(id - 1) % DIRECTORY_SHARDS == shard`); 0 when there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LastIds {
    pub product: u64,
    pub user: u64,
}

/// A page of a list, newest first: at most `limit` rows whose cursor is below `before`.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub limit: u32,
    pub before: Option<u64>,
}

/// A row with its place in the list: the seq that created it, or its version within its entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<T> {
    pub cursor: u64,
    pub value: T,
}

/// Which items are wanted.
#[derive(Clone, Debug, Default)]
pub struct ItemFilter {
    /// A part of the name, whatever its case.
    pub name: Option<String>,
    /// The sku, as written.
    pub sku: Option<String>,
    pub include_deleted: bool,
}

/// Which orders are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrderFilter {
    pub user_id: Option<UserId>,
    pub status: Option<OrderStatus>,
}

/// Which redemption accounts are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountFilter {
    pub status: Option<AccountStatus>,
    pub login: Option<LoginStatus>,
    pub country: Option<Country>,
}

/// Which redemptions are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedemptionFilter {
    pub user_id: Option<UserId>,
    pub status: Option<RedemptionStatus>,
    pub batch_id: Option<BatchId>,
}

/// Cards that were handed in together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    pub user_id: UserId,
    pub total: u32,
    pub cards: HashMap<RedemptionId, BatchCard>,
}

/// What of a card counts for its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchCard {
    pub status: RedemptionStatus,
    pub amount: Option<Money>,
    pub payout: Option<Money>,
}

/// One change of a redemption account, with its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitionRow {
    pub from: AccountStatus,
    pub to: AccountStatus,
    pub login: LoginStatus,
    pub reason: TransitionReason,
    pub redemption_id: Option<RedemptionId>,
    /// What it redeemed, and what was redeemed in all.
    pub amount: i64,
    pub redeemed_total: i64,
    pub version: u64,
    pub at: Timestamp,
}

/// What went wrong with one attempt of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptError {
    pub message_id: MessageId,
    pub attempt: u32,
    pub at: Timestamp,
    pub error: Text,
}

/// One check of an audit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Check {
    pub name: String,
    pub ok: bool,
    /// How much was compared, or the first differences found.
    pub detail: String,
}

/// A product's stored row beside the sum of its stored movements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockSum {
    pub product_id: ProductId,
    pub stock: i64,
    pub version: u64,
    pub moved: i64,
}

/// A database behind the journal. [`Store::acquire`] and [`Store::release`] change who may write, [`Store::apply`] writes
/// records, [`Store::prune_keys`] forgets expired keys; every other method only reads, in one consistent snapshot.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Becomes the one writer: a new epoch, above all earlier ones.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another journal has not released the store (or this one is not empty).
    async fn acquire(&self, claim: &Claim) -> Result<Lease, StoreError>;

    /// Marks the store as fully caught up and free for another, empty journal.
    async fn release(&self, epoch: i64) -> Result<(), StoreError>;

    /// Writes one batch and moves the watermark from `batch.after` to `batch.to`, in one transaction whose first
    /// statement is the compare-and-set on epoch and watermark. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] or [`StoreError::Moved`] from the compare-and-set, and then nothing was written;
    /// [`StoreError::Unavailable`] leaves it open whether the transaction was committed: ask [`Store::position`].
    async fn apply(&self, epoch: i64, batch: &Batch) -> Result<(), StoreError>;

    /// The current epoch and watermark, read over a fresh connection.
    ///
    /// # Errors
    /// [`StoreError::Untaken`] before the first [`Store::acquire`].
    async fn position(&self) -> Result<Lease, StoreError>;

    /// Who took the store last, for messages.
    async fn holder(&self) -> Result<String, StoreError>;

    /// What idempotency keys are hashed with: the id of the first journal that took the store. A later journal goes on with
    /// it, and a store that is made anew from its journal comes to the same.
    async fn fingerprint_key(&self) -> Result<Uuid, StoreError>;

    async fn load_products(&self, ids: &[ProductId]) -> Result<Snapshot<Vec<ProductView>>, StoreError>;
    /// `keys_since`: older keys have expired and are left out.
    async fn load_balances(
        &self,
        ids: &[UserId],
        keys_since: Timestamp,
    ) -> Result<Snapshot<Vec<StoredBalance>>, StoreError>;
    async fn load_sessions(&self, ids: &[FamilyId]) -> Result<Snapshot<Vec<SessionView>>, StoreError>;
    async fn last_ids(&self, shard: ShardId) -> Result<Snapshot<LastIds>, StoreError>;
    /// Families revoked since then, for the set that access tokens are checked against.
    async fn revoked_since(&self, since: Timestamp) -> Result<Snapshot<Vec<FamilyId>>, StoreError>;

    async fn name_holder(&self, name: &UniqueName) -> Result<Snapshot<Option<u64>>, StoreError>;
    /// Those of the names that have a holder, and who that is.
    async fn name_holders(
        &self,
        namespace: Namespace,
        names: &[Arc<str>],
    ) -> Result<Snapshot<HashMap<String, u64>>, StoreError>;
    /// The order with what was returned of it so far; its cursor is the record that placed it.
    async fn order(&self, id: OrderId) -> Result<Snapshot<Option<Row<Order>>>, StoreError>;
    async fn outcome(
        &self,
        caller: UserId,
        fingerprint: [u8; 16],
    ) -> Result<Snapshot<Option<StoredOutcome>>, StoreError>;

    async fn items(
        &self,
        filter: &ItemFilter,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<ProductView>>>, StoreError>;
    async fn movements(&self, id: ProductId, page: Page) -> Result<Snapshot<Vec<Row<Movement>>>, StoreError>;
    /// Users whose name or email contains `query`, whatever its case.
    async fn users(
        &self,
        query: Option<&str>,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<BalanceView>>>, StoreError>;
    async fn entries(&self, id: UserId, page: Page) -> Result<Snapshot<Vec<Row<PostedEntry>>>, StoreError>;
    /// Ends early, behind the order with which there are more than `lines` lines.
    async fn orders(
        &self,
        filter: OrderFilter,
        page: Page,
        lines: usize,
    ) -> Result<Snapshot<Vec<Row<Order>>>, StoreError>;

    /// Orders whose message is open and that were accepted after that record, the oldest first, cut as [`Self::orders`].
    async fn pending_orders(
        &self,
        after: u64,
        limit: u32,
        lines: usize,
    ) -> Result<Snapshot<Vec<Row<Order>>>, StoreError>;
    /// Messages that are not done and were queued after that record, the oldest first.
    async fn open_messages(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Snapshot<Vec<Row<OpenMessage>>>, StoreError>;
    /// Dead letters, the newest first.
    async fn failed_messages(
        &self,
        kind: Option<MessageKind>,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<OpenMessage>>>, StoreError>;
    /// What went wrong with these messages so far, by message and attempt.
    async fn attempt_errors(&self, ids: &[MessageId]) -> Result<Snapshot<Vec<AttemptError>>, StoreError>;
    /// How many messages of each kind were done.
    async fn succeeded_messages(&self) -> Result<Snapshot<BTreeMap<MessageKind, u64>>, StoreError>;

    /// The withdrawal; its cursor is the record that asked for it.
    async fn withdrawal(&self, id: WithdrawalId) -> Result<Snapshot<Option<Row<Withdrawal>>>, StoreError>;
    /// A user's withdrawals, or everybody's, the newest first.
    async fn withdrawals(
        &self,
        user_id: Option<UserId>,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<Withdrawal>>>, StoreError>;
    /// Withdrawals that are pending and were asked for after that record, the oldest first.
    async fn pending_withdrawals(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Snapshot<Vec<Row<Withdrawal>>>, StoreError>;
    /// Distributors, one for each id: who has none stored yet has withdrawn nothing.
    async fn load_distributors(&self, ids: &[UserId]) -> Result<Snapshot<Vec<DistributorView>>, StoreError>;
    /// Distributors that have withdrawn something, of a rank if one is given, by ascending id behind `after`.
    async fn distributors(
        &self,
        rank: Option<Rank>,
        after: UserId,
        limit: u32,
    ) -> Result<Snapshot<Vec<UserId>>, StoreError>;
    /// A distributor's climbs, the newest first; the cursor is the record.
    async fn upgrades(
        &self,
        id: UserId,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<(Upgrade, Timestamp)>>>, StoreError>;
    async fn levels(&self) -> Result<Snapshot<Levels>, StoreError>;

    /// All plans, with the highest number of an account.
    async fn plan_list(&self) -> Result<Snapshot<PlanList>, StoreError>;
    /// Plans, the newest first; the cursor is the record.
    async fn plans(&self, page: Page) -> Result<Snapshot<Vec<Row<Plan>>>, StoreError>;
    async fn load_accounts(&self, ids: &[AccountId]) -> Result<Snapshot<Vec<AccountView>>, StoreError>;
    /// Accounts, the newest first; the cursor is the number.
    async fn accounts(
        &self,
        filter: AccountFilter,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<AccountView>>>, StoreError>;
    /// An account's transitions, the newest first; the cursor is the account's version.
    async fn transitions(
        &self,
        id: AccountId,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<TransitionRow>>>, StoreError>;

    /// Accounts that are free and logged in, behind that number, by number.
    async fn free_accounts(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Snapshot<Vec<Row<AccountView>>>, StoreError>;
    /// Those of the redemptions that there are; the cursor is the place, as in all lists of them.
    async fn redemptions_by_id(
        &self,
        ids: &[RedemptionId],
    ) -> Result<Snapshot<Vec<Row<Redemption>>>, StoreError>;
    /// Redemptions, the newest first.
    async fn redemptions(
        &self,
        filter: RedemptionFilter,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<Redemption>>>, StoreError>;
    /// Redemptions that have not come to an end, behind that place, the oldest first.
    async fn open_redemptions(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Snapshot<Vec<Row<Redemption>>>, StoreError>;
    async fn redemption_batch(&self, id: BatchId) -> Result<Snapshot<Option<StoredBatch>>, StoreError>;

    /// Recomputes stock, money, orders and redemptions from the stored history and compares them with the stored state.
    async fn audit(&self) -> Result<Snapshot<Vec<Check>>, StoreError>;
    /// Up to `limit` products above `after`, in id order, for the drift report.
    async fn stock_sums(&self, after: ProductId, limit: u32) -> Result<Snapshot<Vec<StockSum>>, StoreError>;
    /// Forgets keys older than that.
    async fn prune_keys(&self, epoch: i64, before: Timestamp) -> Result<(), StoreError>;
}
