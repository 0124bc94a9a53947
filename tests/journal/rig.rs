//! A journal on a simulated disk, and what its users may count on.

use purser::domain::event::StockMove;
use purser::domain::text::Text;
use purser::domain::{Event, MovementKind, Operation, Posting, ProductId, Record, Seq, Timestamp};
use purser::journal::disk::Disk;
use purser::journal::reader;
use purser::journal::recover::{self, Recovered};
use purser::journal::simulated::{Kind, SimulatedDisk};
use purser::journal::writer::Written;
use purser::journal::{Halt, Journal, JournalOptions, ReadError, Reservation, segment};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use uuid::Uuid;

/// Small, so that a few records fill several segments.
pub const SEGMENT: u64 = 1_024;
pub const OPTIONS: JournalOptions = JournalOptions { segment_bytes: SEGMENT, keep_segments: 1 };
pub const JOURNAL_ID: Uuid = Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0001);
/// More than any record made here takes.
pub const RECORD_BYTES: usize = 80;
/// Only a defect makes a test wait that long.
const DEADLINE: Duration = Duration::from_secs(20);

/// An open journal.
pub struct Rig {
    pub journal: Journal,
    pub halt: Arc<Halt>,
    pub recovered: Recovered,
    /// What was read back when it was opened.
    pub records: Vec<Record>,
    /// Keeps the channel open.
    _written: UnboundedReceiver<Written>,
}

impl Rig {
    pub fn open(disk: &SimulatedDisk) -> Result<Self, ReadError> {
        Self::open_with(disk, OPTIONS)
    }

    pub fn open_with(disk: &SimulatedDisk, options: JournalOptions) -> Result<Self, ReadError> {
        let (records, recovered) = recover_with(disk, options)?;
        let (halt, (written, queue)) = (Arc::new(Halt::default()), mpsc::unbounded_channel());
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let journal =
            Journal::open(shared, options, &recovered, recovered.last.next(), halt.clone(), written)?;
        Ok(Self { journal, halt, recovered, records, _written: queue })
    }

    /// Room for a record; a disk that fails for a moment is asked again.
    pub fn reserve(&self, disk: &SimulatedDisk) -> Option<Reservation> {
        run(async {
            loop {
                match self.journal.reserve(RECORD_BYTES).await {
                    Ok(space) => return Some(space),
                    Err(_) if disk.list().is_err() => return None,
                    // An order makes the keeper try again at once.
                    Err(_) => self.journal.retire(Seq::ZERO),
                }
                tokio::task::yield_now().await;
            }
        })
    }

    pub fn enqueue(&self, record: Record, space: Reservation) -> Record {
        Record::clone(&self.journal.enqueue(record, &[], space))
    }

    /// Waits until the record is acknowledged, or never will be.
    pub fn is_acknowledged(&self, seq: Seq) -> bool {
        run(self.journal.durable().wait(seq)).is_ok()
    }

    /// Appends records one by one, each in a frame of its own, and answers them as recorded.
    pub fn append(&self, disk: &SimulatedDisk, records: impl IntoIterator<Item = Record>) -> Vec<Record> {
        let append = |record| {
            let recorded = self.enqueue(record, self.reserve(disk).expect("room"));
            assert!(self.is_acknowledged(recorded.seq), "{:?}", self.halt.reason());
            recorded
        };
        records.into_iter().map(append).collect()
    }
}

/// Checks the journal, reads it, and makes it ready to be written on.
pub fn recover(disk: &SimulatedDisk) -> Result<(Vec<Record>, Recovered), ReadError> {
    recover_with(disk, OPTIONS)
}

fn recover_with(
    disk: &SimulatedDisk,
    options: JournalOptions,
) -> Result<(Vec<Record>, Recovered), ReadError> {
    let mut records = Vec::new();
    let survey = reader::read(disk, Seq::new(1), |record, _| {
        records.push(record);
        Ok(())
    })?;
    Ok((records, recover::recover(disk, survey, JOURNAL_ID, options.segment_bytes)?))
}

