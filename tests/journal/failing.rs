//! A medium that fails: the first error ends it, and nothing is tried twice.

use crate::rig::{Promise, Rig, is_the_writers, read, record, recover, work};
use purser::domain::Seq;
use purser::journal::HaltReason;
use purser::journal::simulated::{EIO, Fault, Kind, SimulatedDisk};

const GROUPS: u64 = 24;

#[test]
fn after_any_operation_that_fails_nothing_acknowledged_is_lost() {
    let (mut halts, mut others) = (0, 0);
    for n in 0.. {
        let (disk, mut promise) = (SimulatedDisk::new(n), Promise::default());
        disk.fail(None, n, Fault::Once(EIO));
        let context = format!("operation {n} failed");
        let Some(rig) = work(&disk, &mut promise, GROUPS, &context) else {
            assert!(disk.has_failed(), "{context}: it does not open");
            continue;
        };
        if let Some(reason) = rig.halt.reason().cloned() {
            halts += 1;
            let failed = &disk.operations()[n as usize];
            assert!(is_the_writers(failed), "{context}: {failed:?} halted the engine");
            match failed.0 {
                Kind::Write => assert!(matches!(reason, HaltReason::Write(_)), "{context}: {reason}"),
                _ => assert!(matches!(reason, HaltReason::Sync(_)), "{context}: {reason}"),
            }
            expect_silence(&rig, &disk, &mut promise, n as usize, &context);
        } else {
            let failed = disk.operations().get(n as usize).filter(|_| disk.has_failed()).cloned();
            assert!(
                !failed.is_some_and(|failed| is_the_writers(&failed)),
                "{context}, and the engine went on"
            );
            others += 1;
        }
        rig.journal.close();
        if !disk.has_failed() {
            break;
        }
        // The process starts again on the same machine, and then the power goes.
        let (shown, _) = recover(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        promise.expect_kept(&shown, &context);
        assert_eq!(read(&disk.crash_losing_all()).expect("sound"), shown, "{context}: shown, then lost");
        // Or the power goes at once.
        promise.expect_kept(&read(&disk.crash(n)).expect("sound"), &context);
    }
    assert!(halts > 30 && others > 8, "{halts} halts, {others} other failures");
}

/// After a halt nothing is acknowledged, and the file is neither written nor synced again.
fn expect_silence(rig: &Rig, disk: &SimulatedDisk, promise: &mut Promise, failed: usize, context: &str) {
    let durable = rig.journal.durable().get();
    if let Some(space) = rig.reserve(disk) {
        let late = rig.enqueue(record(promise.enqueued.len() as u64 + 1), space);
        assert!(!rig.is_acknowledged(late.seq), "{context}: acknowledged after the halt");
        promise.enqueued.push(late);
    }
    assert_eq!(rig.journal.durable().get(), durable, "{context}");
    let again = disk.operations()[failed + 1..].iter().filter(|operation| is_the_writers(operation)).count();
    assert_eq!(again, 0, "{context}: the writer went on");
}

#[test]
fn a_sync_that_fails_for_ever_halts_like_one_that_fails_once() {
    for fault in [Fault::Once(EIO), Fault::ForEver(EIO)] {
        let disk = SimulatedDisk::new(3);
        let rig = Rig::open(&disk).expect("a journal");
        crate::space::wait_for_spares(&disk);
        let first = rig.append(&disk, [record(1)]);
        disk.fail(Some(Kind::SyncFile), 0, fault);
        let lost = rig.enqueue(record(2), rig.reserve(&disk).expect("room"));
        assert!(!rig.is_acknowledged(lost.seq));
        assert!(matches!(rig.halt.reason(), Some(HaltReason::Sync(_))), "{:?}", rig.halt.reason());
        rig.journal.close();
        disk.heal();
        let (shown, _) = recover(&disk).expect("sound");
        assert_eq!(shown[..1], first);
        assert_eq!(read(&disk.crash_losing_all()).expect("sound"), shown);
    }
}

#[test]
fn the_first_reason_to_halt_wins() {
    let halt = purser::journal::Halt::default();
    halt.halt(HaltReason::Write("first".into()));
    halt.halt(HaltReason::Rewound(7));
    assert_eq!(halt.reason(), Some(&HaltReason::Write("first".into())));
}

#[test]
fn a_recovery_that_fails_can_be_repeated() {
    let original = SimulatedDisk::new(5);
    let rig = Rig::open(&original).expect("a journal");
    let written = rig.append(&original, (1..30).map(record));
    rig.journal.close();
    for n in 0.. {
        let disk = original.crash(n);
        disk.fail(None, n, Fault::Once(EIO));
        let result = recover(&disk);
        if !disk.has_failed() {
            assert!(n > 5, "only {n} operations");
            break;
        }
        disk.heal();
        let context =
            format!("operation {n} failed, {}", if result.is_ok() { "unnoticed" } else { "noticed" });
        assert_eq!(recover(&disk).expect("sound").0, written, "{context}");
        assert_eq!(read(&disk.crash_losing_all()).expect("sound"), written, "{context}");
        assert_eq!(written.last().map(|record| record.seq), Some(Seq::new(29)));
    }
}

#[test]
fn a_record_larger_than_a_segment_halts_the_journal_instead_of_eating_its_segments() {
    let disk = SimulatedDisk::new(3);
    let rig = Rig::open(&disk).expect("a journal");
    crate::space::wait_for_spares(&disk);
    rig.append(&disk, [record(1)]);
    let mut large = record(2);
    let purser::domain::Event::StockMoved(movement) = &mut large.events[0] else {
        unreachable!("a movement")
    };
    movement.reason = Some(purser::domain::text::Text::parse(&"x".repeat(1_500)).expect("a text"));
    let lost = rig.enqueue(large, rig.reserve(&disk).expect("room"));
    assert!(!rig.is_acknowledged(lost.seq));
    assert!(matches!(rig.halt.reason(), Some(HaltReason::Write(_))), "{:?}", rig.halt.reason());
    rig.journal.close();
}
