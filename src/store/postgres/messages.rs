//! Messages that are not done: their rows, and reading them.

use super::fault;
use super::load::{Found, Reading};
use super::plan::{Arrays, Done, Plan};
use crate::domain::MessageId;
use crate::domain::message::{MessageKind, OpenMessage};
use crate::store::message_rows::{MessageRows, payload};
use crate::store::numbers::{before, int};
use crate::store::rows::{self, Columns};
use crate::store::{AttemptError, Page, Row};
use std::collections::BTreeMap;

impl Plan {
    pub(super) fn messages(&mut self, batch: &MessageRows) -> Done {
        self.queued_messages(batch)?;
        self.changed_messages(batch)?;
        self.ended_messages(batch)?;
        let errors = &batch.errors;
        if !errors.is_empty() {
            let mut arrays = Arrays::default();
            arrays.add(errors.keys().map(|(id, _)| id.get()))?;
            arrays.add(errors.keys().map(|(_, attempt)| i64::from(*attempt)))?;
            arrays.add(errors.values().map(|row| row.at.micros()))?;
            arrays.add(errors.values().map(|row| row.error.as_str()))?;
            self.query(
                "INSERT INTO message_errors (message_id, attempt, at, error)
                 SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[])",
                arrays,
                None,
            );
        }
        if !batch.succeeded.is_empty() {
            let mut arrays = Arrays::default();
            arrays.add(batch.succeeded.keys().map(|kind| kind.word()))?;
            arrays.add(batch.succeeded.values().map(|count| int(*count)))?;
            self.query(
                "INSERT INTO message_counts AS c (kind, succeeded) SELECT * FROM unnest($1::text[], $2::bigint[])
                 ON CONFLICT (kind) DO UPDATE SET succeeded = c.succeeded + excluded.succeeded",
                arrays,
                None,
            );
        }
        Ok(())
    }

    fn queued_messages(&mut self, batch: &MessageRows) -> Done {
        if batch.queued.is_empty() {
            return Ok(());
        }
        let rows = || batch.queued.values();
        let mut arrays = Arrays::default();
        arrays.add(rows().map(|row| int(row.created_seq.get())))?;
        arrays.add(rows().map(|row| row.open.message.id.get()))?;
        arrays.add(rows().map(|row| int(row.open.message.user_id.get())))?;
        arrays.add(rows().map(|row| row.open.message.kind().word()))?;
        arrays.add(rows().map(|row| payload(&row.open.message)))?;
        arrays.add(rows().map(|row| i64::from(row.open.attempts)))?;
        arrays.add(rows().map(|row| i64::from(row.open.forgiven)))?;
        arrays.add(rows().map(|row| row.open.next_attempt_at.map(|at| at.micros())))?;
        arrays.add(rows().map(|row| row.open.message.created_at.micros()))?;
        self.query(
            "INSERT INTO messages (created_seq, id, user_id, kind, payload, attempts, forgiven, next_attempt_at, created_at)
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                                  $8::bigint[], $9::bigint[])",
            arrays,
            None,
        );
        Ok(())
    }

    fn changed_messages(&mut self, batch: &MessageRows) -> Done {
        if batch.changed.is_empty() {
            return Ok(());
        }
        let rows = || batch.changed.values();
        let mut arrays = Arrays::default();
        arrays.add(batch.changed.keys().map(|id| id.get()))?;
        arrays.add(rows().map(|row| row.attempts.map(i64::from)))?;
        arrays.add(rows().map(|row| row.forgiven.map(i64::from)))?;
        arrays.add(rows().map(|row| row.next_attempt_at.map(|at| at.micros())))?;
        self.query(
            "UPDATE messages AS m SET attempts = coalesce(v.attempts, m.attempts), forgiven = coalesce(v.forgiven, m.forgiven),
                    next_attempt_at = v.next_attempt_at
             FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) AS v (id, attempts, forgiven, next_attempt_at)
             WHERE m.id = v.id",
            arrays,
            Some((batch.changed.len(), "messages")),
        );
        Ok(())
    }

    fn ended_messages(&mut self, batch: &MessageRows) -> Done {
        if batch.ended.is_empty() {
            return Ok(());
        }
        let ids = || {
            let mut arrays = Arrays::default();
            arrays.add(batch.ended.iter().map(|id| id.get())).map(std::mem::take)
        };
        self.query(
            "DELETE FROM messages WHERE id = ANY($1::uuid[])",
            ids()?,
            Some((batch.ended.len(), "messages")),
        );
        self.query("DELETE FROM message_errors WHERE message_id = ANY($1::uuid[])", ids()?, None);
        Ok(())
    }
}

/// Oldest first.
pub async fn open(mut read: Reading, after: u64, limit: u32) -> Found<Vec<Row<OpenMessage>>> {
    let found = sqlx::query("SELECT created_seq, id, user_id, created_at, next_attempt_at, attempts::bigint, forgiven::bigint, kind, payload
         FROM messages WHERE created_seq > $1 ORDER BY created_seq LIMIT $2")
        .bind(int(after))
        .bind(i64::from(limit))
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::message)?).await
}

pub async fn failed(
    mut read: Reading,
    kind: Option<MessageKind>,
    page: Page,
) -> Found<Vec<Row<OpenMessage>>> {
    let found = sqlx::query(
        "SELECT created_seq, id, user_id, created_at, next_attempt_at, attempts::bigint, forgiven::bigint, kind, payload
         FROM messages WHERE next_attempt_at IS NULL AND created_seq < $1 AND ($2::text IS NULL OR kind = $2)
         ORDER BY created_seq DESC LIMIT $3",
    )
    .bind(before(page))
    .bind(kind.map(|kind| kind.word()))
    .bind(i64::from(page.limit))
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::listed(&found, "created_seq", rows::message)?).await
}

pub async fn errors(mut read: Reading, ids: Vec<MessageId>) -> Found<Vec<AttemptError>> {
    let ids: Vec<_> = ids.into_iter().map(MessageId::get).collect();
    let found = sqlx::query(
        "SELECT message_id, attempt::bigint, at, error FROM message_errors WHERE message_id = ANY($1) ORDER BY message_id, attempt",
    )
    .bind(ids)
    .fetch_all(read.conn())
    .await
    .map_err(fault)?;
    read.end(rows::all(&found, rows::attempt_error)?).await
}

pub async fn succeeded(mut read: Reading) -> Found<BTreeMap<MessageKind, u64>> {
    let found = sqlx::query("SELECT kind, succeeded FROM message_counts")
        .fetch_all(read.conn())
        .await
        .map_err(fault)?;
    let count =
        |row| Ok((Columns::word(row, "kind", MessageKind::from_word)?, Columns::count(row, "succeeded")?));
    let counts = found.iter().map(count).collect::<Result<_, crate::store::StoreError>>()?;
    read.end(counts).await
}
