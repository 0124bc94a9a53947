//! Bodies that are CSV files: bounded in size and time as JSON bodies are; and the lines of such a file.

use super::body::{Limits, is_utf8, receive};
use super::connection::content_length;
use super::extract::only;
use super::observe::Edge;
use super::problem::Problem;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use std::rc::Rc;

/// A file as it was sent.
pub struct Sheet(pub Bytes);

impl FromRequest for Sheet {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limits = request.app_data::<Limits>().copied().ok_or_else(Problem::internal);
        let edge = request.app_data::<Rc<Edge>>().cloned().ok_or_else(Problem::internal);
        let checked = check(request.headers()).and(limits);
        let announced = content_length(request.headers());
        let payload = payload.take();
        Box::pin(async move {
            let limits = checked?;
            receive(payload, limits.large, announced, limits.deadline, &edge?.drain).await.map(Self)
        })
    }
}

fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let encoded = only(headers, &header::CONTENT_ENCODING)?
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let media =
        only(headers, &header::CONTENT_TYPE)?.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.to_ascii_lowercase();
    let (essence, parameters) = media.split_once(';').unwrap_or((&media, ""));
    if encoded || essence.trim() != "text/csv" || !is_utf8(parameters) {
        return Err(Problem::unsupported_media_type(
            "send content-type: text/csv, in UTF-8, without content-encoding",
        ));
    }
    Ok(())
}

/// Counts the lines of a file, from 1, for positions that only grow.
pub struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    pub const fn of(text: &'a [u8]) -> Self {
        Self { text, at: 0, line: 1 }
    }

    /// The line on which a row begins that the reader has at `byte`: behind the ends of lines that it had yet to skip.
    pub fn row_at(&mut self, byte: u64) -> u64 {
        let mut byte = usize::try_from(byte).unwrap_or(usize::MAX).clamp(self.at, self.text.len());
        while self.text.get(byte).is_some_and(|next| matches!(next, b'\r' | b'\n')) {
            byte += 1;
        }
        self.line += self.text[self.at..byte].split(|byte| *byte == b'\n').count() as u64 - 1;
        self.at = byte;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_on_their_lines_whatever_ends_lines_and_stands_between() {
        for end in ["\n", "\r\n"] {
            let text = ["a,b", "1,2", "", "\"two", "lines\",3", "4,5", ""].join(end);
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let mut lines = Lines::of(text.as_bytes());
            let row = |row: csv::StringRecord| lines.row_at(row.position().expect("a position").byte());
            let found: Vec<_> = reader.records().map(|record| record.expect("a row")).map(row).collect();
            assert_eq!(found, [2, 4, 6], "{end:?}");
        }
    }
}
