//! What every black-box test stands on: a real `purser serve`, a small HTTP client, and sentences over the API.
#![allow(dead_code, reason = "each test binary uses its own part of this module")]

pub mod api;
#[cfg(feature = "canaries")]
pub mod canaries;
pub mod expect;
pub mod http;
pub mod journal;
pub mod postgres;
pub mod receiver;
pub mod server;
pub mod simulator;
pub mod standstill;
pub mod store;

use std::fmt::Debug;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How long anything that must happen may take before a test gives up. Never a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Polls until `probe` answers: for what other processes do. Only this and the start of a private Postgres wait by the
/// clock.
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, probe)
}

/// As [`eventually`], for work that takes long on a slow machine.
#[track_caller]
pub fn eventually_within<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "did not happen within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs both at once, as nearly as two threads can.
pub fn race<A: Send, B: Send>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B + Send) -> (A, B) {
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            start.wait();
            first()
        });
        let second = scope.spawn(|| {
            start.wait();
            second()
        });
        (joined(first), joined(second))
    })
}

/// Runs `work(0..n)` on as many threads, all let go at once; the results stand in that order.
pub fn all_at_once<T: Send>(n: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(n);
    std::thread::scope(|scope| {
        let (start, work) = (&start, &work);
        let running: Vec<_> = (0..n)
            .map(|index| {
                scope.spawn(move || {
                    start.wait();
                    work(index)
                })
            })
            .collect();
        running.into_iter().map(joined).collect()
    })
}

fn joined<T>(running: std::thread::ScopedJoinHandle<'_, T>) -> T {
    running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What was seen must be one of the outcomes that some serial order would have had.
#[track_caller]
pub fn expect_serial<T: PartialEq + Debug>(seen: &T, serial: &[T]) {
    assert!(
        serial.contains(seen),
        "no serial order ends like this: {seen:?}; the possible ends are {serial:?}"
    );
}

/// A small deterministic generator (xorshift64*), so that a failing run can be repeated from its printed seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number in `0..sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// A number from the environment, for runs longer than the default.
pub fn setting(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")),
        Err(_) => default,
    }
}
