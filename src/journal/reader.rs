//! Reading a journal back: checking all of it, deciding where it ends, and handing out its records in order.
//!
//! Only the last frame of the last segment that holds one may be torn. Anything else that is not as it was written is
//! damage, and the journal is refused with segment and offset.

use super::codec;
use super::disk::Disk;
use super::error::ReadError;
use super::frame::{self, Found};
use super::segment::{self, Header};
use crate::domain::{Record, Seq};
use std::io;
use uuid::Uuid;

/// Bytes of a segment that were never written.
static ZEROS: [u8; 4_096] = [0; 4_096];

/// A segment that holds frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Surveyed {
    pub segment: u32,
    pub size: u64,
    pub first: Seq,
    pub last: Seq,
    pub frames: u64,
    /// The offset behind its last frame.
    pub end: u64,
}

/// What a journal holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survey {
    pub journal_id: Option<Uuid>,
    /// Ascending; those without frames are left out.
    pub segments: Vec<Surveyed>,
    /// Prepared segments, without frames.
    pub empty: Vec<u32>,
    /// Where a torn frame was found behind the last whole one.
    pub torn: Option<(u32, u64)>,
}

impl Survey {
    /// The first record that is still there.
    pub fn first(&self) -> Option<Seq> {
        self.segments.first().map(|segment| segment.first)
    }

    pub fn last(&self) -> Seq {
        self.segments.last().map_or(Seq::ZERO, |segment| segment.last)
    }
}

/// Checks every frame of every segment and reads nothing into records.
///
/// # Errors
/// [`ReadError`] for whatever cannot be the work of this journal and one crash.
pub fn survey(disk: &dyn Disk) -> Result<Survey, ReadError> {
    visit(disk, END, END, &mut |_, _| Ok(()))
}

/// As [`survey`], of a journal that is being written: only up to `durable`, which must be so already, and without segments
/// that are removed meanwhile.
///
/// # Errors
/// As [`survey`].
pub fn survey_live(disk: &dyn Disk, durable: Seq) -> Result<Survey, ReadError> {
    visit(disk, END, durable, &mut |_, _| Ok(()))
}

/// Surveys the journal and hands each record from `from` on to `each`, in order, with the length of its bytes.
pub fn read(
    disk: &dyn Disk,
    from: Seq,
    mut each: impl FnMut(Record, usize) -> Result<(), ReadError>,
) -> Result<Survey, ReadError> {
    visit(disk, from, END, &mut each)
}

/// As [`read`], of a journal that is being written: only up to `until`, which must be durable already. What comes back says
/// whether `from` is still there.
///
/// # Errors
/// As [`read`].
pub fn read_live(
    disk: &dyn Disk,
    from: Seq,
    until: Seq,
    mut each: impl FnMut(Record),
) -> Result<Survey, ReadError> {
    read_until(disk, from, until, |record| {
        each(record);
        Ok(())
    })
}

/// As [`read`] up to [`END`], and as [`read_live`] up to any other position; `each` may end it.
///
/// # Errors
/// As [`read`], and those of `each`.
pub fn read_until(
    disk: &dyn Disk,
    from: Seq,
    until: Seq,
    mut each: impl FnMut(Record) -> Result<(), ReadError>,
) -> Result<Survey, ReadError> {
    visit(disk, from, until, &mut |record, _| if record.seq <= until { each(record) } else { Ok(()) })
}

/// Beyond every record: nothing is left out.
pub const END: Seq = Seq::new(u64::MAX);

type Each<'a> = &'a mut dyn FnMut(Record, usize) -> Result<(), ReadError>;

