//! The HTTP edge: addresses, DTOs, status codes and problem+json live here and nowhere else. Everything that happens,
//! happens in the [engine](crate::engine).

mod account_file;
mod accounts;
mod app;
mod auth;
mod balances;
mod batches;
mod body;
mod connection;
mod distributors;
mod document;
mod drain;
mod explanations;
mod extract;
mod head;
mod headers;
mod items;
mod lines;
mod messages;
mod meters;
mod observe;
mod operation_views;
mod operations;
mod order_view;
mod orders;
mod outgoing;
mod plans;
mod problem;
mod purchases;
mod query;
mod redemptions;
mod refusals;
mod reply;
mod returns;
mod routes;
mod sheet;
mod stock;
mod throttle;
mod token_cache;
pub mod tokens;
mod users;
mod validate;
mod withdrawals;

pub use problem::Problem;
pub use sheet::Lines;

use crate::clock::Clock;
use crate::engine::Engine;
use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often collected histogram samples are folded, so that they do not pile up between two scrapes.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// How long clients with open connections get, once the engine has ended, to ask for something and be told.
const FAREWELL: Duration = Duration::from_secs(1);

/// Everything that the HTTP edge can be told.
#[derive(Clone)]
pub struct HttpOptions {
    /// Threads that serve requests.
    pub workers: usize,
    /// Connections open at once, over all workers; more wait in the listener's queue.
    pub max_connections: usize,
    /// Connections that may wait to be accepted ([`bind`]).
    pub backlog: u32,
    /// For a request's head to arrive, else 408.
    pub client_timeout: Duration,
    /// For a request's body to arrive, else 408.
    pub body_timeout: Duration,
    /// For a client to take nothing of what is sent to it, before its connection is given up.
    pub write_timeout: Duration,
    /// Bytes of large replies that wait for their clients, over all connections; what would pass it is answered 503.
    pub replies_bytes_max: usize,
    /// For a connection to be idle.
    pub keep_alive: Duration,
    /// For connections to finish after [`ServerHandle::stop`].
    pub stop_timeout: Duration,
    /// Requests that take longer are logged at info.
    pub slow_request: Duration,
    /// Bytes of a body.
    pub body_limit: usize,
    /// Bytes of the body of an order or a return.
    pub large_body_limit: usize,
    /// Orders are labelled with one of so many shards.
    pub order_shards: u32,
    /// ISO 4217; what all amounts are in.
    pub currency: String,
    pub access_token_seconds: i64,
    /// Failed logins per email address and minute; 0 for no limit.
    pub login_attempts_per_minute: u32,
    /// Failed logins per network address and minute; 0 for no limit.
    pub login_attempts_per_minute_per_address: u32,
    /// What all tokens are derived from.
    pub secret: [u8; 32],
    pub clock: Arc<dyn Clock>,
}

/// A server at work.
pub struct Running {
    /// Pauses, resumes and stops it.
    pub handle: ServerHandle,
    /// Ends when the server has stopped.
    pub server: JoinHandle<io::Result<()>>,
    drain: Arc<drain::Drain>,
    connections: Arc<connection::Connections>,
}

impl Running {
    /// From now on everything but health and metrics is answered 503 `shutting_down`, on connections old and new, and so are
    /// requests whose bodies have not arrived whole. What the engine has taken on goes on. For the time until the engine
    /// has ended and the server can be stopped.
    pub fn drain(&self) {
        self.drain.begin();
    }

    /// Stops the server once every client was told that it ends. Those that ask for nothing within a second are not.
    pub async fn stop(&self) {
        let _ = tokio::time::timeout(FAREWELL, self.connections.all_closed()).await;
        // First no connections, then no workers: actix-server takes a connection that finds none for an error.
        self.handle.pause().await;
        self.handle.stop(true).await;
    }
}

/// Binds a listener with a queue of `backlog` connections. Needs a Tokio runtime.
///
/// # Errors
/// The address is taken, or not this host's, or not allowed.
pub fn bind(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    // A restart must not wait for the connections of its predecessor to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)?.into_std()
}

/// Starts serving on `listener`. Call it within an actix `System`, so that each worker has an arbiter to lend to the
/// engine. Signals are left to the caller, who stops the server last: workers carry owners.
///
/// # Errors
/// The listener cannot be used.
pub fn serve(
    listener: TcpListener,
    engine: Engine,
    options: HttpOptions,
    metrics: PrometheusHandle,
) -> io::Result<Running> {
    meters::describe();
    meters::begin_dead_letters();
    let workers = options.workers.max(1);
    let upkeep = metrics.clone();
    let shared = Arc::new(app::Shared::new(engine, options.clone(), metrics));
    let (drain, connections) = (shared.drain.clone(), shared.connections.clone());
    let opened = connections.clone();
    // Accepted connections inherit it. It counts while data is not acknowledged and while the client's window is closed.
    let write_timeout = u32::try_from(options.write_timeout.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(&listener, write_timeout)?;
    let server = HttpServer::new(move || {
        shared.engine.lend_this_arbiter();
        app::build(app::Web::new(shared.clone()))
    })
    .workers(workers)
    .max_connections(options.max_connections.div_ceil(workers))
    .client_request_timeout(options.client_timeout)
    .client_disconnect_timeout(Duration::from_secs(1))
    .keep_alive(options.keep_alive)
    .tcp_nodelay(true)
    .shutdown_timeout(options.stop_timeout.as_secs())
    .disable_signals()
    .on_connect(move |_, data| {
        data.insert(opened.open());
    })
    .listen(listener)?
    .run();
    let handle = server.handle();
    let server = actix_web::rt::spawn(async move {
        let folding = actix_web::rt::spawn(async move {
            let mut tick = tokio::time::interval(METRICS_UPKEEP);
            loop {
                tick.tick().await;
                upkeep.run_upkeep();
            }
        });
        let ended = server.await;
        folding.abort();
        ended
    });
    Ok(Running { handle, server, drain, connections })
}

/// The OpenAPI document as JSON.
pub fn openapi_json() -> String {
    document::document().to_pretty_json().unwrap_or_default()
}
