//! What a part of the engine that works by itself shows of it, and how it is stopped. A leaf: it knows nothing of the work.

use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Shared by the part and the engine. `S`: how it stands, as of a moment ago.
#[derive(Debug)]
pub struct Control<S> {
    stats: Mutex<S>,
    stop: watch::Sender<bool>,
    ended: watch::Sender<bool>,
}

impl<S: Default> Default for Control<S> {
    fn default() -> Self {
        let (stop, ended) = (watch::Sender::new(false), watch::Sender::new(false));
        Self { stats: Mutex::default(), stop, ended }
    }
}

impl<S: Clone> Control<S> {
    pub fn stats(&self) -> S {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S> Control<S> {
    /// Lets nothing more start.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns when what was under way has ended, or was cut off.
    pub async fn ended(&self) {
        // The sender is ours, so this cannot fail.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// For the part itself: whether it is to stop.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub fn show(&self, stats: S) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }

    pub fn end(&self) {
        self.ended.send_replace(true);
    }
}
