//! A small HTTP client for Purser's API: JSON in and out, kept-alive connections, problem+json as errors. It belongs
//! to one thread; [`super::lanes`] runs several.

use super::problem::{CallError, Problem};
use awc::http::{Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The largest answer read: a page of 100 orders with many lines fits well.
const ANSWER_BYTES: usize = 16 << 20;
/// How long a call that may safely be repeated is repeated.
const PATIENCE: Duration = Duration::from_mins(1);

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
    body: Option<Value>,
}

impl<'a> Call<'a> {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), query: Vec::new(), token: None, key: None, body: None }
    }
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
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

    async fn exchange(&self, call: &Call<'_>) -> Result<(StatusCode, Vec<u8>), CallError> {
        let url = format!("{}{}", self.base, call.path);
        let lost = |reason: String| CallError::NoAnswer { url: self.base.clone(), reason };
        let mut request = self.http.request(call.method.clone(), &url);
        if let Some(token) = call.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &call.key {
            request = request.insert_header(("Idempotency-Key", key.as_str()));
        }
        if !call.query.is_empty() {
            request = request.query(&call.query).map_err(|error| lost(error.to_string()))?;
        }
        let sent = match &call.body {
            Some(body) => request.send_json(body),
            None => request.send(),
        };
        let mut response = sent.await.map_err(|error| lost(error.to_string()))?;
        self.has_answered.set(true);
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        let body = response.body().limit(ANSWER_BYTES).await.map_err(|error| lost(error.to_string()))?;
        if status.is_success() {
            return Ok((status, body.to_vec()));
        }
        let mut problem: Problem =
            serde_json::from_slice(&body).map_err(|error| self.foreign(call, status, error.to_string()))?;
        problem.retry_after = retry_after;
        Err(CallError::Problem {
            method: call.method.to_string(),
            path: call.path.clone(),
            status: status.as_u16(),
            problem: Box::new(problem),
        })
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
