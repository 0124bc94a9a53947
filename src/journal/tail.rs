//! The end of the journal in memory: the one short critical section of the system. It hands out positions and, from the
//! cell of each entity that a record touches, the next version and running total. Cells are written only here.

use super::halt::Halt;
use super::space::Reservation;
use crate::domain::{Record, Seq};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Where an entity stands at the end of the journal: ahead of its owner whenever another owner's commit is on its way.
#[derive(Debug, Default)]
pub struct Cell {
    total: AtomicI64,
    version: AtomicU64,
    last: AtomicU64,
}

impl Cell {
    /// An entity as it was loaded; `last` is the last record known to have touched it.
    pub fn new(total: i64, version: u64, last: Seq) -> Self {
        Self {
            total: AtomicI64::new(total),
            version: AtomicU64::new(version),
            last: AtomicU64::new(last.get()),
        }
    }

    /// The newest version that is enqueued.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// The last record that touched the entity.
    pub fn last(&self) -> Seq {
        Seq::new(self.last.load(Ordering::SeqCst))
    }
}

/// One record on its way to the disk, with the room that was set apart for it.
pub struct Pending {
    pub record: Arc<Record>,
    pub space: Reservation,
}

/// See the module.
pub struct Tail {
    state: Mutex<State>,
    filled: Condvar,
    halt: Arc<Halt>,
}

struct State {
    next: u64,
    pending: Vec<Pending>,
    writer_sleeps: bool,
    closed: bool,
}

impl Tail {
    pub fn new(next: Seq, halt: Arc<Halt>) -> Self {
        let state = State { next: next.get(), pending: Vec::new(), writer_sleeps: false, closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), halt }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn appended(&self) -> Seq {
        Seq::new(self.lock().next - 1)
    }

    /// Assigns position, totals and versions, and queues the record. `cells` are those of the record's events, in order,
    /// followed by any further entity that the record touches (the owner of an idempotency key).
    ///
    /// # Panics
    /// When a total would leave `0..=2^53-1`: an owner decided wrongly, and the engine halts rather than record it.
    pub fn enqueue(&self, mut record: Record, cells: &[&Cell], space: Reservation) -> Arc<Record> {
        let mut state = self.lock();
        let seq = Seq::new(state.next);
        record.seq = seq;
        for (event, cell) in record.events.iter_mut().zip(cells) {
            if let Some(posting) = event.posting_mut() {
                posting.total = cell.total.load(Ordering::Relaxed) + posting.delta;
                posting.version = cell.version.load(Ordering::Relaxed) + 1;
                assert!((0..=crate::domain::LIMIT).contains(&posting.total), "a total left its range");
                cell.total.store(posting.total, Ordering::SeqCst);
                cell.version.store(posting.version, Ordering::SeqCst);
            }
        }
        for cell in cells {
            cell.last.store(seq.get(), Ordering::SeqCst);
        }
        state.next += 1;
        let record = Arc::new(record);
        state.pending.push(Pending { record: record.clone(), space });
        let wake = std::mem::take(&mut state.writer_sleeps);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        record
    }

    /// All that is queued, once something is; `None` when the tail is closed and empty, or the engine halted.
    pub fn take(&self, batch: &mut Vec<Pending>) -> Option<()> {
        let mut state = self.lock();
        loop {
            if self.halt.is_halted() {
                return None;
            }
            if !state.pending.is_empty() {
                std::mem::swap(batch, &mut state.pending);
                return Some(());
            }
            if state.closed {
                return None;
            }
            state.writer_sleeps = true;
            state = self.filled.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// All that is queued, if something is, without waiting for it.
    pub fn take_queued(&self, batch: &mut Vec<Pending>) -> bool {
        let mut state = self.lock();
        if self.halt.is_halted() || state.pending.is_empty() {
            return false;
        }
        std::mem::swap(batch, &mut state.pending);
        true
    }

    /// Closed, and everything was taken.
    pub fn has_ended(&self) -> bool {
        let state = self.lock();
        state.closed && state.pending.is_empty()
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }
}
