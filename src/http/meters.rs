//! Metrics of the HTTP edge. Looking a metric up by its labels costs more than counting, so each worker keeps the
//! handles it has used.

use super::routes::Routes;
use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
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

/// Help texts, once per process.
pub fn describe() {
    describe_counter!("purser_http_requests_total", "Requests answered, by route and status");
    describe_histogram!(
        "purser_http_request_seconds",
        "Time from a request's head to its reply's head, by route"
    );
    describe_counter!("purser_purchases_total", "Purchases and orders by result: ok, or the refusal's code");
    describe_histogram!("purser_purchase_seconds", "Time that a purchase or an order took in the engine");
}
