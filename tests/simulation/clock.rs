//! The clock of a simulation: it follows the simulated time, jumps, and gives ids that come again with the seed.

use purser::clock::Clock;
use purser::domain::Timestamp;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::time::Instant;
use uuid::Uuid;

/// Any moment will do.
const BEGIN_SECONDS: i64 = 1_767_225_600;

/// See the module.
#[derive(Debug)]
pub struct SimulatedClock {
    /// What it showed when the current life began, in microseconds, with all jumps since.
    shown: AtomicI64,
    life: Mutex<Option<Instant>>,
    ids: AtomicU64,
}

impl SimulatedClock {
    pub fn new() -> Self {
        let shown = AtomicI64::new(BEGIN_SECONDS * 1_000_000);
        Self { shown, life: Mutex::new(None), ids: AtomicU64::new(0) }
    }

    /// A new runtime begins, with a time of its own.
    pub fn begin(&self) {
        let mut life = self.life.lock().expect("no panic");
        *life = Some(Instant::now());
    }

    /// The runtime ends; a little time goes by until the next one.
    pub fn end(&self) {
        let now = self.now().plus_seconds(1);
        self.shown.store(now.micros(), Ordering::SeqCst);
        *self.life.lock().expect("no panic") = None;
    }

    pub fn jump_seconds(&self, seconds: i64) {
        self.shown.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let life = self.life.lock().expect("no panic");
        let elapsed = life.map_or(0, |begun| begun.elapsed().as_micros());
        let elapsed = i64::try_from(elapsed).expect("not that long");
        Timestamp::from_micros(self.shown.load(Ordering::SeqCst) + elapsed)
    }

    fn new_id(&self) -> Uuid {
        let millis = u64::try_from(self.now().micros() / 1_000).expect("after 1970");
        let number = u128::from(self.ids.fetch_add(1, Ordering::SeqCst));
        Uuid::from_u128(u128::from(millis) << 80 | 7 << 76 | 2 << 62 | number)
    }
}
