//! Messages that are not done: their rows, and reading them.

use super::apply::{Steps, insert, update};
use super::chunks::{Template, split};
use super::fault;
use super::load::{Found, Reading, json_of_uuids};
use crate::domain::MessageId;
use crate::domain::message::{MessageKind, OpenMessage};
use crate::store::message_rows::{MessageRows, payload};
use crate::store::numbers::{before, int};
use crate::store::rows::{self, Columns};
use crate::store::{AttemptError, Page, Row, StoreError};
use std::collections::BTreeMap;

pub fn plan(steps: &mut Steps, batch: &MessageRows) -> Result<(), StoreError> {
    const QUEUED: Template = insert(
        "INSERT INTO messages (created_seq, id, user_id, kind, payload, attempts, forgiven, next_attempt_at, created_at) \
         VALUES ",
        9,
    );
    const CHANGED: Template = update(
        "WITH v (id, attempts, forgiven, next_attempt_at) AS (VALUES ",
        4,
        ") UPDATE messages SET attempts = coalesce(v.attempts, messages.attempts), \
         forgiven = coalesce(v.forgiven, messages.forgiven), next_attempt_at = v.next_attempt_at FROM v \
         WHERE messages.id = v.id",
        "messages",
    );
    const ENDED: Template = Template {
        head: "DELETE FROM messages WHERE id IN (VALUES ",
        columns: 1,
        tail: ")",
        every: Some("messages"),
    };
    const FORGOTTEN: Template = Template {
        head: "DELETE FROM message_errors WHERE message_id IN (VALUES ",
        columns: 1,
        tail: ")",
        every: None,
    };
    const ERRORS: Template = insert("INSERT INTO message_errors (message_id, attempt, at, error) VALUES ", 4);
    const SUCCEEDED: Template = Template {
        head: "INSERT INTO message_counts (kind, succeeded) VALUES ",
        columns: 2,
        tail: " ON CONFLICT DO UPDATE SET succeeded = succeeded + excluded.succeeded",
        every: None,
    };
    let mut queued: Vec<_> = batch.queued.values().collect();
    queued.sort_unstable_by_key(|row| row.created_seq);
    split(steps, &QUEUED, queued.into_iter(), |values, row| {
        let (open, message) = (&row.open, &row.open.message);
        values.add(int(row.created_seq.get())).add(message.id.get()).add(int(message.user_id.get()));
        values.add(message.kind().word()).add(payload(message)).add(open.attempts).add(open.forgiven);
        values.add(open.next_attempt_at.map(|at| at.micros())).add(message.created_at.micros());
    })?;
    split(steps, &CHANGED, batch.changed.iter(), |values, (id, row)| {
        values.add(id.get()).add(row.attempts).add(row.forgiven);
        values.add(row.next_attempt_at.map(|at| at.micros()));
    })?;
    split(steps, &ENDED, batch.ended.iter(), |values, id| {
        values.add(id.get());
    })?;
    split(steps, &FORGOTTEN, batch.ended.iter(), |values, id| {
        values.add(id.get());
    })?;
    split(steps, &ERRORS, batch.errors.iter(), |values, ((id, attempt), row)| {
        values.add(id.get()).add(*attempt).add(row.at.micros()).add(row.error.as_str());
    })?;
    split(steps, &SUCCEEDED, batch.succeeded.iter(), |values, (kind, count)| {
        values.add(kind.word()).add(int(*count));
    })
}

/// Oldest first.
pub async fn open(mut read: Reading, after: u64, limit: u32) -> Found<Vec<Row<OpenMessage>>> {
    let found = sqlx::query("SELECT * FROM messages WHERE created_seq > $1 ORDER BY created_seq LIMIT $2")
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
        "SELECT * FROM messages WHERE next_attempt_at IS NULL AND created_seq < $1 AND ($2 IS NULL OR kind = $2)
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
        "SELECT * FROM message_errors WHERE message_id IN (SELECT unhex(value) FROM json_each($1))
         ORDER BY message_id, attempt",
    )
    .bind(json_of_uuids(&ids))
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
    let counts = found.iter().map(count).collect::<Result<_, StoreError>>()?;
    read.end(counts).await
}
