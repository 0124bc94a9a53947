//! One batch, one transaction: first the compare-and-set, then rows in the order of their keys.

use super::chunks::{Step, Template, split};
use super::{accounts, fault, lease, messages, redemptions, withdrawals};
use crate::canary::Moment;
use crate::store::StoreError;
use crate::store::batch::{Batch, EntryRow, KeyRow, MovementRow, ProductState};
use crate::store::numbers::int;
use sqlx::sqlite::SqliteConnection;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A batch as statements.
pub struct Plan {
    after: i64,
    to: i64,
    steps: Vec<Step>,
}

pub(super) const fn insert(head: &'static str, columns: usize) -> Template {
    Template { head, columns, tail: "", every: None }
}

pub(super) const fn update(
    head: &'static str,
    columns: usize,
    tail: &'static str,
    what: &'static str,
) -> Template {
    Template { head, columns, tail, every: Some(what) }
}

/// Moves the watermark and writes the plan's rows, or nothing at all.
pub async fn run(conn: &mut SqliteConnection, epoch: i64, plan: Plan) -> Result<(), StoreError> {
    lease::begin(conn).await?;
    Moment::BatchBegun.reached();
    let moved = sqlx::query("UPDATE engine SET watermark = ? WHERE id = 1 AND epoch = ? AND watermark = ?")
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
        step.run(conn).await?;
    }
    Moment::RowsWritten.reached();
    lease::commit(conn).await?;
    Moment::BatchCommitted.reached();
    Ok(())
}

impl Plan {
    pub fn of(batch: &Batch) -> Result<Self, StoreError> {
        let mut steps = Vec::new();
        products(&mut steps, batch)?;
        movements(&mut steps, batch)?;
        users(&mut steps, batch)?;
        entries(&mut steps, batch)?;
        orders(&mut steps, batch)?;
        returns(&mut steps, batch)?;
        sessions(&mut steps, batch)?;
        names(&mut steps, batch)?;
        keys(&mut steps, batch)?;
        messages::plan(&mut steps, &batch.messages)?;
        withdrawals::plan(&mut steps, &batch.withdrawals)?;
        accounts::plan(&mut steps, &batch.accounts)?;
        redemptions::plan(&mut steps, &batch.redemptions)?;
        Ok(Self { after: int(batch.after.get()), to: int(batch.to.get()), steps })
    }
}

pub(super) type Steps = Vec<Step>;
type Done = Result<(), StoreError>;

fn products(steps: &mut Steps, batch: &Batch) -> Done {
    const NEW: Template = insert(
        "INSERT INTO products (id, created_seq, stock, version, updated_at, sku, name, name_key, description, price, \
         revision, created_at, deleted_at) VALUES ",
        13,
    );
    const CHANGED: Template = update(
        "WITH v (id, created_seq, stock, version, updated_at, sku, name, name_key, description, price, revision, \
         created_at, deleted_at) AS (VALUES ",
        13,
        ") UPDATE products SET stock = v.stock, version = v.version, updated_at = max(products.updated_at, v.updated_at), \
         sku = v.sku, name = v.name, name_key = v.name_key, description = v.description, price = v.price, \
         revision = v.revision, deleted_at = v.deleted_at FROM v WHERE products.id = v.id",
        "changed products",
    );
    const MOVED: Template = update(
        "WITH v (id, stock, version, updated_at) AS (VALUES ",
        4,
        ") UPDATE products SET stock = v.stock, version = v.version, updated_at = max(products.updated_at, v.updated_at) \
         FROM v WHERE products.id = v.id",
        "sold products",
    );
    let rows = |of: fn(&ProductState) -> bool| {
        batch.products.iter().filter(move |(_, state)| of(state)).collect::<Vec<_>>().into_iter()
    };
    let whole = |values: &mut super::chunks::Values,
                 (id, state): (&crate::domain::ProductId, &ProductState)| {
        let created_seq = state.created_seq.map(|seq| int(seq.get()));
        values.add(int(id.get())).add(created_seq).add(state.stock).add(int(state.version));
        values.add(state.updated_at.micros());
        let details = state.details.as_deref();
        values.add(details.and_then(|details| details.sku.as_ref()).map(|sku| sku.as_str()));
        values.add(details.map(|details| details.name.as_str()));
        values.add(details.map(|details| details.name.as_str().to_lowercase()));
        values.add(details.and_then(|details| details.description.as_ref()).map(|text| text.as_str()));
        values.add(details.map(|details| details.price.minor()));
        values.add(details.map(|details| int(details.revision)));
        values.add(details.map(|details| details.created_at.micros()));
        values.add(details.and_then(|details| details.deleted_at).map(|at| at.micros()));
    };
    split(steps, &NEW, rows(|state| state.created_seq.is_some()), whole)?;
    split(steps, &CHANGED, rows(|state| state.created_seq.is_none() && state.details.is_some()), whole)?;
    split(
        steps,
        &MOVED,
        rows(|state| state.created_seq.is_none() && state.details.is_none()),
        |values, row| {
            let (id, state) = row;
            values.add(int(id.get())).add(state.stock).add(int(state.version)).add(state.updated_at.micros());
        },
    )
}

