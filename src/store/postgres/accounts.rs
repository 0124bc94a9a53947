//! Redemption accounts, their transitions and their plans: their rows, and reading them.

use super::fault;
use super::load::{Found, Reading};
use super::plan::{Arrays, Done, Plan};
use crate::domain::AccountId;
use crate::domain::account::{AccountView, Lock};
use crate::domain::plan::{self, PlanList};
use crate::store::account_rows::AccountRows;
use crate::store::numbers::{before, int};
use crate::store::rows::{self, Columns};
use crate::store::{AccountFilter, Page, Row, TransitionRow};

impl Plan {
    pub(super) fn accounts(&mut self, batch: &AccountRows) -> Done {
        self.plans(batch)?;
        self.created_accounts(batch)?;
        self.changed_accounts(batch)?;
        self.transitions(batch)
    }

    fn plans(&mut self, batch: &AccountRows) -> Done {
        if batch.plans.is_empty() {
            return Ok(());
        }
        let plans = || batch.plans.iter().map(|(_, plan)| plan);
        let mut arrays = Arrays::default();
        arrays.add(batch.plans.iter().map(|(seq, _)| int(seq.get())))?;
        arrays.add(plans().map(|plan| plan.id.get()))?;
        arrays.add(plans().map(|plan| plan.name.as_str()))?;
        arrays.add(plans().map(|plan| plan.target.minor()))?;
        arrays.add(plans().map(|plan| i64::from(plan.payout.get())))?;
        arrays.add(plans().map(|plan| plan.created_at.micros()))?;
        self.query(
            "INSERT INTO plans (created_seq, id, name, target_amount, payout_bps, created_at)
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    fn created_accounts(&mut self, batch: &AccountRows) -> Done {
        if batch.created.is_empty() {
            return Ok(());
        }
        let views = || batch.created.values();
        let mut arrays = Arrays::default();
        arrays.add(views().map(|view| int(view.account.number)))?;
        arrays.add(views().map(|view| view.account.id.get()))?;
        arrays.add(views().map(|view| view.account.label.as_str()))?;
        arrays.add(views().map(|view| view.account.country.as_str()))?;
        arrays.add(views().map(|view| view.account.plan_id.get()))?;
        arrays.add(views().map(|view| view.status.word()))?;
        arrays.add(views().map(|view| view.login.word()))?;
        arrays.add(views().map(|view| view.redeemed_total))?;
        arrays.add(views().map(|view| int(view.version)))?;
        arrays.add(views().map(|view| int(view.fence)))?;
        locks(&mut arrays, || batch.created.values().map(|view| view.lock.as_ref()))?;
        arrays.add(views().map(|view| view.created_at.micros()))?;
        arrays.add(views().map(|view| view.updated_at.micros()))?;
        arrays.add(views().map(|view| view.used_at.micros()))?;
        self.query(
            "INSERT INTO accounts (number, id, label, country, plan_id, status, login_status, redeemed_total, version, fence,
                                   lock_redemption_id, lock_previous_status, lock_since, lock_deadline, created_at, updated_at,
                                   used_at)
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[],
                                  $8::bigint[], $9::bigint[], $10::bigint[], $11::uuid[], $12::text[], $13::bigint[],
                                  $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    fn changed_accounts(&mut self, batch: &AccountRows) -> Done {
        if batch.changed.is_empty() {
            return Ok(());
        }
        let changes = || batch.changed.values();
        let mut arrays = Arrays::default();
        arrays.add(batch.changed.keys().map(|id| id.get()))?;
        arrays.add(changes().map(|change| change.last.to.word()))?;
        arrays.add(changes().map(|change| change.last.login.word()))?;
        arrays.add(changes().map(|change| change.last.posting.total))?;
        arrays.add(changes().map(|change| int(change.last.posting.version)))?;
        arrays.add(changes().map(|change| change.locked.map(|lock| int(lock.fence))))?;
        locks(&mut arrays, || batch.changed.values().map(|change| change.last.lock.as_ref()))?;
        arrays.add(changes().map(|change| change.at.micros()))?;
        arrays.add(changes().map(|change| change.locked.map(|lock| lock.since.micros())))?;
        self.query(
            "UPDATE accounts AS a SET status = v.status, login_status = v.login_status, redeemed_total = v.redeemed_total,
                    version = v.version, fence = coalesce(v.fence, a.fence), lock_redemption_id = v.lock_redemption_id,
                    lock_previous_status = v.lock_previous_status, lock_since = v.lock_since,
                    lock_deadline = v.lock_deadline, updated_at = v.updated_at, used_at = coalesce(v.used_at, a.used_at)
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::uuid[],
                         $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
                  AS v (id, status, login_status, redeemed_total, version, fence, lock_redemption_id,
                        lock_previous_status, lock_since, lock_deadline, updated_at, used_at)
             WHERE a.id = v.id",
            arrays,
            Some((batch.changed.len(), "accounts")),
        );
        Ok(())
    }

    fn transitions(&mut self, batch: &AccountRows) -> Done {
        if batch.transitions.is_empty() {
            return Ok(());
        }
        let all = || batch.transitions.iter().map(|(transition, _, _)| transition);
        let mut arrays = Arrays::default();
        arrays.add(all().map(|transition| transition.account_id.get()))?;
        arrays.add(all().map(|transition| int(transition.posting.version)))?;
        arrays.add(batch.transitions.iter().map(|(_, seq, _)| int(seq.get())))?;
        arrays.add(all().map(|transition| transition.from.word()))?;
        arrays.add(all().map(|transition| transition.to.word()))?;
        arrays.add(all().map(|transition| transition.login.word()))?;
        arrays.add(all().map(|transition| transition.reason.word()))?;
        arrays.add(all().map(|transition| transition.redemption_id.map(|id| id.get())))?;
        arrays.add(all().map(|transition| transition.posting.delta))?;
        arrays.add(all().map(|transition| transition.posting.total))?;
        arrays.add(batch.transitions.iter().map(|(_, _, at)| at.micros()))?;
        self.query(
            "INSERT INTO transitions (account_id, version, seq, from_status, to_status, login_status, reason,
                                      redemption_id, amount, redeemed_total, created_at)
             SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                                  $8::uuid[], $9::bigint[], $10::bigint[], $11::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }
}

/// The four columns of a lock, set together or not at all.
fn locks<'a, I: Iterator<Item = Option<&'a Lock>>>(arrays: &mut Arrays, all: impl Fn() -> I) -> Done {
    arrays.add(all().map(|lock| lock.map(|lock| lock.redemption_id.get())))?;
    arrays.add(all().map(|lock| lock.map(|lock| lock.previous_status.word())))?;
    arrays.add(all().map(|lock| lock.map(|lock| lock.since.micros())))?;
    arrays.add(all().map(|lock| lock.map(|lock| lock.deadline.micros())))?;
    Ok(())
}

pub async fn plan_list(mut read: Reading) -> Found<PlanList> {
    let found = sqlx::query("SELECT * FROM plans").fetch_all(read.conn()).await.map_err(fault)?;
    let last = sqlx::query("SELECT coalesce(max(number), 0) AS number FROM accounts")
        .fetch_one(read.conn())
        .await
        .map_err(fault)?;
    read.end(PlanList::stored(rows::all(&found, rows::plan)?, last.count("number")?)).await
}

pub async fn plans(mut read: Reading, page: Page) -> Found<Vec<Row<plan::Plan>>> {
    let found = sqlx::query("SELECT * FROM plans WHERE created_seq < $1 ORDER BY created_seq DESC LIMIT $2")
        .bind(before(page))
        .bind(i64::from(page.limit))
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::plan)?).await
}

pub async fn load(mut read: Reading, ids: Vec<AccountId>) -> Found<Vec<AccountView>> {
    let wanted: Vec<_> = ids.iter().map(|id| id.get()).collect();
    let found = sqlx::query(
        "SELECT a.*, p.target_amount, p.payout_bps
         FROM accounts a JOIN plans p ON p.id = a.plan_id WHERE a.id = ANY($1)",
    )
    .bind(wanted)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::all(&found, rows::account)?).await
}

pub async fn list(mut read: Reading, filter: AccountFilter, page: Page) -> Found<Vec<Row<AccountView>>> {
    let found = sqlx::query(
        "SELECT a.*, p.target_amount, p.payout_bps
         FROM accounts a JOIN plans p ON p.id = a.plan_id
         WHERE a.number < $1 AND ($3::text IS NULL OR a.status = $3) AND ($4::text IS NULL OR a.login_status = $4)
               AND ($5::text IS NULL OR a.country = $5)
         ORDER BY a.number DESC LIMIT $2",
    )
    .bind(before(page))
    .bind(i64::from(page.limit))
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
    .bind(i64::from(limit))
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
    .bind(i64::from(page.limit))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "version", rows::transition)?).await
}
