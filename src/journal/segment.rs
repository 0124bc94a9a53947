//! A segment file: a header and then frames, zero-filled ahead to its full size. Files are prepared under a temporary
//! name, synced, renamed and their directory synced, so a segment that has its name has a sound header.
//!
//! Header, little endian: magic u64 · format u32 · segment u32 · size u64 · journal id 16 bytes · zeros · crc32 u32.

use super::disk::Disk;
use crate::canary::Canary;
use std::io;
use uuid::Uuid;

/// Bytes of a segment's header; frames begin here.
pub const HEADER_BYTES: usize = 64;
const MAGIC: u64 = 0x314C_4E52_4A52_5550;
const FORMAT: u32 = 1;
/// A file being prepared or repaired; removed at start.
pub const TEMPORARY: &str = "prepare.tmp";
const SUFFIX: &str = ".segment";

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub segment: u32,
    pub size: u64,
    pub journal_id: Uuid,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.size.to_le_bytes());
        bytes[24..40].copy_from_slice(self.journal_id.as_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` when it is not a header of a format that this build knows.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | (u64::from(word(at + 4)) << 32);
        let sound = long(0) == MAGIC && word(8) == FORMAT && word(60) == crc32fast::hash(&bytes[..60]);
        let journal_id = Uuid::from_slice(&bytes[24..40]).ok()?;
        sound.then(|| Self { segment: word(12), size: long(16), journal_id })
    }
}

/// The file of a segment: the only place that knows the rule.
pub fn file_name(segment: u32) -> String {
    format!("{segment:010}{SUFFIX}")
}

/// The inverse of [`file_name`].
pub fn parse_name(name: &str) -> Option<u32> {
    let segment = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (file_name(segment) == name).then_some(segment)
}

/// Makes a segment that holds `frames` (whole frames, or none) and is durable under its name when this returns.
pub fn create(disk: &dyn Disk, header: Header, frames: &[u8]) -> io::Result<()> {
    let made = (|| {
        let file = disk.create_zeroed(TEMPORARY, header.size)?;
        file.write_at(0, &header.encode())?;
        if !frames.is_empty() {
            file.write_at(HEADER_BYTES as u64, frames)?;
        }
        file.sync_all()?;
        disk.rename(TEMPORARY, &file_name(header.segment))?;
        if Canary::DirectoryNotSynced.sings() { Ok(()) } else { disk.sync_directory() }
    })();
    if made.is_err() {
        // A half-made file would keep the space that the next attempt needs.
        let _ = disk.remove(TEMPORARY);
    }
    made
}
