//! Where an owner lives, as the rest of the engine sees it: its address, its cell at the journal's tail, and who needs it.

use super::kinds::Kind;
use super::owner::Owner;
use crate::journal::Cell;
use actix::Addr;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A resident owner.
pub struct Slot<K: Kind> {
    pub id: K::Id,
    pub(super) address: Addr<Owner<K>>,
    /// Written by the tail only.
    pub cell: Cell,
    pins: AtomicU32,
    operations: AtomicU32,
    /// Messages sent and not handled yet.
    pub(super) mailbox: AtomicU32,
    /// Whether it keeps records that the store may have meanwhile.
    pub(super) untidy: AtomicBool,
    /// The last sweep before it was pinned last, in seconds.
    pub(super) used: AtomicU32,
}

impl<K: Kind> Slot<K> {
    pub(super) const fn new(id: K::Id, address: Addr<Owner<K>>, cell: Cell) -> Self {
        Self {
            id,
            address,
            cell,
            pins: AtomicU32::new(0),
            operations: AtomicU32::new(0),
            mailbox: AtomicU32::new(0),
            untidy: AtomicBool::new(false),
            used: AtomicU32::new(0),
        }
    }

    pub fn pins(&self) -> u32 {
        self.pins.load(Ordering::SeqCst)
    }

    pub fn mailbox_depth(&self) -> u32 {
        self.mailbox.load(Ordering::Relaxed)
    }

    /// Delivers without regard to any bound: what bounds the mailbox is admission.
    pub fn send<M>(&self, message: M)
    where
        M: actix::Message<Result = ()> + Send + 'static,
        Owner<K>: actix::Handler<M>,
        <Owner<K> as actix::Actor>::Context: actix::dev::ToEnvelope<Owner<K>, M>,
    {
        self.mailbox.fetch_add(1, Ordering::Relaxed);
        self.address.do_send(message);
    }
}

/// Keeps an owner resident. Taken only under the supervisor's entry guard, or from another pin.
pub struct Pin<K: Kind>(Arc<Slot<K>>);

impl<K: Kind> Pin<K> {
    pub(super) fn new(slot: &Arc<Slot<K>>) -> Self {
        slot.pins.fetch_add(1, Ordering::SeqCst);
        Self(slot.clone())
    }

    /// Room for one more operation at this owner; `None` when it is overloaded.
    pub fn admit(&self, most: u32) -> Option<OwnerPermit<K>> {
        if self.operations.fetch_add(1, Ordering::SeqCst) < most {
            return Some(OwnerPermit(self.clone()));
        }
        self.operations.fetch_sub(1, Ordering::SeqCst);
        None
    }
}

impl<K: Kind> Clone for Pin<K> {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl<K: Kind> Drop for Pin<K> {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<K: Kind> Deref for Pin<K> {
    type Target = Slot<K>;

    fn deref(&self) -> &Slot<K> {
        &self.0
    }
}

impl<K: Kind> fmt::Debug for Pin<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", K::NAME, self.id)
    }
}

/// One operation's place at an owner.
pub struct OwnerPermit<K: Kind>(Pin<K>);

impl<K: Kind> Drop for OwnerPermit<K> {
    fn drop(&mut self) {
        self.0.operations.fetch_sub(1, Ordering::SeqCst);
    }
}
