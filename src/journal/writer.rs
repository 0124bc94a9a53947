//! The two threads of an open journal, which a simulation moves by hand ([`super::hands`]). The writer takes all that is queued, writes it as one frame, syncs it, publishes
//! the durable position, and begins again: the next batch is what arrived meanwhile. The other is the keeper.

use super::disk::Disk;
use super::frame::{self, Builder};
use super::keeper::{Errand, Keeper, Open, usable};
use super::recover::Recovered;
use super::segment;
use super::space::Space;
use super::tail::{Pending, Tail};
use super::{Halt, HaltReason, JournalOptions, Position};
use crate::canary::{Canary, Moment};
use crate::domain::{Record, Seq};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Instant;

/// What the threads are started with.
pub struct Start<'a> {
    pub disk: Arc<dyn Disk>,
    pub options: JournalOptions,
    pub recovered: &'a Recovered,
    pub tail: Arc<Tail>,
    pub durable: Arc<Position>,
    /// Counts the bytes of all frames written.
    pub durable_bytes: Arc<AtomicU64>,
    pub space: Arc<Space>,
    pub halt: Arc<Halt>,
    pub durable_records: tokio::sync::mpsc::UnboundedSender<Written>,
}

/// Records that have just become durable, with the bytes they take in the journal.
#[derive(Debug)]
pub struct Written {
    pub records: Vec<Arc<Record>>,
    pub bytes: u64,
}

/// More than the largest operation reserves: 10,000 gift cards, as long as the body of a request allows.
const LARGEST_RECORD: u64 = 2 << 20;

/// The largest record that a segment of this size takes: an eighth of it, and at least whatever an operation may need,
/// unless the segment is too small for that (which the configuration does not allow).
pub const fn record_bytes_max(segment_bytes: u64) -> u64 {
    let eighth = segment_bytes / 8;
    if eighth >= LARGEST_RECORD || segment_bytes / 2 < LARGEST_RECORD { eighth } else { LARGEST_RECORD }
}

/// The running threads.
pub struct Threads {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    errands: Sender<Errand>,
}

impl Threads {
    pub fn join(self) {
        let _ = self.writer.join();
        let _ = self.errands.send(Errand::Stop);
        let _ = self.keeper.join();
    }
}

/// A writer and a keeper that nobody moves yet.
pub struct Crew {
    pub writer: Writer,
    pub keeper: Keeper,
    pub errands: Sender<Errand>,
    pub errand_queue: Receiver<Errand>,
    halt: Arc<Halt>,
}

/// Makes both ready on a recovered journal.
pub fn prepare(start: Start<'_>) -> io::Result<Crew> {
    let Start { disk, options, recovered, tail, durable, durable_bytes, space, halt, durable_records } =
        start;
    let current = match &recovered.current {
        Some(current) => Open {
            number: current.segment,
            size: current.size,
            offset: current.end,
            file: disk.open(&segment::file_name(current.segment))?,
        },
        None => Open {
            number: recovered.next_segment,
            size: options.segment_bytes,
            offset: segment::HEADER_BYTES as u64,
            file: disk.open(&segment::file_name(recovered.next_segment))?,
        },
    };
    space.add(usable(current.size).saturating_sub(current.offset - segment::HEADER_BYTES as u64));
    let (errands, errand_queue) = mpsc::channel();
    let (spares, spare_queue) = mpsc::channel();
    let keeper = Keeper {
        disk,
        options,
        journal_id: recovered.journal_id,
        current: current.number,
        prepared: current.number,
        closed: recovered.closed.iter().map(|closed| (closed.segment, closed.last)).collect(),
        stored: Seq::ZERO,
        spares,
        space: space.clone(),
    };
    let writer = Writer {
        tail,
        durable,
        durable_bytes,
        space,
        halt: halt.clone(),
        durable_records,
        current,
        last: recovered.last,
        builder: Builder::default(),
        spares: spare_queue,
        errands: errands.clone(),
    };
    Ok(Crew { writer, keeper, errands, errand_queue, halt })
}

impl Crew {
    /// Gives each of the two a thread.
    pub fn start(self) -> io::Result<Threads> {
        let Self { writer, keeper, errands, errand_queue, halt } = self;
        let guard = |halt: Arc<Halt>, run: Box<dyn FnOnce() + Send>| {
            move || {
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                    halt.halt(HaltReason::Panic("a journal thread".into()));
                }
            }
        };
        let writing = guard(halt.clone(), Box::new(move || writer.run()));
        let keeping = guard(halt, Box::new(move || keeper.run(&errand_queue)));
        Ok(Threads {
            writer: std::thread::Builder::new().name("journal-writer".into()).spawn(writing)?,
            keeper: std::thread::Builder::new().name("journal-keeper".into()).spawn(keeping)?,
            errands,
        })
    }
}

