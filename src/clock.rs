//! The wall clock as a parameter, so that tests can run hours in milliseconds. Time labels; it never orders. Ids begin with
//! the time and so come from here too: a simulation gets the same ones again.

use crate::domain::Timestamp;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use uuid::Uuid;

/// Where labels of time and new ids come from.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// An id that nobody has.
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    /// Returns when the clock shows `at` or later.
    fn until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let micros = at.micros().saturating_sub(self.now().micros());
        let left = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        tokio::time::sleep(left).boxed()
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
pub struct ManualClock {
    micros: watch::Sender<i64>,
}

impl ManualClock {
    pub fn at(start: Timestamp) -> Self {
        Self { micros: watch::Sender::new(start.micros()) }
    }

    pub fn advance_seconds(&self, seconds: i64) {
        self.micros.send_modify(|micros| *micros += seconds * 1_000_000);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(*self.micros.borrow())
    }

    fn until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let mut shown = self.micros.subscribe();
        async move {
            if shown.wait_for(|micros| *micros >= at.micros()).await.is_err() {
                // A clock that is gone shows nothing any more.
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}
