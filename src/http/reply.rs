//! How successes are answered: JSON with the headers that every mutation and every read carries.

use super::headers;
use super::problem::Problem;
use super::query::next_cursor;
use crate::domain::{Seq, Timestamp};
use crate::engine::{Durability, Listed, Read, Reply};
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// What a handler answers.
pub type Answer = Result<HttpResponse, Problem>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON reply without further meaning.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut body = Vec::with_capacity(256);
    serde_json::to_writer(&mut body, value).map_err(|error| {
        tracing::error!(%error, "a reply could not be written");
        Problem::internal()
    })?;
    let mut response = HttpResponse::with_body(status, BoxBody::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    Ok(response)
}

/// Adds a header to a reply.
pub fn with(answer: Answer, name: HeaderName, value: HeaderValue) -> Answer {
    answer.map(|mut response| {
        response.headers_mut().insert(name, value);
        response
    })
}

/// The reply to a mutation, without a body.
pub fn empty(reply: &Reply) -> Answer {
    stamp(Ok(HttpResponse::with_body(StatusCode::NO_CONTENT, BoxBody::new(()))), reply)
}

/// The reply to a mutation.
pub fn mutation(status: StatusCode, reply: &Reply, value: &impl Serialize) -> Answer {
    stamp(json(status, value), reply)
}

fn stamp(answer: Answer, reply: &Reply) -> Answer {
    answer.map(|mut response| {
        let into = response.headers_mut();
        into.insert(headers::SEQ, HeaderValue::from(reply.seq.get()));
        let reached = match reply.durability {
            Durability::Journal => "journal",
            Durability::Store => "store",
        };
        into.insert(headers::DURABILITY, HeaderValue::from_static(reached));
        if reply.replayed {
            into.insert(headers::REPLAYED, HeaderValue::from_static("true"));
        }
        response
    })
}

/// The reply to a mutation of a session, which is always durable in the journal.
pub fn session(status: StatusCode, seq: Seq, value: &impl Serialize) -> Answer {
    let answer = with(json(status, value), headers::SEQ, HeaderValue::from(seq.get()));
    with(answer, headers::DURABILITY, HeaderValue::from_static("journal"))
}

/// The reply to a read.
pub fn read(as_of: Seq, value: &impl Serialize) -> Answer {
    with(json(StatusCode::OK, value), headers::AS_OF, HeaderValue::from(as_of.get()))
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub struct Rows<T> {
    data: Vec<T>,
    /// `cursor` of the next page; null on the last.
    next_cursor: Option<String>,
}

/// The reply to a list, each row as `show` presents it.
pub fn list<'a, T, V: Serialize>(read_list: &'a Read<Listed<T>>, show: impl Fn(&'a T) -> V) -> Answer {
    let list = &read_list.value;
    let rows = Rows { data: list.rows.iter().map(show).collect(), next_cursor: next_cursor(list) };
    read(read_list.as_of, &rows)
}

/// An engine's outcome that does not fit the operation: a defect, and said so.
pub fn misfit(outcome: &crate::domain::Outcome) -> Problem {
    tracing::error!(?outcome, "an operation had an outcome of another kind");
    Problem::internal()
}

/// `#[serde(serialize_with = "rfc3339")]`: UTC, written without an allocation.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let mut buffer = [0; 40];
    let text = at.write_rfc3339(&mut buffer);
    serializer.serialize_str(text.ok_or_else(|| serde::ser::Error::custom("a time beyond the year 9999"))?)
}

/// The same for a time that may be missing.
pub fn rfc3339_option<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => rfc3339(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        #[derive(Serialize)]
        struct At(#[serde(serialize_with = "rfc3339")] Timestamp);
        let text = |micros| serde_json::to_string(&At(Timestamp::from_micros(micros))).expect("json");
        assert_eq!(text(0), r#""1970-01-01T00:00:00Z""#);
        assert_eq!(text(1_700_000_000_123_456), r#""2023-11-14T22:13:20.123456Z""#);
    }
}
