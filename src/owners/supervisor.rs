//! The registry of one kind: which entities have an owner, and where. The only place that knows; it loads and starts
//! owners on demand, one load per entity however many ask, and ends idle ones.

use super::ground::Ground;
use super::homes::{Home, Homes};
use super::kinds::{Kind, Loaded};
use super::loader::{self, Request};
use super::owner::Owner;
use super::slot::{Pin, Slot};
use crate::canary::Canary;
use crate::domain::Seq;
use crate::journal::Cell;
use actix::{Actor, AsyncContext, Context};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry as MapEntry;
use foldhash::quality::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

/// Why an owner cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PinError {
    #[error("there is no such entity")]
    NotFound,
    /// It is not resident and the store cannot be asked.
    #[error("the store is not available: {0}")]
    Store(String),
    #[error("too many owners are resident, or wait to be")]
    Overloaded,
    #[error("the engine is stopping")]
    Stopped,
}

pub(super) type Waiter<K> = oneshot::Sender<Result<Pin<K>, PinError>>;

pub(super) enum Entry<K: Kind> {
    Resident(Arc<Slot<K>>),
    Loading(Vec<Waiter<K>>),
}

/// See the module.
pub struct Supervisor<K: Kind> {
    pub(super) registry: DashMap<K::Id, Entry<K>, RandomState>,
    pub(super) ground: Arc<Ground>,
    homes: Arc<Homes>,
    requests: mpsc::UnboundedSender<Request<K>>,
    /// Loads wait behind this many residents until passivation made room.
    residents_max: usize,
    residents: AtomicUsize,
    /// Callers that wait for a load.
    waiting: AtomicUsize,
    /// The clock as of the last sweep: reading the real one at every pin would cost more than it tells.
    coarse_seconds: AtomicU32,
}

impl<K: Kind> Supervisor<K> {
    /// Starts the loader on the store's runtime.
    pub fn start(
        ground: Arc<Ground>,
        homes: Arc<Homes>,
        runtime: &tokio::runtime::Handle,
        residents_max: usize,
    ) -> Arc<Self> {
        let (requests, queue) = mpsc::unbounded_channel();
        let registry = DashMap::with_hasher(RandomState::default());
        let coarse_seconds = AtomicU32::new(0);
        let (residents, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let supervisor = Arc::new(Self {
            registry,
            ground,
            homes,
            requests,
            residents_max,
            residents,
            waiting,
            coarse_seconds,
        });
        supervisor.tick();
        let loading = loader::run(Arc::downgrade(&supervisor), queue);
        runtime.spawn(supervisor.ground.halt.clone().guard("a loader", loading));
        supervisor
    }

    /// Pins the owner, loading it first if need be.
    pub async fn pin(&self, id: K::Id) -> Result<Pin<K>, PinError> {
        if let Some(pin) = self.resident(id) {
            return Ok(pin);
        }
        let _waiting = Waiting::enter(&self.waiting, self.ground.limits.waiting_for_loads)?;
        let (reply, answer) = oneshot::channel();
        match self.registry.entry(id) {
            MapEntry::Occupied(mut occupied) => match occupied.get_mut() {
                Entry::Resident(slot) => return Ok(Pin::new(slot)),
                Entry::Loading(waiters) => waiters.push(reply),
            },
            MapEntry::Vacant(vacant) => {
                if self.residents.load(Ordering::Relaxed)
                    >= self.residents_max.saturating_add(self.residents_max / 8)
                {
                    return Err(PinError::Overloaded);
                }
                vacant.insert(Entry::Loading(vec![reply]));
                let request = Request { id, home: self.homes.choose() };
                if self.requests.send(request).is_err() {
                    self.registry.remove(&id);
                    return Err(PinError::Stopped);
                }
            }
        }
        tokio::select! {
            biased;
            answer = answer => answer.unwrap_or(Err(PinError::Stopped)),
            // A loader that panicked answers nobody.
            _ = self.ground.halt.halted() => Err(PinError::Stopped),
        }
    }

    /// Pins the owner if there is one.
    pub fn resident(&self, id: K::Id) -> Option<Pin<K>> {
        match self.registry.get(&id)?.value() {
            Entry::Resident(slot) => {
                slot.used.store(self.coarse_seconds.load(Ordering::Relaxed), Ordering::Relaxed);
                Some(Pin::new(slot))
            }
            Entry::Loading(_) => None,
        }
    }

    /// Brings the coarse clock up to date; says what it shows.
    pub(super) fn tick(&self) -> u32 {
        // Wraps after 136 years; only differences count.
        let now = (self.ground.clock.now().seconds() & i64::from(u32::MAX)) as u32;
        self.coarse_seconds.store(now, Ordering::Relaxed);
        now
    }

    /// Starts the owner of an entity that is about to be created, without a load, and pins it.
    pub async fn spawn_unborn(self: &Arc<Self>, id: K::Id) -> Result<Unborn<K>, PinError> {
        let (reply, answer) = oneshot::channel();
        let (supervisor, home) = (self.clone(), self.homes.choose());
        let spawned = home.arbiter.spawn_fn(move || {
            let unborn = Loaded { id, entity: K::unborn(), desk: K::Desk::default(), total: 0, version: 0 };
            let slot = supervisor.start_owner(unborn, Cell::default(), Seq::ZERO);
            let pin = Pin::new(&slot);
            // Ids are reserved, so nobody can have asked for this one but by guessing; guessers are told "not found".
            let old = supervisor.registry.insert(id, Entry::Resident(slot));
            if let Some(Entry::Loading(waiters)) = old {
                for waiter in waiters {
                    drop(waiter.send(Err(PinError::NotFound)));
                }
            }
            drop(reply.send(pin));
        });
        if !spawned {
            return Err(PinError::Stopped);
        }
        let pin = answer.await.map_err(|_| PinError::Stopped)?;
        Ok(Unborn { supervisor: self.clone(), id, pin: Some(pin) })
    }

    /// On the owner's arbiter.
    pub(super) fn start_owner(
        self: &Arc<Self>,
        loaded: Loaded<K>,
        cell: Cell,
        loaded_at: Seq,
    ) -> Arc<Slot<K>> {
        let mut made = None;
        let ground = self.ground.clone();
        Owner::create(|context: &mut Context<Owner<K>>| {
            let slot = Arc::new(Slot::new(loaded.id, context.address(), cell));
            slot.used.store(self.coarse_seconds.load(Ordering::Relaxed), Ordering::Relaxed);
            made = Some(slot.clone());
            Owner::new(slot, ground, loaded.entity, loaded.desk, loaded_at)
        });
        self.residents.fetch_add(1, Ordering::Relaxed);
        match made {
            Some(slot) => slot,
            None => unreachable!("an actor is made before create returns"),
        }
    }

    /// Ends the owner if nobody needs it and the store has all of it. The entry's guard keeps pins out meanwhile.
    pub(super) fn passivate_if(&self, id: K::Id, also: impl FnOnce(&Slot<K>) -> bool) -> bool {
        let stored = self.ground.stored.get();
        let removed = self.registry.remove_if(&id, |_, entry| match entry {
            Entry::Resident(slot) => {
                let is_stored = slot.cell.last() <= stored || Canary::PassivatedBeforeStored.sings();
                slot.pins() == 0 && is_stored && also(slot)
            }
            Entry::Loading(_) => false,
        });
        let Some((_, Entry::Resident(slot))) = removed else { return false };
        slot.address.do_send(super::mailbox::Retire);
        self.residents.fetch_sub(1, Ordering::Relaxed);
        true
    }

    pub fn residents(&self) -> usize {
        self.residents.load(Ordering::Relaxed)
    }

    pub(super) const fn residents_max(&self) -> usize {
        self.residents_max
    }

    /// Up to `limit` pins of resident owners, in no particular order.
    pub fn some_residents(&self, limit: usize) -> Vec<Pin<K>> {
        let pin = |entry: dashmap::mapref::multiple::RefMulti<'_, K::Id, Entry<K>>| match entry.value() {
            Entry::Resident(slot) => Some(Pin::new(slot)),
            Entry::Loading(_) => None,
        };
        self.registry.iter().filter_map(pin).take(limit).collect()
    }
}

