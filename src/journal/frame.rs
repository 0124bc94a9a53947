//! A frame: the records of one write. Layout, little endian:
//!
//! ```text
//! magic u32 · payload bytes u32 · first seq u64 · records u32 · payload crc32 u32 · segment u32 · header crc32 u32
//! payload: per record its length u32 and its bytes (see codec) · zeros up to a multiple of 8
//! ```
//! The header has a checksum of its own, so that a torn frame's extent is known whenever its header survived.

use super::codec;
use crate::domain::{Record, Seq};

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 32;
/// Bytes that a record takes in a frame beyond its own.
pub const RECORD_OVERHEAD: usize = 4;
/// Frames begin at multiples of this.
pub const ALIGNMENT: usize = 8;
const MAGIC: u32 = 0x3152_4650;

/// What stands at the beginning of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub payload_bytes: u32,
    pub first: Seq,
    pub records: u32,
    pub payload_crc: u32,
    pub segment: u32,
}

/// What stands at an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found<'a> {
    Frame {
        header: Header,
        payload: &'a [u8],
    },
    /// Zeros as far as a header reaches.
    Nothing,
    /// A sound header whose payload does not fit its checksum.
    TornPayload(Header),
    /// Neither zeros nor a header.
    Garbage,
}

impl Header {
    /// Bytes of the whole frame, alignment included.
    pub fn frame_bytes(&self) -> usize {
        (HEADER_BYTES + self.payload_bytes as usize).next_multiple_of(ALIGNMENT)
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.get().to_le_bytes());
        bytes[16..20].copy_from_slice(&self.records.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.segment.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if word(0) != MAGIC || word(28) != crc32fast::hash(&bytes[..28]) {
            return None;
        }
        let first = u64::from(word(8)) | (u64::from(word(12)) << 32);
        Some(Self {
            payload_bytes: word(4),
            first: Seq::new(first),
            records: word(16),
            payload_crc: word(20),
            segment: word(24),
        })
    }
}

/// Looks at `bytes[offset..]`. Never panics, whatever the bytes.
pub fn look(bytes: &[u8], offset: usize) -> Found<'_> {
    let Some(head) = bytes.get(offset..offset + HEADER_BYTES) else {
        let rest = bytes.get(offset..).unwrap_or_default();
        return if rest.iter().all(|byte| *byte == 0) { Found::Nothing } else { Found::Garbage };
    };
    let Ok(head) = <&[u8; HEADER_BYTES]>::try_from(head) else { return Found::Garbage };
    let Some(header) = Header::decode(head) else {
        return if head.iter().all(|byte| *byte == 0) { Found::Nothing } else { Found::Garbage };
    };
    let begin = offset + HEADER_BYTES;
    match begin.checked_add(header.payload_bytes as usize).and_then(|end| bytes.get(begin..end)) {
        Some(payload) if crc32fast::hash(payload) == header.payload_crc => Found::Frame { header, payload },
        Some(_) => Found::TornPayload(header),
        None => Found::Garbage,
    }
}

/// Builds one frame after another in a buffer that is kept.
#[derive(Default)]
pub struct Builder {
    bytes: Vec<u8>,
    first: Option<Seq>,
    records: u32,
}

impl Builder {
    /// Starts over.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES, 0);
        self.first = None;
        self.records = 0;
    }

    /// Adds the record if the frame then has at most `room` bytes; otherwise leaves the frame as it was.
    pub fn push(&mut self, record: &Record, room: usize) -> bool {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; RECORD_OVERHEAD]);
        codec::encode(record, &mut self.bytes);
        if self.bytes.len().next_multiple_of(ALIGNMENT) > room {
            self.bytes.truncate(begin);
            return false;
        }
        // A record is at most an eighth of a segment, whose size fits 32 bits.
        let length = (self.bytes.len() - begin - RECORD_OVERHEAD) as u32;
        self.bytes[begin..begin + RECORD_OVERHEAD].copy_from_slice(&length.to_le_bytes());
        self.first.get_or_insert(record.seq);
        self.records += 1;
        true
    }

    pub const fn records(&self) -> u32 {
        self.records
    }

    /// The finished frame, for the given segment.
    pub fn finish(&mut self, segment: u32) -> &[u8] {
        let payload = &self.bytes[HEADER_BYTES..];
        let header = Header {
            payload_bytes: payload.len() as u32,
            first: self.first.unwrap_or(Seq::ZERO),
            records: self.records,
            payload_crc: crc32fast::hash(payload),
            segment,
        };
        self.bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        let aligned = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(aligned, 0);
        &self.bytes
    }
}

/// The records' bytes within a payload; `None` in place of one whose length does not fit.
pub fn records(mut payload: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        if payload.is_empty() {
            return None;
        }
        let record = payload.split_first_chunk::<RECORD_OVERHEAD>().and_then(|(length, rest)| {
            let length = u32::from_le_bytes(*length) as usize;
            (length <= rest.len()).then(|| rest.split_at(length))
        });
        payload = record.map_or(&[], |(_, rest)| rest);
        Some(record.map(|(record, _)| record))
    })
}
