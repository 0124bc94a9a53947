//! All messages that are not done, as they stand. Each is changed by the owner that keeps it only, in the turn that commits
//! the change, so that owner always reads here what it decides on. The dispatcher is told of every change.

use crate::domain::message::{Keeper, Message, MessageKind, OpenMessage};
use crate::domain::{Event, MessageId, Record, Seq, UserId};
use foldhash::quality::RandomState;
use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Several owners change messages at once.
const PARTS: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Board {
    /// In parts, each locked for moments only.
    open: [Mutex<HashSet<ById, RandomState>>; PARTS],
    /// The last record that changed a dead letter, or made one.
    last_death: AtomicU64,
    notices: mpsc::UnboundedSender<Notice>,
}

/// Found by its id without a copy of it, and boxed: half of a table that grew is empty room of its entries' size.
#[derive(Debug)]
struct ById(Box<Posted>);

impl Borrow<MessageId> for ById {
    fn borrow(&self) -> &MessageId {
        &self.0.open.message.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<MessageId>::borrow(self).hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        Borrow::<MessageId>::borrow(self) == other.borrow()
    }
}

impl Eq for ById {}

/// A message with the records that queued it and that changed it last.
#[derive(Clone, Debug)]
pub struct Posted {
    pub open: OpenMessage,
    /// A record queues one message at most, so this is its place among all messages.
    pub place: Seq,
    pub seq: Seq,
}

/// A change of a message, to be acted upon once it is durable.
#[derive(Debug)]
pub struct Notice {
    pub seq: Seq,
    pub place: Seq,
    pub change: Change,
}

#[derive(Debug)]
pub enum Change {
    /// It is as given: new, failed or put back.
    Stands(OpenMessage),
    Ended {
        message: Arc<Message>,
        done: bool,
    },
}

impl Board {
    /// A board and what the dispatcher listens to.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Notice>) {
        let (notices, listener) = mpsc::unbounded_channel();
        (
            Self { open: std::array::from_fn(|_| Mutex::default()), last_death: AtomicU64::new(0), notices },
            listener,
        )
    }

    /// A message that was open when the engine started, and the record that queued it.
    pub fn restore(&self, open: OpenMessage, place: Seq) {
        self.stands(Posted { open, place, seq: place });
    }

    /// Takes note of a record, in the turn of the owner that keeps the messages of `user_id` of these kinds; those of others
    /// are theirs to note.
    pub fn note(&self, record: &Record, keeper: Keeper, user_id: UserId) {
        let kept = |event: &&Event| {
            event
                .message()
                .is_some_and(|message| message.user_id == user_id && message.kind.keeper() == keeper)
        };
        for event in record.events.iter().filter(kept) {
            if let Some(message) = event.queued() {
                let open = OpenMessage::queued(message.clone());
                self.stands(Posted { open, place: record.seq, seq: record.seq });
            }
            match event {
                Event::MessageFailed { message, .. } | Event::MessageRetried { message, .. } => {
                    if let Some(mut posted) = self.get(message.id) {
                        posted.open.apply(event);
                        self.stands(Posted { seq: record.seq, ..posted });
                    }
                }
                Event::MessageDone(message) | Event::MessagePurged(message) => {
                    if let Some(posted) = self.get(message.id) {
                        // First: who does not find it learns from which record on it was gone.
                        self.mourn(posted.open.is_dead(), record.seq);
                        self.part(message.id).remove(&message.id);
                        let done = matches!(event, Event::MessageDone(_));
                        let change = Change::Ended { message: posted.open.message, done };
                        self.tell(Notice { seq: record.seq, place: posted.place, change });
                    }
                }
                _ => {}
            }
        }
    }

    /// The record from which on a list of dead letters shows all that are dead now, and none that is not.
    pub fn last_death(&self) -> Seq {
        Seq::new(self.last_death.load(Ordering::SeqCst))
    }

    fn mourn(&self, is_dead: bool, seq: Seq) {
        if is_dead {
            self.last_death.fetch_max(seq.get(), Ordering::SeqCst);
        }
    }

    fn stands(&self, posted: Posted) {
        let Posted { ref open, place, seq } = posted;
        let was_dead = self.get(open.message.id).is_some_and(|posted| posted.open.is_dead());
        self.mourn(open.is_dead() || was_dead, seq);
        let notice = Notice { seq, place, change: Change::Stands(open.clone()) };
        self.part(open.message.id).replace(ById(Box::new(posted)));
        self.tell(notice);
    }

    fn tell(&self, notice: Notice) {
        // Nobody listens any more once the engine stops; the next start finds all of it in the store.
        let _ = self.notices.send(notice);
    }

    /// Up to `limit` dead letters, the oldest first.
    pub fn dead(&self, kind: Option<MessageKind>, limit: usize) -> Vec<Arc<Message>> {
        let wanted =
            |open: &OpenMessage| open.is_dead() && kind.is_none_or(|kind| kind == open.message.kind());
        let mut dead = Vec::new();
        for part in &self.open {
            let part = lock(part);
            let wanted = part.iter().filter(|ById(posted)| wanted(&posted.open));
            dead.extend(wanted.map(|ById(posted)| (posted.place, posted.open.message.clone())));
        }
        dead.sort_unstable_by_key(|(place, _)| *place);
        dead.into_iter().take(limit).map(|(_, message)| message).collect()
    }

    /// A message as it stands; `None` once it has ended.
    pub fn get(&self, id: MessageId) -> Option<Posted> {
        self.part(id).get(&id).map(|ById(posted)| Posted::clone(posted))
    }

    fn part(&self, id: MessageId) -> MutexGuard<'_, HashSet<ById, RandomState>> {
        // The last bits of such an id are random.
        lock(&self.open[id.get().as_u128() as usize % PARTS])
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::Payload;
    use crate::domain::{Money, OrderId, Timestamp, UserId};
    use uuid::Uuid;

    fn dead(id: u128) -> OpenMessage {
        let order_id = OrderId::new(Uuid::from_u128(1));
        let (id, payload) =
            (MessageId::new(Uuid::from_u128(id)), Payload::OrderShipped { order_id, total: Money::ZERO });
        let message = Message { id, user_id: UserId::new(1), payload, created_at: Timestamp::from_micros(0) };
        OpenMessage { next_attempt_at: None, ..OpenMessage::queued(Arc::new(message)) }
    }

    #[test]
    fn dead_letters_come_in_the_order_in_which_they_were_queued_whatever_their_ids() {
        let (board, _listener) = Board::new();
        for (id, place) in [(900, 3), (7, 9), (65, 5), (64, 4)] {
            board.restore(dead(id), Seq::new(place));
        }
        let ids = |kind, limit| -> Vec<u128> {
            board.dead(kind, limit).iter().map(|message| message.id.get().as_u128()).collect()
        };
        assert_eq!(ids(None, 9), [900, 64, 65, 7]);
        assert_eq!(ids(Some(MessageKind::OrderShipped), 2), [900, 64]);
        assert!(ids(Some(MessageKind::ProcessOrder), 9).is_empty());
    }
}
