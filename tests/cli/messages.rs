//! `purser messages`: what is said of dead letters, and what is done with them.

use crate::support::api::order_id;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::Value;
use std::net::TcpListener;

/// A port that nobody listens on.
fn closed_port() -> u16 {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    taken.local_addr().expect("its address").port()
}

/// A server whose notices of shipped orders reach nobody and are given up at once, with so many of them.
#[track_caller]
fn with_dead_letters(count: usize) -> Server {
    let server = Setup::new()
        .env("PURSER__WEBHOOK__URL", &format!("http://127.0.0.1:{}/", closed_port()))
        .env("PURSER__MESSAGES__ORDER_SHIPPED__TRIES", "1")
        .start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let lamp = admin.item("Lamp", 5, 100);
    for _ in 0..count {
        let order = order_id(&buyer.order(&[(lamp, 1)]).expect(201));
        admin.ship(&order).expect(200);
    }
    dead(&server, count);
    server
}

/// Waits until so many messages are dead letters and no other one is open. The counts.
#[track_caller]
fn dead(server: &Server, count: usize) -> Value {
    eventually("the messages are dead letters", || {
        let stats = json(server, &["stats"]);
        let open = ["ready", "delayed", "running"].iter().all(|status| stats[*status] == 0);
        (open && stats["failed"] == count).then_some(stats)
    })
}

#[track_caller]
fn json(server: &Server, arguments: &[&str]) -> Value {
    let ended = server.cli(&[&["messages"][..], arguments, &["--json"]].concat());
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {}", ended.stdout))
}

/// What a person is told.
#[track_caller]
fn words(server: &Server, arguments: &[&str]) -> String {
    let ended = server.cli(&[&["messages"][..], arguments].concat());
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    ended.stdout
}

/// The newest first.
#[track_caller]
fn ids(server: &Server) -> Vec<String> {
    let letters = json(server, &["failed"]);
    let letters = letters["data"].as_array().expect("letters").iter();
    letters.map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_dead_letter_is_counted_listed_and_shown_with_what_went_wrong() {
    let server = with_dead_letters(1);
    let stats = dead(&server, 1);
    assert_eq!(stats["by_kind"]["order_shipped"]["failed"], 1, "{stats:#}");
    let listed = json(&server, &["failed", "--kind", "order_shipped"]);
    let [letter] = listed["data"].as_array().expect("letters").as_slice() else { panic!("{listed:#}") };
    assert_eq!(
        json(&server, &["failed", "--kind", "process_order"])["data"].as_array().map(Vec::len),
        Some(0)
    );
    let id = letter["id"].as_str().expect("an id");
    let shown = json(&server, &["show", id]);
    assert_eq!(&shown, letter);
    assert_eq!((&shown["status"], &shown["attempts"]), (&"failed".into(), &1.into()));
    let error = shown["errors"][0]["error"].as_str().expect("an error");
    assert!(!error.is_empty());
    for arguments in [&["failed"][..], &["show", id]] {
        let told = words(&server, arguments);
        let parts = [id, "order_shipped", letter["key"].as_str().expect("a key"), error];
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
    let table = words(&server, &["stats"]);
    let line = table.lines().find(|line| line.starts_with("order_shipped")).expect("a line per kind");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["order_shipped", "0", "0", "0", "1", "0"]);
}

#[test]
fn a_dead_letter_that_is_retried_is_tried_once_more() {
    let server = with_dead_letters(2);
    let [newest, oldest] = ids(&server).try_into().expect("two");
    assert_eq!(json(&server, &["retry", &oldest])["status"], "ready");
    eventually("it fails again", || {
        let letters = json(&server, &["failed"]);
        let attempts = |at: usize| letters["data"][at]["attempts"].as_u64();
        (attempts(1) == Some(2) && attempts(0) == Some(1)).then_some(())
    });
    let shown = json(&server, &["show", &oldest]);
    assert_eq!(shown["errors"].as_array().map(Vec::len), Some(2), "{shown:#}");
    assert!(words(&server, &["retry", &newest]).contains(&newest));
}

#[test]
fn all_dead_letters_are_retried_once_each_even_if_they_fail_again_at_once() {
    let server = with_dead_letters(5);
    assert_eq!(json(&server, &["retry", "--all", "--kind", "process_order"])["retried"], 0);
    assert_eq!(json(&server, &["retry", "--all"])["retried"], 5);
    dead(&server, 5);
    let attempts = || {
        let letters = json(&server, &["failed"]);
        let letters = letters["data"].as_array().expect("letters").clone();
        letters.iter().map(|letter| letter["attempts"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    eventually("each was tried once more", || (attempts() == [2; 5]).then_some(()));
    assert!(words(&server, &["retry", "--all", "--kind", "order_shipped"]).contains("5 dead letters"));
}

#[test]
fn a_purged_dead_letter_is_gone() {
    let server = with_dead_letters(2);
    let [newest, oldest] = ids(&server).try_into().expect("two");
    assert_eq!(json(&server, &["purge", &newest])["purged"], true);
    assert_eq!(ids(&server), [oldest.as_str()]);
    dead(&server, 1);
    assert!(words(&server, &["purge", &oldest]).contains(&oldest));
    for verb in ["show", "retry", "purge"] {
        server.cli(&["messages", verb, &oldest]).expect(1, &["not_found"]);
    }
    server.expect_clean_audit();
}

#[test]
fn a_wrong_use_is_told_apart_from_a_failure() {
    let server = Server::start();
    let wrong: [&[&str]; 6] = [
        &["failed", "--kind", "nonsense"],
        &["show", "no-uuid"],
        &["retry"],
        &["retry", "--kind", "order_shipped"],
        &["retry", "--all", "018f0000-0000-7000-8000-000000000001"],
        &[],
    ];
    for arguments in wrong {
        assert_eq!(server.cli(&[&["messages"][..], arguments].concat()).code, Some(2), "{arguments:?}");
    }
    let missing = "018f0000-0000-7000-8000-000000000001";
    server.cli(&["messages", "show", missing, "--json"]).expect(1, &["not_found"]);
}
