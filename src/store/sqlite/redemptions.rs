//! Gift cards: their rows, and reading them.

use super::apply::{Steps, insert, update};
use super::chunks::{Template, split};
use super::fault;
use super::load::{Found, Reading, json_of_uuids};
use crate::domain::redemption::Redemption;
use crate::domain::{BatchId, RedemptionId};
use crate::store::numbers::{before, int};
use crate::store::redemption_rows::RedemptionRows;
use crate::store::rows;
use crate::store::{Page, RedemptionFilter, Row, StoreError, StoredBatch};

pub fn plan(steps: &mut Steps, batch: &RedemptionRows) -> Result<(), StoreError> {
    batches(steps, batch)?;
    requested(steps, batch)?;
    stepped(steps, batch)
}

fn batches(steps: &mut Steps, batch: &RedemptionRows) -> Result<(), StoreError> {
    const NEW: Template =
        insert("INSERT INTO redemption_batches (created_seq, id, user_id, total) VALUES ", 4);
    split(steps, &NEW, batch.batches.iter(), |values, row| {
        values.add(int(row.created_seq.get())).add(row.id.get());
        values.add(int(row.user_id.get())).add(int(row.total as u64));
    })
}

fn requested(steps: &mut Steps, batch: &RedemptionRows) -> Result<(), StoreError> {
    const NEW: Template = insert(
        "INSERT INTO redemptions (place, id, user_id, batch_id, country, face_value, status, account_id, fence, amount, payout, \
         failure_code, failure_detail, attempts, code_name, code_last4, code, created_at, updated_at) VALUES ",
        19,
    );
    split(steps, &NEW, batch.requested.iter(), |values, (place, card)| {
        let failure = card.failure.as_ref();
        values.add(int(*place)).add(card.id.get()).add(int(card.user_id.get()));
        values.add(card.batch_id.map(|id| id.get())).add(card.country.as_str());
        values.add(card.face_value.map(|money| money.minor())).add(card.status.word());
        values.add(card.account_id.map(|id| id.get())).add(int(card.fence));
        values.add(card.amount.map(|money| money.minor())).add(card.payout.map(|money| money.minor()));
        values.add(failure.map(|failure| &*failure.code)).add(failure.map(|failure| failure.detail.as_str()));
        values.add(card.attempts).add(&*card.code_name).add(&*card.code_last4);
        values.add(card.code.as_ref().map(|code| code.as_bytes()));
        values.add(card.created_at.micros()).add(card.updated_at.micros());
    })
}

fn stepped(steps: &mut Steps, batch: &RedemptionRows) -> Result<(), StoreError> {
    const STEPPED: Template = update(
        "WITH v (id, status, is_open, account_id, fence, amount, payout, failure_code, failure_detail, attempts, updated_at) \
         AS (VALUES ",
        11,
        ") UPDATE redemptions AS r SET status = v.status, code = CASE WHEN v.is_open THEN r.code END, \
         account_id = coalesce(v.account_id, r.account_id), fence = coalesce(v.fence, r.fence), \
         amount = coalesce(v.amount, r.amount), payout = coalesce(v.payout, r.payout), \
         failure_code = v.failure_code, \
         failure_detail = v.failure_detail, attempts = r.attempts + v.attempts, \
         updated_at = v.updated_at FROM v WHERE r.id = v.id",
        "redemptions",
    );
    split(steps, &STEPPED, batch.stepped.iter(), |values, (id, row)| {
        let (step, failure) = (&row.step, row.step.failure.as_ref());
        values.add(id.get()).add(step.to.word()).add(step.to.is_open());
        values.add(step.locked.map(|(id, _)| id.get())).add(step.locked.map(|(_, fence)| int(fence)));
        values.add(step.amount.map(|money| money.minor())).add(step.payout.map(|money| money.minor()));
        values.add(failure.map(|failure| &*failure.code)).add(failure.map(|failure| failure.detail.as_str()));
        values.add(step.attempts).add(row.at.micros());
    })
}

pub async fn by_id(mut read: Reading, ids: Vec<RedemptionId>) -> Found<Vec<Row<Redemption>>> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    let found = sqlx::query(
        "SELECT * FROM redemptions WHERE id IN (SELECT unhex(value) FROM json_each($1)) ORDER BY place",
    )
    .bind(json_of_uuids(&ids))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "place", rows::redemption)?).await
}

pub async fn list(mut read: Reading, filter: RedemptionFilter, page: Page) -> Found<Vec<Row<Redemption>>> {
    let found = sqlx::query(
        "SELECT * FROM redemptions
         WHERE place < $1 AND ($3 IS NULL OR user_id = $3) AND ($4 IS NULL OR status = $4) AND ($5 IS NULL OR batch_id = $5)
         ORDER BY place DESC LIMIT $2",
    )
    .bind(before(page))
    .bind(page.limit)
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
    .bind(limit)
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
