//! What can go wrong with a store, told apart by what one must do next.

use crate::domain::Seq;
use thiserror::Error;

/// A failed store call.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Connection, time-out, deadlock, serialization: the same call may succeed later. A write may have happened.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The lease went to a higher epoch: this engine must halt.
    #[error("the store was taken over under epoch {epoch} by {holder}")]
    Fenced { epoch: i64, holder: String },
    /// The watermark is not where the batch begins: read it and go on from there.
    #[error("the store is at record {watermark}, not where the batch begins")]
    Moved { watermark: Seq },
    /// Another journal has the store and has not released it.
    #[error("the store is held by {holder} since {since} under another journal")]
    Held { holder: String, since: String },
    /// No engine has taken the store yet: it has no epoch, and no record.
    #[error("no engine has taken the store yet")]
    Untaken,
    /// The store refused the data, for example by a constraint: never skipped, write-behind stops with an alarm.
    #[error("the store refused the data: {0}")]
    Refused(String),
    /// Stored data that cannot be read back.
    #[error("the stored data is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Sorts a driver's error: what the database itself said is for `judge`, a value that cannot be decoded is
    /// damage, and all else (sockets, TLS, pools) may pass.
    pub(super) fn sort(error: sqlx::Error, judge: fn(&dyn sqlx::error::DatabaseError) -> Self) -> Self {
        match &error {
            sqlx::Error::Database(said) => judge(said.as_ref()),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::TypeNotFound { .. } => Self::Damaged(error.to_string()),
            sqlx::Error::Encode(_) => Self::Refused(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }

    /// The error of a refused claim.
    pub(super) fn held(holder: String, since_micros: i64) -> Self {
        let since = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(since_micros) * 1_000).ok();
        let format = &time::format_description::well_known::Rfc3339;
        let since =
            since.and_then(|since| since.format(format).ok()).unwrap_or_else(|| "an unknown time".into());
        Self::Held { holder, since }
    }
}
