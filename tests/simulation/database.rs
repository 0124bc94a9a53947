//! The databases below simulated stores. A new one, with its connections and their statements, would cost as much as a run: each
//! is emptied and used again.

use purser::store::sqlite::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Mutex as AsyncMutex;

/// What the databases of all runs live on: their time is real, and nobody in a simulation sees it pass.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("a runtime")
});

/// Those that no run has at the moment.
static RESTING: Mutex<Vec<Database>> = Mutex::new(Vec::new());

/// Removes what rests when it goes itself: nothing else removes the files of a static.
pub struct Removed;

impl Drop for Removed {
    fn drop(&mut self) {
        RESTING.lock().expect("no panic").clear();
    }
}

/// See the module.
pub struct Database {
    pub store: SqliteStore,
    /// A connection beside the store's own.
    pub beside: AsyncMutex<SqliteConnection>,
    /// Makes every table what it was at first.
    emptying: String,
    _directory: TempDir,
}

impl Database {
    /// An empty one.
    pub fn any() -> Self {
        let resting = RESTING.lock().expect("no panic").pop();
        resting.unwrap_or_else(|| RUNTIME.block_on(Self::new()))
    }

    async fn new() -> Self {
        let directory = directory();
        let path = directory.path().join("simulated.db");
        let store = SqliteStore::open(&path).await.expect("a store");
        let mut beside = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path))
            .await
            .expect("a connection");
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
        )
        .fetch_all(&mut beside)
        .await
        .expect("a list");
        let mut emptying = String::from("BEGIN IMMEDIATE;");
        for table in tables {
            let filled: bool =
                sqlx::query_scalar(AssertSqlSafe(format!("SELECT EXISTS (SELECT 1 FROM {table})")))
                    .fetch_one(&mut beside)
                    .await
                    .expect("an answer");
            assert!(!filled, "{table} is not empty to begin with");
            emptying.push_str(&format!("DELETE FROM {table};"));
        }
        emptying.push_str("COMMIT");
        Self { store, beside: AsyncMutex::new(beside), emptying, _directory: directory }
    }

    /// What a SELECT of one text finds; not from within a run.
    pub fn rows(&self, select: &'static str) -> Vec<String> {
        RUNTIME.block_on(async {
            let mut beside = self.beside.lock().await;
            sqlx::query_scalar(select).fetch_all(&mut *beside).await.expect("rows")
        })
    }

    /// Back to the others, as if it were new; one that cannot be emptied goes.
    pub fn rest(self) {
        let emptied = RUNTIME.block_on(async {
            let mut beside = self.beside.lock().await;
            sqlx::raw_sql(AssertSqlSafe(self.emptying.clone())).execute(&mut *beside).await
        });
        if emptied.is_ok() {
            RESTING.lock().expect("no panic").push(self);
        }
    }
}

/// For files of a run: in memory if the system has a place for that, as what they cost is no part of a run.
pub fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory")
}
