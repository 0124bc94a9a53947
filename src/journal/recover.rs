//! Makes a journal that was read and found sound ready to be written on: the only place that rewrites what is there.

use super::disk::Disk;
use super::error::ReadError;
use super::reader::{Survey, Surveyed};
use super::segment::{self, Header};
use crate::canary::Canary;
use crate::domain::Seq;
use uuid::Uuid;

/// A journal that is ready to be written on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    pub journal_id: Uuid,
    /// Segments before the current one.
    pub closed: Vec<Surveyed>,
    /// The segment to go on in; none when there is no record yet.
    pub current: Option<Surveyed>,
    /// The number of the next segment; it stands ready, empty, when there is no current one.
    pub next_segment: u32,
    /// The last record; 0 without any.
    pub last: Seq,
    /// Whether a torn frame was dropped.
    pub dropped_torn_frame: bool,
}

/// Makes a surveyed journal ready to be written on. The accepted part of its last segment is copied into a fresh file:
/// a sync of the old one would prove nothing after a failed one, and the torn frame goes with it. Without any record an
/// empty segment of `segment_bytes` makes the journal's identity durable before a store is told of it.
///
/// # Errors
/// When the disk fails; what was acknowledged is still there then.
pub fn recover(
    disk: &dyn Disk,
    survey: Survey,
    new_id: Uuid,
    segment_bytes: u64,
) -> Result<Recovered, ReadError> {
    let journal_id = survey.journal_id.unwrap_or(new_id);
    if disk.list()?.iter().any(|name| name == segment::TEMPORARY) {
        disk.remove(segment::TEMPORARY)?;
    }
    let last = survey.last();
    let mut closed = survey.segments;
    let current = closed.pop();
    let next_segment = match &current {
        Some(current) => current.segment + 1,
        None => survey.empty.first().copied().unwrap_or(1),
    };
    // From the end, so that a power cut half-way leaves no gap; a lone empty segment stays until it is replaced.
    for number in survey.empty.iter().rev().filter(|number| current.is_some() || **number != next_segment) {
        disk.remove(&segment::file_name(*number))?;
    }
    let header = match &current {
        Some(current) => Header { segment: current.segment, size: current.size, journal_id },
        None => Header { segment: next_segment, size: segment_bytes, journal_id },
    };
    let frames = match &current {
        Some(current) => {
            let mut bytes = disk.read(&segment::file_name(current.segment))?;
            bytes.truncate(current.end as usize);
            bytes.split_off(segment::HEADER_BYTES)
        }
        None => Vec::new(),
    };
    let unprepared = |error| ReadError::Unprepared { needed: header.size, error };
    if !(Canary::RecoveryNotCopied.sings() && current.is_some()) {
        segment::create(disk, header, &frames).map_err(unprepared)?;
    }
    if !Canary::DirectoryNotSynced.sings() {
        disk.sync_directory()?;
    }
    let dropped_torn_frame = survey.torn.is_some();
    Ok(Recovered { journal_id, closed, current, next_segment, last, dropped_torn_frame })
}
