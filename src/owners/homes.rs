//! The arbiters that owners live on. The engine has at least one of its own; an HTTP worker can lend its arbiter, so that
//! an owner lives where it was first needed and a request does not change threads.

use crate::journal::Position;
use actix_rt::{Arbiter, ArbiterHandle};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static HOME: RefCell<Option<ArbiterHandle>> = const { RefCell::new(None) };
}

/// See the module.
pub struct Homes {
    own: Vec<Arbiter>,
    next: AtomicUsize,
}

impl Homes {
    /// Starts `threads` arbiters (at least one).
    pub fn start(threads: usize, durable: &Arc<Position>, stored: &Arc<Position>) -> Self {
        let own: Vec<_> = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
        for arbiter in &own {
            let (durable, stored) = (durable.clone(), stored.clone());
            arbiter.spawn_fn(move || attend(&durable, &stored));
        }
        Self { own, next: AtomicUsize::new(0) }
    }

    /// Where a new owner should live: here, if this thread lent its arbiter, else on one of the engine's own.
    pub fn choose(&self) -> ArbiterHandle {
        let here = HOME.with_borrow(Clone::clone);
        here.unwrap_or_else(|| {
            let next = self.next.fetch_add(1, Ordering::Relaxed) % self.own.len();
            self.own[next].handle()
        })
    }

    /// Ends the engine's own arbiters. Owners on lent ones end with those.
    pub fn stop(self) {
        for arbiter in self.own {
            arbiter.stop();
            let _ = arbiter.join();
        }
    }
}

/// Lends the current thread's arbiter to owners. It must outlive the engine's work.
pub fn lend_this_arbiter(durable: &Arc<Position>, stored: &Arc<Position>) {
    let Some(arbiter) = Arbiter::try_current() else { return };
    HOME.with_borrow_mut(|home| {
        if home.is_none() {
            *home = Some(arbiter);
            attend(durable, stored);
        }
    });
}

/// Whether owners live on this thread.
pub fn is_home() -> bool {
    HOME.with_borrow(Option::is_some)
}

fn attend(durable: &Arc<Position>, stored: &Arc<Position>) {
    actix_rt::spawn(durable.clone().attend());
    actix_rt::spawn(stored.clone().attend());
}
