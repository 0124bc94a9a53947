//! Withdrawals, distributors and their levels: their rows, and reading them.

use super::fault;
use super::load::{Found, Reading};
use super::plan::{Arrays, Done, Plan};
use crate::domain::distributor::{DistributorView, Upgrade};
use crate::domain::level::{Levels, Rank};
use crate::domain::withdrawal::Withdrawal;
use crate::domain::{Timestamp, UserId, WithdrawalId};
use crate::store::numbers::{before, int};
use crate::store::rows;
use crate::store::withdrawal_rows::WithdrawalRows;
use crate::store::{Page, Row};

impl Plan {
    pub(super) fn withdrawals(&mut self, batch: &WithdrawalRows) -> Done {
        self.requested_withdrawals(batch)?;
        self.ended_withdrawals(batch)?;
        self.distributors(batch)?;
        self.upgrades(batch)?;
        self.levels(batch)
    }

    fn requested_withdrawals(&mut self, batch: &WithdrawalRows) -> Done {
        if batch.requested.is_empty() {
            return Ok(());
        }
        let rows = || batch.requested.values();
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| int(row.created_seq.get())))?;
        arrays.add(rows().map(|row| row.withdrawal.id.get()))?;
        arrays.add(rows().map(|row| int(row.withdrawal.user_id.get())))?;
        arrays.add(rows().map(|row| row.withdrawal.amount.minor()))?;
        arrays.add(rows().map(|row| row.withdrawal.status.word()))?;
        arrays.add(rows().map(|row| row.withdrawal.created_at.micros()))?;
        arrays.add(rows().map(|row| row.withdrawal.updated_at.micros()))?;
        self.query(
            "INSERT INTO withdrawals (created_seq, id, user_id, amount, status, created_at, updated_at)
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[],
                                  $7::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    fn ended_withdrawals(&mut self, batch: &WithdrawalRows) -> Done {
        if batch.ended.is_empty() {
            return Ok(());
        }
        let mut arrays = Arrays::default();
        arrays.add(batch.ended.keys().map(|id| id.get()))?;
        arrays.add(batch.ended.values().map(|row| row.status.word()))?;
        arrays.add(batch.ended.values().map(|row| row.updated_at.micros()))?;
        self.query(
            "UPDATE withdrawals AS w SET status = v.status, updated_at = v.updated_at
             FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS v (id, status, updated_at) WHERE w.id = v.id",
            arrays,
            Some((batch.ended.len(), "withdrawals")),
        );
        Ok(())
    }

    /// Nobody climbs before a payout, so that whoever climbs has a row.
    fn distributors(&mut self, batch: &WithdrawalRows) -> Done {
        if !batch.payouts.is_empty() {
            let mut arrays = Arrays::default();
            arrays.add(batch.payouts.keys().map(|id| int(id.get())))?;
            arrays.add(batch.payouts.values().map(|posting| posting.total))?;
            arrays.add(batch.payouts.values().map(|posting| int(posting.version)))?;
            self.query(
                "INSERT INTO distributors (user_id, withdrawn_total, version)
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
                 ON CONFLICT (user_id) DO UPDATE SET withdrawn_total = excluded.withdrawn_total, version = excluded.version",
                arrays,
                None,
            );
        }
        if !batch.standings.is_empty() {
            let mut arrays = Arrays::default();
            arrays.add(batch.standings.keys().map(|id| int(id.get())))?;
            arrays.add(batch.standings.values().map(|(rank, _)| i64::from(*rank)))?;
            arrays.add(batch.standings.values().map(|(_, at)| at.micros()))?;
            self.query(
                "UPDATE distributors AS d SET rank = v.rank, upgraded_at = v.upgraded_at
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS v (user_id, rank, upgraded_at)
                 WHERE d.user_id = v.user_id",
                arrays,
                Some((batch.standings.len(), "distributors")),
            );
        }
        Ok(())
    }

    fn upgrades(&mut self, batch: &WithdrawalRows) -> Done {
        if batch.upgrades.is_empty() {
            return Ok(());
        }
        let rows = || batch.upgrades.iter();
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| int(row.upgrade.user_id.get())))?;
        arrays.add(rows().map(|row| int(row.seq.get())))?;
        arrays.add(rows().map(|row| i64::from(row.upgrade.from.rank)))?;
        arrays.add(rows().map(|row| row.upgrade.from.name.as_str()))?;
        arrays.add(rows().map(|row| i64::from(row.upgrade.to.rank)))?;
        arrays.add(rows().map(|row| row.upgrade.to.name.as_str()))?;
        arrays.add(rows().map(|row| row.upgrade.withdrawal_id.map(|id| id.get())))?;
        arrays.add(rows().map(|row| row.at.micros()))?;
        self.query(
            "INSERT INTO upgrades (user_id, seq, from_rank, from_name, to_rank, to_name, withdrawal_id, created_at)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[],
                                  $7::uuid[], $8::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    fn levels(&mut self, batch: &WithdrawalRows) -> Done {
        let Some(levels) = &batch.levels else { return Ok(()) };
        let mut arrays = Arrays::default();
        arrays.add(levels.iter().map(|(rank, _)| i64::from(rank)))?;
        arrays.add(levels.iter().map(|(_, level)| level.name.as_str()))?;
        arrays.add(levels.iter().map(|(_, level)| level.threshold.minor()))?;
        self.query("DELETE FROM levels", Arrays::default(), None);
        self.query(
            "INSERT INTO levels (rank, name, threshold) SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }
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
        .bind(i64::from(page.limit))
        .bind(int(user_id.get())),
        None => sqlx::query(
            "SELECT * FROM withdrawals WHERE created_seq < $1 ORDER BY created_seq DESC LIMIT $2",
        )
        .bind(before(page))
        .bind(i64::from(page.limit)),
    };
    let found = query.fetch_all(read.conn()).await.map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::withdrawal)?).await
}

pub async fn pending(mut read: Reading, after: u64, limit: u32) -> Found<Vec<Row<Withdrawal>>> {
    let found = sqlx::query(
        "SELECT * FROM withdrawals WHERE status = 'pending' AND created_seq > $1 ORDER BY created_seq LIMIT $2",
    )
    .bind(int(after))
    .bind(i64::from(limit))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::withdrawal)?).await
}

pub async fn load_distributors(mut read: Reading, ids: Vec<UserId>) -> Found<Vec<DistributorView>> {
    let wanted: Vec<_> = ids.iter().map(|id| int(id.get())).collect();
    let found = sqlx::query(
        "SELECT user_id, withdrawn_total, version, upgraded_at, rank::bigint FROM distributors WHERE user_id = ANY($1)",
    )
    .bind(wanted)
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
        "SELECT user_id FROM distributors WHERE user_id > $1 AND ($2::bigint IS NULL OR rank = $2) ORDER BY user_id LIMIT $3",
    )
    .bind(int(after.get()))
    .bind(rank.map(i64::from))
    .bind(i64::from(limit))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::all(&found, rows::user)?).await
}

pub async fn upgrades(mut read: Reading, id: UserId, page: Page) -> Found<Vec<Row<(Upgrade, Timestamp)>>> {
    let found = sqlx::query(
        "SELECT user_id, seq, created_at, from_rank::bigint, to_rank::bigint, withdrawal_id, from_name, to_name FROM upgrades
         WHERE user_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
    )
    .bind(int(id.get()))
    .bind(before(page))
    .bind(i64::from(page.limit))
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
