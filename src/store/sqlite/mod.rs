//! The embedded store: one SQLite file in the data directory. One writing connection, a few reading ones; WAL,
//! so that they do not wait for each other, and synchronous=FULL, so that a commit is on disk when it returns.

mod accounts;
mod apply;
mod audit;
mod chunks;
mod lease;
mod list;
mod load;
mod messages;
mod redemptions;
mod withdrawals;

use super::rows::columns;
use super::writer::{Writer, detached};
use super::{
    AccountFilter, AccountId, AccountView, Arc, AttemptError, BTreeMap, BalanceView, Batch, BatchId, Check,
    Claim, DistributorView, FamilyId, HashMap, ItemFilter, LastIds, Lease, Levels, MessageId, MessageKind,
    Movement, Namespace, OpenMessage, Order, OrderFilter, OrderId, Page, Plan, PlanList, PostedEntry,
    ProductId, ProductView, Rank, Redemption, RedemptionFilter, RedemptionId, Row, SessionView, ShardId,
    Snapshot, StockSum, Store, StoreError, StoredBalance, StoredBatch, StoredOutcome, Timestamp,
    TransitionRow, UniqueName, Upgrade, UserId, Withdrawal, WithdrawalId, async_trait,
};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Connection, SqlitePool};
use std::future::Future;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Handle;

/// 3.51.3 is the first release without the WAL-reset race that could lose committed pages.
const LEAST_VERSION: (u32, u32, u32) = (3, 51, 3);
const BUSY: Duration = Duration::from_secs(10);
const READERS: u32 = 4;
/// No statement of a batch takes long; a disk that does not answer for so long counts as unavailable.
const PATIENCE: Duration = Duration::from_mins(5);

/// A store in one SQLite file.
pub struct SqliteStore {
    options: SqliteConnectOptions,
    writer: Writer<SqliteConnection>,
    readers: SqlitePool,
    runtime: Handle,
}

columns!(SqliteRow, fault);

/// Sorts an error by what to do next.
fn fault(error: sqlx::Error) -> StoreError {
    StoreError::sort(error, |said| {
        let text = said.to_string();
        // The low byte of an extended result code is the primary one.
        let code = said.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default() & 0xff;
        match code {
            // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL
            5 | 6 | 7 | 8 | 9 | 10 | 13 | 14 | 15 => StoreError::Unavailable(text),
            // CORRUPT, NOTADB
            11 | 26 => StoreError::Damaged(text),
            _ => StoreError::Refused(text),
        }
    })
}

impl SqliteStore {
    /// Opens the file, creating it (readable by its owner only) and its tables if need be. Must be called on
    /// the runtime that the store is to run on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file cannot be opened, [`StoreError::Damaged`] when it is no
    /// database or one of another program or version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        create_private(path).map_err(|error| {
            StoreError::Unavailable(format!("{} cannot be created: {error}", path.display()))
        })?;
        let common = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .foreign_keys(false)
            .busy_timeout(BUSY)
            .pragma("temp_store", "memory");
        let options = common
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", "-65536")
            // Checkpoints of 32 MiB write a hot page once instead of many times.
            .pragma("wal_autocheckpoint", "8192")
            .pragma("journal_size_limit", "67108864");
        let mut conn = SqliteConnection::connect_with(&options).await.map_err(fault)?;
        check_version(&mut conn).await?;
        let migrated = sqlx::migrate!("migrations/sqlite").run(&mut conn).await;
        migrated.map_err(|error| StoreError::Damaged(format!("the tables cannot be set up: {error}")))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY)
            .test_before_acquire(false)
            .connect_lazy_with(common.read_only(true));
        let runtime = Handle::current();
        Ok(Self { options, writer: Writer::new(conn, runtime.clone(), PATIENCE), readers, runtime })
    }

    /// Waits for the readers and closes the file, which also folds the WAL back into it.
    pub async fn close(self) -> Result<(), StoreError> {
        self.readers.close().await;
        match self.writer.into_inner() {
            Some(conn) => detached(&self.runtime, async move { conn.close().await.map_err(fault) }).await,
            None => Ok(()),
        }
    }

    fn open_writer(&self) -> impl Future<Output = Result<SqliteConnection, StoreError>> + Send + 'static {
        let options = self.options.clone();
        async move { SqliteConnection::connect_with(&options).await.map_err(fault) }
    }

    /// Runs one reading call in one snapshot.
    async fn read<T, F>(
        &self,
        work: impl FnOnce(load::Reading) -> F + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let readers = self.readers.clone();
        detached(&self.runtime, async move { work(load::Reading::begin(&readers).await?).await }).await
    }
}

/// The store holds password hashes, so nobody else may read it; SQLite gives its WAL the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

