//! A journal that is read while it is written on: what the store has may go meanwhile.

use crate::rig::{OPTIONS, Rig, record};
use purser::domain::{Record, Seq};
use purser::journal::disk::{Disk, DiskFile};
use purser::journal::simulated::SimulatedDisk;
use purser::journal::{JournalOptions, reader, segment};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

const RECORDS: u64 = 60;

/// A disk whose segments up to `gone` are removed, the oldest first, right before one of its files is read.
struct Retiring {
    disk: SimulatedDisk,
    reads: AtomicU32,
    before_read: u32,
    gone: u32,
}

impl Disk for Retiring {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        if self.reads.fetch_add(1, Ordering::SeqCst) == self.before_read {
            (1..=self.gone).try_for_each(|number| self.disk.remove(&segment::file_name(number)))?;
        }
        self.disk.read(name)
    }

    fn create_zeroed(&self, name: &str, size: u64) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create_zeroed(name, size)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
}

/// Fills several segments, and does this for every number of them that goes and every moment at which it does.
fn whenever_segments_go(check: impl Fn(&Retiring, &[Record], &str)) {
    let disk = SimulatedDisk::new(1);
    let options = JournalOptions { keep_segments: 1_000, ..OPTIONS };
    let rig = Rig::open_with(&disk, options).expect("a journal");
    let written = rig.append(&disk, (1..=RECORDS).map(record));
    rig.journal.close();
    let survey = reader::survey(&disk).expect("a sound journal");
    let current = survey.segments.last().expect("a segment").segment;
    assert!(current > 3, "{survey:?}");
    for before_read in 0..current {
        for gone in 1..current {
            let retiring =
                Retiring { disk: disk.crash_losing_all(), reads: AtomicU32::new(0), before_read, gone };
            check(&retiring, &written, &format!("{gone} of {current} segments go before read {before_read}"));
        }
    }
}

#[test]
fn what_stands_behind_the_last_durable_record_is_not_looked_at() {
    let disk = SimulatedDisk::new(1);
    let rig = Rig::open_with(&disk, JournalOptions { keep_segments: 1_000, ..OPTIONS }).expect("a journal");
    let written = rig.append(&disk, (1..=RECORDS).map(record));
    rig.journal.close();
    for durable in 1..RECORDS - 1 {
        let (disk, durable) = (disk.crash_losing_all(), Seq::new(durable));
        let before = reader::survey_live(&disk, durable).expect("a sound journal");
        let end = before.segments.last().expect("a segment");
        let half_written = [0xFF; 16];
        if end.end + half_written.len() as u64 > end.size {
            continue;
        }
        let file = disk.open(&segment::file_name(end.segment)).expect("a file");
        file.write_at(end.end, &half_written).expect("written");
        assert!(reader::survey(&disk).is_err(), "a journal at rest with this behind {durable} is damaged");
        assert_eq!(reader::survey_live(&disk, durable).expect("sound up to there"), before);
        let mut seen = Vec::new();
        reader::read_live(&disk, Seq::new(1), durable, |record| seen.push(record)).expect("as sound");
        assert_eq!(seen, written[..durable.get() as usize]);
    }
}

#[test]
fn a_survey_goes_on_behind_segments_that_are_removed_while_it_reads() {
    whenever_segments_go(|disk, _, context| {
        let survey = reader::survey_live(disk, Seq::new(RECORDS));
        let survey = survey.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(survey.last(), Seq::new(RECORDS), "{context}");
        let follows = |pair: &[reader::Surveyed]| pair[1].first == pair[0].last.next();
        assert!(survey.segments.windows(2).all(follows), "{context}: {survey:?}");
    });
}

#[test]
fn what_is_read_while_segments_go_is_whole_from_the_first_record_that_is_told() {
    whenever_segments_go(|disk, written, context| {
        let mut seen = Vec::new();
        let survey = reader::read_live(disk, Seq::new(1), Seq::new(RECORDS), |record| seen.push(record));
        let survey = survey.unwrap_or_else(|error| panic!("{context}: {error}"));
        let first = survey.first().expect("the current segment stays");
        let left = &written[first.get() as usize - 1..];
        assert!(seen.ends_with(left), "{context}: from {first} on something is missing");
    });
}
