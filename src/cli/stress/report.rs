//! What a stress run measured, and its verdict.

use super::prepare::Scene;
use crate::cli::args::StressArgs;
use crate::cli::gauges::Drain;
use crate::cli::report::{Audit, Check, Latency, Tally, by_code, checks_text, thousands, verdict};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

#[derive(Debug, Serialize)]
pub struct Report {
    pub ok: bool,
    stock: u64,
    buyers: u64,
    items: u64,
    concurrency: u64,
    attempts: u64,
    sold: u64,
    refused: u64,
    refused_by_code: BTreeMap<String, u64>,
    errors: u64,
    errors_by_code: BTreeMap<String, u64>,
    /// Times that a 503 was waited out.
    retries: u64,
    seconds: f64,
    attempts_per_second: f64,
    sold_per_second: f64,
    latency_ms: Latency,
    fdatasyncs: Option<u64>,
    fdatasyncs_per_second: Option<f64>,
    drain_seconds: Option<f64>,
    checks: Vec<Check>,
    audit: Audit,
}

impl Report {
    #[expect(clippy::too_many_arguments, reason = "one call site gathers what the phases measured")]
    pub fn new(
        args: &StressArgs,
        scene: &Scene,
        tally: &Tally,
        took: Duration,
        fdatasyncs: Option<u64>,
        drain: &Drain,
        remaining: &[i64],
        audit: Audit,
    ) -> Self {
        let seconds = took.as_secs_f64().max(1e-9);
        let (refused, errors) = (tally.refused.values().sum(), tally.errors.values().sum());
        let attempts = tally.succeeded + refused + errors;
        let checks = checks(args, scene, tally, drain, remaining);
        Self {
            ok: audit.ok && checks.iter().all(|check| check.ok),
            stock: args.stock,
            buyers: args.buyers,
            items: args.items,
            concurrency: args.concurrency,
            attempts,
            sold: tally.succeeded,
            refused,
            refused_by_code: tally.refused.clone(),
            errors,
            errors_by_code: tally.errors.clone(),
            retries: tally.retries,
            seconds,
            attempts_per_second: attempts as f64 / seconds,
            sold_per_second: tally.succeeded as f64 / seconds,
            latency_ms: tally.latency(),
            fdatasyncs,
            fdatasyncs_per_second: fdatasyncs.map(|count| count as f64 / seconds),
            drain_seconds: drain.seconds(),
            checks,
            audit,
        }
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let Latency { p50, p95, p99, max } = self.latency_ms;
        writeln!(out, "sold         {}", thousands(self.sold))?;
        writeln!(
            out,
            "refused      {} ({})",
            thousands(self.refused),
            by_code(&self.refused_by_code, "none")
        )?;
        writeln!(out, "errors       {} ({})", thousands(self.errors), by_code(&self.errors_by_code, "none"))?;
        if self.retries > 0 {
            writeln!(out, "retries      {} (503, waited out)", thousands(self.retries))?;
        }
        writeln!(
            out,
            "rate         {:.0} attempts/s, {:.0} sold/s, over {:.2} s with {} in flight",
            self.attempts_per_second, self.sold_per_second, self.seconds, self.concurrency
        )?;
        writeln!(out, "latency      p50 {p50:.2} ms, p95 {p95:.2} ms, p99 {p99:.2} ms, max {max:.2} ms")?;
        match (self.fdatasyncs, self.fdatasyncs_per_second) {
            (Some(count), Some(rate)) => writeln!(out, "fdatasyncs   {} ({rate:.0}/s)", thousands(count))?,
            _ => writeln!(out, "fdatasyncs   not published by the server")?,
        }
        match self.drain_seconds {
            Some(seconds) => writeln!(out, "drain        {seconds:.2} s until the store had everything")?,
            None => writeln!(out, "drain        unknown")?,
        }
        out.push_str(&checks_text("checks", &self.checks));
        out.push_str(&checks_text("audit", &self.audit.checks));
        out.push_str(verdict(self.ok));
        Ok(())
    }
}

fn checks(args: &StressArgs, scene: &Scene, tally: &Tally, drain: &Drain, remaining: &[i64]) -> Vec<Check> {
    let errors: u64 = tally.errors.values().sum();
    let mut checks =
        vec![Check::new("every attempt was decided", errors == 0, by_code(&tally.errors, "no errors"))];

    let other: u64 =
        tally.refused.iter().filter(|(code, _)| *code != "insufficient_stock").map(|(_, count)| count).sum();
    checks.push(Check::new(
        "refused only because sold out",
        other == 0,
        by_code(&tally.refused, "no refusals"),
    ));

    let stock: i64 = scene.items.iter().map(|item| item.stock as i64).sum();
    let left: i64 = remaining.iter().sum();
    let sold = tally.succeeded as i64;
    checks.push(Check::new(
        "sold = stock before - stock after",
        sold == stock - left,
        format!("{sold} = {stock} - {left}"),
    ));

    let overdrawn = remaining.iter().filter(|stock| **stock < 0).count();
    checks.push(Check::new("no item below zero", overdrawn == 0, format!("{} items", remaining.len())));

    if args.duration.is_none() {
        let wanted = args.stock.min(args.buyers);
        let detail = format!("{} sold, min({}, {}) = {wanted}", tally.succeeded, args.stock, args.buyers);
        checks.push(Check::new("sold = min(stock, buyers)", tally.succeeded == wanted, detail));
        let wrong = scene
            .items
            .iter()
            .zip(remaining)
            .find(|(item, left)| item.stock.saturating_sub(item.buyers) as i64 != **left);
        let detail = wrong.map_or(String::new(), |(item, left)| {
            format!("item {} has {left} left of {} with {} buyers", item.id, item.stock, item.buyers)
        });
        checks.push(Check::new("each item sold to as many as wanted it", wrong.is_none(), detail));
    }
    if let Drain::Stalled(left) = drain {
        checks.push(Check::new("the store has everything", false, format!("{left} records do not move")));
    }
    checks
}
