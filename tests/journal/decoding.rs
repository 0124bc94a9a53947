//! Decoders meet whatever bytes there are: they answer, and never panic.

use crate::rig::{JOURNAL_ID, Rig, SEGMENT, read, record};
use crate::story::Story;
use proptest::prelude::*;
use purser::journal::disk::Disk;
use purser::journal::frame::{self, Builder, Found};
use purser::journal::simulated::SimulatedDisk;
use purser::journal::{codec, reader, segment};

fn encoded(record: &purser::domain::Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(record, &mut bytes);
    bytes
}

#[test]
fn every_record_is_decoded_as_it_was_encoded() {
    for record in Story::busy(7, 400).records {
        assert_eq!(codec::decode(&encoded(&record)), Ok(record));
    }
}

#[test]
fn no_part_of_a_record_is_a_record() {
    for record in Story::full().records {
        let bytes = encoded(&record);
        for cut in 0..bytes.len() {
            assert!(codec::decode(&bytes[..cut]).is_err(), "{cut} of {} bytes", bytes.len());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(codec::decode(&longer).is_err(), "a byte too many");
    }
}

#[test]
fn a_version_from_the_future_is_named() {
    let mut bytes = encoded(&record(1));
    bytes[0] = 2;
    let error = codec::decode(&bytes).expect_err("an unknown version");
    assert_eq!(error.to_string(), "record version 2 is unknown to this build; use a newer one");
}

#[test]
fn a_record_that_does_not_fit_leaves_the_frame_as_it_was() {
    let mut builder = Builder::default();
    builder.clear();
    let records = Story::busy(3, 30).records;
    let room = 3_000;
    let taken: Vec<_> = records.iter().take_while(|record| builder.push(record, room)).collect();
    assert!(!taken.is_empty() && taken.len() < records.len());
    assert_eq!(builder.records() as usize, taken.len());
    let bytes = builder.finish(9).to_vec();
    assert!(bytes.len() <= room && bytes.len().is_multiple_of(frame::ALIGNMENT));
    let Found::Frame { header, payload } = frame::look(&bytes, 0) else { panic!("not a frame") };
    assert_eq!((header.segment, header.first, header.frame_bytes()), (9, taken[0].seq, bytes.len()));
    let read: Vec<_> = frame::records(payload)
        .map(|bytes| codec::decode(bytes.expect("whole")).expect("a record"))
        .collect();
    assert_eq!(read.iter().collect::<Vec<_>>(), taken);
}

#[test]
fn a_segments_header_survives_any_numbers() {
    for (segment, size) in [(0, 0), (1, 4_096), (u32::MAX, u64::MAX)] {
        let header = segment::Header { segment, size, journal_id: JOURNAL_ID };
        assert_eq!(segment::Header::decode(&header.encode()), Some(header));
        assert_eq!(segment::parse_name(&segment::file_name(segment)), Some(segment));
    }
    for name in [
        "1.segment",
        "0000000001.SEGMENT",
        "+000000001.segment",
        "prepare.tmp",
        ".segment",
        "9999999999.segment",
    ] {
        assert_eq!(segment::parse_name(name), None, "{name}");
    }
}

#[test]
fn every_prefix_of_a_journal_is_read_without_panic() {
    let disk = SimulatedDisk::new(2);
    let rig = Rig::open(&disk).expect("a journal");
    let written = rig.append(&disk, (1..=8).map(record));
    rig.journal.close();
    let whole = disk.read(&segment::file_name(1)).expect("a file");
    for length in 0..whole.len() {
        let header = segment::Header { segment: 1, size: length as u64, journal_id: JOURNAL_ID };
        let mut bytes = whole[..length].to_vec();
        if length >= segment::HEADER_BYTES {
            bytes[..segment::HEADER_BYTES].copy_from_slice(&header.encode());
        }
        let cut = SimulatedDisk::new(0);
        cut.put(&segment::file_name(1), bytes);
        match read(&cut) {
            Ok(records) => assert_eq!(records[..], written[..records.len()]),
            // A file is never cut within the zeros that fill up a frame: its size is in its header.
            Err(error) => assert!(
                length < segment::HEADER_BYTES || error.to_string().contains("padding"),
                "{length} bytes: {error}"
            ),
        }
    }
}

/// A segment with a sound header and these frames.
fn disk_with(frames: &[u8]) -> SimulatedDisk {
    let disk = SimulatedDisk::new(0);
    let header = segment::Header { segment: 1, size: SEGMENT, journal_id: JOURNAL_ID };
    let mut bytes = header.encode().to_vec();
    bytes.extend(frames);
    bytes.resize(SEGMENT as usize, 0);
    disk.put(&segment::file_name(1), bytes);
    disk
}

/// A frame with sound checksums around any payload.
fn frame_of(payload: &[u8], first: u64, records: u32) -> Vec<u8> {
    let mut bytes = 0x3152_4650u32.to_le_bytes().to_vec();
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(records.to_le_bytes());
    bytes.extend(crc32fast::hash(payload).to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(frame::ALIGNMENT), 0);
    bytes
}

/// Bytes that nobody wrote; `make soak` tries more of them.
mod properties {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_answered_by_the_record_decoder(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = codec::decode(&bytes);
            if let Some(version) = bytes.first_mut() {
                *version = codec::VERSION;
            }
            let _ = codec::decode(&bytes);
        }

        #[test]
        fn a_damaged_record_is_answered(index in 0usize..30, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let records = Story::full().records;
            let mut bytes = encoded(&records[index % records.len()]);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = codec::decode(&bytes);
        }

        #[test]
        fn any_bytes_are_answered_by_the_frame_decoder(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            payload_bytes in any::<u32>(),
        ) {
            let mut framed = frame_of(&bytes, 1, 1);
            framed[4..8].copy_from_slice(&payload_bytes.to_le_bytes());
            let crc = crc32fast::hash(&framed[..28]);
            framed[28..32].copy_from_slice(&crc.to_le_bytes());
            for source in [&bytes, &framed] {
                for offset in 0..=source.len() + 1 {
                    if let Found::Frame { header, payload } = frame::look(source, offset) {
                        prop_assert_eq!(header.payload_bytes as usize, payload.len());
                    }
                }
            }
            let mut seen = 0;
            for record in frame::records(&bytes) {
                seen += frame::RECORD_OVERHEAD + record.map_or(0, <[u8]>::len);
            }
            prop_assert!(seen <= bytes.len() + frame::RECORD_OVERHEAD);
        }

        #[test]
        fn any_bytes_behind_a_header_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&disk_with(&bytes));
            let _ = segment::Header::decode(&bytes);
        }

        #[test]
        fn any_payload_with_sound_checksums_is_read_or_refused(
            payload in prop::collection::vec(any::<u8>(), 0..400),
            first in prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()],
            records in prop_oneof![0u32..4, any::<u32>()],
        ) {
            let disk = disk_with(&frame_of(&payload, first, records));
            if let Ok(read) = read(&disk)
                && first > 0
            {
                prop_assert_eq!(read.len(), records as usize);
            }
            let _ = reader::survey(&disk);
        }
    }
}
