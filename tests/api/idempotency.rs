//! A request with a key happens once, however often it is sent, and every sending is told the same.

use crate::support::all_at_once;
use crate::support::api::{User, order_of};
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::http::Reply;
use crate::support::server::{Server, Setup};
use crate::support::store::on_each_store;
use serde_json::{Value, json};

/// `again` tells what `first` told, and says that it is a repetition.
#[track_caller]
fn expect_replay(first: &Reply, again: &Reply) {
    assert_eq!(again.status, first.status, "{}", again.text());
    assert_eq!(again.body, first.body, "the body differs: {} / {}", first.text(), again.text());
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{:?}", again.headers);
    assert_eq!(first.header("Idempotency-Replayed"), None, "{:?}", first.headers);
}

/// As [`expect_replay`], for a refusal, whose request id is its own.
#[track_caller]
fn expect_same_refusal(first: &Reply, again: &Reply) {
    let told = |reply: &Reply| -> Value {
        let mut problem =
            expect_problem(reply, first.status, first.json()["code"].as_str().unwrap_or_default());
        problem["request_id"].take();
        problem
    };
    assert_eq!(told(again), told(first));
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{:?}", again.headers);
}

#[test]
fn every_post_that_changes_state_is_replayed_under_its_key() {
    let server = Server::start();
    let (admin, ann, bob) = (server.admin(), server.buyer(10_000), server.buyer(0));
    let item = admin.item("Lamp", 10, 100);
    let gone = admin.item("Old lamp", 10, 1);
    admin.remove(gone).expect(204);
    let order = |buyer: &User| crate::support::api::order_id(&buyer.order(&[(item, 1)]).expect(201));
    let (cancelled, shipped, delivered, returned) = (order(&ann), order(&ann), order(&ann), order(&ann));
    admin.ship(&delivered).expect(200);
    let line = json!({"product_id": item.id, "quantity": 1, "unit_price": 10});
    let cases = [
        (&ann.actor, format!("/items/{}/purchase", item.id), json!({"quantity": 2})),
        (&ann.actor, "/orders".into(), order_of(&[(item, 3)])),
        (&ann.actor, format!("/orders/{cancelled}/cancel"), json!({})),
        (&ann.actor, "/transfers".into(), json!({"to_user_id": bob.id, "amount": 5})),
        (&admin, format!("/orders/{shipped}/ship"), json!({})),
        (&admin, format!("/orders/{delivered}/deliver"), json!({})),
        (&admin, "/returns".into(), json!({"user_id": ann.id, "order_id": returned, "items": [line]})),
        (&admin, format!("/users/{}/balance/increment", ann.id), json!({"amount": 7})),
        (&admin, format!("/users/{}/balance/decrement", ann.id), json!({"amount": 3})),
        (&admin, "/items".into(), json!({"name": "New lamp", "price": 1, "stock": 1})),
        (&admin, format!("/items/{}/stock", item.id), json!({"delta": 4})),
        (&admin, format!("/items/{}/restore", gone.id), json!({})),
        (&admin, "/users".into(), json!({"name": "Cy", "email": "cy@example.org"})),
    ];
    for (index, (actor, path, body)) in cases.iter().enumerate() {
        let key = format!("every-post-{index}");
        let first = actor.post_keyed(&key, path, body);
        assert!(first.status < 300, "{path}: {} {}", first.status, first.text());
        let state = || (ann.balance(), bob.balance(), server.stock(item), admin.list("/items").len());
        let before = state();
        expect_replay(&first, &actor.post_keyed(&key, path, body));
        assert_eq!(state(), before, "{path} happened twice");
    }
    server.expect_clean_audit();
}

