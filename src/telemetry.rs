//! Logs: text on a terminal, JSON elsewhere, always on stderr, so that stdout stays for results. Panics are log
//! lines too. A leaf, set up once by the process that serves.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

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
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let as_text = format == Format::Text || (format == Format::Auto && is_terminal);
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // An error here means that a subscriber is set already, by an embedding program: its choice stands.
    let _ = if as_text {
        builder.with_ansi(colours).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    log_panics();
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
