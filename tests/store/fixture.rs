//! A fresh store of either kind, with a back door for tampering and for looking at whole tables.

use crate::private_postgres::PrivatePostgres;
use purser::domain::Record;
use purser::store::postgres::{PostgresOptions, PostgresStore};
use purser::store::sqlite::SqliteStore;
use purser::store::{Batch, Check, Claim, Lease, Store, StoreError};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::sync::Arc;
use uuid::Uuid;

pub const TABLES: [&str; 25] = [
    "products",
    "movements",
    "users",
    "balances",
    "entries",
    "orders",
    "order_lines",
    "returns",
    "return_lines",
    "sessions",
    "names",
    "keys",
    "messages",
    "message_errors",
    "message_counts",
    "withdrawals",
    "distributors",
    "upgrades",
    "levels",
    "plans",
    "accounts",
    "transitions",
    "redemptions",
    "redemption_batches",
    "engine",
];

enum Place {
    Sqlite(tempfile::TempDir),
    Postgres { _server: Arc<PrivatePostgres>, url: String },
}

pub struct Fixture {
    pub store: Arc<dyn Store>,
    place: Place,
}

pub fn claim() -> Claim {
    Claim {
        journal_id: Uuid::from_u128(7),
        holder: "test".into(),
        journal_is_empty: true,
        accept_loss: false,
    }
}

impl Fixture {
    pub async fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = SqliteStore::open(&dir.path().join("store.db")).await.expect("the store opens");
        Self { store: Arc::new(store), place: Place::Sqlite(dir) }
    }

    pub async fn postgres() -> Self {
        let start = || {
            let server = PrivatePostgres::shared();
            let url = server.create_database();
            (server, url)
        };
        let (server, url) = tokio::task::spawn_blocking(start).await.expect("a private Postgres");
        let store = PostgresStore::connect(&url, PostgresOptions::default()).await.expect("the store opens");
        Self { store: Arc::new(store), place: Place::Postgres { _server: server, url } }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Sqlite(_))
    }

    /// Another, new store of the same kind.
    pub async fn sibling(&self) -> Self {
        match self.place {
            Place::Sqlite(_) => Self::sqlite().await,
            Place::Postgres { .. } => Self::postgres().await,
        }
    }

    /// A second engine on the same database.
    pub async fn reopened(&self) -> Arc<dyn Store> {
        match &self.place {
            Place::Sqlite(dir) => {
                Arc::new(SqliteStore::open(&dir.path().join("store.db")).await.expect("it opens again"))
            }
            Place::Postgres { url, .. } => Arc::new(
                PostgresStore::connect(url, PostgresOptions::default()).await.expect("it opens again"),
            ),
        }
    }

    pub async fn acquired(&self) -> Lease {
        self.store.acquire(&claim()).await.expect("a free store is acquired")
    }

    /// Writes records in batches of at most `size`.
    pub async fn write(&self, lease: Lease, records: &[Record], size: usize) {
        let mut after = lease.watermark;
        for chunk in records.chunks(size) {
            let batch = Batch::of(after, chunk);
            self.store.apply(lease.epoch, &batch).await.expect("the batch is written");
            after = batch.to;
        }
    }

    pub async fn holding(self, records: &[Record]) -> Self {
        let lease = self.acquired().await;
        self.write(lease, records, usize::MAX).await;
        self
    }

    /// As good as a sibling, and made sooner.
    pub async fn emptied(self) -> Self {
        self.tamper(&TABLES.map(|table| format!("DELETE FROM {table};")).concat()).await;
        self
    }

    pub async fn audit(&self) -> Vec<Check> {
        self.store.audit().await.expect("the audit runs").value
    }

    /// Statements behind the store's back.
    pub async fn tamper(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.place {
            Place::Sqlite(dir) => {
                let url = format!("sqlite://{}", dir.path().join("store.db").display());
                let mut conn = sqlx::SqliteConnection::connect(&url).await.expect("a back door");
                sqlx::raw_sql(sql).execute(&mut conn).await.expect("the tampering works");
            }
            Place::Postgres { url, .. } => {
                let mut conn = sqlx::PgConnection::connect(url).await.expect("a back door");
                sqlx::raw_sql(sql).execute(&mut conn).await.expect("the tampering works");
            }
        }
    }

    /// Every row of every table, as text, in an order of its own.
    pub async fn tables(&self) -> Vec<(String, Vec<String>)> {
        let mut all = Vec::new();
        for table in TABLES {
            let mut rows: Vec<String> = match &self.place {
                Place::Sqlite(dir) => {
                    let url = format!("sqlite://{}", dir.path().join("store.db").display());
                    let mut conn = sqlx::SqliteConnection::connect(&url).await.expect("a back door");
                    let columns: String = sqlx::query_scalar(
                        "SELECT string_agg('quote(' || name || ')', ' || '','' || ') FROM pragma_table_info(?)
                         WHERE name <> 'acquired_at'",
                    )
                    .bind(table)
                    .fetch_one(&mut conn)
                    .await
                    .expect("the columns");
                    let sql = AssertSqlSafe(format!("SELECT {columns} FROM {table}"));
                    let rows = sqlx::query(sql).fetch_all(&mut conn).await.expect("the rows");
                    rows.iter().map(|row| row.get(0)).collect()
                }
                Place::Postgres { url, .. } => {
                    let mut conn = sqlx::PgConnection::connect(url).await.expect("a back door");
                    let sql = format!("SELECT (to_jsonb(t) - 'acquired_at')::text FROM {table} t");
                    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut conn).await.expect("the rows");
                    rows.iter().map(|row| row.get(0)).collect()
                }
            };
            rows.sort();
            all.push((table.to_owned(), rows));
        }
        all
    }
}

/// The name of an error's kind, for short assertions.
pub fn kind<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(StoreError::Unavailable(_)) => "unavailable",
        Err(StoreError::Fenced { .. }) => "fenced",
        Err(StoreError::Moved { .. }) => "moved",
        Err(StoreError::Held { .. }) => "held",
        Err(StoreError::Untaken) => "untaken",
        Err(StoreError::Refused(_)) => "refused",
        Err(StoreError::Damaged(_)) => "damaged",
    }
}