fn movements(steps: &mut Steps, batch: &Batch) -> Done {
    const NEW: Template = insert(
        "INSERT INTO movements (product_id, version, seq, delta, stock_after, kind, order_id, reason, created_at) VALUES ",
        9,
    );
    let mut rows: Vec<&MovementRow> = batch.movements.iter().collect();
    rows.sort_unstable_by_key(|row| (row.movement.product_id, row.movement.posting.version));
    split(steps, &NEW, rows.into_iter(), |values, row| {
        let (movement, posting) = (&row.movement, &row.movement.posting);
        values.add(int(movement.product_id.get())).add(int(posting.version)).add(int(row.seq.get()));
        values.add(posting.delta).add(posting.total).add(movement.kind.word());
        values
            .add(movement.order_id.map(|id| id.get()))
            .add(movement.reason.as_ref().map(|text| text.as_str()));
        values.add(row.at.micros());
    })
}

fn users(steps: &mut Steps, batch: &Batch) -> Done {
    const NEW: Template = insert(
        "INSERT INTO users (id, name, name_key, email, email_key, password_hash, role, created_seq, created_at) VALUES ",
        9,
    );
    const OPENED: Template = insert("INSERT INTO balances (user_id, amount, version) VALUES ", 3);
    const POSTED: Template = update(
        "WITH v (user_id, amount, version) AS (VALUES ",
        3,
        ") UPDATE balances SET amount = v.amount, version = v.version FROM v WHERE balances.user_id = v.user_id",
        "balances",
    );
    let users: BTreeMap<_, _> = batch.users.iter().map(|row| (row.id, row)).collect();
    split(steps, &NEW, users.values(), |values, row| {
        let profile = &row.profile;
        values.add(int(row.id.get())).add(profile.name.as_str()).add(profile.name.as_str().to_lowercase());
        values.add(profile.email.as_str()).add(profile.email.key()).add(profile.password_hash.as_deref());
        values.add(profile.role.word()).add(int(row.created_seq.get())).add(profile.created_at.micros());
    })?;
    split(steps, &OPENED, users.keys(), |values, id| {
        let (amount, version) = batch.balances.get(id).map_or((0, 0), |state| (state.amount, state.version));
        values.add(int(id.get())).add(amount).add(int(version));
    })?;
    let posted: Vec<_> = batch.balances.iter().filter(|(id, _)| !users.contains_key(id)).collect();
    split(steps, &POSTED, posted.into_iter(), |values, (id, state)| {
        values.add(int(id.get())).add(state.amount).add(int(state.version));
    })
}

