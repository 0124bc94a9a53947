//! One item, one buyer, one step.

use crate::support::api::{LARGEST, order_id};
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::server::Server;
use serde_json::{Value, json};

#[test]
fn a_purchase_moves_stock_and_money_and_becomes_an_order() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 30, 5);
    let bought = buyer.buy(item, 2).expect(201);
    let expected = json!({
        "order_id": bought["order_id"], "status": "processed", "item_id": item.id, "quantity": 2,
        "unit_price": 30, "total_amount": 60, "remaining_stock": 3, "balance": 940,
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&bought[field], value, "{field}");
    }
    assert_eq!((server.stock(item), buyer.balance()), (3, 940));
    let order = buyer.read_order(&order_id(&bought));
    assert_eq!((&order["status"], &order["total_amount"]), (&json!("processed"), &json!(60)));
    assert_eq!((&order["user_id"], &order["failure"]), (&json!(buyer.id), &Value::Null));
    let entry = buyer.entries().pop().expect("an entry");
    assert_eq!((&entry["kind"], &entry["delta"]), (&json!("order"), &json!(-60)));
    assert_eq!((&entry["balance_after"], &entry["order_id"]), (&json!(940), &bought["order_id"]));
    server.expect_clean_audit();
}

#[test]
fn a_purchase_of_more_than_there_is_tells_what_is_available() {
    let server = Server::start();
    let buyer = server.buyer(1_000);
    let item = server.admin().item("Lamp", 1, 2);
    let refused = expect_problem(&buyer.buy(item, 3), 409, "insufficient_stock");
    assert_eq!((&refused["available"], &refused["product_id"]), (&json!(2), &json!(item.id)));
    buyer.buy(item, 2).expect(201);
    assert_eq!(expect_problem(&buyer.buy(item, 1), 409, "insufficient_stock")["available"], 0);
    assert_eq!(buyer.balance(), 998);
}

#[test]
fn a_purchase_beyond_the_balance_changes_nothing() {
    let server = Server::start();
    let buyer = server.buyer(19);
    let item = server.admin().item("Lamp", 10, 5);
    let refused = expect_problem(&buyer.buy(item, 2), 409, "insufficient_balance");
    assert_eq!(refused["available"], 19);
    assert_eq!((buyer.balance(), server.stock(item)), (19, 5));
    assert!(buyer.list("/orders").is_empty(), "a refused purchase left an order");
    assert_eq!(buyer.entries().len(), 1);
}

#[test]
fn a_quantity_is_between_one_and_a_million() {
    let server = Server::start();
    let buyer = server.buyer(1_000_000);
    let item = server.admin().item("Lamp", 1, 2_000_000);
    let path = format!("/items/{}/purchase", item.id);
    for quantity in [json!(0), json!(-1), json!(1_000_001), json!(LARGEST)] {
        expect_invalid(&buyer.post(&path, json!({"quantity": quantity})), "quantity");
    }
    expect_invalid(&buyer.post(&path, json!({})), "quantity");
    buyer.buy(item, 1_000_000).expect(201);
    assert_eq!((buyer.balance(), server.stock(item)), (0, 1_000_000));
}

#[test]
fn a_total_beyond_the_largest_number_is_refused_with_what_the_buyer_has() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Priceless", LARGEST, 1_000_000);
    let refused = || expect_problem(&buyer.buy(item, 1_000_000), 409, "insufficient_balance");
    assert_eq!(refused()["available"], 100);
    admin.debit(buyer.id, 30).expect(200);
    assert_eq!(refused()["available"], 70);
    admin.debit(buyer.id, 70).expect(200);
    assert_eq!(refused()["available"], 0);
    assert_eq!((buyer.balance(), server.stock(item)), (0, 1_000_000));
    server.expect_clean_audit();
}

#[test]
fn an_item_that_does_not_exist_cannot_be_bought_and_a_guest_buys_nothing() {
    let server = Server::start();
    let item = server.admin().item("Lamp", 1, 1);
    let reply = server.buyer(10).post("/items/999999/purchase", json!({"quantity": 1}));
    expect_problem(&reply, 404, "not_found");
    expect_problem(&server.guest().buy(item, 1), 401, "unauthenticated");
    assert_eq!(server.stock(item), 1);
}

#[test]
fn a_free_item_can_be_bought_without_money() {
    let server = Server::start();
    let buyer = server.buyer(0);
    let item = server.admin().item("Leaflet", 0, 1);
    assert_eq!(buyer.buy(item, 1).expect(201)["total_amount"], 0);
    expect_problem(&buyer.buy(item, 1), 409, "insufficient_stock");
    server.expect_clean_audit();
}
