//! The production store. One writing connection of its own, reopened after any error and never reused after
//! one; a pool for reading. The database's own time-outs bound every statement, so that no call has to be
//! cancelled from here.

mod accounts;
mod apply;
mod audit;
mod history;
mod lease;
mod list;
mod load;
mod messages;
mod plan;
mod redemptions;
mod withdrawals;

use super::rows::columns;
use super::writer::{Writer, detached, unanswered};
use super::{
    AccountFilter, AccountId, AccountView, Arc, AttemptError, BTreeMap, BalanceView, Batch, BatchId, Check,
    Claim, DistributorView, FamilyId, HashMap, ItemFilter, LastIds, Lease, Levels, MessageId, MessageKind,
    Movement, Namespace, OpenMessage, Order, OrderFilter, OrderId, Page, Plan, PlanList, PostedEntry,
    ProductId, ProductView, Rank, Redemption, RedemptionFilter, RedemptionId, Row, SessionView, ShardId,
    Snapshot, StockSum, Store, StoreError, StoredBalance, StoredBatch, StoredOutcome, Timestamp,
    TransitionRow, UniqueName, Upgrade, UserId, Withdrawal, WithdrawalId, async_trait, numbers,
};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgRow};
use sqlx::{Connection, PgPool};
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;

/// How to use a Postgres server.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Connections for reading, at most.
    pub readers: u32,
    /// For a free reading connection, and for opening one.
    pub acquire_timeout: Duration,
    /// The server ends a statement that takes longer (audits excepted).
    pub statement_timeout: Duration,
    /// The server ends a statement that waits longer for a lock.
    pub lock_timeout: Duration,
    /// The server ends a transaction whose client falls silent, and its locks with it.
    pub idle_in_transaction_timeout: Duration,
    /// A whole call without an end is given up, with its connection: the network swallowed it (audits excepted).
    pub patience: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            readers: 8,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(30),
            patience: Duration::from_mins(2),
        }
    }
}

/// A store in a Postgres database.
pub struct PostgresStore {
    options: PgConnectOptions,
    writer: Writer<PgConnection>,
    readers: PgPool,
    runtime: Handle,
    patience: Duration,
}

columns!(PgRow, fault);

/// Sorts an error by what to do next, from its SQLSTATE.
fn fault(error: sqlx::Error) -> StoreError {
    StoreError::sort(error, |said| {
        let code = said.code().unwrap_or_default();
        let text = format!("{said} (SQLSTATE {code})");
        match &*code {
            // Asked to stop waiting: lock_timeout, statement_timeout.
            "55P03" | "57014" => StoreError::Unavailable(text),
            // Corrupted data or index.
            "XX001" | "XX002" => StoreError::Damaged(text),
            // Connections, authorization at log-in, a database that is not there, transaction state and
            // roll-back, resources, operator intervention, the server's own I/O, its bugs.
            code if ["08", "28", "3D", "25", "26", "40", "53", "57P", "58", "XX"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                StoreError::Unavailable(text)
            }
            _ => StoreError::Refused(text),
        }
    })
}