/// Decodes what begins at `from`, and checks everything up to `until`.
fn visit(disk: &dyn Disk, from: Seq, until: Seq, each: Each<'_>) -> Result<Survey, ReadError> {
    let mut numbers: Vec<u32> = disk.list()?.iter().filter_map(|name| segment::parse_name(name)).collect();
    numbers.sort_unstable();
    if let Some(gap) = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1) {
        return Err(ReadError::Missing { segment: gap[0] + 1 });
    }
    let mut survey = Survey { journal_id: None, segments: Vec::new(), empty: Vec::new(), torn: None };
    let lowest = numbers.first().copied();
    for number in numbers {
        // Behind the end of a journal that is being written, frames appear while they are looked at.
        if survey.last() >= until {
            break;
        }
        let bytes = match disk.read(&segment::file_name(number)) {
            // Removed since it was listed, after all before it: the store has all of them.
            Err(error) if error.kind() == io::ErrorKind::NotFound && until < END => {
                survey.segments.clear();
                continue;
            }
            bytes => bytes?,
        };
        check_header(&bytes, number, &mut survey)?;
        let scan = Scan {
            number,
            bytes: &bytes,
            expected: survey.segments.last().map(|known| known.last.next()),
            until,
        };
        match scan.run(&mut survey.torn, from, each)? {
            None => survey.empty.push(number),
            Some(_) if !survey.empty.is_empty() => {
                let what = "frames follow a segment without any".to_owned();
                return Err(ReadError::Damaged {
                    segment: number,
                    offset: segment::HEADER_BYTES as u64,
                    what,
                });
            }
            Some(surveyed) => survey.segments.push(surveyed),
        }
    }
    // Each segment but the first was begun behind a full one, the newest of which stays.
    if let Some(lowest) = lowest.filter(|lowest| *lowest > 1)
        && survey.segments.is_empty()
        && until == END
    {
        return Err(ReadError::Missing { segment: lowest - 1 });
    }
    // Frames behind a torn one could only have been written after it was whole.
    match survey.torn {
        Some((number, offset)) if survey.segments.last().is_some_and(|last| last.segment > number) => {
            Err(ReadError::Damaged {
                segment: number,
                offset,
                what: "a torn frame with others behind it".into(),
            })
        }
        _ => Ok(survey),
    }
}

fn check_header(bytes: &[u8], number: u32, survey: &mut Survey) -> Result<(), ReadError> {
    let damaged = |what: &str| ReadError::Damaged { segment: number, offset: 0, what: what.to_owned() };
    let header =
        Header::decode(bytes).ok_or_else(|| damaged("the segment's header does not fit its checksum"))?;
    if header.segment != number {
        return Err(damaged("the segment's header has another number than its name"));
    }
    if header.size != bytes.len() as u64 {
        return Err(damaged("the segment is not as long as its header says"));
    }
    let expected = *survey.journal_id.get_or_insert(header.journal_id);
    if header.journal_id != expected {
        return Err(ReadError::Foreign { segment: number, found: header.journal_id, expected });
    }
    Ok(())
}

struct Scan<'a> {
    number: u32,
    bytes: &'a [u8],
    /// The record that must come next; none for the first of all.
    expected: Option<Seq>,
    /// Nothing behind the frame with this record is looked at.
    until: Seq,
}

