//! Engine-wide look-ups that spare a hop: which owner holds an object that the store may not have yet, and which session
//! families were revoked while their access tokens still run.

use crate::domain::{Event, FamilyId, Record, Seq, Timestamp, UserId};
use dashmap::DashMap;
use foldhash::quality::RandomState;
use std::sync::atomic::{AtomicI64, Ordering};
use uuid::Uuid;

/// Orders, withdrawals, cards and batches of them with changes that are not stored yet, and their owners. Filled before the
/// enqueue, so that whoever learns of one finds it here or in the store.
#[derive(Debug, Default)]
pub struct UnstoredObjects {
    objects: DashMap<Uuid, (UserId, u32), RandomState>,
}

/// The objects that an event brings about or changes, and their owner.
fn touched(event: &Event, mut each: impl FnMut(Uuid, UserId)) {
    match event {
        Event::WithdrawalRequested(withdrawal) => each(withdrawal.id.get(), withdrawal.user_id),
        Event::WithdrawalEnded { withdrawal_id, user_id, .. } => each(withdrawal_id.get(), *user_id),
        Event::CardsHandedIn(cards) => {
            if let Some(id) = cards.batch_id {
                each(id.get(), cards.user_id);
            }
            for card in &cards.cards {
                each(card.id.get(), cards.user_id);
            }
        }
        Event::RedemptionStepped(step) => each(step.redemption_id.get(), step.user_id),
        _ => {
            if let Some((order_id, user_id)) = event.order() {
                each(order_id.get(), user_id);
            }
        }
    }
}

impl UnstoredObjects {
    /// To be called for the events of a record right before it is enqueued.
    pub fn add(&self, events: &[Event]) {
        let add = |id, user_id| self.objects.entry(id).or_insert((user_id, 0)).1 += 1;
        for event in events {
            touched(event, add);
        }
    }

    /// To be called once the record is stored.
    pub fn remove(&self, record: &Record) {
        let remove = |id, _| {
            self.objects.remove_if_mut(&id, |_, (_, changes)| {
                *changes = changes.saturating_sub(1);
                *changes == 0
            });
        };
        for event in &record.events {
            touched(event, remove);
        }
    }

    /// The user whose owner has changes of this object that the store may not have.
    pub fn owner_of(&self, id: Uuid) -> Option<UserId> {
        self.objects.get(&id).map(|entry| entry.0)
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

/// Revoked families until their last access token has expired.
#[derive(Debug)]
pub struct Revocations {
    families: DashMap<FamilyId, (Seq, Timestamp), RandomState>,
    keep_seconds: i64,
    pruned_at: AtomicI64,
}

impl Revocations {
    /// `keep_seconds`: how long an access token is taken at most, whenever it was made.
    pub fn new(keep_seconds: i64) -> Self {
        Self { families: DashMap::default(), keep_seconds, pruned_at: AtomicI64::new(0) }
    }

    pub fn add(&self, family_id: FamilyId, seq: Seq, revoked_at: Timestamp) {
        self.families.insert(family_id, (seq, revoked_at));
        let last = self.pruned_at.load(Ordering::Relaxed);
        if revoked_at.seconds() - last > self.keep_seconds {
            self.pruned_at.store(revoked_at.seconds(), Ordering::Relaxed);
            self.families.retain(|_, (_, at)| at.plus_seconds(self.keep_seconds) > revoked_at);
        }
    }

    /// The record that revoked the family, if one did.
    pub fn revoked_by(&self, family_id: FamilyId) -> Option<Seq> {
        self.families.get(&family_id).map(|entry| entry.0)
    }
}
