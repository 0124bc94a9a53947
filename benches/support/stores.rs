//! Stores, filled without an engine and handed over to one.

use purser::domain::{Record, Seq};
use purser::engine::{EngineOptions, StoreChoice};
use purser::store::postgres::{PostgresOptions, PostgresStore};
use purser::store::sqlite::SqliteStore;
use purser::store::{Batch, Claim, Lease, Store};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// Records per batch, as the engine's write-behind has it by default.
pub const BATCH: usize = 10_000;

/// Where a store is.
#[derive(Clone, Debug)]
pub enum Target {
    /// In this engine's data directory.
    Sqlite(PathBuf),
    /// At this URL.
    Postgres(String),
}

impl Target {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "Postgres",
        }
    }
}

/// A store with its lease.
pub struct Opened {
    store: Kind,
    pub lease: Lease,
}

enum Kind {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Opened {
    /// Opens a new store and becomes its writer.
    pub async fn new(target: &Target) -> anyhow::Result<Self> {
        let store = match target {
            Target::Sqlite(directory) => Kind::Sqlite(SqliteStore::open(&directory.join("store.db")).await?),
            Target::Postgres(url) => {
                Kind::Postgres(PostgresStore::connect(url, PostgresOptions::default()).await?)
            }
        };
        let claim = Claim {
            journal_id: Uuid::now_v7(),
            holder: "a benchmark".into(),
            journal_is_empty: true,
            accept_loss: false,
        };
        let lease = store.as_dyn().acquire(&claim).await?;
        Ok(Self { store, lease })
    }

    /// Writes records in batches.
    pub async fn fill(&mut self, mut records: impl Iterator<Item = Record>) -> anyhow::Result<()> {
        loop {
            let chunk: Vec<Record> = records.by_ref().take(BATCH).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            self.apply(&chunk).await?;
        }
    }

    /// Writes records as one batch.
    pub async fn apply(&mut self, records: &[Record]) -> anyhow::Result<()> {
        let batch = Batch::of(self.lease.watermark, records);
        self.store.as_dyn().apply(self.lease.epoch, &batch).await?;
        self.lease.watermark = batch.to;
        Ok(())
    }

    /// Fails unless the store's own audit finds everything in order.
    pub async fn audit(&self) -> anyhow::Result<()> {
        let checks = self.store.as_dyn().audit().await?.value;
        match checks.iter().find(|check| !check.ok) {
            Some(failed) => anyhow::bail!("the audit found {}: {}", failed.name, failed.detail),
            None => Ok(()),
        }
    }

    /// Closes the store, free for an engine with an empty journal.
    pub async fn hand_over(self) -> anyhow::Result<Seq> {
        self.store.as_dyn().release(self.lease.epoch).await?;
        match self.store {
            Kind::Sqlite(store) => store.close().await?,
            Kind::Postgres(store) => store.close().await?,
        }
        Ok(self.lease.watermark)
    }
}

impl Kind {
    fn as_dyn(&self) -> &dyn Store {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        }
    }
}

/// The defaults for an engine on this store, with no bound to its backlog.
pub fn options_of(target: &Target, data: &Path) -> EngineOptions {
    let mut options = EngineOptions::embedded(data);
    if let Target::Postgres(url) = target {
        options.store =
            StoreChoice::Postgres { url: url.clone(), readers: 8, connect_timeout: Duration::from_secs(10) };
    }
    options.backlog_records_max = u64::MAX;
    options.backlog_bytes_max = u64::MAX;
    options
}
