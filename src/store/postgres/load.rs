//! What owners are loaded from, in batches: each call is one snapshot.

use super::{fault, lease};
use crate::domain::balance::BalanceView;
use crate::domain::directory::{DIRECTORY_SHARDS, UniqueName};
use crate::domain::event::Namespace;
use crate::domain::ids::ShardId;
use crate::domain::product::ProductView;
use crate::domain::redemption::Redemption;
use crate::domain::session::SessionView;
use crate::domain::{FamilyId, Seq, Timestamp, UserId};
use crate::store::numbers::seq;
use crate::store::rows::{self, Columns};
use crate::store::{LastIds, Snapshot, StoreError, StoredBalance, StoredKey, StoredOutcome};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{PgPool, Postgres};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

pub type Found<T> = Result<Snapshot<T>, StoreError>;

/// How long the pool may take to see whether a connection that is given back is of further use.
const GIVEN_BACK: Duration = Duration::from_secs(5);

/// A read transaction with the watermark of its snapshot. Dropped before its end, it takes its connection with it: the pool
/// would first wait for an answer on it.
pub struct Reading {
    conn: PoolConnection<Postgres>,
    watermark: Seq,
}

impl Reading {
    /// The first read fixes the snapshot.
    pub async fn begin(readers: &PgPool) -> Result<Self, StoreError> {
        let mut conn = readers.acquire().await.map_err(fault)?;
        conn.close_on_drop();
        let mut read = Self { conn, watermark: Seq::ZERO };
        let begin = sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        begin.execute(read.conn()).await.map_err(fault)?;
        let watermark: Option<i64> = sqlx::query_scalar("SELECT watermark FROM engine")
            .fetch_optional(read.conn())
            .await
            .map_err(fault)?;
        read.watermark = seq(watermark.unwrap_or_default());
        Ok(read)
    }

    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    pub async fn end<T>(mut self, value: T) -> Found<T> {
        lease::rollback(self.conn()).await?;
        // The pool asks the server once more before it lends the connection again. Left to itself it waits for the answer for
        // ever, and the connection's place with it, if the network falls silent at this moment.
        tokio::spawn(tokio::time::timeout(GIVEN_BACK, self.conn.return_to_pool()));
        Ok(Snapshot { value, watermark: self.watermark })
    }
}

pub async fn products(mut read: Reading, ids: Vec<i64>) -> Found<Vec<ProductView>> {
    let found = sqlx::query("SELECT * FROM products WHERE id = ANY($1) ORDER BY id")
        .bind(ids)
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    read.end(rows::all(&found, rows::product)?).await
}

pub async fn balances(mut read: Reading, ids: Vec<i64>, keys_since: Timestamp) -> Found<Vec<StoredBalance>> {
    let keys = sqlx::query(
        "SELECT user_id, fingerprint, request, seq, created_at FROM keys
         WHERE user_id = ANY($1) AND created_at >= $2 ORDER BY seq",
    )
    .bind(&ids)
    .bind(keys_since.micros())
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    let found = sqlx::query(
        "SELECT users.*, balances.amount, balances.version FROM users JOIN balances ON user_id = id
         WHERE id = ANY($1) ORDER BY id",
    )
    .bind(&ids)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    let cards =
        sqlx::query("SELECT * FROM redemptions WHERE code IS NOT NULL AND user_id = ANY($1) ORDER BY place")
            .bind(&ids)
            .fetch_all(read.conn())
            .await
            .map_err(fault)?;
    let views = rows::all(&found, rows::balance)?;
    let mut of: HashMap<UserId, Vec<StoredKey>> = HashMap::new();
    for row in &keys {
        let (user_id, key) = rows::key(row)?;
        of.entry(user_id).or_default().push(key);
    }
    let mut cards_of: HashMap<UserId, Vec<Redemption>> = HashMap::new();
    for card in rows::all(&cards, rows::redemption)? {
        cards_of.entry(card.user_id).or_default().push(card);
    }
    let stored = |view: BalanceView| StoredBalance {
        keys: of.remove(&view.user_id).unwrap_or_default(),
        cards: cards_of.remove(&view.user_id).unwrap_or_default(),
        view,
    };
    let balances = views.into_iter().map(stored).collect();
    read.end(balances).await
}

pub async fn sessions(mut read: Reading, ids: Vec<Uuid>) -> Found<Vec<SessionView>> {
    let found = sqlx::query("SELECT * FROM sessions WHERE family_id = ANY($1) ORDER BY family_id")
        .bind(ids)
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    read.end(rows::all(&found, rows::session)?).await
}

/// Walks each primary key from its end: a shard's newest id is among the last few.
pub async fn last_ids(mut read: Reading, shard: ShardId) -> Found<LastIds> {
    let row = sqlx::query(
        "SELECT coalesce((SELECT id FROM products WHERE (id - 1) % $1 = $2 ORDER BY id DESC LIMIT 1), 0) AS product,
                coalesce((SELECT id FROM users WHERE (id - 1) % $1 = $2 ORDER BY id DESC LIMIT 1), 0) AS last_user",
    )
    .bind(i64::from(DIRECTORY_SHARDS))
    .bind(i64::from(shard.get()))
    .fetch_one(read.conn())
    .await
    .map_err(fault)?;
    let ids = LastIds { product: row.count("product")?, user: row.count("last_user")? };
    read.end(ids).await
}

pub async fn revoked_since(mut read: Reading, since: Timestamp) -> Found<Vec<FamilyId>> {
    let found =
        sqlx::query("SELECT family_id FROM sessions WHERE revoked_at >= $1 ORDER BY revoked_at, family_id")
            .bind(since.micros())
            .fetch_all(read.conn())
            .await
            .map_err(fault)?;
    read.end(rows::all(&found, rows::family)?).await
}

pub async fn name_holder(mut read: Reading, name: UniqueName) -> Found<Option<u64>> {
    let found = sqlx::query("SELECT holder FROM names WHERE namespace = $1 AND name = $2")
        .bind(name.namespace.word())
        .bind(&*name.name)
        .fetch_optional(read.conn())
        .await
        .map_err(fault)?;
    let holder = found.map(|row| row.count("holder")).transpose()?;
    read.end(holder).await
}

pub async fn name_holders(
    mut read: Reading,
    namespace: Namespace,
    names: Vec<String>,
) -> Found<HashMap<String, u64>> {
    let found = sqlx::query("SELECT name, holder FROM names WHERE namespace = $1 AND name = ANY($2)")
        .bind(namespace.word())
        .bind(names)
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    let holders = found.iter().map(|row| Ok((row.text("name")?, row.count("holder")?)));
    let holders = holders.collect::<Result<_, StoreError>>()?;
    read.end(holders).await
}

pub async fn outcome(
    mut read: Reading,
    caller: UserId,
    fingerprint: [u8; 16],
) -> Found<Option<StoredOutcome>> {
    let found = sqlx::query("SELECT seq, outcome FROM keys WHERE user_id = $1 AND fingerprint = $2")
        .bind(crate::store::numbers::int(caller.get()))
        .bind(Uuid::from_bytes(fingerprint))
        .fetch_optional(read.conn())
        .await
        .map_err(fault)?;
    let outcome = found.as_ref().map(rows::outcome).transpose()?;
    read.end(outcome).await
}
