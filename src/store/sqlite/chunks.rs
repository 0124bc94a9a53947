//! Many rows per statement: each execute crosses a channel to the connection's thread, so single-row statements
//! would be far too slow. One JSON value through `json_each` took 1.7 times as long per row. Only sizes that are
//! powers of two occur, so the statement cache holds them all.

use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, Type};

use super::fault;
use crate::store::StoreError;

/// Rows of the largest statement. Measured: larger ones are not faster, and 256 rows stay far below SQLite's 32,766
/// parameters.
const LARGEST: usize = 256;

/// One statement with its values.
pub struct Step {
    sql: String,
    values: SqliteArguments,
    /// How many rows it must touch, and of what, when fewer mean that the store does not fit the journal.
    expected: Option<(u64, &'static str)>,
}

/// The values of one statement, row after row.
#[derive(Default)]
pub struct Values {
    list: SqliteArguments,
    failure: Option<String>,
}

impl Values {
    /// Adds the next column's value; a failure shows when the statement is put together.
    pub fn add<'v, T: Encode<'v, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Err(error) = self.list.add(value) {
            self.failure = Some(error.to_string());
        }
        self
    }
}

/// A statement around a list of rows.
pub struct Template {
    pub head: &'static str,
    pub columns: usize,
    pub tail: &'static str,
    /// What a missing row would be, when every row must be found.
    pub every: Option<&'static str>,
}

/// Splits `rows` into statements.
pub fn split<R>(
    steps: &mut Vec<Step>,
    template: &Template,
    mut rows: impl ExactSizeIterator<Item = R>,
    add: impl Fn(&mut Values, R),
) -> Result<(), StoreError> {
    while rows.len() > 0 {
        // The largest power of two that is left, at most `LARGEST`.
        let size = LARGEST.min(1 << rows.len().ilog2());
        let mut values = Values::default();
        values.list.reserve(size * template.columns, 0);
        for row in rows.by_ref().take(size) {
            add(&mut values, row);
        }
        if let Some(failure) = values.failure {
            return Err(StoreError::Refused(failure));
        }
        let expected = template.every.map(|what| (size as u64, what));
        steps.push(Step { sql: template.sql(size), values: values.list, expected });
    }
    Ok(())
}

impl Template {
    fn sql(&self, rows: usize) -> String {
        let row = format!("({}?)", "?,".repeat(self.columns - 1));
        let mut sql = String::with_capacity(self.head.len() + self.tail.len() + (row.len() + 1) * rows);
        sql.push_str(self.head);
        for index in 0..rows {
            if index > 0 {
                sql.push(',');
            }
            sql.push_str(&row);
        }
        sql.push_str(self.tail);
        sql
    }
}

impl Step {
    /// A statement without values.
    pub fn bare(sql: &'static str) -> Self {
        Self { sql: sql.to_owned(), values: SqliteArguments::default(), expected: None }
    }

    pub async fn run(self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        // The text is one of the templates with question marks in it; all values are bound.
        let done =
            sqlx::query_with(AssertSqlSafe(self.sql), self.values).execute(conn).await.map_err(fault)?;
        match self.expected {
            Some((rows, what)) if done.rows_affected() != rows => Err(StoreError::Refused(format!(
                "{} of {rows} {what} are not in the store",
                rows.saturating_sub(done.rows_affected())
            ))),
            _ => Ok(()),
        }
    }
}
