//! A journal position that only grows, and those who wait for it: what is durable, what is stored.
//!
//! Waiters are kept per thread. A thread that runs [`Position::attend`] is woken once per advance and completes its own
//! waiters locally; for all others the advancing thread wakes them one by one.

use super::halt::{Halt, Halted};
use crate::domain::Seq;
use futures_util::task::AtomicWaker;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// More threads than this share shards, which costs speed and nothing else.
const SHARDS: usize = 32;

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = Cell::new(NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS);
}

/// A monotonic position with waiters.
pub struct Position {
    reached: AtomicU64,
    halt: Arc<Halt>,
    shards: Vec<Shard>,
}

#[derive(Default)]
struct Shard {
    waiters: Mutex<Waiters>,
    /// Whether `waiters` may hold anybody; lets an advance skip idle shards.
    occupied: AtomicBool,
    attended: AtomicBool,
    attendant: AtomicWaker,
}

#[derive(Default)]
struct Waiters {
    /// Ascending by position, then by number: arrivals are nearly in that order already.
    line: VecDeque<Waiter>,
    next_number: u64,
}

struct Waiter {
    wanted: u64,
    number: u64,
    waker: Waker,
}

impl Waiters {
    fn place_of(&self, wanted: u64, number: u64) -> Option<usize> {
        self.line.binary_search_by_key(&(wanted, number), |waiter| (waiter.wanted, waiter.number)).ok()
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Puts a waiter in line; the number is for finding it again.
    fn register(&self, wanted: u64, waker: &Waker) -> u64 {
        let mut waiters = self.lock();
        let number = waiters.next_number;
        waiters.next_number += 1;
        let mut place = waiters.line.len();
        while place > 0 && waiters.line[place - 1].wanted > wanted {
            place -= 1;
        }
        waiters.line.insert(place, Waiter { wanted, number, waker: waker.clone() });
        self.occupied.store(true, Ordering::SeqCst);
        number
    }

    /// Has a waiter that is still in line woken by another waker. False when it was woken already.
    fn renew(&self, wanted: u64, number: u64, waker: &Waker) -> bool {
        let mut waiters = self.lock();
        let Some(place) = waiters.place_of(wanted, number) else { return false };
        waiters.line[place].waker.clone_from(waker);
        true
    }

    fn leave(&self, wanted: u64, number: u64) {
        let mut waiters = self.lock();
        if let Some(place) = waiters.place_of(wanted, number) {
            waiters.line.remove(place);
        }
    }

    fn wake(&self, reached: u64) {
        loop {
            let mut ready: [Option<Waker>; 64] = [const { None }; 64];
            let mut count = 0;
            {
                let mut waiters = self.lock();
                let line = &mut waiters.line;
                while count < ready.len() && line.front().is_some_and(|waiter| waiter.wanted <= reached) {
                    ready[count] = line.pop_front().map(|waiter| waiter.waker);
                    count += 1;
                }
                if line.is_empty() {
                    self.occupied.store(false, Ordering::SeqCst);
                }
            }
            ready.into_iter().flatten().for_each(Waker::wake);
            if count < 64 {
                return;
            }
        }
    }
}

/// When the attendant's thread ends, its waiters are everybody's again.
struct Leave<'a>(&'a Shard);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.attended.store(false, Ordering::SeqCst);
        // Whoever is left looks again by itself and registers anew.
        self.0.wake(u64::MAX);
    }
}

