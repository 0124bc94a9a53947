//! Replies without success: problem+json (RFC 9457) with its status, code and headers. Handlers return a [`Problem`]; the outermost middleware writes it out with the request's id.

use super::headers;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// Field path → what is wrong with it.
pub type FieldErrors = BTreeMap<String, Vec<String>>;

/// A reply without success.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The operation may have happened after all.
    unknown: bool,
    extensions: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Set when there is no middleware left to add it.
    request_id: Option<HeaderValue>,
}

/// As documented and as written.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument<'a> {
    r#type: String,
    title: String,
    status: u16,
    code: &'a str,
    detail: &'a str,
    /// `not_applied`, or `unknown` when the disk failed under the operation.
    outcome: &'a str,
    request_id: &'a str,
    #[serde(flatten)]
    #[schema(value_type = HashMap<String, Value>)]
    extensions: &'a Map<String, Value>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            detail: detail.into(),
            unknown: false,
            extensions: Map::new(),
            headers: Vec::new(),
            request_id: None,
        }))
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    pub fn malformed_json(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::unauthorized("unauthenticated", detail)
    }

    pub fn token_expired() -> Self {
        Self::unauthorized("token_expired", "the access token has expired; refresh it or log in again")
    }

    pub fn token_revoked() -> Self {
        Self::unauthorized("token_revoked", "the session was ended; log in again")
    }

    pub fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        let challenge = match code {
            "token_expired" | "token_revoked" => r#"Bearer realm="purser", error="invalid_token""#,
            _ => r#"Bearer realm="purser""#,
        };
        let challenge = HeaderValue::from_static(challenge);
        Self::new(StatusCode::UNAUTHORIZED, code, detail).header(header::WWW_AUTHENTICATE, challenge)
    }

    pub fn validation(errors: FieldErrors) -> Self {
        let detail = match errors.len() {
            1 => "one field is not acceptable".to_owned(),
            many => format!("{many} fields are not acceptable"),
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", detail).with("errors", json!(errors))
    }

    /// A validation problem of one field.
    pub fn field(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::validation(FieldErrors::from([(path.into(), vec![message.into()])]))
    }

    pub fn too_large(limit: usize) -> Self {
        let detail = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    }

    pub fn unsupported_media_type(detail: &str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    pub fn request_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not arrive in time")
    }

    pub fn too_many_requests(retry_after: u64) -> Self {
        let detail = format!("too many attempts; try again in {retry_after} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(retry_after)
    }

    pub fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this address understands {allow}"),
        );
        match HeaderValue::from_str(allow) {
            Ok(value) => problem.header(header::ALLOW, value),
            Err(_) => problem,
        }
    }

    pub fn internal() -> Self {
        let detail = "a defect in the server; the request id finds it in the log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// For replies that the framework made without a problem of ours.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("nothing is here"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(status, "method_not_allowed", "this address does not understand the method")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(status, "payload_too_large", "the body is too large"),
            StatusCode::REQUEST_TIMEOUT => Self::request_timeout(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type("send application/json"),
            status if status.is_server_error() => Self::internal(),
            status => Self::new(status, "bad_request", "the request is not acceptable"),
        }
    }

    /// Adds an extension member.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.extensions.insert(name.to_owned(), value.into());
        self
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Says that the operation may have happened.
    pub fn of_unknown_outcome(mut self) -> Self {
        self.0.unknown = true;
        self
    }

    /// Makes the reply complete by itself, for the one place behind which no middleware stands.
    pub fn identified_by(mut self, request_id: HeaderValue) -> Self {
        self.0.request_id = Some(request_id);
        self
    }

    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The JSON document.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        let Parts { status, code, detail, unknown, extensions, .. } = &*self.0;
        let document = ProblemDocument {
            r#type: format!("/problems/{}", code.replace('_', "-")),
            title: title(code),
            status: status.as_u16(),
            code,
            detail,
            outcome: if *unknown { "unknown" } else { "not_applied" },
            request_id,
            extensions,
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The headers that belong to this problem.
    pub fn write_headers(&self, into: &mut HeaderMap) {
        into.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.0.headers {
            into.insert(name.clone(), value.clone());
        }
    }
}

/// `insufficient_stock` → `Insufficient stock`.
pub fn title(code: &str) -> String {
    let mut title = code.replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.0.code, self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.0.status);
        let unread = matches!(self.0.status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE);
        // What is left of the body is not worth waiting for; and after a panic nobody knows whether any is left.
        if unread || self.0.request_id.is_some() {
            response.force_close();
        }
        let mut response = response.finish();
        let Some(request_id) = &self.0.request_id else { return response };
        self.write_headers(response.headers_mut());
        response.headers_mut().insert(headers::REQUEST_ID, request_id.clone());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let body = self.body(request_id.to_str().unwrap_or_default());
        response.set_body(actix_web::body::BoxBody::new(body))
    }
}

#[cfg(test)]
#[path = "problem_tests.rs"]
mod tests;
