//! Orders that are decided in the background: accepted at once, decided once, whatever happens in between.

use crate::support::api::{Actor, Item, order_of};
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::http::Reply;
use crate::support::server::Server;
use crate::support::store::on_each_store;
use crate::support::{all_at_once, eventually};
use serde_json::{Value, json};

fn place(actor: &Actor, key: Option<&str>, order: &Value) -> Reply {
    let mut call = actor.call("POST", "/orders").header("Prefer", "respond-async");
    if let Some(key) = key {
        call = call.header("Idempotency-Key", key);
    }
    call.json(order).send()
}

/// Accepts an order and says which.
fn accepted(actor: &Actor, lines: &[(Item, u64)]) -> String {
    let placed = place(actor, None, &order_of(lines)).expect(202);
    assert_eq!(placed["status"], "pending");
    placed["order_id"].as_str().expect("an id").to_owned()
}

fn decided(actor: &Actor, id: &str) -> Value {
    eventually("the order is decided", || {
        let order = actor.read_order(id);
        (order["status"] != "pending").then_some(order)
    })
}

#[test]
fn an_accepted_order_is_decided_in_the_background_and_can_be_followed() {
    on_each_store(|server| {
        let (admin, buyer) = (server.admin(), server.buyer(1_000));
        let (lamp, chair) = (admin.item("Lamp", 30, 5), admin.item("Chair", 100, 5));
        let reply = place(&buyer, None, &order_of(&[(lamp, 2), (chair, 1)]));
        let placed = reply.expect(202);
        assert_eq!((&placed["status"], placed["seq"].as_u64()), (&json!("pending"), Some(reply.seq())));
        let order = decided(&buyer, placed["order_id"].as_str().expect("an id"));
        assert_eq!((&order["status"], &order["total_amount"]), (&json!("processed"), &json!(160)));
        assert_eq!(order["failure"], Value::Null);
        assert_eq!((server.stock(lamp), server.stock(chair), buyer.balance()), (3, 4, 840));
        assert_eq!(buyer.list("/orders?status=processed").len(), 1);
        let id = order["id"].as_str().expect("an id");
        assert_eq!(buyer.cancel(id).expect(200)["status"], "cancelled");
        assert_eq!((server.stock(lamp), buyer.balance()), (5, 1_000));
        server.expect_clean_audit();
    });
}

#[test]
fn a_refused_order_ends_as_failed_with_the_refusal_and_moves_nothing() {
    on_each_store(|server| {
        let (admin, buyer) = (server.admin(), server.buyer(100));
        let (lamp, dear) = (admin.item("Lamp", 30, 5), admin.item("Palace", 1_000, 5));
        let gone = admin.item("Gone", 1, 5);
        let none_left = decided(&buyer, &accepted(&buyer, &[(gone, 1), (lamp, 6)]));
        assert_eq!(none_left["status"], "failed");
        assert_eq!(none_left["failure"]["code"], "insufficient_stock");
        assert_eq!(none_left["failure"]["product_id"], lamp.id);
        assert_eq!(none_left["failure"]["detail"], "6 requested, 5 available");
        let too_dear = decided(&buyer, &accepted(&buyer, &[(lamp, 1), (dear, 1)]));
        assert_eq!(too_dear["failure"]["code"], "insufficient_balance");
        let claimed = order_of(&[(Item { price: 29, ..lamp }, 1)]);
        let placed = place(&buyer, None, &claimed).expect(202);
        let repriced = decided(&buyer, placed["order_id"].as_str().expect("an id"));
        assert_eq!(repriced["failure"]["code"], "price_changed");
        admin.remove(gone).expect(204);
        let deleted = decided(&buyer, &accepted(&buyer, &[(gone, 1)]));
        assert_eq!(deleted["failure"]["code"], "item_deleted");
        let id = deleted["id"].as_str().expect("an id");
        for step in [buyer.cancel(id), admin.ship(id)] {
            expect_problem(&step, 409, "invalid_state");
        }
        assert_eq!((server.stock(lamp), buyer.balance(), buyer.entries().len()), (5, 100, 1));
        server.kill9();
        server.restart();
        assert_eq!(buyer.list("/orders?status=failed").len(), 4);
        assert_eq!(buyer.read_order(id)["failure"]["code"], "item_deleted");
        server.expect_clean_audit();
    });
}