/// Writes frames, one after the other.
pub struct Writer {
    tail: Arc<Tail>,
    durable: Arc<Position>,
    durable_bytes: Arc<AtomicU64>,
    space: Arc<Space>,
    halt: Arc<Halt>,
    durable_records: tokio::sync::mpsc::UnboundedSender<Written>,
    current: Open,
    last: Seq,
    builder: Builder,
    spares: Receiver<Open>,
    errands: Sender<Errand>,
}

/// What was written and is not synced: so many records, in so many bytes.
#[derive(Clone, Copy)]
pub struct Frame {
    pub records: usize,
    bytes: u64,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::new();
        while self.tail.take(&mut batch).is_some() {
            metrics::histogram!("purser_journal_batch_records").record(batch.len() as f64);
            let mut rest = VecDeque::from(std::mem::take(&mut batch));
            while !rest.is_empty() {
                let written = self.write(&rest).and_then(|frame| self.sync(frame, &mut rest));
                if let Err(reason) = written {
                    self.halt(reason);
                    return;
                }
            }
            // The deque's buffer, emptied, is the next batch's: no allocation per batch.
            batch = Vec::from(rest);
        }
        self.durable.abandon();
    }

    /// Nothing is written any more, and nobody waits.
    pub fn halt(&self, reason: HaltReason) {
        self.halt.halt(reason);
        self.durable.abandon();
    }

    /// What there is to write, if something is.
    pub fn take_queued(&self, batch: &mut Vec<Pending>) -> bool {
        self.tail.take_queued(batch)
    }

    /// Nothing will be queued any more.
    pub fn has_ended(&self) -> bool {
        self.tail.has_ended()
    }

    /// Writes as many records from the front as fit the segment, as one frame.
    pub fn write(&mut self, rest: &VecDeque<Pending>) -> Result<Frame, HaltReason> {
        let mut records = self.fill(rest);
        if records == 0 && self.current.offset > segment::HEADER_BYTES as u64 {
            self.next_segment()?;
            records = self.fill(rest);
        }
        if records == 0 {
            return Err(HaltReason::Write("a record is larger than a segment".into()));
        }
        let bytes = self.builder.finish(self.current.number);
        self.current
            .file
            .write_at(self.current.offset, bytes)
            .map_err(|error| HaltReason::Write(error.to_string()))?;
        Moment::FrameWritten.reached();
        if Canary::AcknowledgedBeforeSync.sings() {
            self.durable.advance(rest[records - 1].record.seq);
        }
        Ok(Frame { records, bytes: bytes.len() as u64 })
    }

    /// How many records from the front the next frame takes.
    fn fill(&mut self, rest: &VecDeque<Pending>) -> usize {
        self.builder.clear();
        let room = (self.current.size - self.current.offset) as usize;
        let mut count = 0;
        while rest.get(count).is_some_and(|pending| self.builder.push(&pending.record, room)) {
            count += 1;
        }
        count
    }

    /// Makes the frame durable that was just written, and tells of it.
    pub fn sync(&mut self, frame: Frame, rest: &mut VecDeque<Pending>) -> Result<(), HaltReason> {
        let begun = Instant::now();
        let mut synced = self.current.file.sync_data();
        if Canary::SyncRetried.sings() {
            synced = synced.or_else(|_| self.current.file.sync_data());
        }
        synced.map_err(|error| HaltReason::Sync(error.to_string()))?;
        Moment::FrameSynced.reached();
        metrics::histogram!("purser_journal_fdatasync_seconds").record(begun.elapsed().as_secs_f64());
        let written = frame.bytes;
        self.account(written);
        let records: Vec<_> = rest.drain(..frame.records).map(|pending| pending.record).collect();
        if let Some(record) = records.last() {
            self.last = record.seq;
            self.durable_bytes.fetch_add(written, Ordering::Relaxed);
            self.durable.advance(self.last);
            Moment::Published.reached();
        }
        // Without a write-behind there is nobody to tell; the journal holds the records all the same.
        let _ = self.durable_records.send(Written { records, bytes: written });
        Ok(())
    }

    /// Only the promised part of a segment counts; its end is a bonus.
    fn account(&mut self, written: u64) {
        let base = segment::HEADER_BYTES as u64;
        let counted = |offset: u64| (offset - base).min(usable(self.current.size));
        let before = counted(self.current.offset);
        self.current.offset += written;
        self.space.take(counted(self.current.offset) - before);
    }

    fn next_segment(&mut self) -> Result<(), HaltReason> {
        let gone = |_| HaltReason::Write("no further segment could be prepared".into());
        self.current = self.spares.recv().map_err(gone)?;
        let _ = self.errands.send(Errand::Opened { segment: self.current.number, last: self.last });
        Ok(())
    }
}

/// Frame and record overhead are part of what a record may take.
pub const fn record_payload_max(segment_bytes: u64) -> usize {
    (record_bytes_max(segment_bytes) as usize)
        - frame::HEADER_BYTES
        - frame::RECORD_OVERHEAD
        - frame::ALIGNMENT
}