/// The owner of an entity that no record has created yet. If none has when this is dropped, the owner ends.
pub struct Unborn<K: Kind> {
    supervisor: Arc<Supervisor<K>>,
    id: K::Id,
    /// Always there but while it is dropped.
    pin: Option<Pin<K>>,
}

impl<K: Kind> Unborn<K> {
    pub fn pin(&self) -> Pin<K> {
        match &self.pin {
            Some(pin) => pin.clone(),
            None => unreachable!("the pin is taken only when this is dropped"),
        }
    }
}

impl<K: Kind> Drop for Unborn<K> {
    fn drop(&mut self) {
        self.pin = None;
        self.supervisor.passivate_if(self.id, |slot| slot.cell.last() == Seq::ZERO);
    }
}

/// Counted among those who wait for a load, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, most: usize) -> Result<Self, PinError> {
        let waiting = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) < most { Ok(waiting) } else { Err(PinError::Overloaded) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A loaded entity on its way to the arbiter that asked for it.
pub(super) fn settle_in<K: Kind>(
    supervisor: &Arc<Supervisor<K>>,
    home: &Home,
    loaded: Vec<Loaded<K>>,
    watermark: Seq,
) {
    let ids: Vec<_> = loaded.iter().map(|loaded| loaded.id).collect();
    let settling = supervisor.clone();
    let spawned = home.arbiter.spawn_fn(move || {
        for loaded in loaded {
            let (id, cell) = (loaded.id, loaded.cell(watermark));
            let slot = settling.start_owner(loaded, cell, watermark);
            settling.arrive(id, &slot);
        }
    });
    if !spawned {
        for id in ids {
            supervisor.fail(id, &PinError::Stopped);
        }
    }
}

impl<K: Kind> Supervisor<K> {
    fn arrive(&self, id: K::Id, slot: &Arc<Slot<K>>) {
        // Waiters are answered under the entry's guard, so passivation cannot come between.
        if let MapEntry::Occupied(mut occupied) = self.registry.entry(id)
            && matches!(occupied.get(), Entry::Loading(_))
        {
            if let Entry::Loading(waiters) = occupied.insert(Entry::Resident(slot.clone())) {
                for waiter in waiters {
                    drop(waiter.send(Ok(Pin::new(slot))));
                }
            }
            return;
        }
        // Nobody waits for it any more: an owner outside the registry must not live.
        slot.address.do_send(super::mailbox::Retire);
        self.residents.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn fail(&self, id: K::Id, error: &PinError) {
        let removed = self.registry.remove_if(&id, |_, entry| matches!(entry, Entry::Loading(_)));
        if let Some((_, Entry::Loading(waiters))) = removed {
            for waiter in waiters {
                drop(waiter.send(Err(error.clone())));
            }
        }
    }
}