async fn check_version(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(conn).await.map_err(fault)?;
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    if (part(), part(), part()) < LEAST_VERSION {
        return Err(StoreError::Unavailable(format!("SQLite {version} is too old; 3.51.3 is needed")));
    }
    Ok(())
}

#[async_trait]
impl Store for SqliteStore {
    async fn acquire(&self, claim: &Claim) -> Result<Lease, StoreError> {
        let claim = claim.clone();
        self.writer.run(self.open_writer(), move |conn| Box::pin(lease::acquire(conn, claim))).await
    }

    async fn release(&self, epoch: i64) -> Result<(), StoreError> {
        self.writer.run(self.open_writer(), move |conn| Box::pin(lease::release(conn, epoch))).await
    }

    async fn apply(&self, epoch: i64, batch: &Batch) -> Result<(), StoreError> {
        let plan = apply::Plan::of(batch)?;
        self.writer.run(self.open_writer(), move |conn| Box::pin(apply::run(conn, epoch, plan))).await
    }

    async fn position(&self) -> Result<Lease, StoreError> {
        let options = self.options.clone();
        detached(&self.runtime, lease::position(options)).await
    }

    async fn holder(&self) -> Result<String, StoreError> {
        let options = self.options.clone();
        detached(&self.runtime, lease::holder(options)).await
    }

    async fn fingerprint_key(&self) -> Result<uuid::Uuid, StoreError> {
        let options = self.options.clone();
        detached(&self.runtime, lease::fingerprint_key(options)).await
    }

    async fn load_products(&self, ids: &[ProductId]) -> Result<Snapshot<Vec<ProductView>>, StoreError> {
        let ids = ids.iter().map(|id| id.get()).collect();
        self.read(move |read| load::products(read, ids)).await
    }

    async fn load_balances(
        &self,
        ids: &[UserId],
        keys_since: Timestamp,
    ) -> Result<Snapshot<Vec<StoredBalance>>, StoreError> {
        let ids = ids.iter().map(|id| id.get()).collect();
        self.read(move |read| load::balances(read, ids, keys_since)).await
    }

    async fn load_sessions(&self, ids: &[FamilyId]) -> Result<Snapshot<Vec<SessionView>>, StoreError> {
        let ids = ids.iter().map(|id| id.get()).collect();
        self.read(move |read| load::sessions(read, ids)).await
    }

    async fn last_ids(&self, shard: ShardId) -> Result<Snapshot<LastIds>, StoreError> {
        self.read(move |read| load::last_ids(read, shard)).await
    }

    async fn revoked_since(&self, since: Timestamp) -> Result<Snapshot<Vec<FamilyId>>, StoreError> {
        self.read(move |read| load::revoked_since(read, since)).await
    }

    async fn name_holder(&self, name: &UniqueName) -> Result<Snapshot<Option<u64>>, StoreError> {
        let name = name.clone();
        self.read(move |read| load::name_holder(read, name)).await
    }

    async fn order(&self, id: OrderId) -> Result<Snapshot<Option<Row<Order>>>, StoreError> {
        self.read(move |read| list::order(read, id)).await
    }

    async fn name_holders(
        &self,
        namespace: Namespace,
        names: &[Arc<str>],
    ) -> Result<Snapshot<HashMap<String, u64>>, StoreError> {
        let names = names.iter().map(ToString::to_string).collect();
        self.read(move |read| load::name_holders(read, namespace, names)).await
    }

    async fn outcome(
        &self,
        caller: UserId,
        fingerprint: [u8; 16],
    ) -> Result<Snapshot<Option<StoredOutcome>>, StoreError> {
        self.read(move |read| load::outcome(read, caller, fingerprint)).await
    }

