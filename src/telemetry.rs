//! Logs: text on a terminal, JSON elsewhere, always on stderr, so that stdout stays for results. Panics are log
//! lines too. A leaf, set up once by the process that serves.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Debug;
use std::io::IsTerminal;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// How log lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

/// Starts logging at `level` (a level or a filter; `RUST_LOG` wins) and sends panics there as well.
/// A second call changes nothing.
pub fn init(level: &str, format: Format) {
    let from_environment = EnvFilter::try_from_default_env();
    let filter = from_environment.unwrap_or_else(|_| EnvFilter::try_new(level).unwrap_or_default());
    let is_terminal = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::registry().with(filter).with(WithoutBrokenClients);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let as_text = format == Format::Text || (format == Format::Auto && is_terminal);
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // An error here means that a subscriber is set already, by an embedding program: its choice stands.
    let _ = if as_text {
        subscriber.with(lines.with_ansi(colours)).try_init()
    } else {
        let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
        subscriber.with(lines).try_init()
    };
    log_panics();
}

/// Keeps out, unless the log is set to debug, what actix-http calls an error and is none of the server's: a client that does
/// not speak HTTP, or hangs up.
struct WithoutBrokenClients;

impl<S: Subscriber> Layer<S> for WithoutBrokenClients {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if event.metadata().target() != "actix_http::h1::dispatcher"
            || LevelFilter::current() >= LevelFilter::DEBUG
        {
            return true;
        }
        let mut is_broken = IsBrokenClient(false);
        event.record(&mut is_broken);
        !is_broken.0
    }
}

struct IsBrokenClient(bool);

impl Visit for IsBrokenClient {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 |= field.name() == "message" && format!("{value:?}").starts_with("stream error: ");
    }
}

fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(thread, location, %backtrace, "panic: {message}");
        } else {
            tracing::error!(thread, location, "panic: {message}");
        }
    }));
}
