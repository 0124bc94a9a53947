//! The arbiters that owners live on. The engine has at least one of its own; an HTTP worker can lend its arbiter, so that
//! an owner lives where it was first needed and a request does not change threads.

use crate::journal::Position;
use actix_rt::{Arbiter, ArbiterHandle, System};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static HOME: RefCell<Option<Home>> = const { RefCell::new(None) };
}

static NEXT_HOME: AtomicUsize = AtomicUsize::new(0);

/// An arbiter that owners live on. Handles cannot be compared, so each has a number.
#[derive(Clone)]
pub struct Home {
    pub number: usize,
    pub arbiter: ArbiterHandle,
}

impl Home {
    fn new(arbiter: ArbiterHandle) -> Self {
        Self { number: NEXT_HOME.fetch_add(1, Ordering::Relaxed), arbiter }
    }
}

/// See the module.
pub struct Homes {
    own: Vec<Home>,
    next: AtomicUsize,
    /// Ended with the engine; `None` when it is the caller's.
    system: Option<System>,
}

impl Homes {
    /// Starts an actix system with `threads` arbiters (at least one) of its own, so that the engine can be embedded
    /// anywhere.
    pub fn start(threads: usize, durable: &Arc<Position>, stored: &Arc<Position>) -> std::io::Result<Self> {
        let (durable, stored) = (durable.clone(), stored.clone());
        let (started, start) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("owners".into()).spawn(move || {
            let runner = System::new();
            runner.block_on(async {
                let more = (1..threads.max(1)).map(|_| Arbiter::new().handle());
                let own: Vec<_> = std::iter::once(System::current().arbiter().clone()).chain(more).collect();
                let own: Vec<_> = own.into_iter().map(Home::new).collect();
                for home in &own {
                    let (durable, stored, own) = (durable.clone(), stored.clone(), home.clone());
                    home.arbiter.spawn_fn(move || settle(own, &durable, &stored));
                }
                let _ = started.send((System::current(), own));
            });
            if let Err(error) = runner.run() {
                tracing::warn!(%error, "the owners' system ended with an error");
            }
        })?;
        let (system, own) =
            start.recv().map_err(|_| std::io::Error::other("the owners' system did not start"))?;
        Ok(Self { own, next: AtomicUsize::new(0), system: Some(system) })
    }

    /// Has all owners live on the calling thread, which runs an actix system: for simulations, where nothing may happen at the
    /// same time.
    pub fn here(durable: &Arc<Position>, stored: &Arc<Position>) -> Self {
        let home = Home::new(System::current().arbiter().clone());
        settle(home.clone(), durable, stored);
        Self { own: vec![home], next: AtomicUsize::new(0), system: None }
    }

    /// The first of the engine's own arbiters, for what runs beside the owners.
    pub fn first(&self) -> &Home {
        &self.own[0]
    }

    /// Where a new owner should live, and an operation run: here, if this thread lent its arbiter, else on one of the
    /// engine's own.
    pub fn choose(&self) -> Home {
        let here = HOME.with_borrow(Clone::clone);
        here.unwrap_or_else(|| {
            let next = self.next.fetch_add(1, Ordering::Relaxed) % self.own.len();
            self.own[next].clone()
        })
    }
}

impl Drop for Homes {
    /// Ends the engine's own arbiters; owners on lent ones end with those. The thread is not joined: the last handle may be
    /// dropped on it.
    fn drop(&mut self) {
        if let Some(system) = &self.system {
            system.stop();
        }
    }
}

/// Lends the current thread's arbiter to owners. It must outlive the engine's work.
pub fn lend_this_arbiter(durable: &Arc<Position>, stored: &Arc<Position>) {
    let Some(arbiter) = Arbiter::try_current() else { return };
    if !is_home() {
        settle(Home::new(arbiter), durable, stored);
    }
}

/// Whether owners live on this thread.
pub fn is_home() -> bool {
    HOME.with_borrow(Option::is_some)
}

/// Makes the current thread a home, with the attendants of its waiters.
fn settle(home: Home, durable: &Arc<Position>, stored: &Arc<Position>) {
    HOME.set(Some(home));
    actix_rt::spawn(durable.clone().attend());
    actix_rt::spawn(stored.clone().attend());
}
