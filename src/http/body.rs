//! JSON bodies: bounded in size and time, one object, no unknown or repeated fields, integers only. A body becomes a
//! domain type or a problem that names the field.

use super::HttpOptions;
use super::connection::content_length;
use super::drain::Drain;
use super::extract::only;
use super::observe::Edge;
use super::problem::{FieldErrors, Problem};
use super::validate::Checks;
use crate::engine::Busy;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_path_to_error::Segment;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

/// A client that is still sending is heard out up to here, so that it gets to read the refusal.
const DISCARDED_MAX: usize = 16 << 20;

/// How much of a body is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub small: usize,
    pub large: usize,
    pub deadline: Duration,
}

impl Limits {
    pub fn of(options: &HttpOptions) -> Self {
        Self { small: options.body_limit, large: options.large_body_limit, deadline: options.body_timeout }
    }
}

/// A request body and what it stands for.
pub trait Input: DeserializeOwned + 'static {
    type Domain: 'static;
    /// May be as large as `HttpOptions::large_body_limit`.
    const LARGE: bool = false;
    /// No body at all means `{}`.
    const OPTIONAL: bool = false;

    /// `None` only when `checks` says why.
    fn parse(self, checks: &mut Checks) -> Option<Self::Domain>;
}

/// The domain value of a request's body.
pub struct Body<T: Input>(pub T::Domain);

impl<T: Input> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limits = request.app_data::<Limits>().copied().ok_or_else(Problem::internal);
        let edge = request.app_data::<Rc<Edge>>().cloned().ok_or_else(Problem::internal);
        let checked = limits.and_then(|limits| {
            let limit = if T::LARGE { limits.large } else { limits.small };
            let media = media_type(request.headers())?;
            Ok((limit, limits.deadline, media, content_length(request.headers())))
        });
        let payload = payload.take();
        Box::pin(async move {
            let (limit, deadline, media, announced) = checked?;
            let bytes = receive(payload, limit, announced, deadline, &edge?.drain).await?;
            if bytes.is_empty() && T::OPTIONAL {
                return interpret::<T>(b"{}").map(Body);
            }
            if media == Media::Absent && !bytes.is_empty() {
                return Err(Problem::unsupported_media_type("send content-type: application/json"));
            }
            interpret::<T>(&bytes).map(Body)
        })
    }
}

#[derive(PartialEq)]
enum Media {
    Json,
    Absent,
}

fn media_type(headers: &HeaderMap) -> Result<Media, Problem> {
    if let Some(encoding) = only(headers, &header::CONTENT_ENCODING)?
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Problem::unsupported_media_type("send the body without content-encoding"));
    }
    let Some(value) = only(headers, &header::CONTENT_TYPE)? else { return Ok(Media::Absent) };
    // What nearly everybody sends.
    if value.as_bytes() == b"application/json" {
        return Ok(Media::Json);
    }
    let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let (essence, parameters) = value.split_once(';').unwrap_or((&value, ""));
    let essence = essence.trim();
    let json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if json && is_utf8(parameters) {
        Ok(Media::Json)
    } else {
        Err(Problem::unsupported_media_type("send application/json in UTF-8"))
    }
}

/// Whether a media type's parameters, in lower case, leave the text to be UTF-8.
pub(super) fn is_utf8(parameters: &str) -> bool {
    parameters.split(';').all(|parameter| match parameter.trim().strip_prefix("charset=") {
        Some(charset) => matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"),
        None => true,
    })
}

/// Reads the body whole, in time and within `limit`.
pub(super) async fn receive(
    payload: Payload,
    limit: usize,
    announced: Option<usize>,
    deadline: Duration,
    drain: &Drain,
) -> Result<Bytes, Problem> {
    if announced.is_some_and(|length| length > DISCARDED_MAX.max(limit)) {
        return Err(Problem::too_large(limit));
    }
    tokio::select! {
        biased;
        collected = tokio::time::timeout(deadline, collect(payload, limit)) => {
            collected.unwrap_or_else(|_| Err(Problem::request_timeout()))
        }
        // The engine would not take it on any more, so it is not worth waiting for.
        () = drain.begun() => Err(Busy::ShuttingDown.into()),
    }
}

async fn collect(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let broken = |_| Problem::bad_request("the body broke off or is not framed correctly");
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(broken)?;
    let mut size = first.len();
    // Small bodies come in one piece and need no copy.
    let mut whole: Option<BytesMut> = None;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(broken)?;
        size += chunk.len();
        if size > DISCARDED_MAX.max(limit) {
            break;
        }
        if size <= limit {
            whole.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&chunk);
        }
    }
    if size > limit {
        return Err(Problem::too_large(limit));
    }
    Ok(whole.map_or(first, BytesMut::freeze))
}

/// A JSON object as `T`. Without this, derived structs would also be read from arrays.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = T;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(OfMap(PhantomData)).map(Self)
    }
}

/// For `#[serde(default, deserialize_with = "present")]`: tells a field that is null from one that is not there.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Bytes to domain value.
pub fn interpret<T: Input>(bytes: &[u8]) -> Result<T::Domain, Problem> {
    let Object(input) = serde_json::from_slice::<Object<T>>(bytes).map_err(|_| explain::<T>(bytes))?;
    let mut checks = Checks::default();
    let domain = input.parse(&mut checks);
    checks.finish(domain)
}

/// Reads a refused body again, slowly, to say what is wrong and where.
fn explain<T: Input>(bytes: &[u8]) -> Problem {
    if bytes.is_empty() {
        return Problem::malformed_json("a JSON body is required");
    }
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
        return Problem::malformed_json(error.to_string());
    }
    let deserializer = &mut serde_json::Deserializer::from_slice(bytes);
    let Err(error) = serde_path_to_error::deserialize::<_, Object<T>>(deserializer) else {
        return Problem::malformed_json("one JSON object is expected and nothing after it");
    };
    let mut path: Vec<String> = error.path().iter().filter_map(segment).collect();
    let message = error.inner().to_string();
    // What is skipped is not decoded, so escapes and bytes that are no text are found only here.
    if !error.inner().is_data() && !message.starts_with("number out of range") {
        return Problem::malformed_json(message);
    }
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let named = message.split('`').nth(1).unwrap_or_default();
    let message = if message.starts_with("missing field") {
        path.push(named.to_owned());
        "is required".to_owned()
    } else if message.starts_with("unknown field") || message.starts_with("duplicate field") {
        if path.last().is_none_or(|last| last != named) {
            path.push(named.to_owned());
        }
        if message.starts_with('u') { "is not a known field" } else { "is given twice" }.to_owned()
    } else {
        // Rust's names of number types mean nothing to a client.
        ["i64", "u64", "u32"].iter().fold(message.to_owned(), |text, word| text.replace(word, "an integer"))
    };
    let path = if path.is_empty() { "body".to_owned() } else { path.join(".") };
    Problem::validation(FieldErrors::from([(path, vec![message])]))
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
