//! Reading the store while an engine runs: in bounded time, and never from behind what is known to be stored. A store that
//! hangs is left alone for a moment; one that is behind was rewound, which the write-behind is told.

use super::write_behind::Status;
use super::{Snapshot, Store, StoreError};
use crate::journal::Position;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long a store that did not answer is left alone, but for one that tries.
const REST: Duration = Duration::from_secs(1);

/// See the module.
pub struct StoreReader {
    store: Arc<dyn Store>,
    stored: Arc<Position>,
    status: Arc<Status>,
    deadline: Duration,
    begun: Instant,
    /// Milliseconds after `begun` until when the store is left alone; 0 when it is not.
    resting_until: AtomicU64,
    /// The store's answers when its rest began: with the next one, to whomever, the rest is over.
    answers_at_rest: AtomicU64,
}

impl StoreReader {
    /// `deadline`: for one query.
    pub fn new(
        store: Arc<dyn Store>,
        stored: Arc<Position>,
        status: Arc<Status>,
        deadline: Duration,
    ) -> Self {
        Self {
            store,
            stored,
            status,
            deadline,
            begun: Instant::now(),
            resting_until: AtomicU64::new(0),
            answers_at_rest: AtomicU64::new(0),
        }
    }

    /// Runs one query.
    ///
    /// # Errors
    /// Those of the query; [`StoreError::Unavailable`] too when it takes too long, when others have just waited in vain, and
    /// when the answer is older than what the engine knows to be stored.
    pub async fn read<'a, T>(
        &'a self,
        query: impl FnOnce(&'a dyn Store) -> BoxFuture<'a, Result<Snapshot<T>, StoreError>>,
    ) -> Result<Snapshot<T>, StoreError> {
        // What owners let go of relied on this position; a snapshot before it would forget acknowledged changes.
        let known = self.stored.get();
        self.may_try()?;
        let answers = self.status.answers();
        let Ok(answer) = tokio::time::timeout(self.deadline, query(self.store.as_ref())).await else {
            // Others may have had an answer meanwhile: then it is back, and only this query was lost.
            if self.status.answers() == answers {
                self.answers_at_rest.store(answers, Ordering::SeqCst);
                self.resting_until.store(self.now_millis() + millis(REST), Ordering::SeqCst);
            }
            return Err(StoreError::Unavailable(format!(
                "no answer within {} s",
                self.deadline.as_secs_f32()
            )));
        };
        // Even a refusal is an answer: it does not hang.
        self.resting_until.store(0, Ordering::SeqCst);
        let snapshot = answer?;
        self.status.answered();
        if snapshot.watermark < known {
            self.status.suspect();
            let found = snapshot.watermark;
            return Err(StoreError::Unavailable(format!(
                "it is at record {found}, behind the known {known}"
            )));
        }
        Ok(snapshot)
    }

    fn may_try(&self) -> Result<(), StoreError> {
        let until = self.resting_until.load(Ordering::SeqCst);
        if until == 0 || self.status.answers() != self.answers_at_rest.load(Ordering::SeqCst) {
            return Ok(());
        }
        let now = self.now_millis();
        // Of all who come after the rest one tries; the others would wait with it for nothing.
        let next = now + millis(self.deadline + REST);
        let tries = now >= until
            && self.resting_until.compare_exchange(until, next, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if tries { Ok(()) } else { Err(StoreError::Unavailable("it does not answer in time".into())) }
    }

    fn now_millis(&self) -> u64 {
        millis(self.begun.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
