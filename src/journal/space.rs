//! Room on the disk, promised before anything is decided: a record whose room is reserved can be enqueued without
//! failing or blocking. Running out is met here, long before a frame is cut short.

use super::frame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use thiserror::Error;
use tokio::sync::Notify;

/// Why no room can be set apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SpaceRefusal {
    /// There is no room for another segment on the disk. Ends by itself when there is.
    #[error("the journal's disk is full")]
    Full,
    /// The journal takes nothing more.
    #[error("the journal is closed")]
    Closed,
}

/// Prepared bytes that nobody was promised yet.
#[derive(Debug, Default)]
pub struct Space {
    free: AtomicI64,
    /// The last attempt to prepare a segment failed.
    failing: AtomicBool,
    closed: AtomicBool,
    /// Reservations that wait; whoever gives room back tells them.
    waiting: AtomicUsize,
    changed: Notify,
}

/// Room for one record; goes back when dropped, whether or not the record was written meanwhile (what it really took
/// was then subtracted by [`Space::take`]).
#[derive(Debug)]
pub struct Reservation {
    space: Arc<Space>,
    bytes: i64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.space.free.fetch_add(self.bytes, Ordering::SeqCst);
        if self.space.waiting.load(Ordering::SeqCst) > 0 {
            self.space.changed.notify_waiters();
        }
    }
}

impl Space {
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`super::Journal::reserve`].
    pub async fn reserve(this: &Arc<Self>, record_bytes: usize) -> Result<Reservation, SpaceRefusal> {
        // At worst the record gets a frame of its own.
        let bytes = record_bytes + frame::HEADER_BYTES + frame::RECORD_OVERHEAD + frame::ALIGNMENT;
        let bytes = i64::try_from(bytes).map_err(|_| SpaceRefusal::Full)?;
        if this.promise(bytes) {
            return Ok(Reservation { space: this.clone(), bytes });
        }
        let _waiting = Waiting::new(this);
        loop {
            let mut changed = std::pin::pin!(this.changed.notified());
            // Registered before the look, so that no change can fall between.
            changed.as_mut().enable();
            if this.promise(bytes) {
                return Ok(Reservation { space: this.clone(), bytes });
            }
            if this.closed.load(Ordering::SeqCst) {
                return Err(SpaceRefusal::Closed);
            }
            if this.failing.load(Ordering::SeqCst) {
                return Err(SpaceRefusal::Full);
            }
            changed.await;
        }
    }

    fn promise(&self, bytes: i64) -> bool {
        // Not subtracted first and put back: a large request would make small ones beside it believe that the disk is full.
        let less = |free: i64| (free >= bytes).then(|| free - bytes);
        self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }

    /// Ends all waiting: nothing will be written any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// A segment was prepared: so many bytes more can be promised.
    pub fn add(&self, bytes: u64) {
        self.failing.store(false, Ordering::SeqCst);
        self.free.fetch_add(bytes.cast_signed(), Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// A frame took so many of the promised bytes for good.
    pub fn take(&self, bytes: u64) {
        self.free.fetch_sub(bytes.cast_signed(), Ordering::SeqCst);
    }

    /// No segment could be prepared.
    pub fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::SeqCst)
    }
}

/// Counted among those who wait, until dropped.
struct Waiting<'a>(&'a Space);

impl<'a> Waiting<'a> {
    fn new(space: &'a Space) -> Self {
        space.waiting.fetch_add(1, Ordering::SeqCst);
        Self(space)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn room_is_promised_once_and_comes_back() {
        let space = Arc::new(Space::new());
        space.add(200);
        let first = Space::reserve(&space, 100).await.expect("room");
        space.fail();
        assert!(Space::reserve(&space, 100).await.is_err());
        drop(first);
        assert!(Space::reserve(&space, 100).await.is_ok());
    }

    #[tokio::test]
    async fn whoever_finds_no_room_waits_for_the_next_segment() {
        let space = Arc::new(Space::new());
        let waiting = tokio::spawn({
            let space = space.clone();
            async move { Space::reserve(&space, 10).await.is_ok() }
        });
        tokio::task::yield_now().await;
        space.add(1_000);
        assert!(waiting.await.expect("joined"));
    }

    #[tokio::test]
    async fn waiting_for_room_ends_with_the_journal() {
        let space = Arc::new(Space::new());
        let waiting = tokio::spawn({
            let space = space.clone();
            async move { Space::reserve(&space, 10).await.map(drop) }
        });
        tokio::task::yield_now().await;
        space.close();
        assert_eq!(waiting.await.expect("joined"), Err(SpaceRefusal::Closed));
        assert_eq!(space.waiting.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_large_request_that_finds_no_room_takes_none_from_a_small_one() {
        let space = Arc::new(Space::new());
        space.add(1_000);
        let mut large = std::pin::pin!(Space::reserve(&space, 5_000));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(Space::reserve(&space, 500).await.is_ok());
    }
}
