//! The way out, in order: start no message and no exchange, admit nothing, await everything, close the journal, flush, release the store.

use super::Inner;
use std::sync::Arc;
use std::time::Duration;

/// How long the dispatcher and the exchanger are waited for, each.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a store that has everything is waited for.
const LAST_WORD: Duration = Duration::from_secs(5);

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
        self.dispatch.stop();
        self.exchange.stop();
        self.admission.close().await;
        // They keep deadlines of their own; this is for a thread that is gone.
        let _ = tokio::time::timeout(PATIENCE, self.dispatch.ended()).await;
        let _ = tokio::time::timeout(PATIENCE, self.exchange.ended()).await;
        self.background.close().await;
        self.exchanging.close().await;
        let closing = self.clone();
        // Joins the journal's threads, which may be inside an fdatasync.
        let _ = self.runtime.spawn_blocking(move || closing.ground.journal.close()).await;
        let flushing = self.flushing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(flushing) = flushing {
            let nothing_left = self.ground.stored.get() == self.ground.journal.appended();
            let patience = if nothing_left { LAST_WORD } else { self.options.shutdown_flush };
            // Past the deadline the flush goes on until the process ends; it is never cancelled.
            let _ = tokio::time::timeout(patience.min(self.options.shutdown_flush), flushing).await;
        }
        let appended = self.ground.journal.appended();
        let backlog_records = appended.get() - self.ground.stored.get().get();
        let mut released = false;
        if backlog_records == 0 && !self.ground.halt.is_halted() {
            match tokio::time::timeout(LAST_WORD, self.store.release(self.epoch)).await {
                Ok(Ok(())) => released = true,
                Ok(Err(error)) => tracing::warn!(%error, "the store's lease stays until the next start"),
                Err(_) => tracing::warn!("no answer from the store: its lease stays until the next start"),
            }
        }
        Shutdown { backlog_records, released }
    }
}
