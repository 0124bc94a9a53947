//! What the outside is told of shipped orders, and what becomes of it when nobody listens.

use crate::support::api::order_id;
use crate::support::eventually;
use crate::support::expect::expect_problem;
use crate::support::receiver::{Answer, Received, Receiver};
use crate::support::server::{Server, Setup};
use crate::support::store::stores;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server that tells the receiver, and tries again at once.
fn telling(receiver: &Receiver) -> Setup {
    Setup::new()
        .env("PURSER__WEBHOOK__URL", &receiver.url())
        .env("PURSER__WEBHOOK__SECRET", SECRET)
        .env("PURSER__MESSAGES__ORDER_SHIPPED__DELAY_MS", "10")
        .env("PURSER__MESSAGES__ORDER_SHIPPED__MULTIPLIER", "1")
        .env("PURSER__MESSAGES__ORDER_SHIPPED__TIMEOUT_MS", "300")
}

/// Ships a new order; says which, and its buyer.
fn ship(server: &Server) -> (String, u64) {
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 30, 5);
    let id = order_id(&buyer.order(&[(item, 2)]).expect(201));
    admin.ship(&id).expect(200);
    // Done already: the outside is not told again.
    admin.ship(&id).expect(200);
    (id, buyer.id)
}

fn stats(server: &Server) -> Value {
    server.admin().get("/messages/stats").expect(200)["by_kind"]["order_shipped"].clone()
}

fn settles(server: &Server) -> Value {
    eventually("no message is under way", || {
        let stats = stats(server);
        let under_way = ["ready", "delayed", "running"].iter().any(|status| stats[status] != 0);
        (!under_way).then_some(stats)
    })
}

/// Waits for so many requests, and makes sure that they are all.
fn told(server: &Server, receiver: &Receiver, times: usize) -> Vec<Received> {
    eventually("the outside is told", || (receiver.received().len() >= times).then_some(()));
    settles(server);
    let received = receiver.received();
    assert_eq!(received.len(), times, "{received:?}");
    received
}

#[track_caller]
fn check_signature(received: &Received) {
    let header = |name: &str| received.headers.get(name).unwrap_or_else(|| panic!("no {name}: {received:?}"));
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("base64");
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), received.body);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    assert_eq!(*header("webhook-signature"), format!("v1,{}", STANDARD.encode(signature)));
    assert_eq!(header("content-type"), "application/json");
}

