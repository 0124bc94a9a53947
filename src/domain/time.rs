//! Wall-clock labels. Time never orders anything: it is recorded when a decision is made and read back at replay.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }
    pub const fn micros(self) -> i64 {
        self.0
    }
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
    /// RFC 3339 in UTC, as short as the microseconds allow, written into `buffer`; `None` beyond the year 9999.
    pub fn write_rfc3339(self, buffer: &mut [u8; 40]) -> Option<&str> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).ok()?;
        let mut rest = &mut buffer[..];
        at.format_into(&mut rest, &Rfc3339).ok()?;
        // Not the returned count: it leaves out parts of the fraction.
        let left = rest.len();
        std::str::from_utf8(buffer.get(..buffer.len() - left)?).ok()
    }
    /// The same as a text; empty beyond the year 9999.
    pub fn rfc3339(self) -> String {
        self.write_rfc3339(&mut [0; 40]).unwrap_or_default().to_owned()
    }

    /// Later by so much.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}
