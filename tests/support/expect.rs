//! Matchers: what a reply must look like, with the whole reply in the message when it does not.

use super::http::Reply;
use serde_json::Value;

const EXPLAINED: &str = include_str!("../../docs/errors.md");

impl Reply {
    /// The reply has this status; its body as JSON (`null` if empty).
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} answered {} {}", self.to, self.status, self.text());
        if self.body.is_empty() {
            return Value::Null;
        }
        if status < 400 {
            let content_type = self.header("content-type").unwrap_or_default();
            assert!(content_type.starts_with("application/json"), "{} answered {content_type}", self.to);
        }
        self.json()
    }

    /// The journal position of an acknowledged change.
    #[track_caller]
    pub fn seq(&self) -> u64 {
        self.number_in("Purser-Seq")
    }

    /// The journal position that a list shows.
    #[track_caller]
    pub fn as_of(&self) -> u64 {
        self.number_in("Purser-As-Of")
    }

    #[track_caller]
    fn number_in(&self, header: &str) -> u64 {
        self.header(header)
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{} answered no number in {header}: {:?}", self.to, self.headers))
    }
}

/// The reply is this problem, whole and well-formed (RFC 9457 and our members). Its body.
#[track_caller]
pub fn expect_problem(reply: &Reply, status: u16, code: &str) -> Value {
    let Reply { to, .. } = reply;
    assert_eq!(reply.status, status, "{to} answered {} {}", reply.status, reply.text());
    let content_type = reply.header("content-type").unwrap_or_default();
    assert!(
        content_type.starts_with("application/problem+json"),
        "{to} answered content type {content_type:?}"
    );
    let problem = reply.json();
    let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("code"), code, "{to} answered {problem}");
    assert_eq!(problem["status"], status, "{to}: {problem}");
    let explained = format!("\n## `{code}`\n{status}");
    assert!(EXPLAINED.contains(&explained), "{to}: docs/errors.md does not explain {code} with {status}");
    assert_eq!(text("type"), format!("/problems/{}", code.replace('_', "-")), "{to}: {problem}");
    assert!(!text("title").is_empty(), "{to}: no title in {problem}");
    assert!(!text("detail").is_empty(), "{to}: no detail in {problem}");
    let outcome = if code == "outcome_unknown" { "unknown" } else { "not_applied" };
    assert_eq!(text("outcome"), outcome, "{to}: {problem}");
    assert!(!text("request_id").is_empty(), "{to}: no request_id in {problem}");
    // A replayed body is the stored one, with the first request's id.
    if reply.header("Idempotency-Replayed").is_none() {
        assert_eq!(reply.header("Request-Id"), Some(text("request_id").as_str()), "{to}: {problem}");
    }
    match status {
        401 => assert!(reply.header("WWW-Authenticate").is_some(), "{to}: 401 without WWW-Authenticate"),
        503 => assert!(reply.header("Retry-After").is_some(), "{to}: 503 without Retry-After"),
        _ => {}
    }
    if code == "validation_failed" {
        let errors = problem["errors"].as_object();
        let lists_texts = |field: &Value| {
            field.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string))
        };
        let well_formed = errors.is_some_and(|all| !all.is_empty() && all.values().all(lists_texts));
        assert!(well_formed, "{to}: no errors by field in {problem}");
    }
    problem
}

/// The request was refused as invalid, naming this field.
#[track_caller]
pub fn expect_invalid(reply: &Reply, field: &str) {
    let problem = expect_problem(reply, 422, "validation_failed");
    assert!(problem["errors"].get(field).is_some(), "{} did not name {field}: {problem}", reply.to);
}

/// The request was refused with one of these statuses, where the contract leaves the choice; whole problem checked.
#[track_caller]
pub fn expect_refused(reply: &Reply, statuses: &[u16]) {
    assert!(statuses.contains(&reply.status), "{} answered {} {}", reply.to, reply.status, reply.text());
    let code = reply.json()["code"].as_str().unwrap_or_default().to_owned();
    expect_problem(reply, reply.status, &code);
}