impl Position {
    pub fn new(reached: Seq, halt: Arc<Halt>) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { reached: AtomicU64::new(reached.get()), halt, shards }
    }

    pub fn get(&self) -> Seq {
        Seq::new(self.reached.load(Ordering::SeqCst))
    }

    /// Moves the position forward and wakes whoever waited for it.
    pub fn advance(&self, to: Seq) {
        self.reached.fetch_max(to.get(), Ordering::SeqCst);
        self.notify(to.get());
    }

    /// Wakes all waiters, who then see that the engine halted.
    pub fn abandon(&self) {
        self.notify(u64::MAX);
    }

    fn notify(&self, reached: u64) {
        for shard in &self.shards {
            if !shard.occupied.load(Ordering::SeqCst) {
                continue;
            }
            if shard.attended.load(Ordering::SeqCst) {
                shard.attendant.wake();
            } else {
                shard.wake(reached);
            }
        }
    }

    /// Completes once the position reached `seq`.
    ///
    /// # Errors
    /// [`Halted`] when the engine halted before.
    pub fn wait(self: &Arc<Self>, seq: Seq) -> Wait {
        Wait { position: self.clone(), wanted: seq.get(), place: None }
    }

    /// Runs for ever on the calling thread and completes that thread's waiters there. One per thread, on its event loop.
    pub async fn attend(self: Arc<Self>) {
        let shard = &self.shards[SHARD.with(Cell::get)];
        let _leave = Leave(shard);
        poll_fn::<(), _>(|context| {
            shard.attendant.register(context.waker());
            shard.attended.store(true, Ordering::SeqCst);
            let reached = if self.halt.is_halted() { u64::MAX } else { self.reached.load(Ordering::SeqCst) };
            shard.wake(reached);
            Poll::Pending
        })
        .await;
    }
}

/// The future of [`Position::wait`]. Dropped early, it leaves nothing behind.
pub struct Wait {
    position: Arc<Position>,
    wanted: u64,
    /// Shard and number of the waker that is in line for this future.
    place: Option<(usize, u64)>,
}

impl Wait {
    fn look(&self) -> Poll<Result<(), Halted>> {
        if self.position.reached.load(Ordering::SeqCst) >= self.wanted {
            Poll::Ready(Ok(()))
        } else if self.position.halt.is_halted() {
            Poll::Ready(Err(Halted))
        } else {
            Poll::Pending
        }
    }
}

impl Future for Wait {
    type Output = Result<(), Halted>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let now = self.look();
        if now.is_ready() {
            return now;
        }
        let (wanted, waker) = (self.wanted, context.waker());
        let in_line = self
            .place
            .is_some_and(|(shard, number)| self.position.shards[shard].renew(wanted, number, waker));
        if !in_line {
            let shard = SHARD.with(Cell::get);
            self.place = Some((shard, self.position.shards[shard].register(wanted, waker)));
        }
        // An advance between the first look and the registration would have woken nobody.
        self.look()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // Once the position is reached, whoever advanced it takes the waker out of the line.
        if let Some((shard, number)) = self.place
            && self.position.reached.load(Ordering::SeqCst) < self.wanted
        {
            self.position.shards[shard].leave(self.wanted, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn everyone_is_woken_when_their_position_is_reached() {
        let position = Arc::new(Position::new(Seq::ZERO, Arc::default()));
        let waiters: Vec<_> = (1..=500u64)
            .rev()
            .map(|seq| {
                let position = position.clone();
                tokio::spawn(async move {
                    position.wait(Seq::new(seq)).await.expect("not halted");
                    assert!(position.get() >= Seq::new(seq));
                })
            })
            .collect();
        for seq in 1..=500 {
            position.advance(Seq::new(seq));
        }
        for waiter in waiters {
            waiter.await.expect("woken");
        }
    }

    #[tokio::test]
    async fn a_halt_releases_waiters_with_an_unknown_outcome() {
        let halt = Arc::new(Halt::default());
        let position = Arc::new(Position::new(Seq::ZERO, halt.clone()));
        let waiting = tokio::spawn(position.wait(Seq::new(1)));
        tokio::task::yield_now().await;
        halt.halt(super::super::HaltReason::Sync("test".into()));
        position.abandon();
        assert_eq!(waiting.await.expect("joined"), Err(Halted));
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_no_waker_behind() {
        let position = Arc::new(Position::new(Seq::ZERO, Arc::default()));
        for _ in 0..3 {
            let given_up = tokio::time::timeout(std::time::Duration::ZERO, position.wait(Seq::new(9))).await;
            assert!(given_up.is_err());
        }
        let mut polled_twice = std::pin::pin!(position.wait(Seq::new(9)));
        assert!(polled_twice.as_mut().now_or_never().is_none());
        assert!(polled_twice.as_mut().now_or_never().is_none());
        let in_line: usize = position.shards.iter().map(|shard| shard.lock().line.len()).sum();
        assert_eq!(in_line, 1, "only the one that still waits, once");
    }
}
