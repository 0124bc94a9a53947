//! Who may write: the engine row, taken and given back in transactions of their own.

use super::fault;
use crate::domain::Timestamp;
use crate::store::numbers::seq;
use crate::store::rows::Columns;
use crate::store::{Claim, Lease, StoreError};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

/// Expired keys forgotten per transaction, so that batches do not wait long.
const PRUNED_AT_ONCE: i64 = 5_000;

pub async fn acquire(conn: &mut SqliteConnection, claim: Claim) -> Result<Lease, StoreError> {
    begin(conn).await?;
    let row = sqlx::query(
        "SELECT journal_id, epoch, watermark, holder, released, acquired_at, fingerprint_key FROM engine",
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(fault)?;
    let (epoch, watermark, fingerprint_key) = match row {
        None => (1, 0, claim.journal_id),
        Some(row) => {
            let ours = row.uuid("journal_id")? == claim.journal_id;
            let free = row.int("released")? == 1 && claim.journal_is_empty;
            if !(ours || free || claim.accept_loss) {
                rollback(conn).await?;
                return Err(StoreError::held(row.text("holder")?, row.int("acquired_at")?));
            }
            (row.int("epoch")? + 1, row.int("watermark")?, row.uuid("fingerprint_key")?)
        }
    };
    sqlx::query(
        "INSERT OR REPLACE INTO engine (id, journal_id, epoch, watermark, holder, fingerprint_key, released,
             acquired_at)
         VALUES (1, ?, ?, ?, ?, ?, 0, CAST(unixepoch('subsec') * 1000000 AS INTEGER))",
    )
    .bind(claim.journal_id)
    .bind(epoch)
    .bind(watermark)
    .bind(claim.holder)
    .bind(fingerprint_key)
    .execute(&mut *conn)
    .await
    .map_err(fault)?;
    commit(conn).await?;
    Ok(Lease { epoch, watermark: seq(watermark) })
}

pub async fn release(conn: &mut SqliteConnection, epoch: i64) -> Result<(), StoreError> {
    let released = sqlx::query("UPDATE engine SET released = 1 WHERE id = 1 AND epoch = ?")
        .bind(epoch)
        .execute(&mut *conn)
        .await
        .map_err(fault)?;
    if released.rows_affected() == 0 { Err(fenced(conn).await?) } else { Ok(()) }
}

pub async fn position(options: SqliteConnectOptions) -> Result<Lease, StoreError> {
    Ok(standing(options).await?.0)
}

pub async fn holder(options: SqliteConnectOptions) -> Result<String, StoreError> {
    Ok(standing(options).await?.1)
}

pub async fn fingerprint_key(options: SqliteConnectOptions) -> Result<uuid::Uuid, StoreError> {
    let mut conn = SqliteConnection::connect_with(&options).await.map_err(fault)?;
    let row =
        sqlx::query("SELECT fingerprint_key FROM engine").fetch_optional(&mut conn).await.map_err(fault)?;
    conn.close().await.map_err(fault)?;
    row.ok_or(StoreError::Untaken)?.uuid("fingerprint_key")
}

/// Over a connection of its own: an earlier one may be the very thing that is in doubt.
async fn standing(options: SqliteConnectOptions) -> Result<(Lease, String), StoreError> {
    let mut conn = SqliteConnection::connect_with(&options).await.map_err(fault)?;
    let row = current(&mut conn).await?;
    conn.close().await.map_err(fault)?;
    row.ok_or(StoreError::Untaken)
}

/// Forgets some keys; says whether there may be more.
pub async fn prune_some_keys(
    conn: &mut SqliteConnection,
    epoch: i64,
    before: Timestamp,
) -> Result<bool, StoreError> {
    begin(conn).await?;
    match current(conn).await? {
        Some((lease, _)) if lease.epoch == epoch => {}
        _ => {
            let error = fenced(conn).await?;
            rollback(conn).await?;
            return Err(error);
        }
    }
    // Rows are appended in the order of time, so the expired ones are the first.
    let pruned = sqlx::query(
        "DELETE FROM keys WHERE created_at < ? AND rowid IN (SELECT rowid FROM keys ORDER BY rowid LIMIT ?)",
    )
    .bind(before.micros())
    .bind(PRUNED_AT_ONCE)
    .execute(&mut *conn)
    .await
    .map_err(fault)?;
    commit(conn).await?;
    Ok(pruned.rows_affected() > 0)
}

/// The lease with its holder.
pub async fn current(conn: &mut SqliteConnection) -> Result<Option<(Lease, String)>, StoreError> {
    let row = sqlx::query("SELECT epoch, watermark, holder FROM engine").fetch_optional(conn).await;
    match row.map_err(fault)? {
        None => Ok(None),
        Some(row) => {
            let lease = Lease { epoch: row.int("epoch")?, watermark: seq(row.int("watermark")?) };
            Ok(Some((lease, row.text("holder")?)))
        }
    }
}

/// The error of a writer whose epoch is not the store's.
pub async fn fenced(conn: &mut SqliteConnection) -> Result<StoreError, StoreError> {
    Ok(match current(conn).await? {
        Some((lease, holder)) => StoreError::Fenced { epoch: lease.epoch, holder },
        None => StoreError::Damaged("the engine row is gone".into()),
    })
}

/// Takes the write lock at once: a deferred transaction that upgrades later fails without waiting.
pub async fn begin(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("BEGIN IMMEDIATE").execute(conn).await.map(drop).map_err(fault)
}

pub async fn commit(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("COMMIT").execute(conn).await.map(drop).map_err(fault)
}

pub async fn rollback(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("ROLLBACK").execute(conn).await.map(drop).map_err(fault)
}
