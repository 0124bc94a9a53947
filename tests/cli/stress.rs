//! `purser stress`: exactly the stock is sold.

use crate::support::store::stores;
use crate::{expect_clean, machine};
use serde_json::Value;

#[track_caller]
fn expect_sold(report: &Value, sold: u64, refused: u64) {
    expect_clean(report);
    let told = |name: &str| report[name].as_u64().expect(name);
    assert_eq!((told("sold"), told("refused"), told("errors")), (sold, refused, 0), "{report:#}");
    assert_eq!(report["refused_by_code"]["insufficient_stock"].as_u64().unwrap_or(0), refused, "{report:#}");
}

#[test]
fn ten_thousand_buyers_of_a_thousand_units_buy_exactly_a_thousand() {
    for store in stores() {
        expect_sold(&machine(&store, &["stress"]), 1_000, 9_000);
    }
}

#[test]
fn stock_spread_over_several_items_is_sold_to_the_last_unit_of_each() {
    for store in stores() {
        let numbers = ["--stock", "40", "--buyers", "200", "--items", "4", "--concurrency", "32"];
        expect_sold(&machine(&store, &[&["stress"][..], &numbers].concat()), 40, 160);
    }
}

#[test]
fn enough_stock_refuses_nobody_and_none_sells_nothing() {
    for store in stores() {
        let report = machine(&store, &["stress", "--stock", "60", "--buyers", "50", "--concurrency", "16"]);
        expect_sold(&report, 50, 0);
    }
    for store in stores() {
        let report = machine(&store, &["stress", "--stock", "0", "--buyers", "50", "--concurrency", "16"]);
        expect_sold(&report, 0, 50);
    }
}
