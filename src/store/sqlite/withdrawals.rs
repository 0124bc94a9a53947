//! Withdrawals, distributors and their levels: their rows, and reading them.

use super::apply::{Steps, insert, update};
use super::chunks::{Step, Template, split};
use super::fault;
use super::load::{Found, Reading, json_of};
use crate::domain::distributor::{DistributorView, Upgrade};
use crate::domain::level::{Levels, Rank};
use crate::domain::withdrawal::Withdrawal;
use crate::domain::{Timestamp, UserId, WithdrawalId};
use crate::store::numbers::{before, int};
use crate::store::rows;
use crate::store::withdrawal_rows::WithdrawalRows;
use crate::store::{Page, Row, StoreError};

type Done = Result<(), StoreError>;

pub fn plan(steps: &mut Steps, batch: &WithdrawalRows) -> Done {
    withdrawals(steps, batch)?;
    distributing(steps, batch)?;
    climbs(steps, batch)?;
    set_levels(steps, batch)
}

fn withdrawals(steps: &mut Steps, batch: &WithdrawalRows) -> Done {
    const REQUESTED: Template = insert(
        "INSERT INTO withdrawals (created_seq, id, user_id, amount, status, created_at, updated_at) VALUES ",
        7,
    );
    const ENDED: Template = update(
        "WITH v (id, status, updated_at) AS (VALUES ",
        3,
        ") UPDATE withdrawals SET status = v.status, updated_at = v.updated_at FROM v WHERE withdrawals.id = v.id",
        "withdrawals",
    );
    let mut requested: Vec<_> = batch.requested.values().collect();
    requested.sort_unstable_by_key(|row| row.created_seq);
    split(steps, &REQUESTED, requested.into_iter(), |values, row| {
        let withdrawal = &row.withdrawal;
        values.add(int(row.created_seq.get())).add(withdrawal.id.get()).add(int(withdrawal.user_id.get()));
        values.add(withdrawal.amount.minor()).add(withdrawal.status.word());
        values.add(withdrawal.created_at.micros()).add(withdrawal.updated_at.micros());
    })?;
    split(steps, &ENDED, batch.ended.iter(), |values, (id, row)| {
        values.add(id.get()).add(row.status.word()).add(row.updated_at.micros());
    })
}

/// Nobody climbs before a payout, so that whoever climbs has a row.
fn distributing(steps: &mut Steps, batch: &WithdrawalRows) -> Done {
    const COUNTED: Template = Template {
        head: "INSERT INTO distributors (user_id, withdrawn_total, version) VALUES ",
        columns: 3,
        tail: " ON CONFLICT DO UPDATE SET withdrawn_total = excluded.withdrawn_total, version = excluded.version",
        every: None,
    };
    const CLIMBED: Template = update(
        "WITH v (user_id, rank, upgraded_at) AS (VALUES ",
        3,
        ") UPDATE distributors SET rank = v.rank, upgraded_at = v.upgraded_at FROM v \
         WHERE distributors.user_id = v.user_id",
        "distributors",
    );
    split(steps, &COUNTED, batch.payouts.iter(), |values, (id, posting)| {
        values.add(int(id.get())).add(posting.total).add(int(posting.version));
    })?;
    split(steps, &CLIMBED, batch.standings.iter(), |values, (id, (rank, at))| {
        values.add(int(id.get())).add(*rank).add(at.micros());
    })
}

fn climbs(steps: &mut Steps, batch: &WithdrawalRows) -> Done {
    const NEW: Template = insert(
        "INSERT INTO upgrades (user_id, seq, from_rank, from_name, to_rank, to_name, withdrawal_id, created_at) VALUES ",
        8,
    );
    split(steps, &NEW, batch.upgrades.iter(), |values, row| {
        let upgrade = &row.upgrade;
        values.add(int(upgrade.user_id.get())).add(int(row.seq.get()));
        values.add(upgrade.from.rank).add(upgrade.from.name.as_str());
        values.add(upgrade.to.rank).add(upgrade.to.name.as_str());
        values.add(upgrade.withdrawal_id.map(|id| id.get())).add(row.at.micros());
    })
}

