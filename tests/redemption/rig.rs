//! Servers with a provider of their own.

use crate::support::server::{Server, Setup};
use crate::support::simulator::Simulator;
use crate::support::store::stores;

const SECRET: &str = "a secret between the server and its provider";

/// A server that sends its cards there, as fast as it can, and asks soon again.
pub fn sending_to(url: &str) -> Setup {
    Setup::new()
        .env("PURSER__PROVIDER__URL", url)
        .env("PURSER__PROVIDER__SECRET", SECRET)
        .env("PURSER__PROVIDER__TIMEOUT_MS", "10000")
        .env("PURSER__PROVIDER__RATE_PER_SECOND", "10000")
        .env("PURSER__PROVIDER__FIRST_DELAY_MS", "20")
        .env("PURSER__PROVIDER__LAST_DELAY_MS", "200")
        .env("PURSER__PROVIDER__BREAKER_FAILURES", "1000")
        .env("PURSER__PROVIDER__BREAKER_PAUSE_MS", "100")
}

/// A provider that knows its customers, and answers as these flags say.
pub fn simulator(flags: &[&str]) -> Simulator {
    Simulator::start(&[&["--secret", SECRET], flags].concat())
}

impl Simulator {
    /// A server that sends its cards here.
    pub fn setup(&self) -> Setup {
        sending_to(&self.url())
    }
}

/// Runs the test on a fresh server for each store, with a provider of its own that answers at once.
pub fn on_each_store(test: impl Fn(&mut Server, &Simulator)) {
    on_each(&[], "10000", test);
}

/// As [`on_each_store`], with a provider that takes so long for each card.
pub fn on_each_store_slowly(latency_ms: u64, test: impl Fn(&mut Server, &Simulator)) {
    on_each(&["--latency-ms", &latency_ms.to_string()], "10000", test);
}

/// As [`on_each_store`], with servers that wait half a second for an answer.
pub fn on_each_impatient_server(test: impl Fn(&mut Server, &Simulator)) {
    on_each(&[], "500", test);
}

fn on_each(flags: &[&str], timeout_ms: &str, test: impl Fn(&mut Server, &Simulator)) {
    for store in stores() {
        eprintln!("on {}", store.name);
        let provider = simulator(flags);
        let setup = provider.setup().store(store).env("PURSER__PROVIDER__TIMEOUT_MS", timeout_ms);
        test(&mut setup.start(), &provider);
    }
}