fn entries(steps: &mut Steps, batch: &Batch) -> Done {
    const NEW: Template = insert(
        "INSERT INTO entries (user_id, version, seq, delta, balance_after, kind, order_id, reference, description, \
         created_at) VALUES ",
        10,
    );
    let mut rows: Vec<&EntryRow> = batch.entries.iter().collect();
    rows.sort_unstable_by_key(|row| (row.entry.user_id, row.entry.posting.version));
    split(steps, &NEW, rows.into_iter(), |values, row| {
        let (entry, posting) = (&row.entry, &row.entry.posting);
        values.add(int(entry.user_id.get())).add(int(posting.version)).add(int(row.seq.get()));
        values.add(posting.delta).add(posting.total).add(entry.kind.word());
        values.add(entry.order_id.map(|id| id.get())).add(entry.reference.as_ref().map(|text| text.as_str()));
        values.add(entry.description.as_ref().map(|text| text.as_str())).add(row.at.micros());
    })
}

fn orders(steps: &mut Steps, batch: &Batch) -> Done {
    const NEW: Template = insert(
        "INSERT INTO orders (created_seq, id, user_id, status, total_amount, failure_code, failure_detail, \
         failure_product_id, created_at, updated_at) VALUES ",
        10,
    );
    const LINES: Template = insert(
        "INSERT INTO order_lines (order_id, line, product_id, quantity, unit_price, product_name, product_price) VALUES ",
        7,
    );
    const STEPPED: Template = update(
        "WITH v (id, status, updated_at, failure_code, failure_detail, failure_product_id) AS (VALUES ",
        6,
        ") UPDATE orders SET status = coalesce(v.status, orders.status), updated_at = v.updated_at, \
         failure_code = coalesce(v.failure_code, orders.failure_code), \
         failure_detail = coalesce(v.failure_detail, orders.failure_detail), \
         failure_product_id = coalesce(v.failure_product_id, orders.failure_product_id) FROM v WHERE orders.id = v.id",
        "advanced orders",
    );
    let mut rows: Vec<_> = batch.orders.values().collect();
    rows.sort_unstable_by_key(|row| row.created_seq);
    split(steps, &NEW, rows.into_iter(), |values, row| {
        let (order, failure) = (&row.order, row.failure.as_ref());
        values.add(int(row.created_seq.get())).add(order.id.get()).add(int(order.user_id.get()));
        values.add(row.status.word()).add(order.total.minor());
        values.add(failure.map(|failure| &*failure.code)).add(failure.map(|failure| &*failure.detail));
        values.add(failure.and_then(|failure| failure.product_id).map(|id| int(id.get())));
        values.add(order.created_at.micros()).add(row.updated_at.micros());
    })?;
    let lines: Vec<_> = batch
        .orders
        .iter()
        .flat_map(|(id, row)| {
            row.order.lines.iter().zip(0i64..).map(move |(line, number)| (id, number, line))
        })
        .collect();
    split(steps, &LINES, lines.into_iter(), |values, (id, number, line)| {
        values.add(id.get()).add(number).add(int(line.product_id.get())).add(line.quantity.get());
        values.add(line.unit_price.minor()).add(line.product_name.as_str()).add(line.product_price.minor());
    })?;
    split(steps, &STEPPED, batch.order_steps.iter(), |values, (id, step)| {
        let failure = step.failure.as_ref();
        values.add(id.get()).add(step.status.map(|status| status.word())).add(step.updated_at.micros());
        values.add(failure.map(|failure| &*failure.code)).add(failure.map(|failure| &*failure.detail));
        values.add(failure.and_then(|failure| failure.product_id).map(|id| int(id.get())));
    })
}

fn returns(steps: &mut Steps, batch: &Batch) -> Done {
    const NEW: Template = insert(
        "INSERT INTO returns (id, seq, user_id, order_id, total_amount, reason, created_at) VALUES ",
        7,
    );
    const LINES: Template =
        insert("INSERT INTO return_lines (return_id, line, product_id, quantity, unit_price) VALUES ", 5);
    split(steps, &NEW, batch.returns.iter(), |values, row| {
        let goods = &row.goods;
        values.add(goods.id.get()).add(int(row.seq.get())).add(int(goods.user_id.get()));
        values.add(goods.order_id.map(|id| id.get())).add(goods.total.minor());
        values.add(goods.reason.as_ref().map(|text| text.as_str())).add(row.at.micros());
    })?;
    let lines: Vec<_> = batch
        .returns
        .iter()
        .flat_map(|row| row.goods.lines.iter().zip(0i64..).map(|(line, number)| (row.goods.id, number, line)))
        .collect();
    split(steps, &LINES, lines.into_iter(), |values, (id, number, line)| {
        values.add(id.get()).add(number).add(int(line.product_id.get()));
        values.add(line.quantity.get()).add(line.unit_price.minor());
    })
}

