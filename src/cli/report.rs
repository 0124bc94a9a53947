//! Pieces that several reports share: checks, latencies, and how they are printed.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub ok: bool,
    #[serde(default)]
    pub detail: String,
}

impl Check {
    pub fn new(name: &str, ok: bool, detail: impl Into<String>) -> Self {
        Self { name: name.into(), ok, detail: detail.into() }
    }
}

/// What the server's audit says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Audit {
    pub ok: bool,
    pub checks: Vec<Check>,
}

/// A title, and a line per check.
pub fn checks_text(title: &str, checks: &[Check]) -> String {
    let mut text = format!("{title}\n");
    for check in checks {
        let mark = if check.ok { "ok      " } else { "VIOLATED" };
        let separator = if check.detail.is_empty() { "" } else { ": " };
        text.push_str(&format!("  {mark} {}{separator}{}\n", check.name, check.detail));
    }
    text
}

/// The last line of a report.
pub fn verdict(ok: bool) -> &'static str {
    if ok { "all clean\n" } else { "VIOLATIONS FOUND\n" }
}

/// Writes a result to stdout. A reader that has gone away (`| head`) is no error.
pub fn emit(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Prints a result as one JSON document.
pub fn print_json(result: &impl Serialize) {
    match serde_json::to_string_pretty(result) {
        Ok(text) => emit(&format!("{text}\n")),
        // Strings, numbers and maps with string keys always serialise.
        Err(error) => eprintln!("purser: cannot print the result: {error}"),
    }
}

/// Response times in milliseconds, from sending to the last byte of the answer.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

/// Counts answers by code and remembers their response times.
pub struct Tally {
    pub succeeded: u64,
    /// Definite refusals by the problem's code.
    pub refused: BTreeMap<String, u64>,
    /// Everything else: no answer, or one that nobody should get.
    pub errors: BTreeMap<String, u64>,
    pub retries: u64,
    times: Option<Histogram<u64>>,
}

impl Default for Tally {
    fn default() -> Self {
        // 1 µs to 1 h in three digits is always valid; a histogram that failed would only leave the times out.
        let times = Histogram::new_with_bounds(1, 3_600_000_000, 3).ok();
        Self { succeeded: 0, refused: BTreeMap::new(), errors: BTreeMap::new(), retries: 0, times }
    }
}

impl Tally {
    pub fn took(&mut self, time: Duration) {
        if let Some(times) = &mut self.times {
            times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
        }
    }

    pub fn latency(&self) -> Latency {
        let at = |quantile: f64| {
            self.times.as_ref().map_or(0.0, |times| times.value_at_quantile(quantile) as f64 / 1000.0)
        };
        let max = self.times.as_ref().map_or(0.0, |times| times.max() as f64 / 1000.0);
        Latency { p50: at(0.5), p95: at(0.95), p99: at(0.99), max }
    }
}

/// `9,000 × insufficient_stock, 1 × not_found`, or `none` if there is nothing to count.
pub fn by_code(counts: &BTreeMap<String, u64>, none: &str) -> String {
    let parts: Vec<String> =
        counts.iter().map(|(code, count)| format!("{} × {code}", thousands(*count))).collect();
    if parts.is_empty() { none.into() } else { parts.join(", ") }
}

/// 1234567 → 1,234,567
pub fn thousands(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_so_many_times_what() {
        let counts =
            BTreeMap::from([("the price is 0".to_owned(), 1), ("the quantity is 0".to_owned(), 1_200)]);
        assert_eq!(by_code(&counts, "none"), "1 × the price is 0, 1,200 × the quantity is 0");
        assert_eq!(by_code(&BTreeMap::new(), "no errors"), "no errors");
    }

    #[test]
    fn a_tally_gives_times_in_milliseconds() {
        let mut tally = Tally::default();
        for milliseconds in 1..=100 {
            tally.took(Duration::from_millis(milliseconds));
        }
        let Latency { p50, p99, max, .. } = tally.latency();
        assert!((49.9..50.2).contains(&p50) && (98.9..99.2).contains(&p99) && (99.9..100.2).contains(&max));
    }
}
