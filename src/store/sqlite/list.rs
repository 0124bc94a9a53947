//! Lists and single orders: newest first, paged by the position that created a row, or by its version within
//! its entity.

use super::fault;
use super::load::{Found, Reading, json_of_uuids};
use crate::domain::balance::BalanceView;
use crate::domain::order::Order;
use crate::domain::outcome::{Movement, PostedEntry};
use crate::domain::product::ProductView;
use crate::domain::{OrderId, ProductId, UserId};
use crate::store::numbers::{before, int};
use crate::store::rows::{self, Columns, Orders};
use crate::store::{ItemFilter, OrderFilter, Page, Row, StoreError};
use sqlx::sqlite::SqliteRow;
use std::collections::HashMap;
use uuid::Uuid;

/// By sku there is at most one, found through the names; a name is searched for in all.
pub async fn items(mut read: Reading, filter: ItemFilter, page: Page) -> Found<Vec<Row<ProductView>>> {
    let query = match &filter.sku {
        Some(sku) => sqlx::query(
            "SELECT * FROM products WHERE id = (SELECT holder FROM names WHERE namespace = 'sku' AND name = $5)
             AND created_seq < $1 AND (deleted_at IS NULL OR $2) AND ($3 IS NULL OR instr(name_key, $3) > 0) LIMIT $4",
        )
        .bind(before(page))
        .bind(filter.include_deleted)
        .bind(filter.name.map(|name| name.to_lowercase()))
        .bind(page.limit)
        .bind(sku.clone()),
        None => sqlx::query(
            "SELECT * FROM products WHERE created_seq < $1 AND (deleted_at IS NULL OR $2)
             AND ($3 IS NULL OR instr(name_key, $3) > 0) ORDER BY created_seq DESC LIMIT $4",
        )
        .bind(before(page))
        .bind(filter.include_deleted)
        .bind(filter.name.map(|name| name.to_lowercase()))
        .bind(page.limit),
    };
    let found = query.fetch_all(read.conn()).await.map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::product)?).await
}

pub async fn movements(mut read: Reading, id: ProductId, page: Page) -> Found<Vec<Row<Movement>>> {
    let found = sqlx::query(
        "SELECT * FROM movements WHERE product_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3",
    )
    .bind(int(id.get()))
    .bind(before(page))
    .bind(page.limit)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "version", rows::movement)?).await
}

/// `query` comes in lower case.
pub async fn users(mut read: Reading, query: Option<String>, page: Page) -> Found<Vec<Row<BalanceView>>> {
    let found = sqlx::query(
        "SELECT users.*, balances.amount, balances.version FROM users JOIN balances ON user_id = id
         WHERE created_seq < $1 AND ($2 IS NULL OR instr(name_key, $2) > 0 OR instr(email_key, $2) > 0)
         ORDER BY created_seq DESC LIMIT $3",
    )
    .bind(before(page))
    .bind(query)
    .bind(page.limit)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::balance)?).await
}

pub async fn entries(mut read: Reading, id: UserId, page: Page) -> Found<Vec<Row<PostedEntry>>> {
    let found = sqlx::query(
        "SELECT * FROM entries WHERE user_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3",
    )
    .bind(int(id.get()))
    .bind(before(page))
    .bind(page.limit)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "version", rows::entry)?).await
}

pub async fn orders(
    mut read: Reading,
    filter: OrderFilter,
    page: Page,
    lines: usize,
) -> Found<Vec<Row<Order>>> {
    let status = filter.status.map(|status| status.word());
    let query = match filter.user_id {
        Some(user_id) => sqlx::query(
            "SELECT * FROM orders WHERE created_seq < $1 AND ($2 IS NULL OR status = $2) AND user_id = $4
             ORDER BY created_seq DESC LIMIT $3",
        )
        .bind(before(page))
        .bind(status)
        .bind(page.limit)
        .bind(int(user_id.get())),
        None => sqlx::query(
            "SELECT * FROM orders WHERE created_seq < $1 AND ($2 IS NULL OR status = $2)
             ORDER BY created_seq DESC LIMIT $3",
        )
        .bind(before(page))
        .bind(status)
        .bind(page.limit),
    };
    let heads = query.fetch_all(read.conn()).await.map_err(fault)?;
    let kept = within(&mut read, &heads, lines).await?;
    let orders = whole(&mut read, &heads[..kept]).await?;
    read.end(orders).await
}

/// The record that accepts an order queues its message, so both have one place.
pub async fn pending_orders(
    mut read: Reading,
    after: u64,
    limit: u32,
    lines: usize,
) -> Found<Vec<Row<Order>>> {
    let heads = sqlx::query(
        "SELECT o.* FROM messages m JOIN orders o ON o.created_seq = m.created_seq
         WHERE m.kind = 'process_order' AND m.created_seq > $1 ORDER BY m.created_seq LIMIT $2",
    )
    .bind(int(after))
    .bind(limit)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    let kept = within(&mut read, &heads, lines).await?;
    let orders = whole(&mut read, &heads[..kept]).await?;
    read.end(orders).await
}

pub async fn order(mut read: Reading, id: OrderId) -> Found<Option<Row<Order>>> {
    let heads = sqlx::query("SELECT * FROM orders WHERE id = $1")
        .bind(id.get())
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    let order = whole(&mut read, &heads).await?.pop();
    read.end(order).await
}

/// How many of these orders there are up to the one with which they have more than `lines` lines.
async fn within(read: &mut Reading, heads: &[SqliteRow], lines: usize) -> Result<usize, StoreError> {
    let ids: Vec<_> = heads.iter().map(|head| head.uuid("id")).collect::<Result<_, _>>()?;
    let counted = sqlx::query("SELECT order_id, count(*) AS lines FROM order_lines WHERE order_id IN (SELECT unhex(value) FROM json_each($1)) GROUP BY order_id")
        .bind(json_of_uuids(&ids))
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    let of = |row: &SqliteRow| Ok((row.uuid("order_id")?, row.count("lines")? as usize));
    let counts = counted.iter().map(of).collect::<Result<HashMap<_, _>, StoreError>>()?;
    let mut sum = 0;
    let fits = |id: &&Uuid| {
        let fits = sum <= lines;
        sum += counts.get(*id).copied().unwrap_or(0);
        fits
    };
    Ok(ids.iter().take_while(fits).count())
}

/// Adds lines and returns to rows of `orders`.
async fn whole(read: &mut Reading, heads: &[SqliteRow]) -> Result<Vec<Row<Order>>, StoreError> {
    let mut orders = Orders::of(heads)?;
    let ids = json_of_uuids(&orders.ids());
    let lines = sqlx::query(
        "SELECT * FROM order_lines WHERE order_id IN (SELECT unhex(value) FROM json_each($1))
         ORDER BY order_id, line",
    )
    .bind(&ids)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    orders.lines(&lines)?;
    let returns = sqlx::query(
        "SELECT order_id, product_id, sum(quantity) AS units, sum(quantity * unit_price) AS refunded
         FROM returns JOIN return_lines ON return_id = returns.id
         WHERE order_id IN (SELECT unhex(value) FROM json_each($1))
         GROUP BY order_id, product_id ORDER BY min(seq), product_id",
    )
    .bind(&ids)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    orders.returns(&returns)?;
    Ok(orders.done())
}
