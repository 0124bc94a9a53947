//! Room on the disk: promised before it is needed, refused in time, and back by itself.

use crate::rig::{OPTIONS, RECORD_BYTES, Rig, SEGMENT, read, record, run};
use proptest::prelude::*;
use purser::domain::Seq;
use purser::journal::simulated::SimulatedDisk;
use purser::journal::{SpaceRefusal, writer};

/// Until the keeper has nothing left to prepare.
pub fn wait_for_spares(disk: &SimulatedDisk) {
    run(async {
        while crate::rig::segments(disk).len() < 3 || disk_is_busy(disk) {
            tokio::task::yield_now().await;
        }
    });
}

/// A segment's last operation is the sync of its name.
fn disk_is_busy(disk: &SimulatedDisk) -> bool {
    use purser::journal::simulated::Kind;
    disk.operations().last().is_none_or(|(kind, _)| *kind != Kind::SyncDirectory)
}

#[test]
fn a_full_disk_refuses_reservations_keeps_its_promises_and_recovers_by_itself() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(3 * SEGMENT);
    let rig = Rig::open(&disk).expect("a journal");
    let mut next = 1;
    let mut append = || {
        let space = run(rig.journal.reserve(RECORD_BYTES))?;
        let recorded = rig.enqueue(record(next), space);
        assert!(rig.is_acknowledged(recorded.seq));
        next += 1;
        Ok::<_, SpaceRefusal>(())
    };
    let promised: Vec<_> = (0..4).map(|_| run(rig.journal.reserve(RECORD_BYTES)).expect("room")).collect();
    while append().is_ok() {}
    assert!(rig.journal.is_full());
    assert!(rig.halt.reason().is_none());
    // What was promised before the disk was full holds.
    for space in promised {
        let recorded = rig.enqueue(record(99), space);
        assert!(rig.is_acknowledged(recorded.seq));
    }
    // Records that were smaller than announced gave some of it back.
    while append().is_ok() {}
    disk.set_capacity(u64::MAX);
    run(async {
        while rig.journal.reserve(RECORD_BYTES).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    assert!(!rig.journal.is_full());
    let written = rig.append(&disk, (1..20).map(record));
    rig.journal.close();
    let kept = read(&disk.crash_losing_all()).expect("sound");
    assert_eq!(kept.last(), written.last());
}

#[test]
fn a_full_disk_recovers_when_old_segments_go() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(5 * SEGMENT);
    let rig = Rig::open(&disk).expect("a journal");
    let mut last = Seq::ZERO;
    while let Ok(space) = run(rig.journal.reserve(RECORD_BYTES)) {
        last = rig.enqueue(record(last.get() + 1), space).seq;
        assert!(rig.is_acknowledged(last));
    }
    rig.journal.retire(last);
    run(async {
        while rig.journal.reserve(RECORD_BYTES).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    rig.journal.close();
}

#[test]
fn a_reservation_that_is_dropped_gives_its_room_to_whoever_waits() {
    let disk = SimulatedDisk::new(1);
    let rig = Rig::open(&disk).expect("a journal");
    wait_for_spares(&disk);
    run(async {
        let mut held = Vec::new();
        loop {
            let reserve = std::pin::pin!(rig.journal.reserve(RECORD_BYTES));
            match futures_util::future::select(reserve, std::future::ready(())).await {
                futures_util::future::Either::Left((space, _)) => held.push(space.expect("room")),
                futures_util::future::Either::Right(((), mut waiting)) => {
                    held.pop();
                    waiting.as_mut().await.expect("the room that was given back");
                    break;
                }
            }
        }
        assert!(held.len() > 10);
    });
    rig.journal.close();
}

/// One step of somebody who uses the journal.
#[derive(Clone, Debug)]
enum Step {
    Reserve(usize),
    Enqueue(usize),
    Drop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let largest = writer::record_payload_max(SEGMENT);
    let step = prop_oneof![
        3 => (40..=largest).prop_map(Step::Reserve),
        2 => any::<usize>().prop_map(Step::Enqueue),
        1 => any::<usize>().prop_map(Step::Drop),
    ];
    prop::collection::vec(step, 50..400)
}

/// A record of at most so many bytes, whatever its position.
fn record_within(bytes: usize, n: u64) -> purser::domain::Record {
    let mut record = record(n);
    if let purser::domain::Event::StockMoved(movement) = &mut record.events[0] {
        let text = "y".repeat(bytes.saturating_sub(40));
        movement.reason = Some(purser::domain::text::Text::parse(&text).expect("a text"));
    }
    let mut encoded = Vec::new();
    purser::journal::codec::encode(&record, &mut encoded);
    assert!(encoded.len() + 9 <= bytes.max(40), "{} for {bytes}", encoded.len());
    record
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_reserved_can_always_be_written(steps in steps(), segments in 3u64..6) {
        let disk = SimulatedDisk::new(1);
        disk.set_capacity(segments * SEGMENT);
        let rig = Rig::open_with(&disk, OPTIONS).expect("a journal");
        let mut held = Vec::new();
        let mut written = 0;
        for step in steps {
            match step {
                Step::Reserve(bytes) => {
                    let reserve = std::pin::pin!(rig.journal.reserve(bytes));
                    let answer = run(futures_util::future::select(reserve, std::future::ready(())));
                    if let futures_util::future::Either::Left((Ok(space), _)) = answer {
                        held.push((bytes, space));
                    }
                }
                Step::Enqueue(index) if !held.is_empty() => {
                    let (bytes, space) = held.swap_remove(index % held.len());
                    written += 1;
                    rig.enqueue(record_within(bytes, written), space);
                }
                Step::Drop(index) if !held.is_empty() => drop(held.swap_remove(index % held.len())),
                Step::Enqueue(_) | Step::Drop(_) => {}
            }
        }
        for (bytes, space) in held {
            written += 1;
            rig.enqueue(record_within(bytes, written), space);
        }
        prop_assert!(rig.is_acknowledged(Seq::new(written)), "{:?}", rig.halt.reason());
        rig.journal.close();
        prop_assert_eq!(read(&disk.crash_losing_all()).expect("sound").len() as u64, written);
    }
}
