//! Placing orders: whole or not at all, at the owners' prices.

use crate::support::api::{Item, order_id, order_of};
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::server::Server;
use serde_json::{Map, Value, json};

#[test]
fn an_order_moves_every_line_and_the_money_at_once() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let (lamp, chair) = (admin.item("Lamp", 30, 5), admin.item("Chair", 100, 5));
    let reply = buyer.order(&[(lamp, 2), (chair, 3)]);
    let answer = reply.expect(201);
    assert_eq!(answer["message"], "Order created successfully");
    assert_eq!((&answer["status"], &answer["seq"]), (&json!("processed"), &json!(reply.seq())));
    assert_eq!((server.stock(lamp), server.stock(chair), buyer.balance()), (3, 2, 640));

    let order = buyer.read_order(&order_id(&answer));
    assert_eq!((&order["id"], &order["user_id"]), (&answer["order_id"], &json!(buyer.id)));
    assert_eq!((&order["status"], &order["total_amount"]), (&json!("processed"), &json!(360)));
    assert_eq!(order["failure"], Value::Null);
    assert!(order["created_at"].is_string() && order["updated_at"].is_string(), "{order}");
    let lines = order["items"].as_array().expect("lines");
    for (line, (item, name, quantity)) in lines.iter().zip([(lamp, "Lamp", 2), (chair, "Chair", 3)]) {
        assert_eq!((&line["product_id"], &line["quantity"]), (&json!(item.id), &json!(quantity)));
        assert_eq!(line["unit_price"], item.price);
        assert_eq!(line["product"]["id"], item.id);
        assert_eq!((&line["product"]["name"], &line["product"]["price"]), (&json!(name), &json!(item.price)));
    }
    assert_eq!(lines.len(), 2);
    server.expect_clean_audit();
}

#[test]
fn an_order_id_is_a_uuid_v7_and_its_shard_the_crc32_of_its_text() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 1, 100);
    for _ in 0..8 {
        let id = order_id(&buyer.order(&[(item, 1)]).expect(201));
        let uuid = uuid::Uuid::parse_str(&id).expect("a UUID");
        assert_eq!((uuid.get_version_num(), uuid.hyphenated().to_string()), (7, id.clone()));
        assert_eq!(buyer.read_order(&id)["shard_id"], crc32fast::hash(id.as_bytes()) % 4);
    }
}

#[test]
fn a_price_that_is_not_the_owners_is_refused_with_the_owners() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 30, 5);
    for claimed in [1, 29, 31, 0] {
        let line = json!({"product_id": item.id, "quantity": 2, "unit_price": claimed});
        let refused = buyer.post("/orders", json!({"items": [line], "total_amount": 2 * claimed}));
        let problem = expect_problem(&refused, 409, "price_changed");
        assert_eq!((&problem["product_id"], &problem["unit_price"]), (&json!(item.id), &json!(30)));
    }
    assert_eq!((server.stock(item), buyer.balance()), (5, 1_000));
}

#[test]
fn a_wrong_sum_is_invalid() {
    let server = Server::start();
    let buyer = server.buyer(1_000);
    let item = server.admin().item("Lamp", 30, 5);
    let mut order = order_of(&[(item, 2)]);
    for total in [json!(59), json!(61), json!(0), json!(-60)] {
        order["total_amount"] = total;
        expect_invalid(&buyer.post("/orders", order.clone()), "total_amount");
    }
    assert_eq!((server.stock(item), buyer.balance()), (5, 1_000));
}

#[test]
fn a_malformed_order_names_the_field() {
    let server = Server::start();
    let buyer = server.buyer(1_000);
    let item = server.admin().item("Lamp", 30, 5);
    let mut order = order_of(&[(item, 1), (item, 1)]);
    order["items"][1]["quantity"] = json!(0);
    expect_invalid(&buyer.post("/orders", order.clone()), "items.1.quantity");
    order["items"][1]["quantity"] = json!(1);
    order["items"][0]["unit_price"] = json!(-30);
    expect_invalid(&buyer.post("/orders", order), "items.0.unit_price");
    expect_invalid(&buyer.post("/orders", json!({"items": [], "total_amount": 0})), "items");
    expect_problem(&buyer.post("/orders", json!({"items": {}, "total_amount": 0})), 422, "validation_failed");
    assert_eq!((server.stock(item), buyer.balance()), (5, 1_000));
}

