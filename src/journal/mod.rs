//! The journal: the only source of truth. It knows records, frames, segments and disks; it knows neither actors nor SQL.
//!
//! Invariants: `appended ≥ durable ≥ stored`; frame n+1 is written only after frame n's fdatasync returned, so only the
//! last frame can be torn; a failed write or fdatasync halts the engine and is never retried.

pub mod codec;
pub mod disk;
pub mod error;
pub mod frame;
pub mod halt;
pub mod hands;
mod keeper;
pub mod position;
pub mod reader;
pub mod recover;
pub mod segment;
pub mod simulated;
pub mod space;
pub mod tail;
pub mod writer;

pub use error::ReadError;
pub use halt::{Halt, HaltReason, Halted};
pub use position::Position;
pub use space::{Reservation, SpaceRefusal};
pub use tail::{Cell, Tail};

use crate::domain::{Record, Seq};
use disk::Disk;
use keeper::Errand;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use tokio::sync::mpsc;
use uuid::Uuid;

/// How a journal is laid out on its disk.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// Size of each segment file; bounds the largest record.
    pub segment_bytes: u64,
    /// Full segments kept after the store has all of them, so that a store that was rewound can be brought forward again. The
    /// newest one stays in any case.
    pub keep_segments: usize,
}

/// An open journal. Dropping the handle does not close it: [`Journal::close`] does.
pub struct Journal {
    pub id: Uuid,
    tail: Arc<Tail>,
    durable: Arc<Position>,
    durable_bytes: Arc<AtomicU64>,
    space: Arc<space::Space>,
    errands: Sender<Errand>,
    /// `None` when it is moved by hand, and once it is closed.
    threads: std::sync::Mutex<Option<writer::Threads>>,
}

impl Journal {
    /// Opens a journal that [`recover::recover`] has just made clean, and starts its two threads. Durable records leave
    /// through `durable_records`, in order, after the position was published.
    ///
    /// # Errors
    /// When the segments cannot be opened or the first spare segment cannot be prepared.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        recovered: &recover::Recovered,
        next: Seq,
        halt: Arc<Halt>,
        durable_records: mpsc::UnboundedSender<writer::Written>,
    ) -> std::io::Result<Self> {
        let (mut journal, crew) = Self::prepare(disk, options, recovered, next, halt, durable_records)?;
        journal.start_unless(false, crew)?;
        Ok(journal)
    }

    /// As [`Self::open`], up to the point where something moves it: [`Self::start_unless`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn prepare(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        recovered: &recover::Recovered,
        next: Seq,
        halt: Arc<Halt>,
        durable_records: mpsc::UnboundedSender<writer::Written>,
    ) -> std::io::Result<(Self, writer::Crew)> {
        let durable = Arc::new(Position::new(Seq::new(next.get() - 1), halt.clone()));
        let tail = Arc::new(Tail::new(next, halt.clone()));
        let durable_bytes = Arc::new(AtomicU64::new(0));
        let space = Arc::new(space::Space::new());
        let crew = writer::prepare(writer::Start {
            disk,
            options,
            recovered,
            tail: tail.clone(),
            durable: durable.clone(),
            durable_bytes: durable_bytes.clone(),
            space: space.clone(),
            halt,
            durable_records,
        })?;
        let journal = Self {
            id: recovered.journal_id,
            tail,
            durable,
            durable_bytes,
            space,
            errands: crew.errands.clone(),
            threads: None.into(),
        };
        Ok((journal, crew))
    }

    /// Starts the two threads, unless it is to be moved by hand: then by these.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start_unless(
        &mut self,
        by_hand: bool,
        crew: writer::Crew,
    ) -> std::io::Result<Option<hands::Hands>> {
        if by_hand {
            return Ok(Some(hands::Hands::new(crew)));
        }
        self.threads = Some(crew.start()?).into();
        Ok(None)
    }

    /// The last position handed out.
    pub fn appended(&self) -> Seq {
        self.tail.appended()
    }

    /// What survives a power cut.
    pub fn durable(&self) -> &Arc<Position> {
        &self.durable
    }

    /// Bytes that became durable since the journal was opened.
    pub fn durable_bytes(&self) -> u64 {
        self.durable_bytes.load(Ordering::Relaxed)
    }

    /// Sets room for one record of at most `bytes` apart, so that enqueueing it can neither fail nor block.
    ///
    /// # Errors
    /// [`SpaceRefusal`] when the disk has no room for another segment, or the journal is closed.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation, SpaceRefusal> {
        space::Space::reserve(&self.space, bytes).await
    }

    /// Puts a record at the end of the journal: the commit point of every operation.
    pub fn enqueue(&self, record: Record, cells: &[&Cell], space: Reservation) -> Arc<Record> {
        self.tail.enqueue(record, cells, space)
    }

    /// Tells the journal what the store has, so that old segments may go.
    pub fn retire(&self, stored: Seq) {
        // A keeper that is gone has nothing left to remove.
        let _ = self.errands.send(Errand::Retire(stored));
    }

    /// Lets every waiter and the writer see that the engine halted.
    pub fn abandon(&self) {
        self.tail.close();
        self.space.close();
        self.durable.abandon();
    }

    /// Whether the disk has no room for another segment.
    pub fn is_full(&self) -> bool {
        self.space.is_failing()
    }

    /// Writes what is enqueued and stops the threads. Nothing may be enqueued afterwards.
    pub fn close(&self) {
        self.tail.close();
        let threads = self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(threads) = threads {
            threads.join();
        }
    }
}
