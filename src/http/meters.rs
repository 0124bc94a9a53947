//! Metrics of the HTTP edge. Looking a metric up by its labels costs more than counting, so each worker keeps the
//! handles it has used.

use super::routes::Routes;
use crate::domain::message::MessageKind;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, histogram};
use std::sync::Arc;
use std::time::Duration;

/// One worker's handles.
pub struct Meters {
    routes: Arc<Routes>,
    /// One per template, and one for everything else.
    by_route: Vec<OfRoute>,
    results: Vec<(&'static str, Counter)>,
    purchase_seconds: Histogram,
}

struct OfRoute {
    seconds: Option<Histogram>,
    by_status: Vec<(u16, Counter)>,
}

impl Meters {
    pub fn new(routes: Arc<Routes>) -> Self {
        let of_route = || OfRoute { seconds: None, by_status: Vec::new() };
        let by_route = std::iter::repeat_with(of_route).take(routes.len() + 1).collect();
        let purchase_seconds = histogram!("purser_purchase_seconds");
        Self { routes, by_route, results: Vec::new(), purchase_seconds }
    }

    /// Counts a finished request.
    pub fn request(&mut self, route: Option<usize>, status: u16, took: Duration) {
        let Self { routes, by_route, .. } = self;
        let place = route.unwrap_or(routes.len());
        let Some(of_route) = by_route.get_mut(place) else { return };
        let seconds = of_route.seconds.get_or_insert_with(
            || histogram!("purser_http_request_seconds", "route" => routes.name(route).to_owned()),
        );
        seconds.record(took.as_secs_f64());
        if let Some((_, known)) = of_route.by_status.iter().find(|(known, _)| *known == status) {
            known.increment(1);
            return;
        }
        let labels = [("route", routes.name(route).to_owned()), ("status", status.to_string())];
        let fresh = counter!("purser_http_requests_total", &labels);
        fresh.increment(1);
        of_route.by_status.push((status, fresh));
    }

    /// Counts a purchase or an order: `ok`, or the code of what stood against it.
    pub fn purchase(&mut self, result: &'static str, took: Duration) {
        self.purchase_seconds.record(took.as_secs_f64());
        if let Some((_, known)) = self.results.iter().find(|(known, _)| *known == result) {
            known.increment(1);
            return;
        }
        let fresh = counter!("purser_purchases_total", "result" => result);
        fresh.increment(1);
        self.results.push((result, fresh));
    }
}

/// Help texts, once per process: of this edge's metrics, and of those that the engine below it publishes.
pub fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
}

/// Who watches how dead letters increase sees the first one only if there was a 0 before it.
pub fn begin_dead_letters() {
    for kind in MessageKind::ALL {
        counter!("purser_messages_dead_total", "kind" => kind.word()).increment(0);
    }
}

const COUNTERS: &[(&str, &str)] = &[
    ("purser_http_requests_total", "Requests answered, by route and status"),
    ("purser_purchases_total", "Purchases and orders by result: ok, or the refusal's code"),
    (
        "purser_message_attempts_total",
        "Attempts of messages, by kind and result: done, failed or interrupted",
    ),
    ("purser_messages_dead_total", "Messages that became dead letters, by kind"),
    (
        "purser_redemptions_ended_total",
        "Gift cards that came to an end, by status: succeeded, failed, cancelled",
    ),
    ("purser_store_refused_total", "Batches that the store refused for another reason than being away"),
];

const HISTOGRAMS: &[(&str, &str)] = &[
    ("purser_http_request_seconds", "Time from a request's head to its reply's head, by route"),
    ("purser_purchase_seconds", "Time that a purchase or an order took in the engine"),
    (
        "purser_provider_call_seconds",
        "Time that a call of the gift-card provider took, by call (exchange, status) and outcome",
    ),
    ("purser_redemption_seconds", "Time from the lock of an account for a gift card to the card's end"),
    ("purser_journal_batch_records", "Records that one fdatasync made durable"),
    ("purser_journal_fdatasync_seconds", "Time that one fdatasync of the journal took"),
    ("purser_store_flush_records", "Records that one transaction brought into the store"),
    ("purser_store_flush_seconds", "Time that one such transaction took"),
];

const GAUGES: &[(&str, &str)] = &[
    ("purser_backlog_records", "Records durable in the journal and not yet in the store"),
    ("purser_backlog_bytes", "Bytes of journal that these records take"),
    ("purser_backlog_seconds", "Age of the oldest of these records"),
    ("purser_journal_appended_seq", "Last record that was accepted"),
    ("purser_journal_durable_seq", "Last record that is on disk"),
    ("purser_store_stored_seq", "Last record that is in the store"),
    ("purser_store_reachable", "1 if the store could be reached last time, else 0"),
    ("purser_permits_used", "Operations in progress"),
    ("purser_permits_max", "Operations that may be in progress; the next one is answered 503 overloaded"),
    ("purser_messages", "Messages that are not done, by kind and status: ready, delayed, running, failed"),
    (
        "purser_messages_oldest_ready_seconds",
        "Time that the longest waiting of the ready messages has been ready",
    ),
    (
        "purser_redemptions",
        "Gift cards that have not come to an end, by status: queued, locking, in_doubt (the provider may have taken it)",
    ),
    ("purser_redemption_accounts_free", "Redemption accounts that a gift card could be exchanged on now"),
    ("purser_provider_breaker_open", "1 while gift cards wait because the provider does not answer, else 0"),
    ("purser_owners_resident", "Owners in memory, by kind"),
    ("purser_http_connections", "Connections that are open"),
    ("purser_http_replies_bytes", "Bytes of large replies that their clients have not taken yet"),
];
