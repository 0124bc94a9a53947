//! A batch as statements: the columns of all rows of one kind of change as arrays of one statement. Here the
//! state that is updated in place; history in its own file.

use crate::domain::ProductId;
use crate::store::StoreError;
use crate::store::batch::{Batch, ProductState};
use crate::store::numbers::int;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Encode, Postgres, Type};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A batch, ready to be sent.
pub struct Plan {
    pub after: i64,
    pub to: i64,
    pub steps: Vec<Step>,
}

/// One statement.
pub struct Step {
    pub sql: &'static str,
    pub values: PgArguments,
    /// How many rows it must touch, and of what, when every row must be found.
    pub every: Option<(u64, &'static str)>,
}

pub type Done = Result<(), StoreError>;

/// The arrays of one statement.
#[derive(Default)]
pub struct Arrays(PgArguments);

impl Arrays {
    pub fn add<'v, T: Encode<'v, Postgres> + Type<Postgres>>(
        &mut self,
        column: impl Iterator<Item = T>,
    ) -> Result<&mut Self, StoreError>
    where
        Vec<T>: Encode<'v, Postgres> + Type<Postgres>,
    {
        self.0.add(column.collect::<Vec<T>>()).map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok(self)
    }
}

impl Plan {
    pub fn of(batch: &Batch) -> Result<Self, StoreError> {
        let (after, to) = (int(batch.after.get()), int(batch.to.get()));
        let mut plan = Self { after, to, steps: Vec::new() };
        plan.products(batch)?;
        plan.movements(batch)?;
        plan.users(batch)?;
        plan.balances(batch)?;
        plan.entries(batch)?;
        plan.orders(batch)?;
        plan.order_steps(batch)?;
        plan.returns(batch)?;
        plan.sessions(batch)?;
        plan.names(batch)?;
        plan.keys(batch)?;
        plan.messages(&batch.messages)?;
        plan.withdrawals(&batch.withdrawals)?;
        plan.accounts(&batch.accounts)?;
        plan.redemptions(&batch.redemptions)?;
        Ok(plan)
    }

    pub fn query(&mut self, sql: &'static str, values: Arrays, every: Option<(usize, &'static str)>) {
        let every = every.map(|(rows, what)| (rows as u64, what));
        self.steps.push(Step { sql, values: values.0, every });
    }

