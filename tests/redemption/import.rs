//! Accounts as CSV: taken in row by row, and given out again.

use crate::support::api::Actor;
use crate::support::expect::{expect_invalid, expect_problem, expect_refused};
use crate::support::http::Reply;
use crate::support::server::{Server, Setup};
use crate::support::store::on_each_store;
use std::collections::BTreeSet;

/// Label, country, plan.
type Row = (String, String, String);

fn import(admin: &Actor, csv: &str) -> Reply {
    admin.call("POST", "/redemption/accounts/import").body("text/csv", csv.as_bytes()).send()
}

/// The rows of the export, whatever other columns it has.
#[track_caller]
fn exported(admin: &Actor) -> BTreeSet<Row> {
    let reply = admin.get("/redemption/accounts/export");
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.header("content-type").is_some_and(|it| it.starts_with("text/csv")), "{:?}", reply.headers);
    let mut csv = csv::Reader::from_reader(&reply.body[..]);
    let headers = csv.headers().expect("a header").clone();
    let at = |name| headers.iter().position(|it| it == name).unwrap_or_else(|| panic!("no column {name}"));
    let columns = [at("label"), at("country"), at("plan_id")];
    let rows = csv.records().map(|record| {
        let record = record.expect("a row");
        let [label, country, plan] = columns.map(|column| record[column].to_owned());
        (label, country, plan)
    });
    rows.collect()
}

/// The accounts as they are listed.
#[track_caller]
fn listed(admin: &Actor) -> BTreeSet<Row> {
    let text = |account: &serde_json::Value, field| account[field].as_str().expect("a text").to_owned();
    let accounts = admin.list("/redemption/accounts");
    accounts.iter().map(|one| (text(one, "label"), text(one, "country"), text(one, "plan_id"))).collect()
}

#[test]
fn what_is_imported_is_listed_and_exported_as_it_was_and_outlives_a_crash() {
    on_each_store(|server| {
        let plan = server.admin().plan(500, 8_000);
        let labels = ["plain", "with, comma", "with \"quotes\"", "Käse", "two\nlines"];
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(["label", "country", "plan_id"]).expect("memory");
        for label in labels {
            csv.write_record([label, "DE", plan.as_str()]).expect("memory");
        }
        let csv = String::from_utf8(csv.into_inner().expect("memory")).expect("text");
        let report = import(&server.admin(), &csv).expect(200);
        assert_eq!(report["imported"], labels.len(), "{report}");
        assert!(report["rejected"].as_array().is_some_and(Vec::is_empty), "{report}");
        let given: BTreeSet<Row> =
            labels.iter().map(|label| ((*label).to_owned(), "DE".to_owned(), plan.clone())).collect();
        for _ in 0..2 {
            assert_eq!(listed(&server.admin()), given);
            assert_eq!(exported(&server.admin()), given);
            server.kill9();
            server.restart();
        }
        server.expect_clean_audit();
    });
}

#[test]
fn a_bad_row_is_reported_with_its_line_and_the_good_ones_are_imported() {
    let server = Server::start();
    let admin = server.admin();
    let plan = admin.plan(500, 8_000);
    let nobody = uuid::Uuid::now_v7();
    let csv = format!(
        "label,country,plan_id\r\none,DE,{plan}\r\n,DE,{plan}\r\nthree,DEU,{plan}\r\nfour,FR,{nobody}\r\nfive,FR,\r\n\r\n\"six\r\nor so\",FR,{plan}\r\nseven,FR\r\n"
    );
    let report = import(&admin, &csv).expect(200);
    assert_eq!(report["imported"], 2, "{report}");
    let rejected = report["rejected"].as_array().expect("the rejected rows");
    let lines: Vec<_> = rejected.iter().map(|row| row["line"].as_u64().expect("a line")).collect();
    assert_eq!(lines, [3, 4, 5, 6, 10], "the header is line 1: {report}");
    let labels: Vec<_> = listed(&admin).into_iter().map(|(label, country, _)| (label, country)).collect();
    assert_eq!(labels, [("one".into(), "DE".into()), ("six\r\nor so".into(), "FR".into())]);
}

#[test]
fn a_thousand_accounts_with_the_longest_labels_fit_into_one_call_and_one_more_does_not() {
    let server = Setup::new().env("PURSER__JOURNAL__SEGMENT_BYTES", "4194304").start();
    let admin = server.admin();
    let plan = admin.plan(500, 8_000);
    let row = |number: usize| format!("{number:04}{},DE,{plan}\n", "ä".repeat(196));
    let file = |rows: usize| format!("label,country,plan_id\n{}", (0..rows).map(row).collect::<String>());
    expect_invalid(&import(&admin, &file(1_001)), "body");
    assert!(listed(&admin).is_empty());
    let call = || admin.call("POST", "/redemption/accounts/import").header("Idempotency-Key", "all");
    let first = call().body("text/csv", file(1_000).as_bytes()).send().expect(200);
    assert_eq!(first["imported"], 1_000, "{first}");
    let again = call().body("text/csv", file(1_000).as_bytes()).send();
    assert_eq!((again.header("Idempotency-Replayed"), again.expect(200)), (Some("true"), first));
    let other = call().body("text/csv", file(1_000).replace(",DE,", ",DEU,").as_bytes()).send();
    expect_problem(&other, 422, "idempotency_key_reused");
    assert_eq!(listed(&admin).len(), 1_000);
    server.expect_clean_audit();
}

#[test]
fn a_file_without_the_columns_is_refused_as_a_whole() {
    let server = Server::start();
    let admin = server.admin();
    let plan = admin.plan(500, 8_000);
    for csv in [format!("one,DE,{plan}\n"), format!("label,plan_id\none,{plan}\n"), String::new()] {
        expect_refused(&import(&admin, &csv), &[400, 422]);
    }
    let call = || admin.call("POST", "/redemption/accounts/import");
    let sound = format!("label,country,plan_id\none,DE,{plan}\n");
    for media in ["application/json", "text/csv; charset=iso-8859-1"] {
        let refused = call().body(media, sound.as_bytes()).send();
        expect_problem(&refused, 415, "unsupported_media_type");
    }
    let packed = call().header("Content-Encoding", "gzip").body("text/csv", sound.as_bytes()).send();
    expect_problem(&packed, 415, "unsupported_media_type");
    let long = format!("{sound}{}", "x".repeat(1 << 20));
    expect_problem(&import(&admin, &long), 413, "payload_too_large");
    assert!(listed(&admin).is_empty());
}
