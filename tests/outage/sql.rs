//! A session of our own in the database behind the server.

use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::{Builder, Runtime};

pub struct Sql {
    runtime: Runtime,
    connection: PgConnection,
}

impl Sql {
    pub fn connect(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connection = runtime.block_on(PgConnection::connect(url)).expect("a connection");
        Self { runtime, connection }
    }

    /// Runs one or more statements.
    pub fn run(&mut self, text: &'static str) {
        self.runtime.block_on(self.connection.execute(sqlx::raw_sql(text))).expect(text);
    }

    /// Runs one statement with values.
    pub fn run_with(&mut self, text: &'static str, values: &[&str]) {
        let query = values.iter().fold(sqlx::query(text), |query, value| query.bind(*value));
        self.runtime.block_on(query.execute(&mut self.connection)).expect(text);
    }

    /// The one number that a query finds.
    pub fn number(&mut self, text: &'static str) -> i64 {
        self.runtime.block_on(sqlx::query_scalar(text).fetch_one(&mut self.connection)).expect(text)
    }

    /// Sessions in this database that wait for a lock.
    pub fn waiting(&mut self) -> i64 {
        self.number(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
    }

    /// The last record that the store has.
    pub fn watermark(&mut self) -> i64 {
        self.number("SELECT watermark FROM engine")
    }

    /// Ends every session that the server has in this database, the writing one among them. How many there were.
    pub fn terminate_the_server(&mut self) -> i64 {
        self.number(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'purser'",
        )
    }

    /// Ends the session that writes, if it is in the middle of a transaction that has written something. How many there were.
    pub fn terminate_the_writer(&mut self) -> i64 {
        self.number(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'purser' AND backend_xid IS NOT NULL",
        )
    }
}
