//! A store that takes nothing in for as long as a test wants, and can be read all the while.

use super::server::Server;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::{Builder, Runtime};

/// Holds up every write to a server's store until it is dropped.
pub struct Standstill {
    runtime: Runtime,
    lock: Lock,
}

enum Lock {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Standstill {
    #[track_caller]
    pub fn of(server: &Server) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let lock = match server.database_url() {
            None => runtime.block_on(async {
                let options = SqliteConnectOptions::new().filename(server.data_dir().join("store.db"));
                let mut sql = SqliteConnection::connect_with(&options).await.expect("the store");
                sql.execute("BEGIN IMMEDIATE").await.expect("the write lock");
                Lock::Sqlite(sql)
            }),
            Some(url) => runtime.block_on(async {
                let mut sql = PgConnection::connect(url).await.expect("the store");
                // Every batch begins with a write to this table.
                let lock = sqlx::raw_sql("BEGIN; LOCK TABLE engine IN EXCLUSIVE MODE");
                sql.execute(lock).await.expect("the lock");
                Lock::Postgres(sql)
            }),
        };
        Self { runtime, lock }
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        // Closing the connection would end it too, a moment later.
        let _ = match &mut self.lock {
            Lock::Sqlite(sql) => self.runtime.block_on(sql.execute("ROLLBACK")).map(drop),
            Lock::Postgres(sql) => self.runtime.block_on(sql.execute("ROLLBACK")).map(drop),
        };
    }
}
