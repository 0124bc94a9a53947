//! Why a journal cannot be read: always with segment and offset, so that a person can look.

use std::io;
use thiserror::Error;
use uuid::Uuid;

/// A journal that must not be started "around".
#[derive(Debug, Error)]
pub enum ReadError {
    #[error("reading the journal failed: {0}")]
    Io(#[from] io::Error),
    #[error("a segment of {needed} bytes cannot be prepared: {error}")]
    Unprepared { needed: u64, error: io::Error },
    #[error(
        "the journal is damaged in segment {} at offset {offset}: {what}. Restore the data directory from a \
         copy, or look closer with `purser journal verify`",
        super::segment::file_name(*segment)
    )]
    Damaged { segment: u32, offset: u64, what: String },
    #[error("the journal lacks segment {}; restore it from a copy", super::segment::file_name(*segment))]
    Missing { segment: u32 },
    #[error("segment {segment} belongs to journal {found}, the others to {expected}")]
    Foreign { segment: u32, found: Uuid, expected: Uuid },
}
