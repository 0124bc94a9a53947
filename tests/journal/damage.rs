//! Rot, and hands that should not have been there. Only the last frame may be mistaken for one that was cut short.

use crate::rig::{JOURNAL_ID, OPTIONS, Rig, read, record};
use purser::domain::{Record, Seq};
use purser::journal::disk::Disk;
use purser::journal::frame::{self, Found};
use purser::journal::simulated::SimulatedDisk;
use purser::journal::{ReadError, reader, recover, segment};
use std::collections::BTreeMap;
use std::ops::Range;
use uuid::Uuid;

/// A journal of three segments and two spare ones, byte for byte.
struct Sample {
    files: BTreeMap<u32, Vec<u8>>,
    records: Vec<Record>,
    /// Each frame's segment and place.
    frames: Vec<(u32, Range<usize>)>,
}

impl Sample {
    fn new() -> Self {
        let disk = SimulatedDisk::new(1);
        let rig = Rig::open(&disk).expect("a journal");
        let records = rig.append(&disk, (1..=36).map(record));
        rig.journal.close();
        let numbers = crate::rig::segments(&disk);
        let content = |number: &u32| (*number, disk.read(&segment::file_name(*number)).expect("a file"));
        let files: BTreeMap<u32, Vec<u8>> = numbers.iter().map(content).collect();
        let mut frames = Vec::new();
        for (number, bytes) in &files {
            let mut offset = segment::HEADER_BYTES;
            while let Found::Frame { header, .. } = frame::look(bytes, offset) {
                frames.push((*number, offset..offset + header.frame_bytes()));
                offset += header.frame_bytes();
            }
        }
        let sample = Self { files, records, frames };
        assert_eq!(sample.frames.len(), sample.records.len(), "one record a frame");
        assert!(sample.last().0 >= 3 && sample.files.len() as u32 >= sample.last().0 + 2, "several segments");
        sample
    }

    fn last(&self) -> (u32, Range<usize>) {
        self.frames.last().expect("a frame").clone()
    }

    fn judge(&self, change: impl FnOnce(&mut BTreeMap<u32, Vec<u8>>)) -> Verdict {
        let mut files = self.files.clone();
        change(&mut files);
        let disk = SimulatedDisk::new(0);
        for (number, bytes) in files {
            disk.put(&segment::file_name(number), bytes);
        }
        match read(&disk) {
            Err(error) => Verdict::Refused(error),
            Ok(records) if records == self.records => Verdict::Whole,
            Ok(records) if records[..] == self.records[..records.len().min(self.records.len())] => {
                Verdict::Shorter(self.records.len() - records.len())
            }
            Ok(_) => Verdict::Wrong,
        }
    }

    fn flip(&self, segment: u32, byte: usize, bit: usize) -> Verdict {
        self.judge(|files| files.get_mut(&segment).expect("a segment")[byte] ^= 1 << bit)
    }
}

#[derive(Debug)]
enum Verdict {
    Whole,
    /// So many records are missing at the end.
    Shorter(usize),
    Refused(ReadError),
    /// Records that nobody wrote.
    Wrong,
}

