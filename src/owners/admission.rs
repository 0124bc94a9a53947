//! One permit per operation, taken before anything else: what bounds the mailboxes, since mailboxes themselves do not.
//! None free means "not executed", said at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A counter of operations in progress.
#[derive(Debug)]
pub struct Admission {
    running: AtomicUsize,
    /// All that ever asked for a place, counted after they count as running: see [`Admission::at_rest`].
    entered: AtomicUsize,
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
        let (running, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { running, entered, most, closed: false.into(), drained }
    }

    pub fn enter(this: &Arc<Self>) -> Result<Permit, NoPermit> {
        let running = this.running.fetch_add(1, Ordering::SeqCst);
        let permit = Permit(this.clone());
        this.entered.fetch_add(1, Ordering::SeqCst);
        if this.closed.load(Ordering::SeqCst) {
            return Err(NoPermit::Closing);
        }
        if running >= this.most { Err(NoPermit::Overloaded) } else { Ok(permit) }
    }

    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// With no operation in progress, how many there were. The same number again later: none was in between.
    pub fn at_rest(&self) -> Option<usize> {
        let entered = self.entered.load(Ordering::SeqCst);
        (self.running.load(Ordering::SeqCst) == 0).then_some(entered)
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

    #[test]
    fn an_operation_is_noticed_while_it_runs_and_after_it_came_and_went() {
        let admission = Arc::new(Admission::new(1));
        let before = admission.at_rest();
        assert!(before.is_some() && before == admission.at_rest());
        let permit = Admission::enter(&admission).expect("a place");
        assert_eq!(admission.at_rest(), None);
        drop(permit);
        let after = admission.at_rest();
        assert!(after.is_some() && after != before);
    }
}