impl Scan<'_> {
    /// The segment's frames; none when it has no whole one.
    fn run(
        mut self,
        torn: &mut Option<(u32, u64)>,
        from: Seq,
        each: Each<'_>,
    ) -> Result<Option<Surveyed>, ReadError> {
        let mut surveyed: Option<Surveyed> = None;
        let mut offset = segment::HEADER_BYTES;
        loop {
            match frame::look(self.bytes, offset) {
                Found::Frame { header, payload } => {
                    let last = self.check(&header, offset)?;
                    if last >= from {
                        self.decode(&header, payload, offset, from, each)?;
                    }
                    self.expected = Some(last.next());
                    let padding = offset + frame::HEADER_BYTES + payload.len();
                    offset += header.frame_bytes();
                    if self.bytes.get(padding..offset).is_none_or(|rest| rest.iter().any(|byte| *byte != 0)) {
                        return Err(self.damaged(padding, "the frame's padding is not zero"));
                    }
                    let known = surveyed.get_or_insert(Surveyed {
                        segment: self.number,
                        size: self.bytes.len() as u64,
                        first: header.first,
                        last,
                        frames: 0,
                        end: 0,
                    });
                    (known.last, known.end) = (last, offset as u64);
                    known.frames += 1;
                    if last >= self.until {
                        return Ok(surveyed);
                    }
                }
                Found::Nothing if self.is_blank(offset) => return Ok(surveyed),
                // A frame whose first sectors were lost while later ones reached the disk, or one that was cut short.
                Found::Nothing | Found::Garbage => return self.torn(torn, offset, None, surveyed),
                Found::TornPayload(header) => return self.torn(torn, offset, Some(&header), surveyed),
            }
        }
    }

    fn torn(
        &self,
        torn: &mut Option<(u32, u64)>,
        offset: usize,
        header: Option<&frame::Header>,
        surveyed: Option<Surveyed>,
    ) -> Result<Option<Surveyed>, ReadError> {
        self.check_torn(offset, header)?;
        match torn.replace((self.number, offset as u64)) {
            Some(_) => Err(self.damaged(offset, "a second torn frame")),
            None => Ok(surveyed),
        }
    }

    fn damaged(&self, offset: usize, what: &str) -> ReadError {
        ReadError::Damaged { segment: self.number, offset: offset as u64, what: what.to_owned() }
    }

    fn is_blank(&self, offset: usize) -> bool {
        // Most of a segment may be blank: compared by blocks, not looked at byte by byte.
        self.bytes[offset..].chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()])
    }

    /// The frame's last record, if the frame is in its place.
    fn check(&self, header: &frame::Header, offset: usize) -> Result<Seq, ReadError> {
        if header.segment != self.number {
            return Err(self.damaged(offset, "the frame was written for another segment"));
        }
        let Some(more) = header.records.checked_sub(1) else {
            return Err(self.damaged(offset, "the frame is empty"));
        };
        if let Some(expected) = self.expected.filter(|expected| *expected != header.first) {
            let what = format!("the frame begins with record {}, expected {expected}", header.first);
            return Err(self.damaged(offset, &what));
        }
        // No journal gets there; a number made up must not overflow the next one.
        match header.first.get().checked_add(u64::from(more)) {
            Some(last) if last < u64::MAX => Ok(Seq::new(last)),
            _ => Err(self.damaged(offset, "the frame counts beyond all numbers")),
        }
    }

    /// A torn frame has nothing behind it: no sound frame anywhere, and zeros beyond its extent when that is known.
    fn check_torn(&self, offset: usize, header: Option<&frame::Header>) -> Result<(), ReadError> {
        let what = "the frame does not fit its checksum, and it is not the last one";
        if let Some(header) = header {
            let end = (offset + header.frame_bytes()).min(self.bytes.len());
            if header.segment != self.number || !self.is_blank(end) {
                return Err(self.damaged(offset, what));
            }
            return Ok(());
        }
        let mut next = offset + frame::ALIGNMENT;
        while next + frame::HEADER_BYTES <= self.bytes.len() {
            if let Found::Frame { header, .. } = frame::look(self.bytes, next)
                && header.segment == self.number
            {
                return Err(self.damaged(offset, what));
            }
            next += frame::ALIGNMENT;
        }
        Ok(())
    }

    fn decode(
        &self,
        header: &frame::Header,
        payload: &[u8],
        offset: usize,
        from: Seq,
        each: Each<'_>,
    ) -> Result<(), ReadError> {
        let mut seq = header.first;
        for bytes in frame::records(payload) {
            let bytes = bytes.ok_or_else(|| self.damaged(offset, "a record is longer than its frame"))?;
            if seq >= from {
                let record =
                    codec::decode(bytes).map_err(|error| self.damaged(offset, &error.to_string()))?;
                if record.seq != seq {
                    return Err(self.damaged(offset, "a record has another position than its frame says"));
                }
                each(record, bytes.len())?;
            }
            seq = seq.next();
        }
        if seq.get() != header.first.get() + u64::from(header.records) {
            return Err(self.damaged(offset, "the frame holds another number of records than it says"));
        }
        Ok(())
    }
}
