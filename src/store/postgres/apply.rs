//! One batch, one transaction: first the compare-and-set, then the plan's statements.

use super::plan::{Plan, Step};
use super::{fault, lease};
use crate::canary::Moment;
use crate::store::StoreError;
use sqlx::postgres::PgConnection;

/// Moves the watermark and writes the plan's rows, or nothing at all.
pub async fn run(conn: &mut PgConnection, epoch: i64, plan: Plan) -> Result<(), StoreError> {
    lease::begin(conn).await?;
    Moment::BatchBegun.reached();
    let moved =
        sqlx::query("UPDATE engine SET watermark = $1 WHERE id = 1 AND epoch = $2 AND watermark = $3")
            .bind(plan.to)
            .bind(epoch)
            .bind(plan.after)
            .execute(&mut *conn)
            .await
            .map_err(fault)?;
    if moved.rows_affected() == 0 {
        let current = lease::current(conn).await?;
        lease::rollback(conn).await?;
        return Err(match current {
            None => StoreError::Damaged("the engine row is gone".into()),
            Some((lease, _)) if lease.epoch == epoch => StoreError::Moved { watermark: lease.watermark },
            Some((lease, holder)) => StoreError::Fenced { epoch: lease.epoch, holder },
        });
    }
    Moment::WatermarkMoved.reached();
    for step in plan.steps {
        let Step { sql, values, every } = step;
        let done = sqlx::query_with(sql, values).execute(&mut *conn).await.map_err(fault)?;
        check(done.rows_affected(), every)?;
    }
    Moment::RowsWritten.reached();
    lease::commit(conn).await?;
    Moment::BatchCommitted.reached();
    Ok(())
}

/// Every row that is updated must be there, or the store does not fit the journal.
fn check(found: u64, every: Option<(u64, &'static str)>) -> Result<(), StoreError> {
    match every {
        Some((rows, what)) if rows != found => {
            let missing = rows.saturating_sub(found);
            Err(StoreError::Refused(format!("{missing} of {rows} {what} are not in the store")))
        }
        _ => Ok(()),
    }
}
