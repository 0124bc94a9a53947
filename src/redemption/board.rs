//! Where owners tell of cards and accounts: to the exchanger, and to whoever waits for the end of a card. Each tells in its
//! turn, so that what is told of one account or card comes in order. A lock that follows from what was told comes later in the
//! journal than that, so nobody has to wait here until it is durable.

use crate::domain::account::AccountView;
use crate::domain::cards::Cards;
use crate::domain::redemption::Redemption;
use crate::domain::redemption::{RedemptionStatus, place_of};
use crate::domain::{Event, Record, RedemptionId, UserId};
use dashmap::DashMap;
use foldhash::quality::RandomState;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Something that changes who can go with whom.
#[derive(Clone, Debug)]
pub enum Notice {
    Account(Box<AccountView>),
    /// Handed in; with its place among all cards.
    Card(Arc<Redemption>, u64),
    /// Not queued any more.
    Cancelled(RedemptionId),
}

/// See the module.
#[derive(Debug)]
pub struct Board {
    notices: mpsc::UnboundedSender<Notice>,
    /// Those whose end is waited for.
    awaited: DashMap<RedemptionId, Awaited, RandomState>,
}

#[derive(Debug, Default)]
struct Awaited {
    ended: Arc<Notify>,
    /// How many wait.
    watches: usize,
}

impl Board {
    /// A board and what the exchanger listens to.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Notice>) {
        let (notices, listener) = mpsc::unbounded_channel();
        (Self { notices, awaited: DashMap::default() }, listener)
    }

    /// Takes note of a record, in the turn of the owner of that user's balance, with the cards that are open after it; others'
    /// cards are theirs to note.
    pub fn note(&self, record: &Record, of: UserId, open: &Cards) {
        for event in &record.events {
            match event {
                Event::CardsHandedIn(cards) if cards.user_id == of => {
                    for card in cards.cards.iter().filter_map(|card| open.get(card.id)) {
                        self.tell(Notice::Card(card.clone(), place_of(record.seq, card.place)));
                    }
                }
                Event::RedemptionStepped(step) if step.user_id == of && !step.to.is_open() => {
                    metrics::counter!("purser_redemptions_ended_total", "status" => step.to.word())
                        .increment(1);
                    if step.to == RedemptionStatus::Cancelled {
                        self.tell(Notice::Cancelled(step.redemption_id));
                    }
                    if let Some(awaited) = self.awaited.get(&step.redemption_id) {
                        awaited.ended.notify_waiters();
                    }
                }
                _ => {}
            }
        }
    }

    /// In the turn of the account's owner.
    pub fn account(&self, view: AccountView) {
        self.tell(Notice::Account(Box::new(view)));
    }

    fn tell(&self, notice: Notice) {
        // Nobody listens any more once the engine stops; the next start finds all of it in the store.
        let _ = self.notices.send(notice);
    }

    /// To be had before the card is looked at, so that its end is not missed in between.
    pub fn watch(&self, id: RedemptionId) -> Watch<'_> {
        let mut awaited = self.awaited.entry(id).or_default();
        awaited.watches += 1;
        let ended = awaited.ended.clone();
        Watch { board: self, id, ended }
    }
}

/// Waits for the end of one card.
pub struct Watch<'a> {
    board: &'a Board,
    id: RedemptionId,
    pub ended: Arc<Notify>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.board.awaited.remove_if_mut(&self.id, |_, awaited| {
            awaited.watches -= 1;
            awaited.watches == 0
        });
    }
}
