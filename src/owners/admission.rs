//! One permit per operation, taken before anything else: what bounds the mailboxes, since mailboxes themselves do not.
//! None free means "not executed", said at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A counter of operations in progress.
#[derive(Debug)]
pub struct Admission {
    running: AtomicUsize,
    most: usize,
    closed: std::sync::atomic::AtomicBool,
    drained: tokio::sync::Notify,
}

/// An operation's place; free again when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

/// Why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoPermit {
    Overloaded,
    Closing,
}

impl Admission {
    pub fn new(most: usize) -> Self {
        let drained = tokio::sync::Notify::new();
        Self { running: AtomicUsize::new(0), most, closed: false.into(), drained }
    }

    pub fn enter(this: &Arc<Self>) -> Result<Permit, NoPermit> {
        let running = this.running.fetch_add(1, Ordering::SeqCst);
        let permit = Permit(this.clone());
        if this.closed.load(Ordering::SeqCst) {
            return Err(NoPermit::Closing);
        }
        if running >= this.most { Err(NoPermit::Overloaded) } else { Ok(permit) }
    }

    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub const fn most(&self) -> usize {
        self.most
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Admits nobody any more and returns when the last operation has ended.
    pub async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        loop {
            let drained = self.drained.notified();
            if self.running.load(Ordering::SeqCst) == 0 {
                return;
            }
            drained.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.drained.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_place_is_given_once_and_closing_waits_for_everybody() {
        let admission = Arc::new(Admission::new(1));
        let permit = Admission::enter(&admission).expect("a place");
        assert_eq!(Admission::enter(&admission).err(), Some(NoPermit::Overloaded));
        let closing = tokio::spawn({
            let admission = admission.clone();
            async move { admission.close().await }
        });
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        assert_eq!(Admission::enter(&admission).err(), Some(NoPermit::Closing));
        drop(permit);
        closing.await.expect("closed");
    }
}