pub fn read(disk: &SimulatedDisk) -> Result<Vec<Record>, ReadError> {
    let mut records = Vec::new();
    reader::read(disk, Seq::new(1), |record, _| {
        records.push(record);
        Ok(())
    })?;
    Ok(records)
}

/// The `n`-th record: small, and unlike its neighbours.
pub fn record(n: u64) -> Record {
    let posting = Posting { delta: 1, total: n as i64, version: n };
    let reason = Some(Text::parse(&"x".repeat((n * 7 % 23) as usize)).expect("a text"));
    let (product_id, kind) = (ProductId::new(1), MovementKind::Restock);
    let movement = StockMove { product_id, kind, order_id: None, reason, posting };
    Record {
        seq: Seq::ZERO,
        at: Timestamp::from_micros(n as i64),
        operation: Operation::MoveStock,
        caller: None,
        key: None,
        refusal: None,
        events: vec![Event::StockMoved(movement)],
    }
}

/// Runs to the end, or fails the test when that does not come.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await.expect("it ends") })
}

/// The segment files, by number.
pub fn segments(disk: &SimulatedDisk) -> Vec<u32> {
    let mut numbers: Vec<u32> =
        disk.list().expect("a list").iter().filter_map(|name| segment::parse_name(name)).collect();
    numbers.sort_unstable();
    numbers
}

/// Whether the operation is the writer's: on a segment that already has its name.
pub fn is_the_writers((kind, name): &(Kind, String)) -> bool {
    matches!(kind, Kind::Write | Kind::SyncFile) && segment::parse_name(name).is_some()
}

/// What was promised to users, and what they handed in.
#[derive(Default, Clone)]
pub struct Promise {
    /// In journal order, from position 1.
    pub enqueued: Vec<Record>,
    pub acknowledged: Seq,
    /// Up to here the store has everything.
    pub stored: Seq,
}

impl Promise {
    /// Whether `records` keep it: nothing acknowledged is missing, and nothing is there that was not handed in.
    pub fn expect_kept(&self, records: &[Record], context: &str) {
        let first = records.first().map_or(self.stored.next(), |record| record.seq);
        assert!(first <= self.stored.next(), "{context}: begins at {first}, stored is {}", self.stored);
        let last = records.last().map_or(Seq::ZERO, |record| record.seq).max(self.stored);
        assert!(
            last >= self.acknowledged,
            "{context}: ends at {last}, acknowledged was {}",
            self.acknowledged
        );
        let expected = &self.enqueued[first.get() as usize - 1..];
        assert!(records.len() <= expected.len(), "{context}: records that nobody wrote");
        assert_eq!(records, &expected[..records.len()], "{context}");
    }

    /// What was not acknowledged and did not survive is forgotten.
    pub fn forget_after(&mut self, last: Seq) {
        self.enqueued.truncate(last.get() as usize);
        self.acknowledged = self.acknowledged.max(last);
    }
}

/// Opens the journal and appends groups of records until it is done or the disk fails.
pub fn work(disk: &SimulatedDisk, promise: &mut Promise, groups: u64, context: &str) -> Option<Rig> {
    let rig = Rig::open(disk).ok()?;
    promise.expect_kept(&rig.records, context);
    promise.forget_after(rig.recovered.last);
    for group in 0..groups {
        for _ in 0..=group % 3 {
            let Some(space) = rig.reserve(disk) else { return Some(rig) };
            let number = promise.enqueued.len() as u64 + 1;
            promise.enqueued.push(rig.enqueue(record(number), space));
        }
        let last = Seq::new(promise.enqueued.len() as u64);
        if !rig.is_acknowledged(last) {
            promise.acknowledged = promise.acknowledged.max(rig.journal.durable().get());
            return Some(rig);
        }
        promise.acknowledged = last;
        if group % 6 == 5 {
            promise.stored = last;
            rig.journal.retire(last);
        }
    }
    Some(rig)
}
