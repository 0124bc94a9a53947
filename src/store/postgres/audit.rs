//! The audit, within one snapshot.

use super::fault;
use super::load::{Found, Reading};
use crate::domain::ProductId;
use crate::store::checks;
use crate::store::numbers::int;
use crate::store::{Check, StockSum};
use sqlx::AssertSqlSafe;

pub async fn audit(mut read: Reading) -> Found<Vec<Check>> {
    // It reads everything, which may take its time.
    sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(read.conn()).await.map_err(fault)?;
    let mut found = Vec::new();
    for (name, sql) in checks::all() {
        let row = sqlx::query(AssertSqlSafe(checks::postgres_query(sql)))
            .fetch_one(read.conn())
            .await
            .map_err(fault)?;
        found.push(checks::verdict(name, &row)?);
    }
    read.end(found).await
}

pub async fn stock_sums(mut read: Reading, after: ProductId, limit: u32) -> Found<Vec<StockSum>> {
    let rows = sqlx::query(
        "SELECT id, stock, version,
                (SELECT coalesce(sum(delta), 0)::bigint FROM movements WHERE product_id = products.id) AS moved
         FROM products WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(int(after.get()))
    .bind(i64::from(limit))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    let sums = rows.iter().map(checks::stock_sum).collect::<Result<_, _>>()?;
    read.end(sums).await
}