impl PostgresStore {
    /// Connects, and creates the tables if need be. Must be called on the runtime that the store is to run on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be reached, [`StoreError::Refused`] for a URL or a
    /// role that will not do, [`StoreError::Damaged`] when the tables are those of another program or version.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        let parsed = url.parse::<PgConnectOptions>();
        let base = parsed.map_err(|error| StoreError::Refused(format!("not a Postgres URL: {error}")))?;
        let millis = |time: Duration| time.as_millis().to_string();
        let connect = base.application_name("purser").options([
            ("synchronous_commit", "on".to_owned()),
            ("statement_timeout", millis(options.statement_timeout)),
            ("lock_timeout", millis(options.lock_timeout)),
            ("idle_in_transaction_session_timeout", millis(options.idle_in_transaction_timeout)),
            // The server notices within a minute that we are gone, and frees the engine row.
            ("tcp_keepalives_idle", "30".to_owned()),
            ("tcp_keepalives_interval", "10".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
            ("tcp_user_timeout", "30000".to_owned()),
            // Compiling a plan takes longer than any of these statements.
            ("jit", "off".to_owned()),
        ]);
        let mut setup = PgConnection::connect_with(&connect).await.map_err(fault)?;
        // A migration may take its time, and waits for another engine's.
        let unlimited = sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0");
        unlimited.execute(&mut setup).await.map_err(fault)?;
        let migrated = sqlx::migrate!("migrations/postgres").run(&mut setup).await;
        migrated.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error)
            | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => fault(error),
            other => StoreError::Damaged(format!("the tables cannot be set up: {other}")),
        })?;
        setup.close().await.map_err(fault)?;
        let writer = PgConnection::connect_with(&connect).await.map_err(fault)?;
        let readers = PgPoolOptions::new()
            .max_connections(options.readers)
            .acquire_timeout(options.acquire_timeout)
            .connect_lazy_with(connect.clone());
        let (runtime, patience) = (Handle::current(), options.patience);
        let writer = Writer::new(writer, runtime.clone(), patience);
        Ok(Self { options: connect, writer, readers, runtime, patience })
    }

    /// Waits for the readers and closes all connections.
    pub async fn close(self) -> Result<(), StoreError> {
        let Self { readers, writer, runtime, .. } = self;
        detached(&runtime, async move {
            readers.close().await;
            match writer.into_inner() {
                Some(conn) => conn.close().await.map_err(fault),
                None => Ok(()),
            }
        })
        .await
    }

    fn open_writer(&self) -> impl Future<Output = Result<PgConnection, StoreError>> + Send + 'static {
        let options = self.options.clone();
        async move { PgConnection::connect_with(&options).await.map_err(fault) }
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
        self.patiently(async move { work(load::Reading::begin(&readers).await?).await }).await
    }

    /// Runs a call whose connection is closed wherever it is given up.
    async fn patiently<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let patience = self.patience;
        let bounded = async move {
            let answer = tokio::time::timeout(patience, call).await;
            answer.unwrap_or_else(|_| Err(unanswered(patience)))
        };
        detached(&self.runtime, bounded).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn acquire(&self, claim: &Claim) -> Result<Lease, StoreError> {
        let claim = claim.clone();
        self.writer.run(self.open_writer(), move |conn| Box::pin(lease::acquire(conn, claim))).await
    }

    async fn release(&self, epoch: i64) -> Result<(), StoreError> {
        self.writer.run(self.open_writer(), move |conn| Box::pin(lease::release(conn, epoch))).await
    }

    async fn apply(&self, epoch: i64, batch: &Batch) -> Result<(), StoreError> {
        let plan = plan::Plan::of(batch)?;
        self.writer.run(self.open_writer(), move |conn| Box::pin(apply::run(conn, epoch, plan))).await
    }

    async fn position(&self) -> Result<Lease, StoreError> {
        let options = self.options.clone();
        self.patiently(lease::position(options)).await
    }

    async fn holder(&self) -> Result<String, StoreError> {
        let options = self.options.clone();
        self.patiently(lease::holder(options)).await
    }

    async fn fingerprint_key(&self) -> Result<uuid::Uuid, StoreError> {
        let options = self.options.clone();
        self.patiently(lease::fingerprint_key(options)).await
    }

    async fn load_products(&self, ids: &[ProductId]) -> Result<Snapshot<Vec<ProductView>>, StoreError> {
        let ids = ids.iter().map(|id| numbers::int(id.get())).collect();
        self.read(move |read| load::products(read, ids)).await
    }

    async fn load_balances(
        &self,
        ids: &[UserId],
        keys_since: Timestamp,
    ) -> Result<Snapshot<Vec<StoredBalance>>, StoreError> {
        let ids = ids.iter().map(|id| numbers::int(id.get())).collect();
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
        let readers = self.readers.clone();
        let audit = async move { audit::audit(load::Reading::begin(&readers).await?).await };
        detached(&self.runtime, audit).await
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
