//! Who may write: the engine row, taken and given back in transactions of their own.

use super::fault;
use crate::domain::Timestamp;
use crate::store::numbers::seq;
use crate::store::rows::Columns;
use crate::store::{Claim, Lease, StoreError};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// Expired keys forgotten per transaction, so that batches do not wait long.
const PRUNED_AT_ONCE: i64 = 5_000;

pub async fn acquire(conn: &mut PgConnection, claim: Claim) -> Result<Lease, StoreError> {
    begin(conn).await?;
    // Makes sure that there is a row to lock; two first engines take turns on its key.
    let made = sqlx::query(
        "INSERT INTO engine (id, journal_id, epoch, watermark, holder, released, acquired_at, fingerprint_key)
         VALUES (1, $1, 1, 0, $2, false, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, $1)
         ON CONFLICT DO NOTHING",
    )
    .bind(claim.journal_id)
    .bind(&claim.holder)
    .execute(&mut *conn)
    .await
    .map_err(fault)?;
    if made.rows_affected() == 1 {
        commit(conn).await?;
        return Ok(Lease { epoch: 1, watermark: seq(0) });
    }
    let row = sqlx::query(
        "SELECT journal_id, epoch, watermark, holder, released::integer::bigint AS released, acquired_at
         FROM engine WHERE id = 1 FOR UPDATE",
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(fault)?;
    let ours = row.uuid("journal_id")? == claim.journal_id;
    let free = row.int("released")? == 1 && claim.journal_is_empty;
    if !(ours || free || claim.accept_loss) {
        rollback(conn).await?;
        return Err(StoreError::held(row.text("holder")?, row.int("acquired_at")?));
    }
    let epoch = row.int("epoch")? + 1;
    sqlx::query(
        "UPDATE engine SET journal_id = $1, epoch = $2, holder = $3, released = false,
                acquired_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint WHERE id = 1",
    )
    .bind(claim.journal_id)
    .bind(epoch)
    .bind(&claim.holder)
    .execute(&mut *conn)
    .await
    .map_err(fault)?;
    commit(conn).await?;
    Ok(Lease { epoch, watermark: seq(row.int("watermark")?) })
}

pub async fn release(conn: &mut PgConnection, epoch: i64) -> Result<(), StoreError> {
    let released = sqlx::query("UPDATE engine SET released = true WHERE id = 1 AND epoch = $1")
        .bind(epoch)
        .execute(&mut *conn)
        .await
        .map_err(fault)?;
    if released.rows_affected() == 0 { Err(fenced(conn).await?) } else { Ok(()) }
}

pub async fn position(options: PgConnectOptions) -> Result<Lease, StoreError> {
    Ok(standing(options).await?.0)
}

pub async fn holder(options: PgConnectOptions) -> Result<String, StoreError> {
    Ok(standing(options).await?.1)
}

pub async fn fingerprint_key(options: PgConnectOptions) -> Result<uuid::Uuid, StoreError> {
    let mut conn = PgConnection::connect_with(&options).await.map_err(fault)?;
    let row =
        sqlx::query("SELECT fingerprint_key FROM engine").fetch_optional(&mut conn).await.map_err(fault)?;
    conn.close().await.map_err(fault)?;
    row.ok_or(StoreError::Untaken)?.uuid("fingerprint_key")
}

/// Over a connection of its own: an earlier one may be the very thing that is in doubt.
async fn standing(options: PgConnectOptions) -> Result<(Lease, String), StoreError> {
    let mut conn = PgConnection::connect_with(&options).await.map_err(fault)?;
    let row = current(&mut conn).await?;
    conn.close().await.map_err(fault)?;
    row.ok_or(StoreError::Untaken)
}

/// Forgets some keys; says whether there may be more.
pub async fn prune_some_keys(
    conn: &mut PgConnection,
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
    let pruned = sqlx::query(
        "DELETE FROM keys WHERE ctid = ANY(ARRAY(SELECT ctid FROM keys WHERE created_at < $1 LIMIT $2))",
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
pub async fn current(conn: &mut PgConnection) -> Result<Option<(Lease, String)>, StoreError> {
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
pub async fn fenced(conn: &mut PgConnection) -> Result<StoreError, StoreError> {
    Ok(match current(conn).await? {
        Some((lease, holder)) => StoreError::Fenced { epoch: lease.epoch, holder },
        None => StoreError::Damaged("the engine row is gone".into()),
    })
}

pub async fn begin(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("BEGIN").execute(conn).await.map(drop).map_err(fault)
}

pub async fn commit(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("COMMIT").execute(conn).await.map(drop).map_err(fault)
}

pub async fn rollback(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("ROLLBACK").execute(conn).await.map(drop).map_err(fault)
}
