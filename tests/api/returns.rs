//! Goods that come back: stock and money move together, bounded by what was sold.

use crate::support::all_at_once;
use crate::support::api::{Item, order_id};
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::server::Server;
use crate::support::store::on_each_store;
use serde_json::json;

#[test]
fn a_return_puts_stock_back_and_credits_the_balance() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let (lamp, chair) = (admin.item("Lamp", 30, 5), admin.item("Chair", 100, 5));
    let id = order_id(&buyer.order(&[(lamp, 2), (chair, 1)]).expect(201));
    let lines = json!([
        {"product_id": lamp.id, "quantity": 1, "unit_price": 30},
        {"product_id": chair.id, "quantity": 1, "unit_price": 100},
    ]);
    let body = json!({"user_id": buyer.id, "order_id": id, "items": lines, "reason": "did not fit"});
    admin.post("/returns", body).expect(201);
    assert_eq!((server.stock(lamp), server.stock(chair), buyer.balance()), (4, 5, 970));
    let entry = buyer.entries().pop().expect("an entry");
    assert_eq!((&entry["kind"], &entry["delta"]), (&json!("return"), &json!(130)));
    assert_eq!(entry["order_id"], id);
    server.expect_clean_audit();
}

#[test]
fn no_more_comes_back_than_the_order_has_left() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let (lamp, chair) = (admin.item("Lamp", 30, 5), admin.item("Chair", 100, 5));
    let id = order_id(&buyer.order(&[(lamp, 3)]).expect(201));
    expect_problem(&admin.take_back(buyer.id, &id, lamp, 4), 409, "invalid_state");
    admin.take_back(buyer.id, &id, lamp, 2).expect(201);
    expect_problem(&admin.take_back(buyer.id, &id, lamp, 2), 409, "invalid_state");
    expect_problem(&admin.take_back(buyer.id, &id, chair, 1), 409, "invalid_state");
    admin.take_back(buyer.id, &id, lamp, 1).expect(201);
    expect_problem(&admin.take_back(buyer.id, &id, lamp, 1), 409, "invalid_state");
    assert_eq!((server.stock(lamp), server.stock(chair), buyer.balance()), (5, 5, 1_000));
    server.expect_clean_audit();
}

#[test]
fn the_lines_of_one_return_are_bounded_as_their_sum() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 30, 5);
    let id = order_id(&buyer.order(&[(item, 3)]).expect(201));
    let line = json!({"product_id": item.id, "quantity": 2, "unit_price": 30});
    let body = json!({"user_id": buyer.id, "order_id": id, "items": [line, line]});
    expect_problem(&admin.post("/returns", body), 409, "invalid_state");
    assert_eq!((server.stock(item), buyer.balance()), (2, 910));
}

#[test]
fn a_unit_comes_back_for_no_more_than_was_paid_for_it() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let (lamp, chair) = (admin.item("Lamp", 30, 5), admin.item("Chair", 100, 5));
    let id = order_id(&buyer.order(&[(lamp, 2), (chair, 1)]).expect(201));
    let back = |lines: &[(Item, u64, u64)]| {
        let line = |(item, quantity, unit_price): &(Item, u64, u64)| json!({"product_id": item.id, "quantity": quantity, "unit_price": unit_price});
        let lines: Vec<_> = lines.iter().map(line).collect();
        admin.post("/returns", json!({"user_id": buyer.id, "order_id": id, "items": lines}))
    };
    for beyond in [&[(lamp, 1, 31)][..], &[(lamp, 1, 100)], &[(chair, 1, 100), (lamp, 1, 31)]] {
        expect_problem(&back(beyond), 409, "invalid_state");
    }
    assert_eq!((server.stock(lamp), server.stock(chair), buyer.balance()), (3, 4, 840));
    // Less is the administrator's word.
    back(&[(lamp, 1, 20)]).expect(201);
    expect_problem(&back(&[(lamp, 1, 40)]), 409, "invalid_state");
    back(&[(lamp, 1, 30), (chair, 1, 100)]).expect(201);
    assert_eq!((server.stock(lamp), server.stock(chair), buyer.balance()), (5, 5, 990));
    server.expect_clean_audit();
}