#[test]
fn the_same_key_for_another_request_is_refused() {
    let server = Server::start();
    let buyer = server.buyer(1_000);
    let item = server.admin().item("Lamp", 10, 100);
    let path = format!("/items/{}/purchase", item.id);
    let first = buyer.post_keyed("one", &path, &json!({"quantity": 1}));
    first.expect(201);
    expect_problem(&buyer.post_keyed("one", &path, &json!({"quantity": 2})), 422, "idempotency_key_reused");
    let elsewhere = buyer.post_keyed("one", "/orders", &order_of(&[(item, 1)]));
    expect_problem(&elsewhere, 422, "idempotency_key_reused");
    expect_replay(&first, &buyer.post_keyed("one", &path, &json!({"quantity": 1})));
    assert_eq!((buyer.balance(), server.stock(item)), (990, 99));
}

#[test]
fn the_same_key_at_once_is_executed_once() {
    on_each_store(|server| {
        let buyer = server.buyer(1_000);
        let item = server.admin().item("Lamp", 10, 100);
        let path = format!("/items/{}/purchase", item.id);
        for round in 1..=20 {
            let key = format!("round-{round}");
            let replies = all_at_once(8, |_| buyer.post_keyed(&key, &path, &json!({"quantity": 1})));
            for reply in &replies {
                reply.expect(201);
                assert_eq!(reply.body, replies[0].body, "two answers for one key");
            }
            let fresh = replies.iter().filter(|reply| reply.header("Idempotency-Replayed").is_none()).count();
            assert_eq!(fresh, 1, "executions");
            assert_eq!((buyer.balance(), server.stock(item)), (1_000 - 10 * round, 100 - round));
        }
        server.expect_clean_audit();
    });
}

#[test]
fn a_refusal_is_remembered_after_a_top_up_and_a_new_key_succeeds() {
    let mut server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(5));
    let item = admin.item("Lamp", 10, 1);
    let scarce = admin.item("Sold out", 1, 0);
    let ask =
        |key: &str, id: u64| buyer.post_keyed(key, &format!("/items/{id}/purchase"), &json!({"quantity": 1}));
    let poor = ask("poor", item.id);
    expect_problem(&poor, 409, "insufficient_balance");
    let out = ask("out", scarce.id);
    expect_problem(&out, 409, "insufficient_stock");
    admin.credit(buyer.id, 100).expect(200);
    admin.restock(scarce, 5).expect(200);
    expect_same_refusal(&poor, &ask("poor", item.id));
    expect_same_refusal(&out, &ask("out", scarce.id));
    server.kill9();
    server.restart();
    expect_same_refusal(&poor, &ask("poor", item.id));
    expect_same_refusal(&out, &ask("out", scarce.id));
    ask("rich", item.id).expect(201);
    ask("in", scarce.id).expect(201);
    assert_eq!(buyer.balance(), 94);
    server.expect_clean_audit();
}

#[test]
fn a_request_that_was_invalid_does_not_use_its_key_up() {
    let server = Server::start();
    let buyer = server.buyer(100);
    let item = server.admin().item("Lamp", 10, 10);
    let path = format!("/items/{}/purchase", item.id);
    expect_invalid(&buyer.post_keyed("k", &path, &json!({"quantity": 0})), "quantity");
    let guest = server.guest().post_keyed("k", &path, &json!({"quantity": 1}));
    expect_problem(&guest, 401, "unauthenticated");
    buyer.post_keyed("k", &path, &json!({"quantity": 1})).expect(201);
}

