//! History: rows that are only ever added, as arrays, in the order of their keys.
//!
//! Not through COPY, although the server takes it faster: COPY ends with a small message of its own, which the driver
//! (sqlx 0.9.0, its issue 4335: no TCP_NODELAY) leaves to Nagle's algorithm; over TCP each one then waits some 40 ms
//! for a delayed acknowledgement. A statement with its arrays is one write and one answer.

use super::plan::{Arrays, Done, Plan};
use crate::store::batch::{Batch, EntryRow, MovementRow};
use crate::store::numbers::int;

impl Plan {
    pub(super) fn movements(&mut self, batch: &Batch) -> Done {
        let mut sorted: Vec<&MovementRow> = batch.movements.iter().collect();
        sorted.sort_unstable_by_key(|row| (row.movement.product_id, row.movement.posting.version));
        if sorted.is_empty() {
            return Ok(());
        }
        let rows = || sorted.iter();
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| int(row.movement.product_id.get())))?;
        arrays.add(rows().map(|row| int(row.movement.posting.version)))?;
        arrays.add(rows().map(|row| int(row.seq.get())))?;
        arrays.add(rows().map(|row| row.movement.posting.delta))?;
        arrays.add(rows().map(|row| row.movement.posting.total))?;
        arrays.add(rows().map(|row| row.movement.kind.word()))?;
        arrays.add(rows().map(|row| row.movement.order_id.map(|id| id.get())))?;
        arrays.add(rows().map(|row| row.movement.reason.as_ref().map(|text| text.as_str())))?;
        arrays.add(rows().map(|row| row.at.micros()))?;
        self.query(
            "INSERT INTO movements (product_id, version, seq, delta, stock_after, kind, order_id, reason, created_at)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[],
                                  $7::uuid[], $8::text[], $9::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    pub(super) fn entries(&mut self, batch: &Batch) -> Done {
        let mut sorted: Vec<&EntryRow> = batch.entries.iter().collect();
        sorted.sort_unstable_by_key(|row| (row.entry.user_id, row.entry.posting.version));
        if sorted.is_empty() {
            return Ok(());
        }
        let rows = || sorted.iter();
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| int(row.entry.user_id.get())))?;
        arrays.add(rows().map(|row| int(row.entry.posting.version)))?;
        arrays.add(rows().map(|row| int(row.seq.get())))?;
        arrays.add(rows().map(|row| row.entry.posting.delta))?;
        arrays.add(rows().map(|row| row.entry.posting.total))?;
        arrays.add(rows().map(|row| row.entry.kind.word()))?;
        arrays.add(rows().map(|row| row.entry.order_id.map(|id| id.get())))?;
        arrays.add(rows().map(|row| row.entry.reference.as_ref().map(|text| text.as_str())))?;
        arrays.add(rows().map(|row| row.entry.description.as_ref().map(|text| text.as_str())))?;
        arrays.add(rows().map(|row| row.at.micros()))?;
        self.query(
            "INSERT INTO entries (user_id, version, seq, delta, balance_after, kind, order_id, reference, description,
                                  created_at)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[],
                                  $7::uuid[], $8::text[], $9::text[], $10::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    pub(super) fn orders(&mut self, batch: &Batch) -> Done {
        let orders = &batch.orders;
        if orders.is_empty() {
            return Ok(());
        }
        let rows = || orders.values();
        let failures = || rows().map(|row| row.failure.as_ref());
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| int(row.created_seq.get())))?;
        arrays.add(rows().map(|row| row.order.id.get()))?;
        arrays.add(rows().map(|row| int(row.order.user_id.get())))?;
        arrays.add(rows().map(|row| row.status.word()))?;
        arrays.add(rows().map(|row| row.order.total.minor()))?;
        arrays.add(failures().map(|failure| failure.map(|failure| &*failure.code)))?;
        arrays.add(failures().map(|failure| failure.map(|failure| &*failure.detail)))?;
        arrays.add(failures().map(|failure| failure?.product_id.map(|id| int(id.get()))))?;
        arrays.add(rows().map(|row| row.order.created_at.micros()))?;
        arrays.add(rows().map(|row| row.updated_at.micros()))?;
        self.query(
            "INSERT INTO orders (created_seq, id, user_id, status, total_amount, failure_code, failure_detail,
                                 failure_product_id, created_at, updated_at)
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::bigint[], $6::text[],
                                  $7::text[], $8::bigint[], $9::bigint[], $10::bigint[])",
            arrays,
            None,
        );
        let lines = || {
            orders.iter().flat_map(|(id, row)| row.order.lines.iter().zip(0i32..).map(move |line| (id, line)))
        };
        let mut arrays = Arrays::default();
        arrays.add(lines().map(|(id, _)| id.get()))?;
        arrays.add(lines().map(|(_, (_, number))| number))?;
        arrays.add(lines().map(|(_, (line, _))| int(line.product_id.get())))?;
        arrays.add(lines().map(|(_, (line, _))| i64::from(line.quantity.get())))?;
        arrays.add(lines().map(|(_, (line, _))| line.unit_price.minor()))?;
        arrays.add(lines().map(|(_, (line, _))| line.product_name.as_str()))?;
        arrays.add(lines().map(|(_, (line, _))| line.product_price.minor()))?;
        self.query(
            "INSERT INTO order_lines (order_id, line, product_id, quantity, unit_price, product_name, product_price)
             SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[],
                                  $7::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    pub(super) fn returns(&mut self, batch: &Batch) -> Done {
        if batch.returns.is_empty() {
            return Ok(());
        }
        let rows = || batch.returns.iter();
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| row.goods.id.get()))?;
        arrays.add(rows().map(|row| int(row.seq.get())))?;
        arrays.add(rows().map(|row| int(row.goods.user_id.get())))?;
        arrays.add(rows().map(|row| row.goods.order_id.map(|id| id.get())))?;
        arrays.add(rows().map(|row| row.goods.total.minor()))?;
        arrays.add(rows().map(|row| row.goods.reason.as_ref().map(|text| text.as_str())))?;
        arrays.add(rows().map(|row| row.at.micros()))?;
        self.query(
            "INSERT INTO returns (id, seq, user_id, order_id, total_amount, reason, created_at)
             SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[], $6::text[],
                                  $7::bigint[])",
            arrays,
            None,
        );
        let lines = || {
            rows().flat_map(|row| row.goods.lines.iter().zip(0i32..).map(move |line| (row.goods.id, line)))
        };
        let mut arrays = Arrays::default();
        arrays.add(lines().map(|(id, _)| id.get()))?;
        arrays.add(lines().map(|(_, (_, number))| number))?;
        arrays.add(lines().map(|(_, (line, _))| int(line.product_id.get())))?;
        arrays.add(lines().map(|(_, (line, _))| i64::from(line.quantity.get())))?;
        arrays.add(lines().map(|(_, (line, _))| line.unit_price.minor()))?;
        self.query(
            "INSERT INTO return_lines (return_id, line, product_id, quantity, unit_price)
             SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }
}
