//! What a server's /metrics say about its journal and its backlog.

use super::client::blocking;
use super::failure::Failure;
use super::lanes::spinner;
use std::time::{Duration, Instant};

const FDATASYNCS: &str = "purser_journal_fdatasync_seconds_count";
const BACKLOG: &str = "purser_backlog_records";
/// Without any progress for so long, the store is taken for unreachable.
const STALLED: Duration = Duration::from_mins(1);

/// How often the journal was made durable since the server started; `None` if the server does not say.
pub fn fdatasyncs(url: &str) -> Option<u64> {
    let page = blocking(url, async |client| client.text("/metrics").await).ok()?;
    sum(&page, FDATASYNCS).map(|count| count as u64)
}

/// How the backlog went.
pub enum Drain {
    Done(Duration),
    /// The server publishes no backlog.
    Unknown,
    /// So many records were left when it stopped moving.
    Stalled(u64),
}

impl Drain {
    pub fn seconds(&self) -> Option<f64> {
        match self {
            Self::Done(time) => Some(time.as_secs_f64()),
            _ => None,
        }
    }
}

/// Waits until every record is in the store.
pub fn wait_for_drain(url: &str, is_interrupted: impl Fn() -> bool) -> Result<Drain, Failure> {
    let begin = Instant::now();
    let waiting = spinner("waiting for the store");
    let (mut least, mut moved) = (f64::INFINITY, Instant::now());
    let drain = blocking(url, async |client| {
        loop {
            if is_interrupted() {
                return Err(Failure::interrupted());
            }
            let page = client.text("/metrics").await?;
            let Some(backlog) = sum(&page, BACKLOG) else { return Ok(Drain::Unknown) };
            if backlog < 1.0 {
                return Ok(Drain::Done(begin.elapsed()));
            }
            if backlog < least {
                (least, moved) = (backlog, Instant::now());
            } else if moved.elapsed() > STALLED {
                return Ok(Drain::Stalled(backlog as u64));
            }
            waiting.set_message(format!("waiting for the store: {backlog} records to go"));
            actix_rt::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waiting.finish_and_clear();
    drain
}

/// The sum of a metric over all its labels in Prometheus' text format.
fn sum(page: &str, name: &str) -> Option<f64> {
    let mut total = None;
    for line in page.lines() {
        let Some(rest) = line.strip_prefix(name) else { continue };
        if !rest.starts_with(['{', ' ']) {
            continue;
        }
        let value = rest.rsplit_once('}').map_or(rest, |(_, value)| value);
        if let Some(number) = value.split_whitespace().next().and_then(|text| text.parse::<f64>().ok()) {
            total = Some(total.unwrap_or(0.0) + number);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_not_mixed_up_with_longer_names() {
        let page = "# HELP a x\na_b{l=\"1\"} 2\na_b{l=\"}\"} 3.5\na_b_c 9\na 1 1700000000\n";
        assert_eq!(sum(page, "a_b"), Some(5.5));
        assert_eq!(sum(page, "a"), Some(1.0));
        assert_eq!(sum(page, "b"), None);
    }
}
