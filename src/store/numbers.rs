//! Numbers that only count up, as both databases hold them: signed, as SQL has no others.

use super::Page;
use crate::domain::Seq;

/// A position, version or id as both databases hold it. They are counted up one by one from 1, so only a
/// made-up cursor can lie beyond.
pub fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What the rows of a page come before.
pub fn before(page: Page) -> i64 {
    page.before.map_or(i64::MAX, int)
}

/// A stored position; the column's check keeps it from being negative.
pub const fn seq(position: i64) -> Seq {
    Seq::new(position.unsigned_abs())
}
