//! Old segments go when the store has them, and not before.

use crate::rig::{OPTIONS, Rig, read, record, segments};
use purser::domain::Seq;
use purser::journal::JournalOptions;
use purser::journal::simulated::{EIO, Fault, Kind, SimulatedDisk};

const RECORDS: u64 = 60;

/// The segments left after the store has everything up to `stored`, and the first record left.
fn after_retiring(keep_segments: usize, stored: &[u64]) -> (Vec<u32>, u32, Option<u64>) {
    let disk = SimulatedDisk::new(1);
    let rig = Rig::open_with(&disk, JournalOptions { keep_segments, ..OPTIONS }).expect("a journal");
    rig.append(&disk, (1..=RECORDS).map(record));
    for seq in stored {
        rig.journal.retire(Seq::new(*seq));
    }
    rig.journal.close();
    let survey = purser::journal::reader::survey(&disk.crash_losing_all()).expect("sound");
    let current = survey.segments.last().expect("a segment").segment;
    (segments(&disk), current, survey.first().map(Seq::get))
}

#[test]
fn what_is_not_stored_stays() {
    for stored in 0..=RECORDS {
        let (_, _, first) = after_retiring(0, &[stored]);
        let first = first.expect("the current segment");
        assert!(first <= stored + 1, "stored {stored}, but the journal begins at {first}");
    }
}

#[test]
fn some_segments_stay_although_they_are_stored_and_the_newest_full_one_always() {
    for keep in 0..4 {
        let (left, current, _) = after_retiring(keep, &[RECORDS]);
        let closed = left.iter().filter(|segment| **segment < current).count();
        assert_eq!(closed, keep.max(1), "{left:?}, writing on {current}");
    }
}

#[test]
fn a_position_that_goes_back_brings_nothing_back_and_removes_nothing() {
    assert_eq!(after_retiring(0, &[30, 10]), after_retiring(0, &[30]));
    let everything = after_retiring(0, &[]);
    assert_eq!(after_retiring(0, &[0]), everything);
    assert_eq!(everything.2, Some(1));
}

#[test]
fn a_segment_that_cannot_be_removed_leaves_no_gap_behind_it() {
    for n in 0..3 {
        let disk = SimulatedDisk::new(1);
        let rig = Rig::open_with(&disk, JournalOptions { keep_segments: 0, ..OPTIONS }).expect("a journal");
        let written = rig.append(&disk, (1..=RECORDS).map(record));
        disk.fail(Some(Kind::Remove), n, Fault::Once(EIO));
        rig.journal.retire(Seq::new(RECORDS));
        rig.journal.close();
        assert!(disk.has_failed());
        let kept =
            read(&disk.crash_losing_all()).unwrap_or_else(|error| panic!("removal {n} failed: {error}"));
        assert_eq!(kept[..], written[written.len() - kept.len()..]);
    }
}

#[test]
fn segments_that_go_are_forgotten_in_order_whenever_the_power_goes() {
    for n in 0..20 {
        let disk = SimulatedDisk::new(n);
        let rig = Rig::open_with(&disk, JournalOptions { keep_segments: 0, ..OPTIONS }).expect("a journal");
        rig.append(&disk, (1..=RECORDS).map(record));
        disk.fail(Some(Kind::Remove), n % 5, Fault::Crash);
        rig.journal.retire(Seq::new(RECORDS));
        rig.journal.close();
        for seed in 0..10 {
            let kept = read(&disk.crash(seed)).unwrap_or_else(|error| panic!("{n}, seed {seed}: {error}"));
            assert_eq!(kept.last().expect("records").seq, Seq::new(RECORDS));
        }
    }
}
