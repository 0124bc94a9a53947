//! Any segment is read or refused: one whose frames were changed, with and without checksums that fit the change.

#![no_main]

mod edits;

use libfuzzer_sys::fuzz_target;
use purser::auditor;
use purser::domain::{Record, Seq};
use purser::journal::frame::{self, Builder};
use purser::journal::simulated::SimulatedDisk;
use purser::journal::{reader, segment};
use std::sync::LazyLock;
use uuid::Uuid;

const SEGMENT_BYTES: usize = 64 << 10;
/// Where a frame's header has the length of its payload, and both checksums; `SEALED` would notice another layout.
const PAYLOAD_BYTES: std::ops::Range<usize> = 4..8;
const PAYLOAD_CRC: usize = 20;
const HEADER_CRC: usize = 28;

/// To seal what was not changed changes nothing.
static SEALED: LazyLock<()> = LazyLock::new(|| {
    let mut sealed = frame(0, 3);
    seal(&mut sealed);
    assert_eq!(sealed, frame(0, 3), "the layout of a frame is another one by now");
});

/// One frame of the records from `first` on, as many as were asked for.
fn frame(first: usize, count: usize) -> Vec<u8> {
    let mut builder = Builder::default();
    builder.clear();
    for record in edits::RECORDS.iter().skip(first).take(count) {
        if !builder.push(record, SEGMENT_BYTES / 8) {
            break;
        }
    }
    builder.finish(1).to_vec()
}

fn seal(bytes: &mut [u8]) {
    if bytes.len() < frame::HEADER_BYTES {
        return;
    }
    let length = u32::from_le_bytes(bytes[PAYLOAD_BYTES].try_into().expect("four bytes")) as usize;
    if let Some(payload) = bytes[frame::HEADER_BYTES..].get(..length) {
        let crc = crc32fast::hash(payload);
        bytes[PAYLOAD_CRC..PAYLOAD_CRC + 4].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes[..HEADER_CRC]);
    bytes[HEADER_CRC..HEADER_CRC + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What was read of a frame that was changed, and whose checksums were not made to fit. One that does not fit them is torn or
/// damaged, so nothing of it is read; behind a change of what they do not cover, which is the padding, it is read as it was
/// written. Only a change that has found its own checksums may say anything.
fn expect_as_written(read: &[Record], changed: &[u8], written: &[u8], records: &[Record]) {
    let mut sealed = changed.to_vec();
    seal(&mut sealed);
    if sealed != changed {
        assert!(read.is_empty(), "{read:?} of a frame that does not fit its checksums");
        return;
    }
    let length = u32::from_le_bytes(written[PAYLOAD_BYTES].try_into().expect("four bytes")) as usize;
    let covered = &written[..frame::HEADER_BYTES + length];
    assert!(!changed.starts_with(covered) || records.starts_with(read), "{read:?} of {records:?}");
}

fuzz_target!(|plan: &[u8]| {
    LazyLock::force(&SEALED);
    let [first, count, is_sealed, plan @ ..] = plan else { return };
    let (first, count) = (usize::from(*first) % edits::RECORDS.len(), usize::from(*count) % 8);
    let written = frame(first, count);
    let mut frames = written.clone();
    edits::apply(plan, &mut frames);
    let is_sealed = is_sealed % 4 > 0;
    if is_sealed {
        seal(&mut frames);
    }
    let journal_id = Uuid::from_u128(1);
    let mut bytes = segment::Header { segment: 1, size: SEGMENT_BYTES as u64, journal_id }.encode().to_vec();
    bytes.extend(frames);
    bytes.resize(SEGMENT_BYTES, 0);
    let disk = SimulatedDisk::new(0);
    disk.put(&segment::file_name(1), bytes.clone());
    let mut read = Vec::new();
    let _ = reader::read(&disk, Seq::new(1), |record, _| {
        read.push(record);
        Ok(())
    });
    if !is_sealed {
        let records = &edits::RECORDS[first..(first + count).min(edits::RECORDS.len())];
        expect_as_written(&read, &bytes[segment::HEADER_BYTES..], &written, records);
    }
    let _ = reader::survey(&disk);
    let entries: Vec<_> = read.iter().map(auditor::entry).collect();
    let _ = auditor::check(&entries, &[]);
});
