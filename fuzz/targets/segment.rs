//! Any segment is read or refused: one whose frames were changed, with and without checksums that fit the change.

#![no_main]

mod edits;

use libfuzzer_sys::fuzz_target;
use purser::auditor;
use purser::domain::Seq;
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

fuzz_target!(|plan: &[u8]| {
    LazyLock::force(&SEALED);
    let [first, count, is_sealed, plan @ ..] = plan else { return };
    let mut frames = frame(usize::from(*first) % edits::RECORDS.len(), usize::from(*count) % 8);
    edits::apply(plan, &mut frames);
    if is_sealed % 4 > 0 {
        seal(&mut frames);
    }
    let journal_id = Uuid::from_u128(1);
    let mut bytes = segment::Header { segment: 1, size: SEGMENT_BYTES as u64, journal_id }.encode().to_vec();
    bytes.extend(frames);
    bytes.resize(SEGMENT_BYTES, 0);
    let disk = SimulatedDisk::new(0);
    disk.put(&segment::file_name(1), bytes);
    let mut entries = Vec::new();
    let _ = reader::read(&disk, Seq::new(1), |record, _| {
        entries.push(auditor::entry(&record));
        Ok(())
    });
    let _ = reader::survey(&disk);
    let _ = auditor::check(&entries, &[]);
});