#[test]
fn a_shipped_order_is_told_once_signed_as_standard_webhooks_says() {
    for store in stores() {
        let receiver = Receiver::start(|_| Answer::Status(204));
        let server = telling(&receiver).store(store).start();
        let (order, user) = ship(&server);
        let received = told(&server, &receiver, 1).remove(0);
        check_signature(&received);
        let body = received.json();
        assert_eq!(body["type"], "order.shipped");
        assert!(body["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{body}");
        assert_eq!(body["data"], json!({"order_id": order, "user_id": user, "total_amount": 60}));
        assert_eq!(stats(&server)["succeeded_total"], 1);
        server.expect_clean_audit();
    }
}

#[test]
fn a_receiver_that_refuses_resets_hangs_or_sends_elsewhere_is_told_again_under_the_same_id() {
    let receiver = Receiver::start(|count| match count {
        0 => Answer::Status(500),
        1 => Answer::Nothing,
        2 => Answer::Silence,
        3 => Answer::Redirect,
        _ => Answer::Status(200),
    });
    let server = telling(&receiver).env("PURSER__MESSAGES__ORDER_SHIPPED__TRIES", "5").start();
    ship(&server);
    let received = told(&server, &receiver, 5);
    received.iter().for_each(check_signature);
    let ids: Vec<_> = received.iter().map(|received| &received.headers["webhook-id"]).collect();
    assert!(ids.iter().all(|id| id == &ids[0]), "{ids:?}");
    assert!(received.iter().all(|other| other.body == received[0].body));
    assert_eq!((&stats(&server)["succeeded_total"], &stats(&server)["failed"]), (&json!(1), &json!(0)));
}

#[test]
fn an_answer_that_comes_after_the_time_out_counts_for_nothing() {
    for store in stores() {
        let receiver = Receiver::start(|count| match count {
            0 => Answer::Late(200),
            1 => Answer::Late(500),
            _ => Answer::Status(503),
        });
        let server =
            telling(&receiver).store(store).env("PURSER__MESSAGES__ORDER_SHIPPED__TRIES", "3").start();
        ship(&server);
        told(&server, &receiver, 3);
        let listed = server.admin().list("/messages/failed");
        let [letter] = &listed[..] else { panic!("{listed:#?}") };
        let errors = letter["errors"].as_array().expect("errors");
        let errors: Vec<_> = errors.iter().map(|error| error["error"].as_str().expect("a text")).collect();
        let [first, second, third] = errors[..] else { panic!("{errors:?}") };
        // The dispatcher's limit or the client's: they are the same.
        let timed_out = |error: &str| error.contains("no end within") || error.contains("Timeout");
        assert!(timed_out(first) && timed_out(second) && third.contains("503"), "{errors:?}");
        assert_eq!(stats(&server)["succeeded_total"], 0);
        server.expect_clean_audit();
    }
}

#[test]
fn after_the_last_attempt_the_message_is_a_dead_letter_with_its_history_until_it_is_retried() {
    for store in stores() {
        let receiver = Receiver::start(|count| Answer::Status(if count < 4 { 503 } else { 200 }));
        let mut server = telling(&receiver).store(store).start();
        let (order, _) = ship(&server);
        told(&server, &receiver, 4);
        for _ in 0..2 {
            let admin = server.admin();
            let listed = admin.list("/messages/failed?kind=order_shipped");
            let [letter] = &listed[..] else { panic!("{listed:#?}") };
            assert_eq!((&letter["kind"], &letter["key"]), (&json!("order_shipped"), &json!(order)));
            assert_eq!((&letter["status"], &letter["attempts"]), (&json!("failed"), &json!(4)));
            assert_eq!(
                (&letter["next_attempt_at"], &letter["payload"]["order_id"]),
                (&Value::Null, &json!(order))
            );
            let errors = letter["errors"].as_array().expect("errors");
            let attempts: Vec<_> = errors.iter().map(|error| error["attempt"].clone()).collect();
            assert_eq!(attempts, [1, 2, 3, 4]);
            assert!(errors.iter().all(|error| error["error"].as_str().is_some_and(|it| it.contains("503"))));
            let shown = admin.get(&format!("/messages/failed/{}", letter["id"].as_str().expect("an id")));
            assert_eq!(&shown.expect(200), letter);
            assert!(admin.list("/messages/failed?kind=process_order").is_empty());
            assert_eq!(receiver.received().len(), 4, "a dead letter was tried");
            server.kill9();
            server.restart();
        }
        let admin = server.admin();
        let id = admin.list("/messages/failed")[0]["id"].as_str().expect("an id").to_owned();
        let retry = format!("/messages/failed/{id}/retry");
        assert_eq!(admin.post_keyed("again", &retry, &json!({})).expect(200)["status"], "ready");
        told(&server, &receiver, 5);
        let replayed = admin.post_keyed("again", &retry, &json!({}));
        assert_eq!(replayed.header("Idempotency-Replayed"), Some("true"), "{}", replayed.text());
        expect_problem(&admin.post(&retry, json!({})), 404, "not_found");
        expect_problem(&admin.get(&format!("/messages/failed/{id}")), 404, "not_found");
        assert!(admin.list("/messages/failed").is_empty());
        assert_eq!(stats(&server)["succeeded_total"], 1);
        server.expect_clean_audit();
    }
}

#[test]
fn dead_letters_are_put_back_in_bulk_or_given_up() {
    let receiver = Receiver::start(|count| Answer::Status(if count < 3 { 500 } else { 200 }));
    let server = telling(&receiver).env("PURSER__MESSAGES__ORDER_SHIPPED__TRIES", "1").start();
    let admin = server.admin();
    (0..3).for_each(|_| drop(ship(&server)));
    told(&server, &receiver, 3);
    let letters = admin.list("/messages/failed");
    assert_eq!(letters.len(), 3);
    let newest = format!("/messages/failed/{}", letters[0]["id"].as_str().expect("an id"));
    assert!(admin.delete(&newest).seq() > 0);
    expect_problem(&admin.delete(&newest), 404, "not_found");
    let body = json!({"kind": "order_shipped", "limit": 1});
    let one = || admin.post_keyed("one", "/messages/failed/retry", &body);
    assert_eq!(one().expect(200)["retried"], 1);
    let oldest = &told(&server, &receiver, 4)[3];
    assert_eq!(oldest.json()["data"]["order_id"], letters[2]["payload"]["order_id"], "not the oldest first");
    let replayed = one();
    assert_eq!(replayed.header("Idempotency-Replayed"), Some("true"), "{}", replayed.text());
    assert_eq!(replayed.expect(200)["retried"], 1);
    assert_eq!(admin.post("/messages/failed/retry", json!({"limit": 100})).expect(200)["retried"], 1);
    told(&server, &receiver, 5);
    assert_eq!(admin.post("/messages/failed/retry", json!({})).expect(200)["retried"], 0);
    assert_eq!((&stats(&server)["failed"], &stats(&server)["succeeded_total"]), (&json!(0), &json!(2)));
    expect_problem(&admin.post("/messages/failed/retry", json!({"kind": "cart"})), 422, "validation_failed");
    server.expect_clean_audit();
}

#[test]
fn what_was_not_told_before_a_crash_is_told_after_it() {
    for store in stores() {
        let receiver = Receiver::start(|count| if count < 1 { Answer::Silence } else { Answer::Status(200) });
        let setup = telling(&receiver).env("PURSER__MESSAGES__ORDER_SHIPPED__TIMEOUT_MS", "60000");
        let mut server = setup.store(store).start();
        ship(&server);
        eventually("the outside is told", || (receiver.received().len() == 1).then_some(()));
        server.kill9();
        server.restart();
        let received = told(&server, &receiver, 2);
        assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);
        // The first attempt was cut off, not counted.
        assert_eq!(stats(&server)["succeeded_total"], 1);
    }
}

#[test]
fn messages_are_for_administrators() {
    let server = Server::start();
    let (buyer, id) = (server.buyer(0), uuid::Uuid::nil());
    for (method, path) in [
        ("GET", "/messages/stats".to_owned()),
        ("GET", "/messages/failed".to_owned()),
        ("GET", format!("/messages/failed/{id}")),
        ("POST", format!("/messages/failed/{id}/retry")),
        ("POST", "/messages/failed/retry".to_owned()),
        ("DELETE", format!("/messages/failed/{id}")),
    ] {
        expect_problem(&buyer.call(method, &path).send(), 403, "forbidden");
        expect_problem(&server.guest().call(method, &path).send(), 401, "unauthenticated");
    }
}
