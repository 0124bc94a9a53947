//! The rows of messages within a batch. What is queued and ends within one batch leaves no row; all that is left of it is
//! that its kind counts one more.

use crate::domain::message::{Message, MessageKind, OpenMessage};
use crate::domain::text::Text;
use crate::domain::{Event, MessageId, Record, Seq, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Default)]
pub struct MessageRows {
    /// Queued within the batch and open at its end.
    pub queued: BTreeMap<MessageId, QueuedRow>,
    /// Queued before the batch, changed by it, and open at its end.
    pub changed: BTreeMap<MessageId, ChangedRow>,
    /// Queued before the batch, and done or given up.
    pub ended: BTreeSet<MessageId>,
    /// Of messages that are open at the batch's end.
    pub errors: BTreeMap<(MessageId, u32), ErrorRow>,
    /// How many were done.
    pub succeeded: BTreeMap<MessageKind, u64>,
}

#[derive(Debug)]
pub struct QueuedRow {
    pub created_seq: Seq,
    pub open: OpenMessage,
}

#[derive(Debug, Default)]
pub struct ChangedRow {
    /// None when no attempt failed within the batch.
    pub attempts: Option<u32>,
    /// None when it was not put back within the batch.
    pub forgiven: Option<u32>,
    pub next_attempt_at: Option<Timestamp>,
}

#[derive(Debug)]
pub struct ErrorRow {
    pub at: Timestamp,
    pub error: Text,
}

impl MessageRows {
    pub fn take(&mut self, record: &Record, event: &Event) {
        if let Some(message) = event.queued() {
            let open = OpenMessage::queued(message.clone());
            self.queued.insert(message.id, QueuedRow { created_seq: record.seq, open });
        }
        match event {
            Event::MessageFailed { message, attempt, error, next_attempt_at } => {
                let row = ErrorRow { at: record.at, error: error.clone() };
                self.errors.insert((message.id, *attempt), row);
                self.change(message.id, event, |changed| {
                    changed.attempts = Some(*attempt);
                    changed.next_attempt_at = *next_attempt_at;
                });
            }
            Event::MessageRetried { message, attempts, next_attempt_at } => {
                self.change(message.id, event, |changed| {
                    changed.forgiven = Some(*attempts);
                    changed.next_attempt_at = Some(*next_attempt_at);
                });
            }
            Event::MessageDone(message) => {
                *self.succeeded.entry(message.kind).or_default() += 1;
                self.end(message.id);
            }
            Event::MessagePurged(message) => self.end(message.id),
            _ => {}
        }
    }

    fn change(&mut self, id: MessageId, event: &Event, change: impl FnOnce(&mut ChangedRow)) {
        match self.queued.get_mut(&id) {
            Some(row) => row.open.apply(event),
            None => change(self.changed.entry(id).or_default()),
        }
    }

    fn end(&mut self, id: MessageId) {
        self.changed.remove(&id);
        if self.queued.remove(&id).is_none() {
            self.ended.insert(id);
        }
        let of_it: Vec<_> = self.errors.range((id, 0)..=(id, u32::MAX)).map(|(key, _)| *key).collect();
        for key in of_it {
            self.errors.remove(&key);
        }
    }
}

/// The payload as the store keeps it.
pub fn payload(message: &Message) -> String {
    // Plain data, so its serialisation cannot fail.
    serde_json::to_string(&message.payload).unwrap_or_default()
}
