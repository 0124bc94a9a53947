//! Golden files: what version 1 looks like on disk, for ever. They are never made again; a journal written by the first
//! release must be read by the last.

use crate::golden_records::records;
use crate::rig::JOURNAL_ID;
use purser::domain::{Record, Seq};
use purser::journal::disk::{Directory, Disk};
use purser::journal::frame::Builder;
use purser::journal::simulated::SimulatedDisk;
use purser::journal::{reader, segment};
use std::path::{Path, PathBuf};

const SIZE: u64 = 8_192;
/// Records in each frame, over and over.
const FRAMES: [usize; 4] = [1, 3, 2, 7];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal").join(name)
}

/// A segment as this build writes it.
fn encoded(records: &[Record]) -> Vec<u8> {
    let (mut frames, mut builder, mut rest) = (Vec::new(), Builder::default(), records);
    for count in FRAMES.into_iter().cycle() {
        let (frame, behind) = rest.split_at(count.min(rest.len()));
        if frame.is_empty() {
            break;
        }
        builder.clear();
        assert!(frame.iter().all(|record| builder.push(record, SIZE as usize)), "a frame of a few records");
        frames.extend_from_slice(builder.finish(1));
        rest = behind;
    }
    let disk = SimulatedDisk::new(0);
    let header = segment::Header { segment: 1, size: SIZE, journal_id: JOURNAL_ID };
    segment::create(&disk, header, &frames).expect("a segment");
    disk.read(&segment::file_name(1)).expect("its bytes")
}

fn stored(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name).join(segment::file_name(1))).expect("the golden file")
}

#[test]
fn a_journal_of_version_1_is_read_as_it_was_meant() {
    let disk = Directory::open(&fixture("v1")).expect("the golden files");
    let mut read = Vec::new();
    let survey = reader::read(&disk, Seq::new(1), |record, _| {
        read.push(record);
        Ok(())
    })
    .expect("a sound journal");
    assert_eq!(survey.journal_id, Some(JOURNAL_ID));
    assert_eq!(survey.torn, None);
    assert_eq!(read, records());
}

#[test]
fn this_build_writes_version_1_byte_for_byte() {
    let (today, golden) = (encoded(&records()), stored("v1"));
    let differs = today.iter().zip(&golden).position(|(one, other)| one != other);
    assert_eq!(differs, None, "the first byte that differs; a new layout needs a new version");
    assert_eq!(today.len(), golden.len());
}

#[test]
fn the_golden_records_leave_nothing_out() {
    let shown = format!("{:?}", records());
    for word in [
        "Purchase",
        "Order,",
        "Cancel,",
        "Ship,",
        "Deliver,",
        "Return,",
        "Increment,",
        "Decrement,",
        "Transfer,",
        "CreateItem",
        "ChangeItem",
        "MoveStock",
        "DeleteItem",
        "RestoreItem",
        "Register",
        "Login",
        "Refresh",
        "Logout",
        "ProductCreated",
        "ProductChanged",
        "StockMoved",
        "UserRegistered",
        "EntryPosted",
        "OrderPlaced",
        "OrderAdvanced",
        "GoodsReturned",
        "SessionOpened",
        "SessionRotated",
        "SessionRevoked",
        "NameTaken",
        "NameFreed",
    ] {
        assert!(shown.contains(word), "{word} is in no golden record");
    }
}

#[test]
fn damage_is_told_in_these_words() {
    let disk = Directory::open(&fixture("v1-damaged")).expect("the golden files");
    let error = reader::survey(&disk).expect_err("a damaged journal");
    let told = std::fs::read_to_string(fixture("v1-damaged").join("error.txt")).expect("the error's text");
    assert_eq!(error.to_string(), told.trim_end());
    let changed: Vec<_> =
        stored("v1").iter().zip(stored("v1-damaged")).map(|(one, other)| (*one, other)).enumerate().collect();
    assert_eq!(changed.iter().filter(|(_, (one, other))| one != other).count(), 1, "one byte was changed");
}

/// Makes the files of a new version, once. What is there stays.
#[test]
#[ignore = "run by hand when a new version is added"]
fn make_the_golden_files_of_a_new_version() {
    let (sound, damaged) = (fixture("v1"), fixture("v1-damaged"));
    assert!(!sound.exists() && !damaged.exists(), "golden files are never made again");
    let mut bytes = encoded(&records());
    for (directory, damage) in [(sound, 0), (damaged, 0x20)] {
        std::fs::create_dir_all(&directory).expect("a directory");
        bytes[1_000] ^= damage;
        std::fs::write(directory.join(segment::file_name(1)), &bytes).expect("a file");
    }
    let disk = Directory::open(&fixture("v1-damaged")).expect("just made");
    let error = reader::survey(&disk).expect_err("a damaged journal");
    std::fs::write(fixture("v1-damaged").join("error.txt"), format!("{error}\n")).expect("a file");
}