#[test]
fn a_product_sold_at_several_prices_comes_back_for_no_more_than_all_of_them() {
    on_each_store(|server| {
        let (admin, buyer) = (server.admin(), server.buyer(1_000));
        let (item, chair) = (admin.item("Lamp", 10, 10), admin.item("Chair", 100, 5));
        let line =
            |item: Item, price: u64| json!({"product_id": item.id, "quantity": 1, "unit_price": price});
        let lines = [line(item, 10), line(item, 4), line(chair, 100), line(item, 10)];
        let order = json!({"user_id": buyer.id, "items": lines, "total_amount": 124});
        let id = order_id(&admin.post("/orders", order).expect(201));
        let back = |item: Item, price: u64| {
            let lines = [line(item, price)];
            admin.post("/returns", json!({"user_id": buyer.id, "order_id": id, "items": lines}))
        };
        // What another product was refunded for is not taken for this one's.
        back(chair, 100).expect(201);
        back(item, 4).expect(201);
        expect_problem(&back(item, 11), 409, "invalid_state");
        back(item, 10).expect(201);
        server.kill9();
        server.restart();
        expect_problem(&back(item, 11), 409, "invalid_state");
        back(item, 10).expect(201);
        expect_problem(&admin.ship(&id), 409, "invalid_state");
        assert_eq!((server.stock(item), server.stock(chair), buyer.balance()), (10, 5, 1_000));
        server.expect_clean_audit();
    });
}

#[test]
fn parallel_returns_never_exceed_what_was_sold() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 10);
    let id = order_id(&buyer.order(&[(item, 5)]).expect(201));
    let replies = all_at_once(12, |_| admin.take_back(buyer.id, &id, item, 1));
    let taken = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(taken, 5);
    for refused in replies.iter().filter(|reply| reply.status != 201) {
        expect_problem(refused, 409, "invalid_state");
    }
    assert_eq!((server.stock(item), buyer.balance()), (10, 1_000));
    server.expect_clean_audit();
}

#[test]
fn shipped_goods_can_come_back_and_cancelled_ones_cannot() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 30, 5);
    let shipped = order_id(&buyer.order(&[(item, 1)]).expect(201));
    let cancelled = order_id(&buyer.order(&[(item, 1)]).expect(201));
    admin.ship(&shipped).expect(200);
    buyer.cancel(&cancelled).expect(200);
    admin.take_back(buyer.id, &shipped, item, 1).expect(201);
    expect_problem(&admin.take_back(buyer.id, &cancelled, item, 1), 409, "invalid_state");
    assert_eq!((server.stock(item), buyer.balance()), (5, 1_000));
}

#[test]
fn a_return_without_an_order_is_the_administrators_word() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(0));
    let item = admin.item("Lamp", 30, 5);
    let line = json!({"product_id": item.id, "quantity": 2, "unit_price": 25});
    admin.post("/returns", json!({"user_id": buyer.id, "items": [line]})).expect(201);
    assert_eq!((server.stock(item), buyer.balance()), (7, 50));
    server.expect_clean_audit();
}

#[test]
fn a_return_of_nothing_for_nobody_or_of_another_users_order_is_refused() {
    let server = Server::start();
    let (admin, ann, bob) = (server.admin(), server.buyer(100), server.buyer(100));
    let item = admin.item("Lamp", 30, 5);
    let id = order_id(&ann.order(&[(item, 1)]).expect(201));
    let line = |quantity: u64| json!({"product_id": item.id, "quantity": quantity, "unit_price": 30});
    expect_invalid(&admin.post("/returns", json!({"user_id": ann.id, "items": []})), "items");
    expect_invalid(
        &admin.post("/returns", json!({"user_id": ann.id, "items": [line(0)]})),
        "items.0.quantity",
    );
    let nobody = admin.post("/returns", json!({"user_id": 999_999, "items": [line(1)]}));
    expect_problem(&nobody, 404, "not_found");
    let unknown = json!({"product_id": 999_999, "quantity": 1, "unit_price": 30});
    expect_invalid(
        &admin.post("/returns", json!({"user_id": ann.id, "items": [line(1), unknown]})),
        "items.1.product_id",
    );
    expect_problem(&admin.take_back(bob.id, &id, item, 1), 404, "not_found");
    assert_eq!((server.stock(item), ann.balance(), bob.balance()), (4, 70, 100));
    server.expect_clean_audit();
}

#[test]
fn a_thousand_lines_come_back_in_one_return_with_the_longest_reason() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 1, 1_000);
    let id = order_id(&buyer.order(&vec![(item, 1); 1_000]).expect(201));
    let lines = vec![json!({"product_id": item.id, "quantity": 1, "unit_price": 1}); 1_000];
    let reason = "\u{1f4a1}".repeat(2_000);
    let body = json!({"user_id": buyer.id, "order_id": id, "items": lines, "reason": reason});
    admin.post("/returns", body).expect(201);
    assert_eq!((server.stock(item), buyer.balance()), (1_000, 1_000));
    assert_eq!(buyer.entries().pop().expect("an entry")["description"], reason);
}
