//! What becomes of a card is told from its code.

use crate::support::eventually;
use crate::support::http::Connection;
use crate::support::simulator::{Simulator, exchange_body};
use serde_json::{Value, json};
use uuid::Uuid;

#[track_caller]
fn expect(simulator: &Simulator, redemption_id: Uuid, code: &str, status: u16, answer: Value) {
    let reply = simulator.exchange(redemption_id, code).expect("an answer");
    assert_eq!((reply.status, reply.json()), (status, answer), "{code}");
}

fn taken(amount: u64) -> Value {
    json!({"status": "taken", "amount": amount})
}

/// The connection is closed, and not a byte came before.
#[track_caller]
fn expect_dropped(simulator: &Simulator, redemption_id: Uuid, code: &str) {
    let body = exchange_body(redemption_id, code);
    let head = "POST /exchange HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json";
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut connection = Connection::open(simulator.address()).expect("a connection");
    connection.write(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = connection.read_to_close(&mut answer);
    assert_eq!(String::from_utf8_lossy(&answer), "", "{code}");
}

#[test]
fn a_good_card_is_taken_however_it_is_written() {
    let simulator = Simulator::start(&[]);
    for (code, amount) in [("ok-1999 x 77", 1999), ("OK1X", 1), ("TWICE500X1", 500)] {
        let id = Uuid::now_v7();
        assert_eq!(simulator.status(id), json!({"status": "unknown"}));
        expect(&simulator, id, code, 200, taken(amount));
        assert_eq!(simulator.status(id), taken(amount), "{code}");
    }
    let ledger = simulator.ledger();
    assert_eq!((&ledger[0]["code"], &ledger[0]["amount"]), (&json!("OK1999X77"), &json!(1999)));
    assert_eq!((&ledger[0]["account"], &ledger[0]["country"]), (&json!("a"), &json!("DE")));
    assert_eq!(simulator.statuses(), ["taken", "taken", "taken"]);
}

#[test]
fn a_bad_card_is_refused_with_the_reason() {
    let simulator = Simulator::start(&[]);
    for code in ["INVALID1", "USED1", "HELLO", "OK100", "no!code", ""] {
        let id = Uuid::now_v7();
        let reply = simulator.exchange(id, code).expect("an answer");
        let answer = reply.json();
        assert_eq!((reply.status, &answer["status"]), (422, &json!("refused")), "{code}: {answer}");
        let is_used = answer["reason"].as_str().expect("a reason").contains("used");
        assert_eq!(is_used, code.starts_with("USED"), "{code}: {answer}");
        assert_eq!(simulator.status(id)["status"], "refused", "{code}");
    }
    let ledger = simulator.ledger();
    assert!(
        ledger.iter().all(|entry| entry["status"] == "refused" && entry["amount"].is_null()),
        "{ledger:?}"
    );
}

#[test]
fn a_slow_card_is_answered_late_and_its_status_only_then() {
    let simulator = Simulator::start(&["--latency-ms", "50"]);
    let id = Uuid::now_v7();
    std::thread::scope(|scope| {
        scope.spawn(|| expect(&simulator, id, "SLOW400X70X1", 200, taken(70)));
        eventually("the exchange runs", || (simulator.statuses() == ["running"]).then_some(()));
        // Never "unknown": it was seen, and may be taken yet.
        assert_eq!(simulator.status(id), taken(70));
    });
    let entry = &simulator.ledger()[0];
    let took = micros(&entry["ended_at"]) - micros(&entry["started_at"]);
    assert!(took >= 450_000, "400 ms and the latency of 50 ms, not {took} µs: {entry}");
}

/// Of a time in the ledger, which must have six digits of the second.
#[track_caller]
fn micros(time: &Value) -> i128 {
    let text = time.as_str().expect("a time");
    assert!(text.len() == "2026-01-01T00:00:00.000000Z".len() && text.ends_with('Z'), "{text}");
    let at = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    at.expect("RFC 3339").unix_timestamp_nanos() / 1_000
}

#[test]
fn a_connection_that_is_closed_before_taking_takes_nothing() {
    let simulator = Simulator::start(&[]);
    let id = Uuid::now_v7();
    expect_dropped(&simulator, id, "DROPB30X1");
    assert_eq!(simulator.status(id), json!({"status": "unknown"}));
    expect(&simulator, id, "DROPB30X1", 200, taken(30));
    assert_eq!(simulator.statuses(), ["dropped_before", "taken"]);
    let ledger = simulator.ledger();
    assert_eq!((&ledger[0]["amount"], &ledger[0]["http_status"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_connection_that_is_closed_after_taking_has_taken() {
    let simulator = Simulator::start(&[]);
    let id = Uuid::now_v7();
    expect_dropped(&simulator, id, "DROPA30X1");
    assert_eq!(simulator.status(id), taken(30));
    expect(&simulator, id, "DROPA30X1", 200, taken(30));
    assert_eq!(simulator.statuses(), ["taken", "repeated"]);
    let amounts: Vec<_> = simulator.ledger().iter().map(|entry| entry["amount"].clone()).collect();
    assert_eq!(amounts, [json!(30), Value::Null], "what was taken stands in the ledger once");
}

#[test]
fn a_busy_or_broken_provider_takes_the_card_the_next_time() {
    let simulator = Simulator::start(&[]);
    for (code, status, word) in [("R42930X1", 429, "not_taken_429"), ("E50030X1", 500, "error_500")] {
        let id = Uuid::now_v7();
        let reply = simulator.exchange(id, code).expect("an answer");
        assert_eq!(reply.status, status, "{code}");
        assert_eq!(reply.header("retry-after"), (status == 429).then_some("1"), "{code}");
        assert_eq!(simulator.status(id), json!({"status": "unknown"}), "{code}");
        expect(&simulator, id, code, 200, taken(30));
        let statuses = simulator.statuses();
        assert_eq!(statuses[statuses.len() - 2..], [word, "taken"], "{code}");
    }
}

#[test]
fn what_is_no_exchange_is_told_so_and_not_entered() {
    let simulator = Simulator::start(&[]);
    let post = |headers: &[(String, String)], body: &str| {
        simulator.http.send("POST", "/exchange", headers, Some(body.as_bytes())).expect("an answer").status
    };
    assert_eq!(post(&[], "{}"), 400);
    assert_eq!(post(&[], "no JSON"), 400);
    let other = ("Idempotency-Key".to_owned(), Uuid::now_v7().to_string());
    assert_eq!(post(&[other], &exchange_body(Uuid::now_v7(), "OK1X")), 400, "another key");
    assert_eq!(post(&[], &exchange_body(Uuid::now_v7(), &"A".repeat(70_000))), 413);
    assert!(simulator.ledger().is_empty());
    assert_eq!(simulator.http.send("GET", "/health", &[], None).expect("an answer").status, 200);
}

#[test]
fn the_simulator_ends_when_it_is_asked_to_even_during_an_exchange() {
    let simulator = Simulator::start(&[]);
    let body = exchange_body(Uuid::now_v7(), "SLOW600000X1X1");
    let head = format!("POST /exchange HTTP/1.1\r\nHost: sim\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut connection = Connection::open(simulator.address()).expect("a connection");
    connection.write(format!("{head}{body}").as_bytes()).expect("sent");
    eventually("the exchange runs", || (simulator.statuses() == ["running"]).then_some(()));
    let ended = simulator.stop();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}
