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
///
/// # Errors
/// What is wrong with `RUST_LOG`.
pub fn init(level: &str, format: Format) -> Result<(), String> {
    let filter = match std::env::var_os(EnvFilter::DEFAULT_ENV).filter(|text| !text.is_empty()) {
        Some(text) => {
            let text = text.to_string_lossy();
            EnvFilter::try_new(&text).map_err(|error| {
                format!("RUST_LOG: `{text}` is no filter such as info,purser::store=debug: {error}")
            })?
        }
        None => EnvFilter::try_new(level).unwrap_or_default(),
    };
    let is_terminal = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::registry().with(filter).with(WithoutFalseAlarms);
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
    Ok(())
}

/// Where actix calls an error what is none of the server's, and how its message begins: a client that does not speak HTTP,
/// or hangs up; a connection that comes while the workers end. (Workers that end too early have panicked, and that is logged.)
const FALSE_ALARMS: [(&str, &str); 2] =
    [("actix_http::h1::dispatcher", "stream error: "), ("actix_server::accept", "No workers")];

/// Keeps these out, unless the log is set to debug.
struct WithoutFalseAlarms;

impl<S: Subscriber> Layer<S> for WithoutFalseAlarms {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let target = event.metadata().target();
        let Some((_, beginning)) = FALSE_ALARMS.iter().find(|(place, _)| *place == target) else {
            return true;
        };
        if LevelFilter::current() >= LevelFilter::DEBUG {
            return true;
        }
        let mut message = Begins { beginning, found: false };
        event.record(&mut message);
        !message.found
    }
}

/// Whether an event's message begins like this.
struct Begins {
    beginning: &'static str,
    found: bool,
}

impl Visit for Begins {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.found |= field.name() == "message" && format!("{value:?}").starts_with(self.beginning);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Clone, Default)]
    struct Heard(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Heard {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn false_alarms_are_not_heard_and_others_are() {
        let heard = Heard::default();
        let level = LevelFilter::INFO;
        let subscriber =
            tracing_subscriber::registry().with(level).with(WithoutFalseAlarms).with(heard.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "actix_server::accept", "No workers");
            tracing::error!(target: "actix_http::h1::dispatcher", "stream error: {}", "hung up");
            assert_eq!(heard.0.load(Ordering::SeqCst), 0);
            tracing::error!(target: "actix_server::accept", "Error accepting connection: {}", "none");
            tracing::error!(target: "purser", "No workers");
        });
        assert_eq!(heard.0.load(Ordering::SeqCst), 2);
    }
}
