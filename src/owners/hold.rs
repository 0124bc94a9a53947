//! Guards. They travel with the commit command to the committing owner, which settles them in the turn that enqueues the
//! record; a guard dropped before that releases itself, so nothing is released twice or forgotten.

use super::kinds::Kind;
use super::mailbox::{KeyAnswered, KeyDropped, Release, Settle};
use super::slot::Pin;
use crate::canary::Canary;
use crate::domain::balance::Balance;
use crate::domain::{KeyUse, Record, UserId};
use crate::journal::Cell;
use std::sync::Arc;

/// An entity that takes part in another owner's commit.
pub trait Party: Send {
    /// The entity's cell at the tail.
    fn cell(&self) -> &Cell;
    /// Hands over `record.events[index]`, ending the hold if there is one. Never refused.
    fn deliver(self: Box<Self>, record: &Arc<Record>, index: usize);
}

/// A granted claim. Dropping it gives the claim back.
pub struct Hold<K: Kind> {
    pin: Pin<K>,
    claim: Option<K::Claim>,
}

impl<K: Kind> Hold<K> {
    pub(super) const fn new(pin: Pin<K>, claim: K::Claim) -> Self {
        Self { pin, claim: Some(claim) }
    }
}

impl<K: Kind> Drop for Hold<K> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take()
            && !Canary::HoldLeaked.sings()
        {
            self.pin.send(Release { pin: self.pin.clone(), claim });
        }
    }
}

impl<K: Kind> Party for Hold<K> {
    fn cell(&self) -> &Cell {
        &self.pin.cell
    }

    fn deliver(mut self: Box<Self>, record: &Arc<Record>, index: usize) {
        let (pin, claim) = (self.pin.clone(), self.claim.take());
        self.pin.send(Settle { pin, claim, record: record.clone(), index });
    }
}

/// An entity that needs no hold: one that comes to be in this record, or whose part cannot be refused.
impl<K: Kind> Party for Pin<K> {
    fn cell(&self) -> &Cell {
        &self.cell
    }

    fn deliver(self: Box<Self>, record: &Arc<Record>, index: usize) {
        self.send(Settle { pin: Self::clone(&self), claim: None, record: record.clone(), index });
    }
}

/// The claim on an idempotency key: whoever has it runs the operation, the others wait. Dropped without a record, the
/// next one in line runs it.
pub struct KeyGuard {
    pub(super) pin: Pin<Balance>,
    pub(super) fingerprint: [u8; 16],
    pub(super) request: [u8; 16],
    pub(super) answered: bool,
}

impl KeyGuard {
    pub(super) const fn new(pin: Pin<Balance>, fingerprint: [u8; 16], request: [u8; 16]) -> Self {
        Self { pin, fingerprint, request, answered: false }
    }

    pub fn cell(&self) -> &Cell {
        &self.pin.cell
    }

    /// The caller's owner.
    pub fn pin(&self) -> Pin<Balance> {
        self.pin.clone()
    }

    pub fn caller(&self) -> UserId {
        self.pin.id
    }

    /// The key's part of the record that answers it.
    pub fn key_use(&self, snapshot: Option<crate::domain::record::Snapshot>) -> KeyUse {
        let (fingerprint, request) = (self.fingerprint, self.request);
        KeyUse { caller: self.caller(), fingerprint, request, snapshot }
    }

    /// Tells the caller's owner that the key is answered. `is_known`: whether it has the record for another reason, too.
    pub fn deliver(mut self, record: &Arc<Record>, is_known: bool) {
        self.answered = true;
        let (pin, fingerprint) = (self.pin.clone(), self.fingerprint);
        self.pin.send(KeyAnswered { pin, fingerprint, record: record.clone(), is_known });
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        if !self.answered {
            self.pin.send(KeyDropped { pin: self.pin.clone(), fingerprint: self.fingerprint });
        }
    }
}
