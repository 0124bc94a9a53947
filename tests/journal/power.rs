//! Power cuts: at every single operation, again during recovery, and again after going on.

use crate::rig::{OPTIONS, Promise, Rig, read, recover, run, work};
use proptest::prelude::*;
use purser::domain::{Record, Seq};
use purser::journal::simulated::{Fault, SimulatedDisk};
use std::sync::Arc;

const GROUPS: u64 = 24;

/// Cuts the power at the `n`-th operation of a recovery from `disk`; false when there is no such operation any more.
fn cut_recovery_at(disk: &SimulatedDisk, n: u64, promise: &Promise, context: &str) -> bool {
    disk.fail(None, n, Fault::Crash);
    let result = recover(disk);
    let cut = disk.has_failed();
    assert_eq!(result.is_err(), cut, "{context}: {:?}", result.err());
    for seed in 0..3 {
        let records = read(&disk.crash(n * 3 + seed)).unwrap_or_else(|error| panic!("{context}: {error}"));
        promise.expect_kept(&records, context);
    }
    cut
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    let mut cuts = 0;
    for n in 0.. {
        let (disk, mut promise) = (SimulatedDisk::new(n), Promise::default());
        disk.fail(None, n, Fault::Crash);
        let context = format!("cut at operation {n}");
        if let Some(rig) = work(&disk, &mut promise, GROUPS, &context) {
            rig.journal.close();
            promise.acknowledged = promise.acknowledged.max(rig.journal.durable().get());
        }
        if !disk.has_failed() {
            break;
        }
        cuts += 1;
        for m in 0.. {
            let context = format!("{context}, recovery cut at {m}");
            if !cut_recovery_at(&disk.crash(n), m, &promise, &context) {
                break;
            }
        }
        let second = disk.crash(n + 1);
        second.fail(None, n * 5 % 61, Fault::Crash);
        let context = format!("{context}, gone on and cut at {}", n * 5 % 61);
        if let Some(rig) = work(&second, &mut promise, GROUPS / 2, &context) {
            rig.journal.close();
            promise.acknowledged = promise.acknowledged.max(rig.journal.durable().get());
        }
        let third = second.crash(n + 2);
        let rig = work(&third, &mut promise, GROUPS / 4, &context).expect("a disk without faults");
        rig.journal.close();
        promise.expect_kept(&read(&third.crash_losing_all()).expect("sound"), &context);
    }
    assert!(cuts > 60, "only {cuts} operations were cut");
}

#[test]
fn what_recovery_has_shown_survives_the_next_power_cut() {
    for n in 0..60 {
        let (disk, mut promise) = (SimulatedDisk::new(n), Promise::default());
        disk.fail(None, 20 + n, Fault::Crash);
        if let Some(rig) = work(&disk, &mut promise, GROUPS, "first") {
            rig.journal.close();
        }
        let after = disk.crash(n);
        let (shown, _) = recover(&after).expect("sound");
        assert_eq!(read(&after.crash_losing_all()).expect("sound"), shown, "seed {n}");
    }
}

#[test]
fn an_empty_journal_keeps_its_identity_over_power_cuts() {
    for n in 0..12 {
        for first_id in [true, false] {
            let disk = SimulatedDisk::new(n);
            if !first_id {
                Rig::open(&disk).expect("a journal").journal.close();
            }
            let told = recover(&disk).expect("sound").1.journal_id;
            // From here on the store may know this identity.
            disk.fail(None, n, Fault::Crash);
            if let Ok(rig) = Rig::open(&disk) {
                rig.journal.close();
            }
            let survey = purser::journal::reader::survey(&disk.crash(n)).expect("sound");
            assert_eq!(survey.journal_id, Some(told), "cut at {n}, first start: {first_id}");
        }
    }
}

#[test]
fn whoever_is_woken_has_a_record_that_survives() {
    let disk = SimulatedDisk::new(1);
    let rig = Arc::new(Rig::open(&disk).expect("a journal"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (rig, disk) = (rig.clone(), disk.clone());
            runtime.spawn(async move {
                for n in 0..25 {
                    let space = rig.journal.reserve(crate::rig::RECORD_BYTES).await.expect("room");
                    let record = rig.journal.enqueue(crate::rig::record(n), &[], space);
                    rig.journal.durable().wait(record.seq).await.expect("no halt");
                    let survived = read(&disk.crash_losing_all()).expect("sound");
                    assert_eq!(survived.get(record.seq.get() as usize - 1), Some(&*record));
                }
            })
        })
        .collect();
    for task in tasks {
        run(task).expect("no panic");
    }
    rig.journal.close();
    assert_eq!(rig.journal.durable().get(), Seq::new(200));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_written_in_whatever_batches_is_read_back_equal(
        seed in any::<u64>(),
        batches in prop::collection::vec(1usize..12, 1..25),
    ) {
        let disk = SimulatedDisk::new(seed);
        let options = purser::journal::JournalOptions { segment_bytes: 16 << 10, ..OPTIONS };
        let rig = Rig::open_with(&disk, options).expect("a journal");
        let mut records = crate::story::Story::busy(seed, 120).records.into_iter();
        let mut written: Vec<Record> = Vec::new();
        for batch in batches {
            for record in records.by_ref().take(batch) {
                let space = run(rig.journal.reserve(2_000)).expect("room");
                written.push(rig.enqueue(record, space));
            }
            prop_assert!(rig.is_acknowledged(Seq::new(written.len() as u64)));
        }
        rig.journal.close();
        prop_assert_eq!(read(&disk.crash(seed)).expect("sound"), written);
    }
}
