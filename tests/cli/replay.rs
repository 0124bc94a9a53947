//! `purser replay`: an order history sold again, compared with an independent sum over its file.

use crate::support::store::{Store, stores};
use crate::{expect_clean, machine};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const EXCERPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/orders_excerpt.csv");

/// What stands in the file, counted apart from the code under test.
#[derive(Default)]
struct Counted {
    orders: BTreeSet<String>,
    returns: BTreeSet<String>,
    lines_sold: u64,
    units_sold: i64,
    amount_sold: i64,
    units_returned: i64,
    amount_returned: i64,
    unsellable: u64,
}

fn counted() -> Counted {
    let text = std::fs::read_to_string(EXCERPT).expect("the fixture");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut sum = Counted::default();
    for row in reader.deserialize::<BTreeMap<String, String>>() {
        let row = row.expect("a row");
        let quantity: i64 = row["Quantity"].trim().parse().unwrap_or(0);
        let (whole, part) = row["UnitPrice"].trim().split_once('.').unwrap_or((row["UnitPrice"].trim(), ""));
        let cents = format!("{whole}{part:0<2}").parse::<i64>().unwrap_or(0);
        let invoice = row["InvoiceNo"].clone();
        let is_return = invoice.starts_with('C');
        if cents <= 0 || quantity == 0 || is_return != (quantity < 0) {
            sum.unsellable += 1;
        } else if is_return {
            sum.units_returned -= quantity;
            sum.amount_returned -= quantity * cents;
            sum.returns.insert(invoice);
        } else {
            sum.lines_sold += 1;
            sum.units_sold += quantity;
            sum.amount_sold += quantity * cents;
            sum.orders.insert(invoice);
        }
    }
    sum
}

fn replay(store: &Store, more: &[&str]) -> Value {
    let report = machine(store, &[&["replay", EXCERPT][..], more].concat());
    expect_clean(&report);
    for group in ["orders", "returns"] {
        let told = |name: &str| report[group][name].as_u64().expect(name);
        assert_eq!(told("errors"), 0, "{report:#}");
        assert_eq!(told("sent"), told("accepted") + told("refused"), "{report:#}");
        let reasons = report[group]["refusals"].as_array().expect("refusals");
        assert_eq!(reasons.len() as u64, told("refused"), "every refusal has its reason");
        assert!(reasons.iter().all(|refusal| refusal["code"].as_str().is_some_and(|code| !code.is_empty())));
    }
    report
}

#[test]
fn every_sellable_line_is_sold_and_every_return_taken_back() {
    let file = counted();
    for store in stores() {
        let report = replay(&store, &[]);
        assert_eq!(report["orders"]["accepted"], file.orders.len(), "{report:#}");
        assert_eq!(report["orders"]["lines_accepted"], file.lines_sold, "{report:#}");
        assert_eq!(report["orders"]["units"], file.units_sold, "{report:#}");
        assert_eq!(report["orders"]["amount"], file.amount_sold, "{report:#}");
        assert_eq!(report["returns"]["accepted"], file.returns.len(), "{report:#}");
        assert_eq!(report["returns"]["units"], file.units_returned, "{report:#}");
        assert_eq!(report["returns"]["amount"], file.amount_returned, "{report:#}");
        assert_eq!(report["lines_unsellable"], file.unsellable, "{report:#}");
    }
}

/// Some orders were refused, each for this reason.
#[track_caller]
fn expect_all_refused_for(report: &Value, code: &str) {
    let refused = &report["orders"]["refused"];
    assert!(refused.as_u64() > Some(0), "{report:#}");
    assert_eq!(report["orders"]["refused_by_code"], json!({ code: refused }), "{report:#}");
}

#[test]
fn without_stock_nothing_is_sold_but_what_a_return_brought_back() {
    let file = counted();
    for store in stores() {
        let report = replay(&store, &["--stock", "0"]);
        assert_eq!(report["orders"]["sent"], file.orders.len(), "{report:#}");
        let units = report["orders"]["units"].as_i64().expect("a number");
        assert!(units <= file.units_returned, "units that nobody had were sold: {report:#}");
        expect_all_refused_for(&report, "insufficient_stock");
    }
}

#[test]
fn without_funds_nothing_is_bought_but_with_what_a_return_paid() {
    let file = counted();
    for store in stores() {
        let report = replay(&store, &["--funds", "0"]);
        assert_eq!(report["orders"]["sent"], file.orders.len(), "{report:#}");
        let amount = report["orders"]["amount"].as_i64().expect("a number");
        assert!(amount <= file.amount_returned, "money that nobody had was spent: {report:#}");
        expect_all_refused_for(&report, "insufficient_balance");
    }
}

#[test]
fn scarce_stock_refuses_some_orders_and_the_sums_still_agree() {
    for store in stores() {
        let report = replay(&store, &["--stock", "10"]);
        let (accepted, refused) = (&report["orders"]["accepted"], &report["orders"]["refused"]);
        assert!(accepted.as_u64() > Some(0) && refused.as_u64() > Some(0), "{report:#}");
    }
}
