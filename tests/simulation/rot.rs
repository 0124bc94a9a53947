//! Rot: a copy of a journal nobody has open, one bit of which has turned. It may be noticed, lie where nothing was ever written, or
//! be in the last frame, which then looks as if a crash had cut it short; it is never believed.

use super::chance::Chance;
use purser::domain::{Record, Seq};
use purser::journal::ReadError;
use purser::journal::disk::Disk;
use purser::journal::frame::{self, Found};
use purser::journal::reader;
use purser::journal::segment::{self, HEADER_BYTES};
use purser::journal::simulated::SimulatedDisk;
use std::ops::Range;

/// What became of the bit.
pub enum Rot {
    /// No start may go on with this disk.
    Noticed(SimulatedDisk),
    TakenForTorn,
    BehindTheEnd,
}

/// A journal at rest, byte for byte.
struct Still {
    files: Vec<(String, Vec<u8>)>,
    /// The file with the last whole frame, and the place of that.
    last: (usize, Range<usize>),
    last_records: usize,
}

/// Turns a bit of a copy of the journal; `None`: there is no record yet.
///
/// # Errors
/// The turned bit is believed, or takes more with it than the last frame.
pub fn turn_a_bit(disk: &SimulatedDisk, chance: &mut Chance) -> Result<Option<Rot>, String> {
    let Some(still) = Still::of(disk) else { return Ok(None) };
    let records = read(disk).map_err(|error| format!("the journal cannot be read: {error}"))?;
    let (file, byte) = still.any_place(chance);
    let bit = chance.below(8);
    let rotten = SimulatedDisk::new(0);
    for (place, (name, bytes)) in still.files.iter().enumerate() {
        let mut bytes = bytes.clone();
        if place == file {
            bytes[byte] ^= 1 << bit;
        }
        rotten.put(name, bytes);
    }
    let (last, frame) = &still.last;
    let in_last_frame = file == *last && frame.contains(&byte);
    let is_behind = byte >= HEADER_BYTES && (file > *last || file == *last && byte >= frame.end);
    let before_last = &records[..records.len() - still.last_records];
    match read(&rotten) {
        Err(ReadError::Damaged { .. } | ReadError::Missing { .. } | ReadError::Foreign { .. }) => {
            Ok(Some(Rot::Noticed(rotten)))
        }
        Ok(left) if is_behind && left == records => Ok(Some(Rot::BehindTheEnd)),
        Ok(left) if in_last_frame && left == before_last => Ok(Some(Rot::TakenForTorn)),
        other => Err(format!(
            "bit {bit} of byte {byte} of {} has turned, and of {} records this is read: {other:?}",
            still.files[file].0,
            records.len()
        )),
    }
}

impl Still {
    fn of(disk: &SimulatedDisk) -> Option<Self> {
        let names = disk.list().ok()?.into_iter().filter(|name| segment::parse_name(name).is_some());
        let mut files: Vec<_> =
            names.filter_map(|name| Some((name.clone(), disk.read(&name).ok()?))).collect();
        files.sort_unstable();
        let mut last = None;
        for (place, (_, bytes)) in files.iter().enumerate() {
            let mut offset = HEADER_BYTES;
            while let Found::Frame { header, .. } = frame::look(bytes, offset) {
                let end = offset + header.frame_bytes();
                last = Some(((place, offset..end), header.records as usize));
                offset = end;
            }
        }
        let (last, last_records) = last?;
        Some(Self { files, last, last_records })
    }

    /// Mostly where something was written.
    fn any_place(&self, chance: &mut Chance) -> (usize, usize) {
        let written = chance.percent(90);
        let below = |chance: &mut Chance, bound: usize| {
            usize::try_from(chance.below(bound as u64)).expect("an index")
        };
        let file = below(chance, if written { self.last.0 + 1 } else { self.files.len() });
        let bytes = &self.files[file].1;
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |place| place + 1);
        (file, below(chance, if written { end } else { bytes.len() }))
    }
}

fn read(disk: &SimulatedDisk) -> Result<Vec<Record>, ReadError> {
    let mut records = Vec::new();
    reader::read(disk, Seq::new(1), |record, _| {
        records.push(record);
        Ok(())
    })?;
    Ok(records)
}
