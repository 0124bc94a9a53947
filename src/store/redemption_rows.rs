//! The rows of gift cards within a batch of records.

use crate::domain::redemption::{Redemption, RedemptionStep, place_of};
use crate::domain::{BatchId, Event, Record, RedemptionId, Seq, Timestamp, UserId};
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub struct RedemptionRows {
    pub batches: Vec<BatchRow>,
    /// Handed in within the batch, as they stand at its end, by their place.
    pub requested: BTreeMap<u64, Redemption>,
    /// Of those, where each is.
    places: BTreeMap<RedemptionId, u64>,
    /// All that the batch says of cards that were handed in before it.
    pub stepped: BTreeMap<RedemptionId, SteppedRow>,
}

/// Cards that were handed in together.
#[derive(Debug)]
pub struct BatchRow {
    pub id: BatchId,
    pub user_id: UserId,
    pub total: usize,
    pub created_seq: Seq,
}

/// The last step, with what the ones before it told.
#[derive(Debug)]
pub struct SteppedRow {
    pub step: RedemptionStep,
    pub at: Timestamp,
}

impl RedemptionRows {
    pub fn take(&mut self, record: &Record, event: &Event) {
        match event {
            Event::CardsHandedIn(cards) => {
                if let Some(id) = cards.batch_id {
                    let (user_id, total, created_seq) = (cards.user_id, cards.cards.len(), record.seq);
                    self.batches.push(BatchRow { id, user_id, total, created_seq });
                }
                for card in cards.redemptions(record.at) {
                    let place = place_of(record.seq, card.place);
                    self.places.insert(card.id, place);
                    self.requested.insert(place, card);
                }
            }
            Event::RedemptionStepped(step) => self.step(step, event, record.at),
            _ => {}
        }
    }

    fn step(&mut self, step: &RedemptionStep, event: &Event, at: Timestamp) {
        let place = self.places.get(&step.redemption_id);
        if let Some(card) = place.and_then(|place| self.requested.get_mut(place)) {
            card.apply(event, at);
            return;
        }
        match self.stepped.get_mut(&step.redemption_id) {
            None => {
                self.stepped.insert(step.redemption_id, SteppedRow { step: step.clone(), at });
            }
            Some(row) => {
                let before = std::mem::replace(&mut row.step, step.clone());
                row.step.locked = row.step.locked.or(before.locked);
                row.step.attempts += before.attempts;
                row.at = at;
            }
        }
    }
}
