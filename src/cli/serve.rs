//! `purser serve`: bind, recover, serve; on a signal the way out in order; exit 4 when the engine halts.

use super::admin;
use super::args::ServeArgs;
use super::engine_options::{engine_options, http_options, token_secret};
use super::failure::{Exit, Failure};
use crate::clock::SystemClock;
use crate::config::{Config, LogFormat};
use crate::engine::{Engine, boot};
use crate::http;
use crate::telemetry;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long answers under way get to leave when the engine has halted.
const HALT_GRACE: Duration = Duration::from_millis(500);

/// Upper bounds of the histograms' buckets, in seconds.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Upper bounds for counts of records.
const RECORDS: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 4_096.0, 16_384.0];

pub fn run(args: &ServeArgs) -> Result<Exit, Failure> {
    let config = super::settings(args)?.config;
    super::warn_of_strangers();
    let format = match config.log.format {
        LogFormat::Auto => telemetry::Format::Auto,
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    telemetry::init(&config.log.level, format).map_err(Failure::usage)?;
    actix_web::rt::System::new().block_on(serve(config))
}

async fn serve(config: Config) -> Result<Exit, Failure> {
    let listener = listen(&config)?;
    let address = listener.local_addr().map_err(|error| Failure::new(Exit::Refused, error.to_string()))?;
    let metrics = recorder()?;
    let options = engine_options(&config);
    let engine = Engine::start_with(options, Arc::new(SystemClock), recovery_progress()).await?;
    let outcome = serve_engine(&config, &engine, listener, address, metrics).await;
    if outcome.is_err() {
        engine.shutdown().await;
    }
    outcome
}

async fn serve_engine(
    config: &Config,
    engine: &Engine,
    listener: TcpListener,
    address: SocketAddr,
    metrics: PrometheusHandle,
) -> Result<Exit, Failure> {
    let refused = |error: std::io::Error| Failure::new(Exit::Refused, error.to_string());
    let admin = admin::ensure_admin(engine, config).await?;
    let token = admin::keep_token(&config.data.dir, &token_secret(engine.secret()), admin)?;
    actix_web::rt::spawn(token);
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let running = http::serve(listener, engine.clone(), http_options(config, engine.secret()), metrics)
        .map_err(refused)?;
    let store = engine.health().store.kind;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data_dir = %config.data.dir.display(), store,
        durability = "journal (fdatasync before every reply)", %address, "serving");
    println!("listening on http://{address}");
    tokio::select! {
        reason = engine.halted() => {
            eprintln!("purser: {reason}; {}", reason.next_step());
            // What was enqueued is unknown now, and those who wait are told so before the process ends.
            tokio::time::sleep(HALT_GRACE).await;
            return Ok(Exit::Halted);
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("shutting down");
    // New connections go on being accepted until the engine is down, so that they are told instead of reset.
    running.drain();
    let end = engine.shutdown().await;
    running.stop().await;
    if engine.health().reason.is_some() {
        let reason = engine.halted().await;
        eprintln!("purser: {reason}; {}", reason.next_step());
        return Ok(Exit::Halted);
    }
    if end.backlog_records > 0 {
        println!(
            "{} records wait in the journal for the store; the next start brings them there",
            end.backlog_records
        );
    }
    Ok(Exit::Clean)
}

fn listen(config: &Config) -> Result<TcpListener, Failure> {
    let wanted = config.server.listen.as_str();
    let address =
        wanted.to_socket_addrs().ok().and_then(|mut addresses| addresses.next()).ok_or_else(|| {
            Failure::usage(format!("server.listen: {wanted} is no address with a port, like 127.0.0.1:8080"))
        })?;
    http::bind(address, config.server.backlog).map_err(|error| {
        Failure::new(
            Exit::Refused,
            format!("cannot listen on {wanted}: {error}; stop what uses it, or choose another with --listen"),
        )
    })
}

fn recorder() -> Result<PrometheusHandle, Failure> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_records".into()), RECORDS));
    builder
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Failure::new(Exit::Refused, format!("metrics cannot be set up: {error}")))
}

fn recovery_progress() -> boot::Progress {
    let bar = indicatif::ProgressBar::new(0).with_message("bringing the store up to the journal");
    bar.set_style(super::lanes::bar_style());
    Arc::new(move |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        if done >= total {
            bar.finish_and_clear();
            tracing::info!(records = total, "the store is up to date with the journal");
        }
    })
}
