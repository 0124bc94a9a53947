//! From the moment that the server is asked to end until its engine has ended, nothing new is taken on.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Whether the server is on its way out. Once begun it is never over.
#[derive(Default)]
pub struct Drain {
    begun: AtomicBool,
    told: Notify,
}

impl Drain {
    pub fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// Returns once it has begun.
    pub async fn begun(&self) {
        // Made before the look, so that no beginning falls between the two.
        let told = self.told.notified();
        if !self.has_begun() {
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn whoever_waits_is_told_and_whoever_comes_later_does_not_wait() {
        let drain = Drain::default();
        let mut waiting = Box::pin(drain.begun());
        assert_eq!(waiting.as_mut().now_or_never(), None);
        drain.begin();
        assert_eq!(waiting.now_or_never(), Some(()));
        assert_eq!(drain.begun().now_or_never(), Some(()));
    }
}
