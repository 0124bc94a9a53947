//! What a replay did, line by line where something was left out, and its verdict.

use super::line::{Kind, Unsellable};
use super::plan::Plan;
use super::submit::{Fate, Submitted};
use super::sums::Sums;
use crate::cli::report::{Audit, Check, Latency, by_code, checks_text, thousands, verdict};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// Left-out lines and refused orders that the text shows; `--json` has them all.
const SHOWN: usize = 100;

#[derive(Debug, Serialize)]
pub struct Report {
    pub ok: bool,
    file: String,
    lines: usize,
    products: usize,
    customers: usize,
    orders: Group,
    returns: Group,
    lines_unsellable: usize,
    unsellable_by_reason: BTreeMap<String, u64>,
    unsellable: Vec<LeftOut>,
    seconds: f64,
    documents_per_second: f64,
    latency_ms: Latency,
    drain_seconds: Option<f64>,
    checks: Vec<Check>,
    audit: Audit,
}

/// Orders, or returns.
#[derive(Debug, Default, Serialize)]
struct Group {
    sent: u64,
    accepted: u64,
    refused: u64,
    refused_by_code: BTreeMap<String, u64>,
    errors: u64,
    lines: u64,
    lines_accepted: u64,
    units: i128,
    amount: i128,
    refusals: Vec<Refusal>,
}

#[derive(Debug, Serialize)]
struct Refusal {
    invoice: String,
    customer: String,
    lines: usize,
    code: String,
    detail: String,
    outcome: &'static str,
}

#[derive(Debug, Serialize)]
struct LeftOut {
    line: u64,
    invoice: String,
    stock_code: String,
    quantity: String,
    unit_price: String,
    reason: String,
}

/// What the phases found out.
pub struct Findings<'a> {
    pub file: String,
    pub lines: usize,
    pub unsellable: &'a [Unsellable<'a>],
    pub plan: &'a Plan<'a>,
    pub submitted: &'a Submitted,
    pub sums: &'a Sums<'a>,
    pub drain_seconds: Option<f64>,
    pub checks: Vec<Check>,
    pub audit: Audit,
}

impl Report {
    pub fn new(found: Findings<'_>) -> Self {
        let (mut orders, mut returns) = (Group::default(), Group::default());
        for (document, fate) in found.plan.documents.iter().zip(&found.submitted.fates) {
            let group = if document.kind == Kind::Order { &mut orders } else { &mut returns };
            let customer = found.plan.customers[document.customer].name;
            group.add(document.invoice, customer, document.lines.len(), fate);
        }
        (orders.units, orders.amount) = (found.sums.units_sold, found.sums.amount_sold);
        (returns.units, returns.amount) = (found.sums.units_returned, found.sums.amount_returned);
        let mut unsellable_by_reason = BTreeMap::new();
        for left_out in found.unsellable {
            *unsellable_by_reason.entry(left_out.reason.to_string()).or_default() += 1;
        }
        let seconds = found.submitted.took.as_secs_f64().max(1e-9);
        Self {
            ok: found.audit.ok && found.checks.iter().all(|check| check.ok),
            file: found.file,
            lines: found.lines,
            products: found.plan.products.len(),
            customers: found.plan.customers.len(),
            orders,
            returns,
            lines_unsellable: found.unsellable.len(),
            unsellable_by_reason,
            unsellable: found.unsellable.iter().map(LeftOut::new).collect(),
            seconds,
            documents_per_second: found.plan.documents.len() as f64 / seconds,
            latency_ms: found.submitted.tally.latency(),
            drain_seconds: found.drain_seconds,
            checks: found.checks,
            audit: found.audit,
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
        writeln!(
            out,
            "file         {}: {} lines, {} products, {} customers",
            self.file,
            thousands(self.lines as u64),
            thousands(self.products as u64),
            thousands(self.customers as u64)
        )?;
        self.orders.write(out, "orders", "sold")?;
        self.returns.write(out, "returns", "returned")?;
        writeln!(
            out,
            "left out     {} lines ({})",
            self.lines_unsellable,
            by_code(&self.unsellable_by_reason, "none")
        )?;
        writeln!(
            out,
            "rate         {:.0} orders and returns/s over {:.2} s; p50 {p50:.2} ms, p95 {p95:.2} ms, p99 {p99:.2} ms, max {max:.2} ms",
            self.documents_per_second, self.seconds
        )?;
        match self.drain_seconds {
            Some(seconds) => writeln!(out, "drain        {seconds:.2} s until the store had everything")?,
            None => writeln!(out, "drain        unknown")?,
        }
        for entry in self.unsellable.iter().take(SHOWN) {
            let LeftOut { line, invoice, stock_code, quantity, unit_price, reason } = entry;
            writeln!(
                out,
                "  line {line}: invoice {invoice}, {stock_code}, {quantity} at {unit_price}: {reason}"
            )?;
        }
        more(out, self.unsellable.len())?;
        for refusal in self.orders.refusals.iter().chain(&self.returns.refusals).take(SHOWN) {
            let Refusal { invoice, customer, lines, detail, outcome, .. } = refusal;
            writeln!(out, "  invoice {invoice} of {customer}, {lines} lines, {outcome}: {detail}")?;
        }
        more(out, self.orders.refusals.len() + self.returns.refusals.len())?;
        out.push_str(&checks_text("checks", &self.checks));
        out.push_str(&checks_text("audit", &self.audit.checks));
        out.push_str(verdict(self.ok));
        Ok(())
    }
}

fn more(out: &mut String, count: usize) -> fmt::Result {
    if count > SHOWN {
        writeln!(out, "  and {} more; --json shows all", count - SHOWN)?;
    }
    Ok(())
}

impl Group {
    fn add(&mut self, invoice: &str, customer: &str, lines: usize, fate: &Fate) {
        self.sent += 1;
        self.lines += lines as u64;
        let (code, detail, outcome) = match fate {
            Fate::Accepted => {
                self.accepted += 1;
                self.lines_accepted += lines as u64;
                return;
            }
            Fate::Refused { code, detail } => {
                self.refused += 1;
                *self.refused_by_code.entry(code.clone()).or_default() += 1;
                (code, detail, "refused")
            }
            Fate::Failed { code, detail } => {
                self.errors += 1;
                (code, detail, "error")
            }
        };
        self.refusals.push(Refusal {
            invoice: invoice.to_owned(),
            customer: customer.to_owned(),
            lines,
            code: code.clone(),
            detail: detail.clone(),
            outcome,
        });
    }

    fn write(&self, out: &mut String, title: &str, done: &str) -> fmt::Result {
        writeln!(
            out,
            "{title:<12} {} of {} accepted, {} refused ({}), {} errors; {} of {} lines, {} units, {} {done}",
            thousands(self.accepted),
            thousands(self.sent),
            thousands(self.refused),
            by_code(&self.refused_by_code, "none"),
            thousands(self.errors),
            thousands(self.lines_accepted),
            thousands(self.lines),
            self.units,
            amount(self.amount)
        )
    }
}

/// Minor units as a decimal number.
fn amount(minor: i128) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

impl LeftOut {
    fn new(left_out: &Unsellable<'_>) -> Self {
        let row = left_out.row;
        Self {
            line: row.line,
            invoice: row.invoice.clone(),
            stock_code: row.sku.clone(),
            quantity: row.quantity.clone(),
            unit_price: row.price.clone(),
            reason: left_out.reason.to_string(),
        }
    }
}
