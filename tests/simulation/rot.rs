//! Rot: a copy of a journal that nobody has open, one bit of which has turned. It is noticed, or lies behind the last
//! whole frame, or makes the last frame look as if a crash had cut it short; it is never believed.

use super::chance::Chance;
use super::run::{Run, read};
use purser::engine::{Engine, EngineOptions, StartError};
use purser::journal::ReadError;
use purser::journal::disk::Disk;
use purser::journal::frame::{self, Found};
use purser::journal::segment::{self, HEADER_BYTES};
use purser::journal::simulated::SimulatedDisk;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// What became of the bit.
enum Rot {
    /// No start may go on with this disk.
    Noticed(SimulatedDisk),
    TakenForTorn,
    BehindTheEnd,
}

/// The files of a journal at rest, byte for byte.
struct Image {
    files: Vec<(String, Vec<u8>)>,
    /// The file with the last whole frame.
    last: usize,
    /// The place of that frame in it, and of what of it has a checksum.
    frame: Range<usize>,
    covered: Range<usize>,
    frame_records: usize,
}

/// No engine starts on a copy of the disk that is seen to be rotten.
pub async fn start_rotten(run: &Rc<RefCell<Run>>, disk: &SimulatedDisk, options: EngineOptions) {
    let mut chance = run.borrow_mut().chance.branch();
    let rotten = match turn_a_bit(disk, &mut chance) {
        Ok(Some(Rot::Noticed(rotten))) => rotten,
        Ok(rot) => {
            let figures = &mut run.borrow_mut().figures;
            figures.rot_torn += u64::from(matches!(rot, Some(Rot::TakenForTorn)));
            figures.rot_behind += u64::from(matches!(rot, Some(Rot::BehindTheEnd)));
            return;
        }
        Err(wrong) => return run.borrow_mut().object(wrong),
    };
    let (clock, store) = (run.borrow().clock.clone(), run.borrow().store.clone());
    let started = Engine::start_simulated(options, clock, Arc::new(rotten.clone()), store).await;
    let mut run = run.borrow_mut();
    match started {
        Err(StartError::Journal(error)) if is_damage(&error) => run.figures.rot_noticed += 1,
        Err(error) => run.object(format!("a rotten journal is refused for something else: {error}")),
        Ok(_) => run.object("it starts on a rotten journal"),
    }
    if !rotten.operations().is_empty() {
        run.object("a start that was refused has changed the disk");
    }
}

/// Turns a bit of a copy of the journal; `None`: there is no record yet.
fn turn_a_bit(disk: &SimulatedDisk, chance: &mut Chance) -> Result<Option<Rot>, String> {
    let Some(image) = Image::of(disk) else { return Ok(None) };
    let (records, survey) = read(disk).map_err(|error| format!("the journal cannot be read: {error}"))?;
    let (file, byte) = image.any_place(chance);
    let bit = chance.below(8);
    let in_frame = file == image.last && image.frame.contains(&byte);
    let is_covered = file == image.last && image.covered.contains(&byte);
    let is_behind =
        byte >= HEADER_BYTES && (file > image.last || file == image.last && byte >= image.frame.end);
    // With something torn behind it the last whole frame is not the last one any more.
    let may_be_noticed = survey.torn.is_some() || !is_covered && !is_behind;
    let before_last = &records[..records.len() - image.frame_records];
    let rotten = image.with(file, byte, bit);
    match read(&rotten) {
        Err(error) if is_damage(&error) && may_be_noticed => Ok(Some(Rot::Noticed(rotten))),
        Ok((left, _)) if is_behind && left == records => Ok(Some(Rot::BehindTheEnd)),
        Ok((left, _)) if in_frame && left == before_last => Ok(Some(Rot::TakenForTorn)),
        other => Err(format!(
            "bit {bit} of byte {byte} of {} has turned, and of {} records this is read: {other:?}",
            image.files[file].0,
            records.len()
        )),
    }
}

const fn is_damage(error: &ReadError) -> bool {
    matches!(error, ReadError::Damaged { .. } | ReadError::Missing { .. } | ReadError::Foreign { .. })
}

impl Image {
    fn of(disk: &SimulatedDisk) -> Option<Self> {
        let names = disk.list().ok()?.into_iter().filter(|name| segment::parse_name(name).is_some());
        let content = |name: String| (name.clone(), disk.read(&name).expect("it was listed"));
        let mut files: Vec<_> = names.map(content).collect();
        files.sort_unstable();
        let mut found = None;
        for (place, (_, bytes)) in files.iter().enumerate() {
            let mut offset = HEADER_BYTES;
            while let Found::Frame { header, payload } = frame::look(bytes, offset) {
                let end = offset + header.frame_bytes();
                let covered = offset..offset + frame::HEADER_BYTES + payload.len();
                found = Some((place, offset..end, covered, header.records as usize));
                offset = end;
            }
        }
        let (last, frame, covered, frame_records) = found?;
        Some(Self { files, last, frame, covered, frame_records })
    }

    /// Mostly where something was written.
    fn any_place(&self, chance: &mut Chance) -> (usize, usize) {
        let written = chance.percent(90);
        let mut below = |bound: usize| usize::try_from(chance.below(bound as u64)).expect("an index");
        let file = below(if written { self.last + 1 } else { self.files.len() });
        let bytes = &self.files[file].1;
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |place| place + 1);
        (file, below(if written { end } else { bytes.len() }))
    }

    /// A disk that holds it with that bit turned.
    fn with(&self, file: usize, byte: usize, bit: u64) -> SimulatedDisk {
        let disk = SimulatedDisk::new(0);
        for (place, (name, bytes)) in self.files.iter().enumerate() {
            let mut bytes = bytes.clone();
            if place == file {
                bytes[byte] ^= 1 << bit;
            }
            disk.put(name, bytes);
        }
        disk
    }
}