fn sessions(steps: &mut Steps, batch: &Batch) -> Done {
    const NEW: Template = insert(
        "INSERT INTO sessions (family_id, user_id, role, opened_at, expires_at, generation, rotated_at, revoked_at) VALUES ",
        8,
    );
    const CHANGED: Template = update(
        "WITH v (family_id, generation, rotated_at, revoked_at) AS (VALUES ",
        4,
        ") UPDATE sessions SET generation = coalesce(v.generation, sessions.generation), \
         rotated_at = coalesce(v.rotated_at, sessions.rotated_at), \
         revoked_at = coalesce(v.revoked_at, sessions.revoked_at) FROM v WHERE sessions.family_id = v.family_id",
        "sessions",
    );
    let opened: Vec<_> =
        batch.sessions.iter().filter_map(|(id, state)| state.grant.map(|grant| (id, state, grant))).collect();
    split(steps, &NEW, opened.into_iter(), |values, (id, state, grant)| {
        let (generation, rotated_at) = state.rotated.unwrap_or((0, grant.opened_at));
        values.add(id.get()).add(int(grant.user_id.get())).add(grant.role.word());
        values.add(grant.opened_at.micros()).add(grant.expires_at.micros());
        values.add(generation).add(rotated_at.micros()).add(state.revoked_at.map(|at| at.micros()));
    })?;
    let changed: Vec<_> = batch.sessions.iter().filter(|(_, state)| state.grant.is_none()).collect();
    split(steps, &CHANGED, changed.into_iter(), |values, (id, state)| {
        values.add(id.get()).add(state.rotated.map(|(generation, _)| generation));
        values.add(state.rotated.map(|(_, at)| at.micros())).add(state.revoked_at.map(|at| at.micros()));
    })
}

fn names(steps: &mut Steps, batch: &Batch) -> Done {
    const FREED: Template = Template {
        head: "DELETE FROM names WHERE (namespace, name) IN (VALUES ",
        columns: 2,
        tail: ")",
        every: None,
    };
    const TAKEN: Template = Template {
        head: "INSERT INTO names (namespace, name, holder) VALUES ",
        columns: 3,
        tail: " ON CONFLICT DO UPDATE SET holder = excluded.holder",
        every: None,
    };
    let freed: Vec<_> = batch.names.iter().filter(|(_, holder)| holder.is_none()).collect();
    split(steps, &FREED, freed.into_iter(), |values, ((namespace, name), _)| {
        values.add(namespace.word()).add(&**name);
    })?;
    let taken: Vec<_> = batch.names.iter().filter_map(|(name, holder)| holder.map(|id| (name, id))).collect();
    split(steps, &TAKEN, taken.into_iter(), |values, ((namespace, name), holder)| {
        values.add(namespace.word()).add(&**name).add(int(holder));
    })
}

/// A key may come back once it has expired: the newest use counts.
fn keys(steps: &mut Steps, batch: &Batch) -> Done {
    const NEW: Template = insert(
        "INSERT OR REPLACE INTO keys (user_id, fingerprint, request, seq, outcome, created_at) VALUES ",
        6,
    );
    let newest = |row: &KeyRow| (row.caller, row.fingerprint);
    let last: BTreeMap<_, _> = batch.keys.iter().map(|row| (newest(row), row)).collect();
    let mut rows: Vec<_> = last.into_values().collect();
    rows.sort_unstable_by_key(|row| row.seq);
    split(steps, &NEW, rows.into_iter(), |values, row| {
        values.add(int(row.caller.get())).add(Uuid::from_bytes(row.fingerprint));
        values.add(Uuid::from_bytes(row.request)).add(int(row.seq.get()));
        values.add(row.outcome.as_str()).add(row.at.micros());
    })
}
