//! Ends owners that have been idle, and when there are too many, those idle longest; lets busy ones go of what the store
//! has. Runs on a timer; holds nothing while it works but one registry shard at a time.

use super::kinds::Kind;
use super::mailbox::Tidy;
use super::slot::Pin;
use super::supervisor::{Entry, Supervisor};
use crate::canary::Canary;
use std::cmp::Reverse;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// When owners may go.
#[derive(Clone, Copy, Debug)]
pub struct PassivationOptions {
    pub idle_seconds: u32,
    pub sweep_seconds: u32,
}

/// Sweeps until the supervisor is gone.
pub async fn run<K: Kind>(supervisor: Weak<Supervisor<K>>, options: PassivationOptions) {
    let mut timer = tokio::time::interval(Duration::from_secs(u64::from(options.sweep_seconds.max(1))));
    loop {
        timer.tick().await;
        let Some(supervisor) = supervisor.upgrade() else { return };
        sweep(&supervisor, options.idle_seconds);
    }
}

/// One pass; says how many owners ended.
pub fn sweep<K: Kind>(supervisor: &Supervisor<K>, idle_seconds: u32) -> usize {
    let now = supervisor.tick();
    let stored = supervisor.ground.stored.get();
    let mut idle: Vec<(u32, K::Id)> = Vec::new();
    for entry in &supervisor.registry {
        if let Entry::Resident(slot) = entry.value()
            && slot.pins() == 0
            && (slot.cell.last() <= stored || Canary::PassivatedBeforeStored.sings())
        {
            let age = now.wrapping_sub(slot.used.load(Ordering::Relaxed));
            idle.push((age, *entry.key()));
        }
    }
    let excess = supervisor.residents().saturating_sub(supervisor.residents_max());
    if excess > 0 {
        idle.sort_unstable_by_key(|(age, _)| Reverse(*age));
    }
    let mut ended = 0;
    for (place, (age, id)) in idle.into_iter().enumerate() {
        if (age >= idle_seconds || place < excess) && supervisor.passivate_if(id, |_| true) {
            ended += 1;
        } else if let Some(pin) = supervisor.peek(id)
            && pin.untidy.load(Ordering::Relaxed)
        {
            pin.send(Tidy { pin: Pin::clone(&pin) });
        }
    }
    ended
}

impl<K: Kind> Supervisor<K> {
    /// Pins without counting as a use.
    fn peek(&self, id: K::Id) -> Option<Pin<K>> {
        match self.registry.get(&id)?.value() {
            Entry::Resident(slot) => Some(Pin::new(slot)),
            Entry::Loading(_) => None,
        }
    }
}
