//! Gift cards: their rows, and reading them.

use super::fault;
use super::load::{Found, Reading};
use super::plan::{Arrays, Done, Plan};
use crate::domain::redemption::Redemption;
use crate::domain::{BatchId, RedemptionId};
use crate::store::numbers::{before, int};
use crate::store::redemption_rows::RedemptionRows;
use crate::store::rows;
use crate::store::{Page, RedemptionFilter, Row, StoredBatch};

impl Plan {
    pub(super) fn redemptions(&mut self, batch: &RedemptionRows) -> Done {
        self.redemption_batches(batch)?;
        self.requested_redemptions(batch)?;
        self.stepped_redemptions(batch)
    }

    fn redemption_batches(&mut self, batch: &RedemptionRows) -> Done {
        if batch.batches.is_empty() {
            return Ok(());
        }
        let rows = || batch.batches.iter();
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| int(row.created_seq.get())))?;
        arrays.add(rows().map(|row| row.id.get()))?;
        arrays.add(rows().map(|row| int(row.user_id.get())))?;
        arrays.add(rows().map(|row| int(row.total as u64)))?;
        self.query(
            "INSERT INTO redemption_batches (created_seq, id, user_id, total)
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    fn requested_redemptions(&mut self, batch: &RedemptionRows) -> Done {
        if batch.requested.is_empty() {
            return Ok(());
        }
        let cards = || batch.requested.values();
        let mut arrays = Arrays::default();
        arrays.add(batch.requested.keys().map(|place| int(*place)))?;
        arrays.add(cards().map(|card| card.id.get()))?;
        arrays.add(cards().map(|card| int(card.user_id.get())))?;
        arrays.add(cards().map(|card| card.batch_id.map(|id| id.get())))?;
        arrays.add(cards().map(|card| card.country.as_str()))?;
        arrays.add(cards().map(|card| card.face_value.map(|money| money.minor())))?;
        arrays.add(cards().map(|card| card.status.word()))?;
        arrays.add(cards().map(|card| card.account_id.map(|id| id.get())))?;
        arrays.add(cards().map(|card| int(card.fence)))?;
        arrays.add(cards().map(|card| card.amount.map(|money| money.minor())))?;
        arrays.add(cards().map(|card| card.payout.map(|money| money.minor())))?;
        arrays.add(cards().map(|card| card.failure.as_ref().map(|failure| failure.code.to_string())))?;
        arrays.add(cards().map(|card| card.failure.as_ref().map(|failure| failure.detail.to_string())))?;
        arrays.add(cards().map(|card| i64::from(card.attempts)))?;
        arrays.add(cards().map(|card| card.code_name.to_string()))?;
        arrays.add(cards().map(|card| card.code_last4.to_string()))?;
        arrays.add(cards().map(|card| card.code.as_ref().map(|code| code.as_bytes().to_vec())))?;
        arrays.add(cards().map(|card| card.created_at.micros()))?;
        arrays.add(cards().map(|card| card.updated_at.micros()))?;
        self.query(
            "INSERT INTO redemptions (place, id, user_id, batch_id, country, face_value, status, account_id, fence, amount, payout,
                                      failure_code, failure_detail, attempts, code_name, code_last4, code, created_at, updated_at)
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::text[],
                                  $8::uuid[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[],
                                  $14::bigint[], $15::text[], $16::text[], $17::bytea[], $18::bigint[], $19::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    fn stepped_redemptions(&mut self, batch: &RedemptionRows) -> Done {
        if batch.stepped.is_empty() {
            return Ok(());
        }
        let rows = || batch.stepped.values();
        let mut arrays = Arrays::default();
        arrays.add(batch.stepped.keys().map(|id| id.get()))?;
        arrays.add(rows().map(|row| row.step.to.word()))?;
        arrays.add(rows().map(|row| row.step.to.is_open()))?;
        arrays.add(rows().map(|row| row.step.locked.map(|(id, _)| id.get())))?;
        arrays.add(rows().map(|row| row.step.locked.map(|(_, fence)| int(fence))))?;
        arrays.add(rows().map(|row| row.step.amount.map(|money| money.minor())))?;
        arrays.add(rows().map(|row| row.step.payout.map(|money| money.minor())))?;
        arrays.add(rows().map(|row| row.step.failure.as_ref().map(|failure| failure.code.to_string())))?;
        arrays.add(rows().map(|row| row.step.failure.as_ref().map(|failure| failure.detail.to_string())))?;
        arrays.add(rows().map(|row| i64::from(row.step.attempts)))?;
        arrays.add(rows().map(|row| row.at.micros()))?;
        self.query(
            "UPDATE redemptions AS r SET status = v.status, code = CASE WHEN v.is_open THEN r.code END,
                    account_id = coalesce(v.account_id, r.account_id), fence = coalesce(v.fence, r.fence),
                    amount = coalesce(v.amount, r.amount), payout = coalesce(v.payout, r.payout),
                    failure_code = v.failure_code,
                    failure_detail = v.failure_detail, attempts = r.attempts + v.attempts,
                    updated_at = v.updated_at
             FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::text[], $10::bigint[], $11::bigint[])
                  AS v (id, status, is_open, account_id, fence, amount, payout, failure_code, failure_detail, attempts,
                        updated_at)
             WHERE r.id = v.id",
            arrays,
            Some((batch.stepped.len(), "redemptions")),
        );
        Ok(())
    }
}

pub async fn by_id(mut read: Reading, ids: Vec<RedemptionId>) -> Found<Vec<Row<Redemption>>> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    let found = sqlx::query("SELECT * FROM redemptions WHERE id = ANY($1) ORDER BY place")
        .bind(ids)
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    read.end(rows::listed(&found, "place", rows::redemption)?).await
}

pub async fn list(mut read: Reading, filter: RedemptionFilter, page: Page) -> Found<Vec<Row<Redemption>>> {
    let found = sqlx::query(
        "SELECT * FROM redemptions
         WHERE place < $1 AND ($3::bigint IS NULL OR user_id = $3) AND ($4::text IS NULL OR status = $4)
               AND ($5::uuid IS NULL OR batch_id = $5)
         ORDER BY place DESC LIMIT $2",
    )
    .bind(before(page))
    .bind(i64::from(page.limit))
    .bind(filter.user_id.map(|id| int(id.get())))
    .bind(filter.status.map(|status| status.word()))
    .bind(filter.batch_id.map(|id| id.get()))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "place", rows::redemption)?).await
}

pub async fn open(mut read: Reading, after: u64, limit: u32) -> Found<Vec<Row<Redemption>>> {
    let found = sqlx::query(
        "SELECT * FROM redemptions WHERE code IS NOT NULL AND place > $1 ORDER BY place LIMIT $2",
    )
    .bind(int(after))
    .bind(i64::from(limit))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "place", rows::redemption)?).await
}

pub async fn batch(mut read: Reading, id: BatchId) -> Found<Option<StoredBatch>> {
    let head = sqlx::query("SELECT user_id, total FROM redemption_batches WHERE id = $1")
        .bind(id.get())
        .fetch_optional(read.conn())
        .await
        .map_err(fault)?;
    let cards = sqlx::query("SELECT id, status, amount, payout FROM redemptions WHERE batch_id = $1")
        .bind(id.get())
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    let batch = head.as_ref().map(|head| rows::batch(head, &cards)).transpose()?;
    read.end(batch).await
}