#[test]
fn an_order_that_failed_is_failed_in_the_buyers_own_list_at_once() {
    on_each_store(|server| {
        let (admin, buyer) = (server.admin(), server.buyer(100));
        let id = accepted(&buyer, &[(admin.item("Lamp", 30, 1), 2)]);
        assert_eq!(decided(&buyer, &id)["status"], "failed");
        let listed =
            |path: &str| buyer.list(path).iter().map(|order| order["status"].clone()).collect::<Vec<_>>();
        assert_eq!(listed("/orders"), ["failed"]);
        assert_eq!(listed("/orders?status=failed"), ["failed"]);
        assert!(listed("/orders?status=pending").is_empty());
    });
}

#[test]
fn what_can_be_seen_at_once_is_refused_at_once() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let lamp = admin.item("Lamp", 30, 5);
    let unknown = Item { id: 999_999, ..lamp };
    expect_invalid(&place(&buyer, None, &order_of(&[(lamp, 1), (unknown, 1)])), "items.1.product_id");
    let mut wrong = order_of(&[(lamp, 1)]);
    wrong["total_amount"] = json!(1);
    expect_invalid(&place(&buyer, None, &wrong), "total_amount");
    assert!(buyer.list("/orders").is_empty());
}

#[test]
fn a_retry_under_a_key_is_answered_as_the_first_and_orders_nothing_more() {
    let mut server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let lamp = admin.item("Lamp", 30, 100);
    let order = order_of(&[(lamp, 1)]);
    let first = place(&buyer, Some("once"), &order);
    let id = first.expect(202)["order_id"].as_str().expect("an id").to_owned();
    decided(&buyer, &id);
    for _ in 0..2 {
        let again = place(&buyer, Some("once"), &order);
        assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
        assert_eq!(again.expect(202), first.expect(202));
        server.kill9();
        server.restart();
    }
    assert_eq!((server.stock(lamp), buyer.list("/orders").len()), (99, 1));
}

#[test]
fn of_more_orders_than_there_is_stock_for_just_so_many_are_processed() {
    let server = Server::start();
    let admin = server.admin();
    let lamp = admin.item("Lamp", 1, 10);
    let buyers: Vec<_> = (0..4).map(|_| server.buyer(100)).collect();
    let placed = all_at_once(40, |turn| accepted(&buyers[turn % 4], &[(lamp, 1)]));
    let statuses: Vec<_> = placed
        .iter()
        .enumerate()
        .map(|(turn, id)| decided(&buyers[turn % 4], id)["status"].as_str().expect("a status").to_owned())
        .collect();
    assert_eq!(statuses.iter().filter(|status| *status == "processed").count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| *status == "failed").count(), 30, "{statuses:?}");
    assert_eq!(server.stock(lamp), 0);
    let stats = admin.get("/messages/stats").expect(200);
    assert_eq!(
        (&stats["failed"], &stats["by_kind"]["process_order"]["succeeded_total"]),
        (&json!(0), &json!(40))
    );
    server.expect_clean_audit();
}

#[test]
fn an_order_that_a_crash_left_pending_is_decided_by_the_next_start() {
    on_each_store(|server| {
        let (admin, buyer) = (server.admin(), server.buyer(1_000));
        let lamp = admin.item("Lamp", 1, 1_000);
        let mut placed = Vec::new();
        for _ in 0..5 {
            placed.extend(all_at_once(8, |_| accepted(&buyer, &[(lamp, 1)])));
            server.kill9();
            server.restart();
        }
        for id in &placed {
            assert_eq!(decided(&buyer, id)["status"], "processed");
        }
        assert_eq!((server.stock(lamp), buyer.balance()), (960, 960));
        server.expect_clean_audit();
    });
}
