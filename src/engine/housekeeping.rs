//! What an engine does beside operations: owners go to rest, keys expire, indexes forget what is stored, and a halt reaches
//! whoever waits.

use super::Inner;
use crate::owners::Ground;
use crate::owners::passivation::{self, PassivationOptions};
use crate::store::write_behind::OnStored;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Runs right after a flush: indexes forget, old segments may go.
pub(super) fn on_stored(ground: Arc<Ground>) -> OnStored {
    Box::new(move |records| {
        for record in records {
            ground.unstored.remove(record);
        }
        if let Some(last) = records.last() {
            ground.journal.retire(last.seq);
        }
    })
}

impl Inner {
    pub(super) fn start_housekeeping(self: &Arc<Self>) {
        let sweep = PassivationOptions {
            idle_seconds: self.options.idle_seconds,
            sweep_seconds: self.options.sweep_seconds,
        };
        let halt = self.ground.halt.clone();
        let guarded = |part, run: BoxFuture<'static, ()>| self.runtime.spawn(halt.clone().guard(part, run));
        guarded("passivation", passivation::run(Arc::downgrade(&self.products), sweep).boxed());
        guarded("passivation", passivation::run(Arc::downgrade(&self.balances), sweep).boxed());
        guarded("passivation", passivation::run(Arc::downgrade(&self.sessions), sweep).boxed());
        guarded("passivation", passivation::run(Arc::downgrade(&self.distributors), sweep).boxed());
        guarded("passivation", passivation::run(Arc::downgrade(&self.accounts), sweep).boxed());
        let (store, epoch) = (self.store.clone(), self.epoch);
        let (clock, keep) = (self.ground.clock.clone(), self.options.key_retention_seconds);
        let pruning = async move {
            let mut timer = tokio::time::interval(Duration::from_hours(1));
            loop {
                timer.tick().await;
                if let Err(error) = store.prune_keys(epoch, clock.now().plus_seconds(-keep)).await {
                    tracing::warn!(%error, "expired idempotency keys stay for now");
                }
            }
        };
        guarded("the pruning of keys", pruning.boxed());
        let weak = Arc::downgrade(self);
        self.runtime.spawn(async move {
            halt.halted().await;
            if let Some(inner) = weak.upgrade() {
                inner.ground.journal.abandon();
                inner.ground.stored.abandon();
            }
        });
    }
}