impl Verdict {
    fn expect_refused(self, what: &str) -> ReadError {
        match self {
            Self::Refused(error) => error,
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_in_the_last_frame_taken_for_a_torn_one() {
    let sample = Sample::new();
    let (last, place) = sample.last();
    let (mut refused, mut torn, mut beyond) = (0, 0, 0);
    for (number, bytes) in &sample.files {
        for byte in 0..bytes.len() {
            for bit in 0..8 {
                let in_last_frame = *number == last && place.contains(&byte);
                let behind =
                    byte >= segment::HEADER_BYTES && (*number > last || *number == last && byte >= place.end);
                match sample.flip(*number, byte, bit) {
                    Verdict::Refused(_) if !in_last_frame => refused += 1,
                    Verdict::Shorter(1) if in_last_frame => torn += 1,
                    // The padding of the last frame: noticed, and nobody's data.
                    Verdict::Refused(ReadError::Damaged { .. }) => refused += 1,
                    // Prepared room without any record: everything is still there.
                    Verdict::Whole if behind => beyond += 1,
                    other => panic!("segment {number}, byte {byte}, bit {bit}: {other:?}"),
                }
            }
        }
    }
    let tried: usize = sample.files.values().map(|bytes| bytes.len() * 8).sum();
    assert!(torn > 0 && torn <= (place.end - place.start) * 8);
    assert_eq!(refused + torn + beyond, tried);
    println!("proof: tier=T1 what=bits-flipped-and-refused runs={refused} faults={refused} acks=0");
    println!("proof: tier=T1 what=bits-flipped-and-taken-for-torn runs={torn} faults={torn} acks=0");
    println!("proof: tier=T1 what=bits-flipped-behind-the-end runs={beyond} faults={beyond} acks=0");
}

#[test]
fn the_last_frame_cut_at_any_byte_is_dropped_whole() {
    let sample = Sample::new();
    let (last, place) = sample.last();
    let mut cuts = 0;
    for cut in place.clone() {
        let unchanged = sample.files[&last][cut..].iter().all(|byte| *byte == 0);
        match sample.judge(|files| files.get_mut(&last).expect("a segment")[cut..].fill(0)) {
            Verdict::Whole if unchanged => {}
            Verdict::Shorter(1) if !unchanged => cuts += 1,
            other => panic!("cut at {cut} of {place:?}: {other:?}"),
        }
    }
    for cut in place.start + 1..place.end {
        let verdict =
            sample.judge(|files| files.get_mut(&last).expect("a segment")[place.start..cut].fill(0));
        let survey = matches!(verdict, Verdict::Shorter(1));
        assert!(survey, "beginning lost up to {cut} of {place:?}: {verdict:?}");
    }
    cuts += place.len() - 1;
    println!("proof: tier=T1 what=last-frame-cut-at-each-byte runs={cuts} faults={cuts} acks=0");
}

#[test]
fn a_torn_frame_is_reported_where_it_is() {
    let sample = Sample::new();
    let (last, place) = sample.last();
    let disk = SimulatedDisk::new(0);
    for (number, bytes) in &sample.files {
        let mut bytes = bytes.clone();
        if *number == last {
            bytes[place.end - 12..].fill(0);
        }
        disk.put(&segment::file_name(*number), bytes);
    }
    let survey = reader::survey(&disk).expect("a torn frame is no damage");
    assert_eq!(survey.torn, Some((last, place.start as u64)));
    let recovered = recover::recover(&disk, survey, JOURNAL_ID, OPTIONS.segment_bytes).expect("recovered");
    assert!(recovered.dropped_torn_frame);
    assert_eq!(recovered.last, Seq::new(sample.records.len() as u64 - 1));
    assert_eq!(reader::survey(&disk.crash_losing_all()).expect("sound").torn, None);
}

#[test]
fn frames_that_change_places_are_refused() {
    let sample = Sample::new();
    for pair in sample.frames.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let (number, first, second) = (pair[0].0, pair[0].1.clone(), pair[1].1.clone());
        let swapped = sample.judge(|files| {
            let bytes = files.get_mut(&number).expect("a segment");
            bytes[first.start..second.end].rotate_left(first.len());
        });
        swapped.expect_refused(&format!("frames at {first:?} and {second:?} of segment {number} swapped"));
    }
}

#[test]
fn a_frame_that_stands_twice_is_refused() {
    let sample = Sample::new();
    let (last, place) = sample.last();
    for (number, range) in &sample.frames {
        let copy = sample.files[number][range.clone()].to_vec();
        let doubled = sample.judge(|files| {
            files.get_mut(&last).expect("a segment")[place.end..place.end + copy.len()]
                .copy_from_slice(&copy);
        });
        doubled.expect_refused(&format!("the frame at {range:?} of segment {number} copied to the end"));
    }
}

#[test]
fn a_segment_that_is_missing_in_the_middle_is_named() {
    let sample = Sample::new();
    for number in 2..=sample.last().0 {
        let error = sample.judge(|files| _ = files.remove(&number)).expect_refused("deleted");
        assert!(matches!(error, ReadError::Missing { segment } if segment == number), "{error}");
    }
}

#[test]
fn a_journal_whose_records_are_all_gone_is_not_taken_for_a_new_one() {
    let sample = Sample::new();
    let last = sample.last().0;
    let error = sample.judge(|files| files.retain(|number, _| *number > last)).expect_refused("all deleted");
    assert!(matches!(error, ReadError::Missing { segment } if segment == last), "{error}");
}

#[test]
fn without_its_first_segment_a_journal_says_where_it_begins() {
    let sample = Sample::new();
    let disk = SimulatedDisk::new(0);
    for (number, bytes) in sample.files.iter().skip(1) {
        disk.put(&segment::file_name(*number), bytes.clone());
    }
    let second = sample.frames.iter().position(|(number, _)| *number == 2).expect("a second segment");
    let survey = reader::survey(&disk).expect("sound in itself");
    assert_eq!(survey.first(), Some(Seq::new(second as u64 + 1)), "the engine compares this with the store");
}

#[test]
fn a_segment_of_another_journal_is_refused() {
    let sample = Sample::new();
    for number in 2..=sample.last().0 {
        let other = Uuid::from_u128(7);
        let header = segment::Header { segment: number, size: OPTIONS.segment_bytes, journal_id: other };
        let error = sample
            .judge(|files| {
                let bytes = files.get_mut(&number).expect("a segment");
                bytes[..segment::HEADER_BYTES].copy_from_slice(&header.encode());
            })
            .expect_refused("foreign");
        assert!(matches!(error, ReadError::Foreign { segment, .. } if segment == number), "{error}");
    }
}

#[test]
fn a_file_of_another_length_or_number_is_refused() {
    let sample = Sample::new();
    for number in 1..=sample.last().0 {
        for length in [0, 1, 63, 64, 100, 512, 1_023, 1_025, 2_048] {
            let resized = sample.judge(|files| files.get_mut(&number).expect("a segment").resize(length, 0));
            resized.expect_refused(&format!("segment {number} has {length} bytes"));
        }
        let renumbered = sample.judge(|files| {
            let other = files[&(number % 3 + 1)].clone();
            files.insert(number, other);
        });
        renumbered.expect_refused("another segment's bytes");
    }
}

#[test]
fn a_run_of_zeros_is_refused_unless_it_reaches_over_the_end() {
    let sample = Sample::new();
    let (last, place) = sample.last();
    let (mut tried, mut ambiguous, mut longest) = (0, 0, 0);
    for (number, bytes) in sample.files.range(..=last) {
        for run in [8, 64, 256, 512] {
            for begin in (segment::HEADER_BYTES..bytes.len() - run).step_by(8) {
                let zeroed = begin..begin + run;
                if bytes[zeroed.clone()].iter().all(|byte| *byte == 0) {
                    continue;
                }
                tried += 1;
                let verdict =
                    sample.judge(|files| files.get_mut(number).expect("a segment")[zeroed.clone()].fill(0));
                // With one copy of the data, damage from some frame into the last one looks like one torn frame; only the
                // store's position tells.
                let touches_the_last = *number == last && zeroed.end > place.start;
                match verdict {
                    Verdict::Refused(_) => {}
                    Verdict::Shorter(count) if touches_the_last => {
                        longest = longest.max(count);
                        ambiguous += 1;
                    }
                    other => panic!("{zeroed:?} of segment {number} zeroed, last is {place:?}: {other:?}"),
                }
            }
        }
    }
    println!("{tried} runs zeroed: {ambiguous} taken for a torn frame, which hid up to {longest} frames");
    assert!(ambiguous < tried / 2);
}

#[test]
fn garbage_behind_the_end_hides_nothing() {
    let sample = Sample::new();
    let (last, place) = sample.last();
    for garbage in [&[1][..], &[0xFF; 40], b"PFR1PFR1PFR1PFR1PFR1PFR1PFR1PFR1PFR1PFR1"] {
        for distance in [0, 8, 100] {
            let begin = place.end + distance;
            let verdict = sample.judge(|files| {
                files.get_mut(&last).expect("a segment")[begin..begin + garbage.len()]
                    .copy_from_slice(garbage);
            });
            assert!(matches!(verdict, Verdict::Whole), "{garbage:?} at {begin}: {verdict:?}");
        }
    }
    // In a segment that others follow there is nothing to be torn.
    let end = sample.frames.iter().rfind(|(number, _)| *number == 1).expect("a frame").1.end;
    let verdict = sample.judge(|files| files.get_mut(&1).expect("a segment")[end] = 1);
    verdict.expect_refused("garbage behind the frames of a full segment");
}

#[test]
fn a_header_that_counts_beyond_all_numbers_is_refused() {
    let sample = Sample::new();
    let (last, place) = sample.last();
    for (first, records) in [(u64::MAX, 1u32), (u64::MAX - 1, 5), (1, u32::MAX)] {
        for (number, range) in [(last, place.clone()), (1, sample.frames[0].1.clone())] {
            let verdict = sample.judge(|files| {
                let header = &mut files.get_mut(&number).expect("a segment")[range.start..];
                header[8..16].copy_from_slice(&first.to_le_bytes());
                header[16..20].copy_from_slice(&records.to_le_bytes());
                let crc = crc32fast::hash(&header[..28]);
                header[28..32].copy_from_slice(&crc.to_le_bytes());
            });
            verdict.expect_refused(&format!("first {first}, {records} records"));
        }
    }
}