#[test]
fn replies_are_remembered_across_a_crash_and_a_clean_restart() {
    on_each_store(|server| {
        let (admin, buyer) = (server.admin(), server.buyer(1_000));
        let item = admin.item("Lamp", 10, 100);
        let buy = format!("/items/{}/purchase", item.id);
        let top_up = format!("/users/{}/balance/increment", buyer.id);
        let send = || {
            [
                buyer.post_keyed("buy", &buy, &json!({"quantity": 2})),
                buyer.post_keyed("order", "/orders", &order_of(&[(item, 3)])),
                admin.post_keyed("top-up", &top_up, &json!({"amount": 50})),
                admin.post_keyed("item", "/items", &json!({"name": "New", "price": 1, "stock": 1})),
            ]
        };
        let first = send();
        let check = || {
            for (first, again) in first.iter().zip(send()) {
                expect_replay(first, &again);
            }
            expect_problem(
                &buyer.post_keyed("buy", &buy, &json!({"quantity": 3})),
                422,
                "idempotency_key_reused",
            );
            assert_eq!((buyer.balance(), server_stock(&buyer, item.id)), (1_000, 95));
        };
        check();
        server.kill9();
        server.restart();
        check();
        assert_eq!(server.sigterm(), Some(0));
        server.restart();
        check();
        server.expect_clean_audit();
    });
}

fn server_stock(reader: &User, item: u64) -> u64 {
    reader.get(&format!("/items/{item}")).expect(200)["stock"].as_u64().expect("stock is an integer")
}

#[test]
fn a_key_belongs_to_its_caller() {
    let server = Server::start();
    let (ann, bob) = (server.buyer(100), server.buyer(100));
    let item = server.admin().item("Lamp", 10, 10);
    let path = format!("/items/{}/purchase", item.id);
    let anns = ann.post_keyed("shared", &path, &json!({"quantity": 1})).expect(201);
    let bobs = bob.post_keyed("shared", &path, &json!({"quantity": 1})).expect(201);
    assert_ne!(anns["order_id"], bobs["order_id"]);
    bob.post_keyed("shared", &path, &json!({"quantity": 1})).expect(201);
    assert_eq!((ann.balance(), bob.balance(), server.stock(item)), (90, 90, 8));
}

#[test]
fn a_key_is_1_to_255_printable_characters_bare_or_quoted() {
    let server = Server::start();
    let buyer = server.buyer(1_000);
    let item = server.admin().item("Lamp", 10, 100);
    let path = format!("/items/{}/purchase", item.id);
    let send = |key: &str| buyer.post_keyed(key, &path, &json!({"quantity": 1}));
    let unbalanced = ["\"", "\"k", "k\"", "\"k\"k\""];
    for bad in ["", "\"\"", &"k".repeat(256), "schlüssel", "tab\there"].into_iter().chain(unbalanced) {
        let reply = send(bad);
        // A control character may be refused by the HTTP layer before any key is read; the problem is a 400 all the same.
        assert_eq!(reply.status, 400, "{bad:?}: {}", reply.text());
        if bad != "tab\there" {
            expect_problem(&reply, 400, "idempotency_key_invalid");
        }
    }
    assert_eq!(buyer.balance(), 1_000);
    send(&"k".repeat(255)).expect(201);
    let quoted = send("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");
    quoted.expect(201);
    expect_replay(&quoted, &send("8e03978e-40d5-43dd-bc93-6894a57f9324"));
    assert_eq!(buyer.balance(), 980);
}

#[test]
fn whoever_has_used_up_all_keys_is_told_how_many_there_are_and_when_one_is_free_again() {
    let server = Setup::new().env("PURSER__IDEMPOTENCY__KEYS_PER_CALLER_MAX", "2").start();
    let (item, buyer) = (server.admin().item("Lamp", 1, 10), server.buyer(10));
    let path = format!("/items/{}/purchase", item.id);
    let buy = |key: &str| buyer.post_keyed(key, &path, &json!({"quantity": 1}));
    let first = buy("one");
    buy("two").expect(201);
    let refused = buy("three");
    let problem = expect_problem(&refused, 503, "overloaded");
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains("2 unexpired idempotency keys") && detail.contains(" s"), "{detail}");
    let seconds: u64 = refused.header("Retry-After").and_then(|value| value.parse().ok()).expect("seconds");
    assert!((86_000..=86_400).contains(&seconds), "the first key is kept for a day: {seconds}");
    expect_replay(&first, &buy("one"));
    buyer.buy(item, 1).expect(201);
    assert_eq!(server.stock(item), 7);
}
