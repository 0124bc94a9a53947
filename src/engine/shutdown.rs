//! The way out, in order: admit nothing, await everything, close the journal, flush, release the store.

use super::Inner;
use std::sync::Arc;

/// How a shutdown ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shutdown {
    /// Records that wait in the journal for the next start.
    pub backlog_records: u64,
    /// Whether the store is free for another journal.
    pub released: bool,
}

impl Inner {
    pub(super) async fn shutdown(self: &Arc<Self>) -> Shutdown {
        self.admission.close().await;
        let closing = self.clone();
        // Joins the journal's threads, which may be inside an fdatasync.
        let _ = self.runtime.spawn_blocking(move || closing.ground.journal.close()).await;
        let flushing = self.flushing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(flushing) = flushing {
            // Past the deadline the flush goes on until the process ends; it is never cancelled.
            let _ = tokio::time::timeout(self.options.shutdown_flush, flushing).await;
        }
        let appended = self.ground.journal.appended();
        let backlog_records = appended.get() - self.ground.stored.get().get();
        let mut released = false;
        if backlog_records == 0 && !self.ground.halt.is_halted() {
            match self.store.release(self.epoch).await {
                Ok(()) => released = true,
                Err(error) => tracing::warn!(%error, "the store's lease stays until the next start"),
            }
        }
        Shutdown { backlog_records, released }
    }
}
