//! Moves durable records into the store: while an engine runs, the only task that applies records there. The next batch is
//! whatever became durable during the last one. After an ambiguous commit the watermark is read back and decides; nothing is
//! skipped, ever.

use super::batch::ROWS_MAX;
use super::replay::{ReplayError, replay};
use super::{Batch, Lease, Store, StoreError};
use crate::canary::{Canary, Moment};
use crate::domain::{Record, Seq, Timestamp};
use crate::journal::disk::Disk;
use crate::journal::writer::Written;
use crate::journal::{Halt, HaltReason, Position};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

/// The longest pause between two attempts while the store is away.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// After so long without an answer the store counts as out of reach, though the call goes on.
const OVERDUE: Duration = Duration::from_secs(3);

/// How often an idle write-behind makes sure that the store is still its own and still has what it confirmed.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// What others may know of the write-behind, and tell it.
#[derive(Debug, Default)]
pub struct Status {
    unreachable: AtomicBool,
    /// Journal bytes of the records that were stored since the start.
    stored_bytes: AtomicU64,
    /// When the oldest record that is not stored was decided, in microseconds; 0 when all are stored.
    oldest: AtomicI64,
    suspected: Notify,
    answers: AtomicU64,
}

impl Status {
    /// How often the store has answered, whoever asked.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }

    /// The store has answered somebody.
    pub fn answered(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }

    /// Has the write-behind look where the store stands: somebody read something older than what was stored.
    pub fn suspect(&self) {
        self.suspected.notify_one();
    }

    pub fn is_reachable(&self) -> bool {
        !self.unreachable.load(Ordering::SeqCst)
    }

    /// Of the journal's durable bytes, those that are in the store too.
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes.load(Ordering::Relaxed)
    }

    /// When the oldest record that is not stored was decided.
    pub fn oldest(&self) -> Option<Timestamp> {
        let micros = self.oldest.load(Ordering::Relaxed);
        (micros != 0).then(|| Timestamp::from_micros(micros))
    }
}

/// Everything a write-behind works with.
pub struct WriteBehind {
    pub store: Arc<dyn Store>,
    pub lease: Lease,
    /// For bringing a store forward again that was rewound.
    pub disk: Arc<dyn Disk>,
    pub durable: UnboundedReceiver<Written>,
    pub stored: Arc<Position>,
    pub status: Arc<Status>,
    pub halt: Arc<Halt>,
    pub batch_records_max: usize,
    pub on_stored: OnStored,
}

enum Next {
    Written(Written),
    Look,
    /// The journal is closed and everything is stored.
    Closed,
}

/// Told of all records that a flush stored, in order.
pub type OnStored = Box<dyn Fn(&[Arc<Record>]) + Send + Sync>;

impl WriteBehind {
    /// Runs until the journal is closed and everything is stored, or the engine halts. Never to be cancelled.
    pub async fn run(mut self) {
        let mut queue: VecDeque<Arc<Record>> = VecDeque::new();
        let mut sizes: VecDeque<(Seq, u64)> = VecDeque::new();
        loop {
            if queue.is_empty() {
                match self.next().await {
                    Next::Written(written) => self.take(written, &mut queue, &mut sizes),
                    Next::Look => {
                        if self.look().await.is_none() {
                            return;
                        }
                        continue;
                    }
                    Next::Closed => return,
                }
            }
            while let Ok(written) = self.durable.try_recv() {
                self.take(written, &mut queue, &mut sizes);
            }
            let mut rows = 0;
            let fits = |record: &&Arc<Record>| {
                rows += record.rows();
                rows <= ROWS_MAX
            };
            let count = queue.iter().take(self.batch_records_max).take_while(fits).count().max(1);
            let records = queue.make_contiguous();
            if !self.flush(&records[..count]).await {
                return;
            }
            queue.drain(..count);
            let mut bytes = 0;
            while sizes.front().is_some_and(|(last, _)| *last <= self.lease.watermark) {
                bytes += sizes.pop_front().map_or(0, |(_, size)| size);
            }
            self.status.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
            let oldest = queue.front().map_or(0, |record| record.at.micros());
            self.status.oldest.store(oldest, Ordering::Relaxed);
        }
    }

