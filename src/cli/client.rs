//! A small HTTP client for Purser's API: JSON in and out, kept-alive connections, problem+json as errors. It belongs
//! to one thread; [`super::lanes`] runs several.

use super::problem::{CallError, Problem};
use awc::http::{Method, StatusCode, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::Cell;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// The largest answer read: a page of 100 orders with many lines fits well.
const ANSWER_BYTES: usize = 16 << 20;
/// How long a call that may safely be repeated is repeated.
const PATIENCE: Duration = Duration::from_mins(1);
/// Seconds by which an answer may be put off: well within the call's own time-out.
const WAIT_MAX: u64 = 30;

type Response = awc::ClientResponse;

pub struct Client {
    http: awc::Client,
    base: String,
    /// The server has answered at least once, so it is worth waiting for when it is gone.
    has_answered: Cell<bool>,
}

/// One request. The path begins with a slash.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    token: Option<&'a str>,
    key: Option<String>,
    wait: Option<u64>,
    body: Option<Content>,
}

#[derive(Clone, Debug)]
enum Content {
    Json(Value),
    Csv(Vec<u8>),
}

impl<'a> Call<'a> {
    pub fn get(path: impl Into<String>) -> Self {
        let (method, path, query) = (Method::GET, path.into(), Vec::new());
        Self { method, path, query, token: None, key: None, wait: None, body: None }
    }
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(Content::Json(body)), ..Self::get(path) }
    }
    /// Sends a CSV file.
    pub fn post_csv(path: impl Into<String>, file: Vec<u8>) -> Self {
        Self { method: Method::POST, body: Some(Content::Csv(file)), ..Self::get(path) }
    }
    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }
    pub fn bearer(mut self, token: &'a str) -> Self {
        self.token = Some(token);
        self
    }
    /// With an idempotency key, so that the call may be repeated when its answer got lost.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
    /// Would rather be answered with the end than at once, but within so many seconds.
    pub fn wait(mut self, seconds: u64) -> Self {
        self.wait = Some(seconds.min(WAIT_MAX));
        self
    }
    fn may_repeat(&self) -> bool {
        self.method == Method::GET || self.key.is_some()
    }
}

impl Client {
    /// A client of the calling thread, which must run inside an actix system.
    pub fn new(base: &str, connections: usize) -> Self {
        let connector = awc::Connector::new()
            .limit(connections.max(1))
            .timeout(Duration::from_secs(10))
            // Shorter than the server's own keep-alive, so that no request meets a connection that is being closed.
            .conn_keep_alive(Duration::from_secs(30))
            .conn_lifetime(Duration::from_hours(24));
        let http = awc::Client::builder()
            .connector(connector)
            .timeout(Duration::from_mins(1))
            .disable_redirects()
            .finish();
        Self { http, base: base.trim_end_matches('/').to_owned(), has_answered: Cell::new(false) }
    }

    /// Sends once and reads the answer as `T`; an empty one is `()`.
    pub async fn once<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, CallError> {
        let (status, bytes) = self.exchange(call).await?;
        let text = if bytes.is_empty() { b"null" } else { bytes.as_slice() };
        serde_json::from_slice(text).map_err(|error| self.foreign(call, status, error.to_string()))
    }

    /// Sends once; the answer's content does not matter.
    pub async fn done(&self, call: &Call<'_>) -> Result<(), CallError> {
        self.exchange(call).await.map(|_| ())
    }

    /// Like [`Client::once`], but waits when the server says "not now", and repeats a lost call that may be repeated,
    /// for up to a minute. A server that was never there is not waited for.
    pub async fn patiently<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, CallError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let error = match self.once(call).await {
                Err(error) => error,
                answer => return answer,
            };
            let pause = match (&error, error.try_again_after()) {
                _ if error.is_code("outcome_unknown") && !call.may_repeat() => return Err(error),
                (_, Some(seconds)) => Duration::from_secs(seconds.clamp(1, 5)),
                (CallError::NoAnswer { .. }, _) if call.may_repeat() && self.has_answered.get() => {
                    Duration::from_millis(200)
                }
                _ => return Err(error),
            };
            if Instant::now() + pause > deadline {
                return Err(error);
            }
            actix_rt::time::sleep(pause).await;
        }
    }

    /// The text of a page such as /metrics.
    pub async fn text(&self, path: &str) -> Result<String, CallError> {
        let (_, bytes) = self.exchange(&Call::get(path)).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes an answer of whatever length out as it comes, telling how much has come. The inner error is the writer's.
    pub async fn copy(
        &self,
        call: &Call<'_>,
        into: &mut dyn io::Write,
        told: impl Fn(u64),
    ) -> Result<io::Result<()>, CallError> {
        let mut response = self.send(call).await?;
        if !response.status().is_success() {
            return Err(self.problem(call, &mut response).await);
        }
        let mut copied = 0;
        while let Some(chunk) = response.next().await {
            let chunk = chunk.map_err(|error| self.lost(&error))?;
            if let Err(error) = into.write_all(&chunk) {
                return Ok(Err(error));
            }
            copied += chunk.len() as u64;
            told(copied);
        }
        Ok(Ok(()))
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<(StatusCode, Vec<u8>), CallError> {
        let mut response = self.send(call).await?;
        if !response.status().is_success() {
            return Err(self.problem(call, &mut response).await);
        }
        let body = response.body().limit(ANSWER_BYTES).await.map_err(|error| self.lost(&error))?;
        Ok((response.status(), body.to_vec()))
    }

    fn lost(&self, reason: &dyn fmt::Display) -> CallError {
        CallError::NoAnswer { url: self.base.clone(), reason: reason.to_string() }
    }

    async fn send(&self, call: &Call<'_>) -> Result<Response, CallError> {
        let url = format!("{}{}", self.base, call.path);
        let mut request = self.http.request(call.method.clone(), &url);
        if let Some(token) = call.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &call.key {
            request = request.insert_header(("Idempotency-Key", key.as_str()));
        }
        if let Some(seconds) = call.wait {
            request = request.insert_header(("Prefer", format!("wait={seconds}")));
        }
        if !call.query.is_empty() {
            request = request.query(&call.query).map_err(|error| self.lost(&error))?;
        }
        let sent = match &call.body {
            Some(Content::Json(body)) => request.send_json(body),
            Some(Content::Csv(file)) => request.content_type("text/csv").send_body(file.clone()),
            None => request.send(),
        };
        let response = sent.await.map_err(|error| self.lost(&error))?;
        self.has_answered.set(true);
        Ok(response)
    }

    /// What an answer without success says.
    async fn problem(&self, call: &Call<'_>, response: &mut Response) -> CallError {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        let body = match response.body().limit(ANSWER_BYTES).await {
            Ok(body) => body,
            Err(error) => return self.lost(&error),
        };
        let mut problem: Problem = match serde_json::from_slice(&body) {
            Ok(problem) => problem,
            Err(error) => return self.foreign(call, status, error.to_string()),
        };
        problem.retry_after = retry_after;
        CallError::Problem {
            method: call.method.to_string(),
            path: call.path.clone(),
            status: status.as_u16(),
            problem: Box::new(problem),
        }
    }

    fn foreign(&self, call: &Call<'_>, status: StatusCode, reason: String) -> CallError {
        CallError::Foreign { url: format!("{}{}", self.base, call.path), status: status.as_u16(), reason }
    }
}

/// Runs a few calls one after the other on a client of their own.
pub fn blocking<T>(base: &str, work: impl AsyncFnOnce(&Client) -> T) -> T {
    actix_rt::System::new().block_on(async {
        let client = Client::new(base, 4);
        work(&client).await
    })
}