    async fn items(
        &self,
        filter: &ItemFilter,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<ProductView>>>, StoreError> {
        let filter = filter.clone();
        self.read(move |read| list::items(read, filter, page)).await
    }

    async fn movements(&self, id: ProductId, page: Page) -> Result<Snapshot<Vec<Row<Movement>>>, StoreError> {
        self.read(move |read| list::movements(read, id, page)).await
    }

    async fn users(
        &self,
        query: Option<&str>,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<BalanceView>>>, StoreError> {
        let query = query.map(str::to_lowercase);
        self.read(move |read| list::users(read, query, page)).await
    }

    async fn entries(&self, id: UserId, page: Page) -> Result<Snapshot<Vec<Row<PostedEntry>>>, StoreError> {
        self.read(move |read| list::entries(read, id, page)).await
    }

    async fn orders(
        &self,
        filter: OrderFilter,
        page: Page,
        lines: usize,
    ) -> Result<Snapshot<Vec<Row<Order>>>, StoreError> {
        self.read(move |read| list::orders(read, filter, page, lines)).await
    }

    async fn pending_orders(
        &self,
        after: u64,
        limit: u32,
        lines: usize,
    ) -> Result<Snapshot<Vec<Row<Order>>>, StoreError> {
        self.read(move |read| list::pending_orders(read, after, limit, lines)).await
    }

    async fn open_messages(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Snapshot<Vec<Row<OpenMessage>>>, StoreError> {
        self.read(move |read| messages::open(read, after, limit)).await
    }

    async fn failed_messages(
        &self,
        kind: Option<MessageKind>,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<OpenMessage>>>, StoreError> {
        self.read(move |read| messages::failed(read, kind, page)).await
    }

    async fn attempt_errors(&self, ids: &[MessageId]) -> Result<Snapshot<Vec<AttemptError>>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |read| messages::errors(read, ids)).await
    }

    async fn succeeded_messages(&self) -> Result<Snapshot<BTreeMap<MessageKind, u64>>, StoreError> {
        self.read(messages::succeeded).await
    }

    async fn withdrawal(&self, id: WithdrawalId) -> Result<Snapshot<Option<Row<Withdrawal>>>, StoreError> {
        self.read(move |read| withdrawals::one(read, id)).await
    }

    async fn withdrawals(
        &self,
        user_id: Option<UserId>,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<Withdrawal>>>, StoreError> {
        self.read(move |read| withdrawals::list(read, user_id, page)).await
    }

    async fn pending_withdrawals(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Snapshot<Vec<Row<Withdrawal>>>, StoreError> {
        self.read(move |read| withdrawals::pending(read, after, limit)).await
    }

    async fn load_distributors(&self, ids: &[UserId]) -> Result<Snapshot<Vec<DistributorView>>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |read| withdrawals::load_distributors(read, ids)).await
    }

    async fn distributors(
        &self,
        rank: Option<Rank>,
        after: UserId,
        limit: u32,
    ) -> Result<Snapshot<Vec<UserId>>, StoreError> {
        self.read(move |read| withdrawals::distributors(read, rank, after, limit)).await
    }

    async fn upgrades(
        &self,
        id: UserId,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<(Upgrade, Timestamp)>>>, StoreError> {
        self.read(move |read| withdrawals::upgrades(read, id, page)).await
    }

    async fn levels(&self) -> Result<Snapshot<Levels>, StoreError> {
        self.read(withdrawals::levels).await
    }

    async fn plan_list(&self) -> Result<Snapshot<PlanList>, StoreError> {
        self.read(accounts::plan_list).await
    }

    async fn plans(&self, page: Page) -> Result<Snapshot<Vec<Row<Plan>>>, StoreError> {
        self.read(move |read| accounts::plans(read, page)).await
    }

    async fn load_accounts(&self, ids: &[AccountId]) -> Result<Snapshot<Vec<AccountView>>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |read| accounts::load(read, ids)).await
    }

    async fn accounts(
        &self,
        filter: AccountFilter,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<AccountView>>>, StoreError> {
        self.read(move |read| accounts::list(read, filter, page)).await
    }

    async fn transitions(
        &self,
        id: AccountId,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<TransitionRow>>>, StoreError> {
        self.read(move |read| accounts::transitions(read, id, page)).await
    }

    async fn free_accounts(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Snapshot<Vec<Row<AccountView>>>, StoreError> {
        self.read(move |read| accounts::free(read, after, limit)).await
    }

    async fn redemptions_by_id(
        &self,
        ids: &[RedemptionId],
    ) -> Result<Snapshot<Vec<Row<Redemption>>>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |read| redemptions::by_id(read, ids)).await
    }

    async fn redemptions(
        &self,
        filter: RedemptionFilter,
        page: Page,
    ) -> Result<Snapshot<Vec<Row<Redemption>>>, StoreError> {
        self.read(move |read| redemptions::list(read, filter, page)).await
    }

    async fn open_redemptions(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Snapshot<Vec<Row<Redemption>>>, StoreError> {
        self.read(move |read| redemptions::open(read, after, limit)).await
    }

    async fn redemption_batch(&self, id: BatchId) -> Result<Snapshot<Option<StoredBatch>>, StoreError> {
        self.read(move |read| redemptions::batch(read, id)).await
    }

    async fn audit(&self) -> Result<Snapshot<Vec<Check>>, StoreError> {
        self.read(audit::audit).await
    }

    async fn stock_sums(&self, after: ProductId, limit: u32) -> Result<Snapshot<Vec<StockSum>>, StoreError> {
        self.read(move |read| audit::stock_sums(read, after, limit)).await
    }

    async fn prune_keys(&self, epoch: i64, before: Timestamp) -> Result<(), StoreError> {
        while self
            .writer
            .run(self.open_writer(), move |conn| Box::pin(lease::prune_some_keys(conn, epoch, before)))
            .await?
        {}
        Ok(())
    }
}
