//! Engine-wide look-ups that spare a hop: which owner holds an object that the store may not have yet, and which session
//! families were revoked while their access tokens still run.

use crate::domain::{Event, FamilyId, Record, Seq, Timestamp, UserId};
use dashmap::DashMap;
use foldhash::quality::RandomState;
use std::sync::atomic::{AtomicI64, Ordering};
use uuid::Uuid;

/// Orders and withdrawals with changes that are not stored yet, and their owners. Filled before the enqueue, so that whoever
/// learns of one finds it here or in the store.
#[derive(Debug, Default)]
pub struct UnstoredObjects {
    objects: DashMap<Uuid, (UserId, u32), RandomState>,
}

fn touched(event: &Event) -> Option<(Uuid, UserId)> {
    match event {
        Event::WithdrawalRequested(withdrawal) => Some((withdrawal.id.get(), withdrawal.user_id)),
        Event::WithdrawalEnded { withdrawal_id, user_id, .. } => Some((withdrawal_id.get(), *user_id)),
        _ => event.order().map(|(order_id, user_id)| (order_id.get(), user_id)),
    }
}

impl UnstoredObjects {
    /// To be called for the events of a record right before it is enqueued.
    pub fn add(&self, events: &[Event]) {
        for (id, user_id) in events.iter().filter_map(touched) {
            self.objects.entry(id).or_insert((user_id, 0)).1 += 1;
        }
    }

    /// To be called once the record is stored.
    pub fn remove(&self, record: &Record) {
        for (id, _) in record.events.iter().filter_map(touched) {
            self.objects.remove_if_mut(&id, |_, (_, changes)| {
                *changes = changes.saturating_sub(1);
                *changes == 0
            });
        }
    }

    /// The user whose owner has changes of this order or withdrawal that the store may not have.
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