    async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            written = self.durable.recv() => written.map_or(Next::Closed, Next::Written),
            () = self.status.suspected.notified() => Next::Look,
            () = tokio::time::sleep(IDLE_CHECK) => Next::Look,
        }
    }

    /// With nothing to write: where the store stands. `None` when the engine has to halt.
    async fn look(&mut self) -> Option<()> {
        if self.halt.is_halted() {
            return None;
        }
        match self.answer(self.store.position()).await {
            Ok(position) => {
                self.reachable(true);
                self.judge(position, self.lease.watermark, self.lease.watermark).await.map(drop)
            }
            Err(error) => {
                if self.reachable(false) {
                    tracing::warn!(%error, "the store does not answer");
                }
                Some(())
            }
        }
    }

    /// The store's answer, however long it takes. A store that hangs is known to before the call is given up.
    async fn answer<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let mut call = pin!(call);
        if let Ok(answer) = tokio::time::timeout(OVERDUE, call.as_mut()).await {
            return answer;
        }
        if self.reachable(false) {
            tracing::warn!("no answer from the store in {} s", OVERDUE.as_secs());
        }
        call.await
    }

    /// Takes note of whether the store answers; says whether that is news.
    fn reachable(&self, reachable: bool) -> bool {
        if reachable {
            self.status.answered();
        }
        let was = !self.status.unreachable.swap(!reachable, Ordering::SeqCst);
        if reachable && !was {
            tracing::info!(stored = self.lease.watermark.get(), "the store is back");
        }
        was != reachable
    }

    fn take(&self, written: Written, queue: &mut VecDeque<Arc<Record>>, sizes: &mut VecDeque<(Seq, u64)>) {
        if queue.is_empty()
            && let Some(first) = written.records.first()
        {
            self.status.oldest.store(first.at.micros(), Ordering::Relaxed);
        }
        if let Some(last) = written.records.last() {
            sizes.push_back((last.seq, written.bytes));
        }
        queue.extend(written.records);
    }

    /// Brings the records into the store, however long it takes. False when the engine halted meanwhile.
    async fn flush(&mut self, records: &[Arc<Record>]) -> bool {
        let mut batch = Batch::of(self.lease.watermark, records.iter().map(AsRef::as_ref));
        let mut pause = Duration::from_millis(20);
        let begun = Instant::now();
        loop {
            if self.halt.is_halted() {
                return false;
            }
            let error = match self.answer(self.store.apply(self.lease.epoch, &batch)).await {
                Ok(()) => break,
                Err(error) => error,
            };
            if Canary::AmbiguousCommitRepeated.sings()
                && let Ok(position) = self.store.position().await
            {
                batch.after = position.watermark;
            }
            match self.resolve(error, &batch).await {
                Some(true) => break,
                Some(false) => {}
                None => return false,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
        metrics::histogram!("purser_store_flush_seconds").record(begun.elapsed().as_secs_f64());
        metrics::histogram!("purser_store_flush_records").record(records.len() as f64);
        Moment::BatchKnown.reached();
        self.lease.watermark = batch.to;
        self.reachable(true);
        (self.on_stored)(records);
        self.stored.advance(batch.to);
        true
    }

    /// After a failure: whether the batch is in the store after all. `None` when the engine has to halt.
    async fn resolve(&mut self, error: StoreError, batch: &Batch) -> Option<bool> {
        match &error {
            StoreError::Refused(_) | StoreError::Damaged(_) => {
                tracing::error!(%error, after = batch.after.get(), to = batch.to.get(),
                    "the store refuses a batch: write-behind stands still until this is mended");
                metrics::counter!("purser_store_refused_total").increment(1);
                return Some(false);
            }
            StoreError::Fenced { holder, .. } => return self.fenced(holder.clone()),
            StoreError::Unavailable(_)
            | StoreError::Moved { .. }
            | StoreError::Held { .. }
            | StoreError::Untaken => {}
        }
        if Canary::AmbiguousCommitTrusted.sings() {
            return Some(true);
        }
        if self.reachable(false) {
            tracing::warn!(%error, "a flush failed; looking up what the store has");
        }
        match self.answer(self.store.position()).await {
            Ok(position) => self.judge(position, batch.after, batch.to).await,
            Err(_) => Some(false),
        }
    }

    /// What the store's position means when it had confirmed `after` and was to come to `to`: whether it got there.
    async fn judge(&self, position: Lease, after: Seq, to: Seq) -> Option<bool> {
        if position.epoch > self.lease.epoch {
            return self.fenced(format!("a later engine (epoch {})", position.epoch));
        }
        if position.watermark < after {
            return self.bring_forward(position.watermark, after).await;
        }
        Some(position.watermark == to)
    }

    fn fenced(&self, holder: String) -> Option<bool> {
        self.halt.halt(HaltReason::Fenced(holder));
        None
    }

    /// The store lost what it had confirmed (fail-over, restored backup): the segments give it back.
    async fn bring_forward(&self, from: Seq, to: Seq) -> Option<bool> {
        tracing::error!(
            from = from.get(),
            to = to.get(),
            "the store was rewound; applying the journal again"
        );
        let mut lease = Lease { epoch: self.lease.epoch, watermark: from };
        let (disk, store) = (self.disk.clone(), self.store.as_ref());
        match replay(disk, store, &mut lease, to, self.batch_records_max, |_| {}).await {
            Err(ReplayError::Gap) => {
                self.halt.halt(HaltReason::Rewound(from.get()));
                return None;
            }
            Err(ReplayError::Journal(error)) => {
                tracing::warn!(%error, "the journal could not be read back yet");
            }
            // The next look at the store's position tells how far it came.
            Err(ReplayError::Store(_)) | Ok(()) => {}
        }
        Some(false)
    }
}