#[test]
fn every_line_with_an_unknown_product_is_named() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let known = admin.item("Lamp", 30, 5);
    let unknown = |id| Item { id, price: 1 };
    let lines = [(unknown(900_001), 1), (known, 1), (unknown(900_002), 1), (unknown(900_001), 2)];
    let refused = expect_problem(&buyer.order(&lines), 422, "validation_failed");
    let named: Vec<_> = refused["errors"].as_object().expect("errors").keys().collect();
    assert_eq!(named, ["items.0.product_id", "items.2.product_id", "items.3.product_id"]);
    let lines: Vec<_> = lines
        .iter()
        .map(|(item, quantity)| json!({"product_id": item.id, "quantity": quantity, "unit_price": 1}))
        .collect();
    let refused = admin.post("/returns", json!({"user_id": buyer.id, "items": lines}));
    assert_eq!(
        expect_problem(&refused, 422, "validation_failed")["errors"].as_object().map(Map::len),
        Some(3)
    );
    assert_eq!((server.stock(known), buyer.balance()), (5, 1_000));
}

#[test]
fn an_order_has_at_most_a_thousand_lines() {
    let server = Server::start();
    let buyer = server.buyer(10_000);
    let item = server.admin().item("Lamp", 1, 5_000);
    expect_invalid(&buyer.order(&vec![(item, 1); 1_001]), "items");
    assert_eq!(server.stock(item), 5_000);
    buyer.order(&vec![(item, 1); 1_000]).expect(201);
    assert_eq!((server.stock(item), buyer.balance()), (4_000, 9_000));
}

#[test]
fn lines_of_the_same_product_are_checked_as_their_sum() {
    let server = Server::start();
    let buyer = server.buyer(1_000);
    let item = server.admin().item("Lamp", 10, 5);
    let problem = expect_problem(&buyer.order(&[(item, 3), (item, 3)]), 409, "insufficient_stock");
    assert_eq!((&problem["available"], &problem["product_id"]), (&json!(5), &json!(item.id)));
    let answer = buyer.order(&[(item, 3), (item, 2)]).expect(201);
    assert_eq!((server.stock(item), buyer.balance()), (0, 950));
    let lines = buyer.read_order(&order_id(&answer))["items"].clone();
    let lines = lines.as_array().expect("lines").clone();
    assert_eq!(lines.iter().filter_map(|line| line["quantity"].as_u64()).sum::<u64>(), 5);
}

#[test]
fn an_unknown_product_is_invalid_and_a_deleted_one_gone() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let (lamp, chair) = (admin.item("Lamp", 10, 5), admin.item("Chair", 10, 5));
    let mut order = order_of(&[(lamp, 1), (chair, 1)]);
    order["items"][1]["product_id"] = json!(999_999);
    expect_invalid(&buyer.post("/orders", order), "items.1.product_id");
    admin.remove(chair).expect(204);
    let gone = expect_problem(&buyer.order(&[(lamp, 1), (chair, 1)]), 410, "item_deleted");
    assert_eq!(gone["product_id"], chair.id);
    assert_eq!((server.stock(lamp), server.stock(chair), buyer.balance()), (5, 5, 1_000));
}

#[test]
fn an_order_beyond_the_balance_moves_nothing() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(99));
    let (lamp, chair) = (admin.item("Lamp", 60, 5), admin.item("Chair", 40, 5));
    let problem = expect_problem(&buyer.order(&[(lamp, 1), (chair, 1)]), 409, "insufficient_balance");
    assert_eq!(problem["available"], 99);
    assert_eq!((server.stock(lamp), server.stock(chair), buyer.balance()), (5, 5, 99));
    assert!(buyer.list("/orders").is_empty(), "a refused order was kept");
}

#[test]
fn an_administrator_buys_for_a_user_at_the_price_of_the_counter() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 30, 5);
    let line = json!({"product_id": item.id, "quantity": 2, "unit_price": 25});
    let order = json!({"user_id": buyer.id, "items": [line], "total_amount": 50});
    let answer = admin.post("/orders", order.clone()).expect(201);
    assert_eq!((server.stock(item), buyer.balance()), (3, 50));
    let read = buyer.read_order(&order_id(&answer));
    assert_eq!((&read["user_id"], &read["total_amount"]), (&json!(buyer.id), &json!(50)));
    assert_eq!(read["items"][0]["unit_price"], 25);

    expect_problem(&server.buyer(100).post("/orders", order.clone()), 403, "forbidden");
    let mut wrong = order.clone();
    wrong["total_amount"] = json!(49);
    expect_invalid(&admin.post("/orders", wrong), "total_amount");
    let mut unknown = order;
    unknown["user_id"] = json!(999_999);
    expect_problem(&admin.post("/orders", unknown), 404, "not_found");
    assert_eq!((server.stock(item), buyer.balance()), (3, 50));
    server.expect_clean_audit();
}

#[test]
fn an_order_keeps_what_was_bought_whatever_becomes_of_the_item() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 30, 5);
    let id = order_id(&buyer.order(&[(item, 1)]).expect(201));
    admin.reprice(item, 99).expect(200);
    admin.remove(item).expect(204);
    let order = buyer.read_order(&id);
    assert_eq!((&order["total_amount"], &order["items"][0]["unit_price"]), (&json!(30), &json!(30)));
}