fn set_levels(steps: &mut Steps, batch: &WithdrawalRows) -> Done {
    const SET: Template = insert("INSERT INTO levels (rank, name, threshold) VALUES ", 3);
    let Some(levels) = &batch.levels else { return Ok(()) };
    steps.push(Step::bare("DELETE FROM levels"));
    split(steps, &SET, levels.iter(), |values, (rank, level)| {
        values.add(rank).add(level.name.as_str()).add(level.threshold.minor());
    })
}

pub async fn one(mut read: Reading, id: WithdrawalId) -> Found<Option<Row<Withdrawal>>> {
    let found = sqlx::query("SELECT * FROM withdrawals WHERE id = $1")
        .bind(id.get())
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    let withdrawal = rows::listed(&found, "created_seq", rows::withdrawal)?.pop();
    read.end(withdrawal).await
}

pub async fn list(mut read: Reading, user_id: Option<UserId>, page: Page) -> Found<Vec<Row<Withdrawal>>> {
    let query = match user_id {
        Some(user_id) => sqlx::query(
            "SELECT * FROM withdrawals WHERE created_seq < $1 AND user_id = $3 ORDER BY created_seq DESC LIMIT $2",
        )
        .bind(before(page))
        .bind(page.limit)
        .bind(int(user_id.get())),
        None => sqlx::query(
            "SELECT * FROM withdrawals WHERE created_seq < $1 ORDER BY created_seq DESC LIMIT $2",
        )
        .bind(before(page))
        .bind(page.limit),
    };
    let found = query.fetch_all(read.conn()).await.map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::withdrawal)?).await
}

pub async fn pending(mut read: Reading, after: u64, limit: u32) -> Found<Vec<Row<Withdrawal>>> {
    let found = sqlx::query(
        "SELECT * FROM withdrawals WHERE status = 'pending' AND created_seq > $1 ORDER BY created_seq LIMIT $2",
    )
    .bind(int(after))
    .bind(limit)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::withdrawal)?).await
}

pub async fn load_distributors(mut read: Reading, ids: Vec<UserId>) -> Found<Vec<DistributorView>> {
    let wanted: Vec<_> = ids.iter().map(|id| id.get()).collect();
    let found = sqlx::query("SELECT * FROM distributors WHERE user_id IN (SELECT value FROM json_each($1))")
        .bind(json_of(&wanted))
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    read.end(rows::distributors(&ids, &found)?).await
}

pub async fn distributors(
    mut read: Reading,
    rank: Option<Rank>,
    after: UserId,
    limit: u32,
) -> Found<Vec<UserId>> {
    let found = sqlx::query(
        "SELECT user_id FROM distributors WHERE user_id > $1 AND ($2 IS NULL OR rank = $2) ORDER BY user_id LIMIT $3",
    )
    .bind(int(after.get()))
    .bind(rank)
    .bind(limit)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::all(&found, rows::user)?).await
}

pub async fn upgrades(mut read: Reading, id: UserId, page: Page) -> Found<Vec<Row<(Upgrade, Timestamp)>>> {
    let found =
        sqlx::query("SELECT * FROM upgrades WHERE user_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3")
            .bind(int(id.get()))
            .bind(before(page))
            .bind(page.limit)
            .fetch_all(read.conn())
            .await
            .map_err(fault)?;
    read.end(rows::listed(&found, "seq", rows::upgrade)?).await
}

pub async fn levels(mut read: Reading) -> Found<Levels> {
    let found = sqlx::query("SELECT name, threshold FROM levels ORDER BY rank")
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    read.end(Levels::stored(rows::all(&found, rows::level)?)).await
}