    fn products(&mut self, batch: &Batch) -> Done {
        let (whole, moved): (Vec<_>, Vec<_>) = batch
            .products
            .iter()
            .partition(|(_, state)| state.created_seq.is_some() || state.details.is_some());
        let (new, changed): (Vec<_>, Vec<_>) =
            whole.into_iter().partition(|(_, state)| state.created_seq.is_some());
        if !new.is_empty() {
            self.query(
                "INSERT INTO products (id, stock, version, updated_at, created_seq, sku, name, name_key, description, price,
                                       revision, created_at, deleted_at)
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[],
                                      $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[],
                                      $13::bigint[])",
                details(&new)?,
                None,
            );
        }
        if !changed.is_empty() {
            self.query(
                "UPDATE products AS p SET stock = v.stock, version = v.version, updated_at = greatest(p.updated_at, v.updated_at),
                        sku = v.sku, name = v.name, name_key = v.name_key, description = v.description, price = v.price,
                        revision = v.revision, deleted_at = v.deleted_at
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[],
                             $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])
                      AS v (id, stock, version, updated_at, created_seq, sku, name, name_key, description, price, revision,
                            created_at, deleted_at)
                 WHERE p.id = v.id",
                details(&changed)?,
                Some((changed.len(), "changed products")),
            );
        }
        if !moved.is_empty() {
            self.query(
                "UPDATE products AS p SET stock = v.stock, version = v.version, updated_at = greatest(p.updated_at, v.updated_at)
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS v (id, stock, version, updated_at)
                 WHERE p.id = v.id",
                totals(&moved)?,
                Some((moved.len(), "sold products")),
            );
        }
        Ok(())
    }

    fn users(&mut self, batch: &Batch) -> Done {
        let users: BTreeMap<_, _> = batch.users.iter().map(|row| (row.id, row)).collect();
        if users.is_empty() {
            return Ok(());
        }
        let rows = || users.values();
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| int(row.id.get())))?;
        arrays.add(rows().map(|row| row.profile.name.as_str()))?;
        arrays.add(rows().map(|row| row.profile.name.as_str().to_lowercase()))?;
        arrays.add(rows().map(|row| row.profile.email.as_str()))?;
        arrays.add(rows().map(|row| row.profile.email.key()))?;
        arrays.add(rows().map(|row| row.profile.password_hash.as_deref()))?;
        arrays.add(rows().map(|row| row.profile.role.word()))?;
        arrays.add(rows().map(|row| int(row.created_seq.get())))?;
        arrays.add(rows().map(|row| row.profile.created_at.micros()))?;
        self.query(
            "INSERT INTO users (id, name, name_key, email, email_key, password_hash, role, created_seq, created_at)
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                                  $8::bigint[], $9::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    /// New users' balances are inserted as they stand at the batch's end, all others updated.
    fn balances(&mut self, batch: &Batch) -> Done {
        let mut opened: BTreeMap<_, _> = batch.users.iter().map(|row| (row.id, (0, 0))).collect();
        let mut posted = Vec::new();
        for (id, state) in &batch.balances {
            match opened.get_mut(id) {
                Some(balance) => *balance = (state.amount, state.version),
                None => posted.push((*id, (state.amount, state.version))),
            }
        }
        let arrays = |rows: &[(crate::domain::UserId, (i64, u64))]| {
            let mut arrays = Arrays::default();
            arrays.add(rows.iter().map(|(id, _)| int(id.get())))?;
            arrays.add(rows.iter().map(|(_, (amount, _))| *amount))?;
            arrays.add(rows.iter().map(|(_, (_, version))| int(*version)))?;
            Ok::<_, StoreError>(arrays)
        };
        if !opened.is_empty() {
            let opened: Vec<_> = opened.into_iter().collect();
            self.query(
                "INSERT INTO balances (user_id, amount, version)
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])",
                arrays(&opened)?,
                None,
            );
        }
        if !posted.is_empty() {
            self.query(
                "UPDATE balances AS b SET amount = v.amount, version = v.version
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS v (user_id, amount, version)
                 WHERE b.user_id = v.user_id",
                arrays(&posted)?,
                Some((posted.len(), "balances")),
            );
        }
        Ok(())
    }

    fn order_steps(&mut self, batch: &Batch) -> Done {
        let steps = &batch.order_steps;
        if steps.is_empty() {
            return Ok(());
        }
        let mut arrays = Arrays::default();
        arrays.add(steps.keys().map(|id| id.get()))?;
        arrays.add(steps.values().map(|step| step.status.map(|status| status.word())))?;
        arrays.add(steps.values().map(|step| step.updated_at.micros()))?;
        let failures = || steps.values().map(|step| step.failure.as_ref());
        arrays.add(failures().map(|failure| failure.map(|failure| &*failure.code)))?;
        arrays.add(failures().map(|failure| failure.map(|failure| &*failure.detail)))?;
        arrays.add(failures().map(|failure| failure?.product_id.map(|id| int(id.get()))))?;
        self.query(
            "UPDATE orders AS o SET status = coalesce(v.status, o.status), updated_at = v.updated_at,
                    failure_code = coalesce(v.code, o.failure_code), failure_detail = coalesce(v.detail, o.failure_detail),
                    failure_product_id = coalesce(v.product_id, o.failure_product_id)
             FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
                  AS v (id, status, updated_at, code, detail, product_id) WHERE o.id = v.id",
            arrays,
            Some((steps.len(), "advanced orders")),
        );
        Ok(())
    }

    fn sessions(&mut self, batch: &Batch) -> Done {
        let opened: Vec<_> = batch
            .sessions
            .iter()
            .filter_map(|(id, state)| state.grant.map(|grant| (id, state, grant)))
            .collect();
        if !opened.is_empty() {
            let rows = || opened.iter();
            let mut arrays = Arrays::default();
            arrays.add(rows().map(|(id, ..)| id.get()))?;
            arrays.add(rows().map(|(.., grant)| int(grant.user_id.get())))?;
            arrays.add(rows().map(|(.., grant)| grant.role.word()))?;
            arrays.add(rows().map(|(.., grant)| grant.opened_at.micros()))?;
            arrays.add(rows().map(|(.., grant)| grant.expires_at.micros()))?;
            arrays.add(
                rows().map(|(_, state, _)| state.rotated.map_or(0, |(generation, _)| i64::from(generation))),
            )?;
            arrays.add(
                rows().map(|(_, state, grant)| state.rotated.map_or(grant.opened_at, |(_, at)| at).micros()),
            )?;
            arrays.add(rows().map(|(_, state, _)| state.revoked_at.map(|at| at.micros())))?;
            self.query(
                "INSERT INTO sessions (family_id, user_id, role, opened_at, expires_at, generation, rotated_at, revoked_at)
                 SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                                      $7::bigint[], $8::bigint[])",
                arrays,
                None,
            );
        }
        let changed: Vec<_> = batch.sessions.iter().filter(|(_, state)| state.grant.is_none()).collect();
        if !changed.is_empty() {
            let rows = || changed.iter();
            let mut arrays = Arrays::default();
            arrays.add(rows().map(|(id, _)| id.get()))?;
            arrays
                .add(rows().map(|(_, state)| state.rotated.map(|(generation, _)| i64::from(generation))))?;
            arrays.add(rows().map(|(_, state)| state.rotated.map(|(_, at)| at.micros())))?;
            arrays.add(rows().map(|(_, state)| state.revoked_at.map(|at| at.micros())))?;
            self.query(
                "UPDATE sessions AS s SET generation = coalesce(v.generation, s.generation),
                        rotated_at = coalesce(v.rotated_at, s.rotated_at), revoked_at = coalesce(v.revoked_at, s.revoked_at)
                 FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[])
                      AS v (family_id, generation, rotated_at, revoked_at) WHERE s.family_id = v.family_id",
                arrays,
                Some((changed.len(), "sessions")),
            );
        }
        Ok(())
    }

    fn names(&mut self, batch: &Batch) -> Done {
        let freed: Vec<_> = batch.names.iter().filter(|(_, holder)| holder.is_none()).collect();
        if !freed.is_empty() {
            let mut arrays = Arrays::default();
            arrays.add(freed.iter().map(|((namespace, _), _)| namespace.word()))?;
            arrays.add(freed.iter().map(|((_, name), _)| &**name))?;
            self.query(
                "DELETE FROM names AS n USING unnest($1::text[], $2::text[]) AS v (namespace, name)
                 WHERE n.namespace = v.namespace AND n.name = v.name",
                arrays,
                None,
            );
        }
        let taken: Vec<_> =
            batch.names.iter().filter_map(|(name, holder)| holder.map(|id| (name, id))).collect();
        if !taken.is_empty() {
            let mut arrays = Arrays::default();
            arrays.add(taken.iter().map(|((namespace, _), _)| namespace.word()))?;
            arrays.add(taken.iter().map(|((_, name), _)| &**name))?;
            arrays.add(taken.iter().map(|(_, holder)| int(*holder)))?;
            self.query(
                "INSERT INTO names (namespace, name, holder) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
                 ON CONFLICT (namespace, name) DO UPDATE SET holder = excluded.holder",
                arrays,
                None,
            );
        }
        Ok(())
    }

    /// A key may come back once it has expired: the newest use counts.
    fn keys(&mut self, batch: &Batch) -> Done {
        let last: BTreeMap<_, _> =
            batch.keys.iter().map(|row| ((row.caller, row.fingerprint), row)).collect();
        if last.is_empty() {
            return Ok(());
        }
        let rows = || last.values();
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| int(row.caller.get())))?;
        arrays.add(rows().map(|row| Uuid::from_bytes(row.fingerprint)))?;
        arrays.add(rows().map(|row| Uuid::from_bytes(row.request)))?;
        arrays.add(rows().map(|row| int(row.seq.get())))?;
        arrays.add(rows().map(|row| row.outcome.as_str()))?;
        arrays.add(rows().map(|row| row.at.micros()))?;
        self.query(
            "INSERT INTO keys (user_id, fingerprint, request, seq, outcome, created_at)
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::bigint[])
             ON CONFLICT (user_id, fingerprint) DO UPDATE SET request = excluded.request, seq = excluded.seq,
                outcome = excluded.outcome, created_at = excluded.created_at",
            arrays,
            None,
        );
        Ok(())
    }
}

