//! What reached the simulator: one entry per exchange attempt, in the order in which they began, and one per question how a
//! redemption ended.

use crate::domain::Timestamp;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

/// What an attempt came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not at its end yet.
    Running,
    /// The card was taken now. Whether the answer arrived is another matter.
    Taken,
    Refused,
    /// Its redemption had ended before: the first result was told again.
    Repeated,
    /// Of these the connection was closed, or the answer the number; nothing was taken.
    DroppedBefore,
    #[serde(rename = "not_taken_429")]
    TooMany,
    #[serde(rename = "error_500")]
    Broken,
}

#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub redemption_id: Uuid,
    pub account: String,
    pub code: String,
    pub country: String,
    /// What was taken, in the one entry that took it.
    pub amount: Option<u64>,
    pub status: Status,
    /// Of the answer; none when the connection was closed instead.
    pub http_status: Option<u16>,
    #[serde(serialize_with = "in_micros")]
    pub started_at: Option<Timestamp>,
    #[serde(serialize_with = "in_micros")]
    pub ended_at: Option<Timestamp>,
}

/// Somebody asked how a redemption ended.
#[derive(Clone, Debug, Serialize)]
pub struct Inquiry {
    pub redemption_id: Uuid,
    /// `taken`, `refused` or `unknown`.
    pub answer: &'static str,
    #[serde(serialize_with = "in_micros")]
    pub answered_at: Option<Timestamp>,
}

/// RFC 3339, always with six digits of the second: such texts compare as their times do.
fn in_micros<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let text = at.and_then(|at| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.micros()) * 1_000).ok()?.format(format).ok()
    });
    text.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds_and_compare_as_texts() {
        let text = |micros| in_micros(&Some(Timestamp::from_micros(micros)), serde_json::value::Serializer);
        assert_eq!(text(0).expect("a text"), "1970-01-01T00:00:00.000000Z");
        assert_eq!(text(1_700_000_000_000_010).expect("a text"), "2023-11-14T22:13:20.000010Z");
        assert_eq!(
            in_micros(&None, serde_json::value::Serializer).expect("nothing"),
            serde_json::Value::Null
        );
    }
}
