//! How golden files are made: for the tests that compare them with today's, and for `examples/make_golden_journal.rs`,
//! which makes those of a new version once.

use purser::domain::Record;
use purser::journal::disk::{Directory, Disk};
use purser::journal::frame::Builder;
use purser::journal::simulated::SimulatedDisk;
use purser::journal::{reader, segment};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

pub const JOURNAL_ID: Uuid = Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0001);
/// The folder of a journal as it should be, and of one with a changed byte and the words that it is refused with.
pub const FOLDERS: [&str; 2] = ["v1", "v1-damaged"];

const SIZE: u64 = 16_384;
/// Records in each frame, over and over.
const FRAMES: [usize; 4] = [1, 3, 2, 7];
/// The byte that is changed, and the bits of it.
const DAMAGE: (usize, u8) = (1_000, 0x20);

/// Where the golden files are kept.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal")
}

/// A segment as this build writes it.
fn encoded(records: &[Record]) -> io::Result<Vec<u8>> {
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
    segment::create(&disk, segment::Header { segment: 1, size: SIZE, journal_id: JOURNAL_ID }, &frames)?;
    disk.read(&segment::file_name(1))
}

/// Makes both folders below `place`.
///
/// # Errors
/// When one of them is there already: golden files are never made again.
pub fn make(place: &Path, records: &[Record]) -> io::Result<()> {
    let [sound, damaged] = FOLDERS.map(|folder| place.join(folder));
    std::fs::create_dir_all(place)?;
    std::fs::create_dir(&sound)?;
    std::fs::create_dir(&damaged)?;
    let mut bytes = encoded(records)?;
    std::fs::write(sound.join(segment::file_name(1)), &bytes)?;
    bytes[DAMAGE.0] ^= DAMAGE.1;
    std::fs::write(damaged.join(segment::file_name(1)), &bytes)?;
    match reader::survey(&Directory::open(&damaged)?) {
        Ok(_) => Err(io::Error::other("the damage is not noticed")),
        Err(error) => std::fs::write(damaged.join("error.txt"), format!("{error}\n")),
    }
}
