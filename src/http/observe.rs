//! The outermost layer: gives every request an id, refuses those that come too late, catches panics, writes every failure
//! out as problem+json, counts, and logs.

use super::connection::Connection;
use super::drain::Drain;
use super::head;
use super::headers::REQUEST_ID;
use super::meters::Meters;
use super::outgoing::Outgoing;
use super::problem::Problem;
use super::routes::Routes;
use crate::engine::Busy;
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use futures_util::FutureExt;
use futures_util::future::{Either, LocalBoxFuture, Ready, ready};
use std::any::Any;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{Instrument, Level, debug, debug_span, error, info};
use uuid::Uuid;

/// What a worker keeps to observe requests with.
pub struct Edge {
    pub routes: Arc<Routes>,
    pub meters: RefCell<Meters>,
    /// Requests that take longer are logged at info.
    pub slow_request: Duration,
    pub drain: Arc<Drain>,
    pub outgoing: Arc<Outgoing>,
}

impl Edge {
    pub fn new(
        routes: Arc<Routes>,
        slow_request: Duration,
        drain: Arc<Drain>,
        outgoing: Arc<Outgoing>,
    ) -> Self {
        Self { meters: RefCell::new(Meters::new(routes.clone())), routes, slow_request, drain, outgoing }
    }

    /// Operators want to see how the end goes.
    fn is_watching(&self, route: Option<usize>) -> bool {
        matches!(self.routes.name(route), "/health/live" | "/health/ready" | "/metrics")
    }

    /// Why a request must not reach its handler.
    fn refuse(&self, connection: &Connection, route: Option<usize>) -> Option<Problem> {
        if connection.is_closing() {
            let detail = "sent behind a request that closes the connection; send it again on a new one";
            return Some(Problem::bad_request(detail));
        }
        (self.drain.has_begun() && !self.is_watching(route)).then(|| Busy::ShuttingDown.into())
    }
}

pub struct Observe(pub Rc<Edge>);

impl<S> Transform<S, ServiceRequest> for Observe
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
    S::Future: 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Observed<S>;
    type InitError = ();
    type Future = Ready<Result<Observed<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Observed { inner, edge: self.0.clone() }))
    }
}

pub struct Observed<S> {
    inner: S,
    edge: Rc<Edge>,
}

impl<S> Service<ServiceRequest> for Observed<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
    S::Future: 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(inner);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let started = Instant::now();
        let edge = self.edge.clone();
        let request_id = request_id(request.headers());
        let route = edge.routes.find(request.match_info().as_str());
        let method = request.method().clone();
        let connection = request.conn_data::<Connection>().cloned().unwrap_or_default();
        let refused = edge.refuse(&connection, route);
        connection.take_up(&mut request);
        let handled = if let Some(problem) = refused {
            connection.close();
            Either::Left(ready(Ok(request.error_response(problem))))
        } else if let Some(methods) = edge.routes.allowed_instead(route, &method) {
            // The router would try the address as another's id.
            Either::Left(ready(Ok(request.error_response(Problem::method_not_allowed(&methods)))))
        } else {
            head::as_get(&mut request);
            Either::Right(self.inner.call(request))
        };
        let handled = AssertUnwindSafe(handled).catch_unwind();
        Box::pin(async move {
            let handled = if tracing::enabled!(Level::DEBUG) {
                let route = edge.routes.name(route);
                let id = request_id.to_str().unwrap_or_default();
                handled.instrument(debug_span!("request", %method, route, request_id = id)).await
            } else {
                handled.await
            };
            connection.settle().await;
            if edge.drain.has_begun() && !edge.is_watching(route) {
                // Whoever is told now need not find out by a connection that breaks.
                connection.close();
            }
            let answered = match handled {
                Ok(Ok(response)) => {
                    let is_owed = !method.is_safe() || edge.is_watching(route);
                    let response = edge.outgoing.count(response, is_owed);
                    let response = complete(response, &request_id, &connection);
                    Ok(if method == Method::HEAD { head::without_body(response) } else { response })
                }
                Ok(Err(error)) => {
                    let problem = Problem::of_status(error.as_response_error().status_code());
                    Err(problem.identified_by(request_id.clone()))
                }
                Err(panic) => Err(of_panic(&*panic, &method).identified_by(request_id.clone())),
            };
            let status = match &answered {
                Ok(response) => response.status(),
                Err(problem) => {
                    connection.close();
                    actix_web::ResponseError::status_code(problem)
                }
            };
            finish(&edge, &method, route, status, started.elapsed(), &request_id);
            answered.map_err(Error::from)
        })
    }
}

/// A client's own id if it is harmless in logs and headers, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane = |value: &&HeaderValue| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
        (1..=128).contains(&value.len()) && value.as_bytes().iter().all(allowed)
    };
    if let Some(given) = headers.get(REQUEST_ID).filter(sane) {
        return given.clone();
    }
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

fn complete(
    mut response: ServiceResponse<BoxBody>,
    request_id: &HeaderValue,
    connection: &Connection,
) -> ServiceResponse<BoxBody> {
    let head = response.response_mut().head_mut();
    if connection.is_closing() || head.connection_type() == ConnectionType::Close {
        connection.close();
        // Said here too, because actix-http goes by the request that it has read last.
        head.set_connection_type(ConnectionType::Close);
    }
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = as_problem(response, request_id);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id.clone());
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn as_problem(response: ServiceResponse<BoxBody>, request_id: &HeaderValue) -> ServiceResponse<BoxBody> {
    let own = response.response().error().and_then(|error| error.as_error::<Problem>());
    let general;
    let problem = if let Some(problem) = own {
        problem
    } else {
        general = Problem::of_status(response.status());
        &general
    };
    let body = problem.body(request_id.to_str().unwrap_or_default());
    let mut added = HeaderMap::with_capacity(4);
    problem.write_headers(&mut added);
    let mut response = response.map_body(|_, _| BoxBody::new(body));
    for (name, value) in added {
        response.headers_mut().insert(name, value);
    }
    response
}

fn of_panic(panic: &(dyn Any + Send), method: &Method) -> Problem {
    let reason = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text");
    error!(reason, "a request handler panicked");
    // A read changes nothing; of anything else nobody can say here how far it came.
    if method.is_safe() { Problem::internal() } else { Problem::internal().of_unknown_outcome() }
}

fn finish(
    edge: &Edge,
    method: &Method,
    route: Option<usize>,
    status: StatusCode,
    took: Duration,
    request_id: &HeaderValue,
) {
    edge.meters.borrow_mut().request(route, status.as_u16(), took);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let loud = status.is_server_error() || took >= edge.slow_request;
    if !loud && !tracing::enabled!(target: "access", Level::DEBUG) {
        return;
    }
    let (route, id) = (edge.routes.name(route), request_id.to_str().unwrap_or_default());
    let status = status.as_u16();
    if loud {
        info!(target: "access", %method, route, status, micros, request_id = id, "answered");
    } else {
        debug!(target: "access", %method, route, status, micros, request_id = id, "answered");
    }
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
