//! Redemption accounts, their transitions and their plans: their rows, and reading them.

use super::apply::{Steps, insert, update};
use super::chunks::{Template, split};
use super::fault;
use super::load::{Found, Reading, json_of_uuids};
use crate::domain::AccountId;
use crate::domain::account::AccountView;
use crate::domain::plan::{Plan, PlanList};
use crate::store::account_rows::AccountRows;
use crate::store::numbers::{before, int};
use crate::store::rows::{self, Columns};
use crate::store::{AccountFilter, Page, Row, StoreError, TransitionRow};

type Done = Result<(), StoreError>;

pub fn plan(steps: &mut Steps, batch: &AccountRows) -> Done {
    plans_of(steps, batch)?;
    created(steps, batch)?;
    changed(steps, batch)?;
    history(steps, batch)
}

fn plans_of(steps: &mut Steps, batch: &AccountRows) -> Done {
    const NEW: Template =
        insert("INSERT INTO plans (created_seq, id, name, target_amount, payout_bps, created_at) VALUES ", 6);
    split(steps, &NEW, batch.plans.iter(), |values, (seq, plan)| {
        values.add(int(seq.get())).add(plan.id.get()).add(plan.name.as_str());
        values.add(plan.target.minor()).add(plan.payout.get()).add(plan.created_at.micros());
    })
}

fn created(steps: &mut Steps, batch: &AccountRows) -> Done {
    const NEW: Template = insert(
        "INSERT INTO accounts (number, id, label, country, plan_id, status, login_status, redeemed_total, version, fence, \
         lock_redemption_id, lock_previous_status, lock_since, lock_deadline, created_at, updated_at, used_at) VALUES ",
        17,
    );
    split(steps, &NEW, batch.created.values(), |values, view| {
        let (account, lock) = (&view.account, view.lock.as_ref());
        values
            .add(int(account.number))
            .add(account.id.get())
            .add(account.label.as_str())
            .add(account.country.as_str());
        values.add(account.plan_id.get()).add(view.status.word()).add(view.login.word());
        values.add(view.redeemed_total).add(int(view.version)).add(int(view.fence));
        values
            .add(lock.map(|lock| lock.redemption_id.get()))
            .add(lock.map(|lock| lock.previous_status.word()));
        values.add(lock.map(|lock| lock.since.micros())).add(lock.map(|lock| lock.deadline.micros()));
        values.add(view.created_at.micros()).add(view.updated_at.micros()).add(view.used_at.micros());
    })
}

fn changed(steps: &mut Steps, batch: &AccountRows) -> Done {
    const CHANGED: Template = update(
        "WITH v (id, status, login_status, redeemed_total, version, fence, lock_redemption_id, lock_previous_status, \
         lock_since, lock_deadline, updated_at, used_at) AS (VALUES ",
        12,
        ") UPDATE accounts SET status = v.status, login_status = v.login_status, redeemed_total = v.redeemed_total, \
         version = v.version, fence = coalesce(v.fence, accounts.fence), lock_redemption_id = v.lock_redemption_id, \
         lock_previous_status = v.lock_previous_status, lock_since = v.lock_since, lock_deadline = v.lock_deadline, \
         updated_at = v.updated_at, used_at = coalesce(v.used_at, accounts.used_at) FROM v WHERE accounts.id = v.id",
        "accounts",
    );
    split(steps, &CHANGED, batch.changed.iter(), |values, (id, change)| {
        let (last, lock) = (&change.last, change.last.lock.as_ref());
        values.add(id.get()).add(last.to.word()).add(last.login.word());
        values
            .add(last.posting.total)
            .add(int(last.posting.version))
            .add(change.locked.map(|lock| int(lock.fence)));
        values
            .add(lock.map(|lock| lock.redemption_id.get()))
            .add(lock.map(|lock| lock.previous_status.word()));
        values.add(lock.map(|lock| lock.since.micros())).add(lock.map(|lock| lock.deadline.micros()));
        values.add(change.at.micros()).add(change.locked.map(|lock| lock.since.micros()));
    })
}

fn history(steps: &mut Steps, batch: &AccountRows) -> Done {
    const NEW: Template = insert(
        "INSERT INTO transitions (account_id, version, seq, from_status, to_status, login_status, reason, redemption_id, \
         amount, redeemed_total, created_at) VALUES ",
        11,
    );
    split(steps, &NEW, batch.transitions.iter(), |values, (transition, seq, at)| {
        let posting = &transition.posting;
        values.add(transition.account_id.get()).add(int(posting.version)).add(int(seq.get()));
        values.add(transition.from.word()).add(transition.to.word()).add(transition.login.word());
        values.add(transition.reason.word()).add(transition.redemption_id.map(|id| id.get()));
        values.add(posting.delta).add(posting.total).add(at.micros());
    })
}

pub async fn plan_list(mut read: Reading) -> Found<PlanList> {
    let found = sqlx::query("SELECT * FROM plans").fetch_all(read.conn()).await.map_err(fault)?;
    let last = sqlx::query("SELECT coalesce(max(number), 0) AS number FROM accounts")
        .fetch_one(read.conn())
        .await
        .map_err(fault)?;
    read.end(PlanList::stored(rows::all(&found, rows::plan)?, last.count("number")?)).await
}

pub async fn plans(mut read: Reading, page: Page) -> Found<Vec<Row<Plan>>> {
    let found = sqlx::query("SELECT * FROM plans WHERE created_seq < $1 ORDER BY created_seq DESC LIMIT $2")
        .bind(before(page))
        .bind(page.limit)
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::plan)?).await
}

pub async fn load(mut read: Reading, ids: Vec<AccountId>) -> Found<Vec<AccountView>> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    let found = sqlx::query(
        "SELECT a.*, p.target_amount, p.payout_bps
         FROM accounts a JOIN plans p ON p.id = a.plan_id WHERE a.id IN (SELECT unhex(value) FROM json_each($1))",
    )
    .bind(json_of_uuids(&ids))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::all(&found, rows::account)?).await
}

pub async fn list(mut read: Reading, filter: AccountFilter, page: Page) -> Found<Vec<Row<AccountView>>> {
    let found = sqlx::query(
        "SELECT a.*, p.target_amount, p.payout_bps
         FROM accounts a JOIN plans p ON p.id = a.plan_id
         WHERE a.number < $1 AND ($3 IS NULL OR a.status = $3) AND ($4 IS NULL OR a.login_status = $4)
               AND ($5 IS NULL OR a.country = $5)
         ORDER BY a.number DESC LIMIT $2",
    )
    .bind(before(page))
    .bind(page.limit)
    .bind(filter.status.map(|status| status.word()))
    .bind(filter.login.map(|login| login.word()))
    .bind(filter.country.map(|country| country.to_string()))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "number", rows::account)?).await
}

pub async fn free(mut read: Reading, after: u64, limit: u32) -> Found<Vec<Row<AccountView>>> {
    let found = sqlx::query(
        "SELECT a.*, p.target_amount, p.payout_bps FROM accounts a JOIN plans p ON p.id = a.plan_id
         WHERE a.number > $1 AND a.status IN ('waiting', 'processing') AND a.login_status = 'active'
         ORDER BY a.number LIMIT $2",
    )
    .bind(int(after))
    .bind(limit)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "number", rows::account)?).await
}

pub async fn transitions(mut read: Reading, id: AccountId, page: Page) -> Found<Vec<Row<TransitionRow>>> {
    let found = sqlx::query(
        "SELECT * FROM transitions WHERE account_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3",
    )
    .bind(id.get())
    .bind(before(page))
    .bind(page.limit)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "version", rows::transition)?).await
}