type Products<'b> = [(&'b ProductId, &'b ProductState)];

fn totals(rows: &Products<'_>) -> Result<Arrays, StoreError> {
    let mut arrays = Arrays::default();
    arrays.add(rows.iter().map(|(id, _)| int(id.get())))?;
    arrays.add(rows.iter().map(|(_, state)| state.stock))?;
    arrays.add(rows.iter().map(|(_, state)| int(state.version)))?;
    arrays.add(rows.iter().map(|(_, state)| state.updated_at.micros()))?;
    Ok(arrays)
}

fn details(rows: &Products<'_>) -> Result<Arrays, StoreError> {
    let mut arrays = totals(rows)?;
    arrays.add(rows.iter().map(|(_, state)| state.created_seq.map(|seq| int(seq.get()))))?;
    let details = || rows.iter().map(|(_, state)| state.details.as_deref());
    arrays.add(details().map(|found| found?.sku.as_ref().map(|sku| sku.as_str())))?;
    arrays.add(details().map(|found| found.map(|details| details.name.as_str())))?;
    arrays.add(details().map(|found| found.map(|details| details.name.as_str().to_lowercase())))?;
    arrays.add(details().map(|found| found?.description.as_ref().map(|text| text.as_str())))?;
    arrays.add(details().map(|found| found.map(|details| details.price.minor())))?;
    arrays.add(details().map(|found| found.map(|details| int(details.revision))))?;
    arrays.add(details().map(|found| found.map(|details| details.created_at.micros())))?;
    arrays.add(details().map(|found| found?.deleted_at.map(|at| at.micros())))?;
    Ok(arrays)
}
