//! What becomes of an order: cancelled, shipped, delivered, each once, by those who may.

use crate::support::api::{Item, LARGEST, User, order_id};
use crate::support::expect::expect_problem;
use crate::support::server::Server;
use serde_json::json;

/// A buyer of 1,000 who has bought two lamps of five at 30.
fn sold() -> (Server, User, Item, String) {
    let server = Server::start();
    let buyer = server.buyer(1_000);
    let item = server.admin().item("Lamp", 30, 5);
    let id = order_id(&buyer.order(&[(item, 2)]).expect(201));
    (server, buyer, item, id)
}

#[test]
fn a_cancelled_order_gives_stock_and_money_back_once() {
    let (server, buyer, item, id) = sold();
    buyer.cancel(&id).expect(200);
    assert_eq!(buyer.read_order(&id)["status"], "cancelled");
    assert_eq!((server.stock(item), buyer.balance()), (5, 1_000));
    let before = buyer.entries();
    buyer.cancel(&id).expect(200);
    assert_eq!((server.stock(item), buyer.balance()), (5, 1_000));
    assert_eq!(buyer.entries(), before, "a second refund");
    let last = before.last().expect("an entry");
    assert_eq!(
        (&last["kind"], &last["delta"], &last["order_id"]),
        (&json!("cancel"), &json!(60), &json!(id))
    );
    server.expect_clean_audit();
}

#[test]
fn a_cancelled_order_can_be_cancelled_again_when_its_product_has_no_room_for_the_units() {
    let (mut server, buyer, item, id) = sold();
    let other = order_id(&buyer.order(&[(item, 1)]).expect(201));
    let cancelled = buyer.cancel(&id).expect(200);
    let full = i64::try_from(LARGEST - server.stock(item)).expect("in range");
    server.admin().restock(item, full).expect(200);
    let seen = || (server.item(item), buyer.balance(), buyer.entries(), buyer.read_order(&id));
    let before = seen();
    assert_eq!(before.0["stock"], LARGEST);
    expect_problem(&buyer.cancel(&other), 409, "stock_limit");
    assert_eq!(buyer.cancel(&id).expect(200), cancelled);
    let keyed = || buyer.post_keyed("again", &format!("/orders/{id}/cancel"), &json!({}));
    assert_eq!((keyed().expect(200), keyed().expect(200)), (cancelled.clone(), cancelled.clone()));
    assert_eq!(seen(), before);
    // The order is read from the store now.
    assert_eq!(server.sigterm(), Some(0));
    server.restart();
    assert_eq!(buyer.cancel(&id).expect(200), cancelled);
    assert_eq!((server.item(item), buyer.balance()), (before.0, before.1));
    server.expect_clean_audit();
}

#[test]
fn an_order_goes_from_processed_over_shipped_to_delivered() {
    let (server, buyer, _, id) = sold();
    let admin = server.admin();
    expect_problem(&admin.deliver(&id), 409, "invalid_state");
    admin.ship(&id).expect(200);
    assert_eq!(buyer.read_order(&id)["status"], "shipped");
    admin.ship(&id).expect(200);
    admin.deliver(&id).expect(200);
    assert_eq!(buyer.read_order(&id)["status"], "delivered");
    let updated = buyer.read_order(&id)["updated_at"].clone();
    admin.deliver(&id).expect(200);
    assert_eq!(buyer.read_order(&id)["updated_at"], updated, "a repeated step changed the order");
    server.expect_clean_audit();
}

#[test]
fn what_is_shipped_or_delivered_cannot_be_cancelled() {
    let (server, buyer, item, id) = sold();
    server.admin().ship(&id).expect(200);
    expect_problem(&buyer.cancel(&id), 409, "invalid_state");
    server.admin().deliver(&id).expect(200);
    expect_problem(&buyer.cancel(&id), 409, "invalid_state");
    assert_eq!((server.stock(item), buyer.balance()), (3, 940));
    assert_eq!(buyer.read_order(&id)["status"], "delivered");
}

#[test]
fn what_is_cancelled_cannot_be_shipped_or_delivered() {
    let (server, buyer, _, id) = sold();
    buyer.cancel(&id).expect(200);
    expect_problem(&server.admin().ship(&id), 409, "invalid_state");
    expect_problem(&server.admin().deliver(&id), 409, "invalid_state");
    assert_eq!(buyer.read_order(&id)["status"], "cancelled");
}

#[test]
fn an_order_of_which_something_was_returned_cannot_be_cancelled() {
    let (server, buyer, item, id) = sold();
    server.admin().take_back(buyer.id, &id, item, 1).expect(201);
    expect_problem(&buyer.cancel(&id), 409, "invalid_state");
    assert_eq!((server.stock(item), buyer.balance()), (4, 970));
}

#[test]
fn another_users_order_does_not_exist() {
    let (server, buyer, item, id) = sold();
    let stranger = server.buyer(1_000);
    expect_problem(&stranger.get(&format!("/orders/{id}")), 404, "not_found");
    expect_problem(&stranger.cancel(&id), 404, "not_found");
    assert!(stranger.list("/orders").is_empty(), "a stranger sees orders");
    expect_problem(&stranger.get(&format!("/orders?user_id={}", buyer.id)), 403, "forbidden");
    assert_eq!((server.stock(item), buyer.balance()), (3, 940));
    assert_eq!(server.admin().read_order(&id)["id"], id);
}

#[test]
fn an_order_that_does_not_exist_is_not_found() {
    let (server, buyer, ..) = sold();
    let admin = server.admin();
    let id = "018f0000-0000-7000-8000-000000000001";
    for reply in [buyer.get(&format!("/orders/{id}")), buyer.cancel(id), admin.ship(id), admin.deliver(id)] {
        expect_problem(&reply, 404, "not_found");
    }
    expect_problem(&buyer.get("/orders/17"), 404, "not_found");
}

#[test]
fn steps_survive_a_crash() {
    let (mut server, buyer, item, id) = sold();
    let other = order_id(&buyer.order(&[(item, 1)]).expect(201));
    buyer.cancel(&id).expect(200);
    server.admin().ship(&other).expect(200);
    server.kill9();
    server.restart();
    assert_eq!(buyer.read_order(&id)["status"], "cancelled");
    assert_eq!(buyer.read_order(&other)["status"], "shipped");
    buyer.cancel(&id).expect(200);
    expect_problem(&buyer.cancel(&other), 409, "invalid_state");
    assert_eq!((server.stock(item), buyer.balance()), (4, 970));
    server.expect_clean_audit();
}
