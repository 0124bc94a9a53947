//! Conventions that hold for every resource: request ids, problems, bodies, headers.

use crate::support::api::LARGEST;
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::server::Server;
use serde_json::json;

#[test]
fn every_response_carries_a_request_id_and_a_sane_one_is_taken_over() {
    let server = Server::start();
    let guest = server.guest();
    for path in ["/items", "/items/999999", "/nowhere"] {
        let reply = guest.get(path);
        assert!(reply.header("Request-Id").is_some_and(|id| !id.is_empty()), "{path}: {:?}", reply.headers);
    }
    let own = guest.call("GET", "/items").header("Request-Id", "my-request-1").send();
    assert_eq!(own.header("Request-Id"), Some("my-request-1"));
    let insane = "x".repeat(5_000);
    let replaced = guest.call("GET", "/items").header("Request-Id", &insane).send();
    assert_ne!(replaced.header("Request-Id"), Some(insane.as_str()));
}

#[test]
fn a_path_that_does_not_exist_is_a_problem() {
    let server = Server::start();
    for path in ["/nowhere", "/api/v1/nowhere", "/api/v1/items/1/nowhere", "/api/v2/items"] {
        expect_problem(&server.guest().call_at("GET", path.into()).send(), 404, "not_found");
    }
    expect_problem(&server.guest().get("/items/999999"), 404, "not_found");
}

#[test]
fn a_method_that_a_path_does_not_know_is_a_problem() {
    let server = Server::start();
    for (method, path) in [("PUT", "/orders"), ("DELETE", "/balance"), ("PATCH", "/auth/login")] {
        expect_problem(&server.admin().call(method, path).json(&json!({})).send(), 405, "method_not_allowed");
    }
}

#[test]
fn a_body_that_is_not_json_is_unsupported() {
    let server = Server::start();
    let reply = server.admin().call("POST", "/items").body("text/plain", b"name=Lamp").send();
    expect_problem(&reply, 415, "unsupported_media_type");
}

#[test]
fn malformed_json_is_a_bad_request() {
    let server = Server::start();
    for text in ["{", "{\"name\":}", "", "\u{1}", r#"{"name":"\ud800","price":1,"stock":1}"#] {
        let reply = server.admin().call("POST", "/items").text(text).send();
        expect_problem(&reply, 400, "malformed_json");
    }
    let reply = server.admin().call("POST", "/items").body("application/json", b"{\"name\":\"\xff\"}").send();
    expect_problem(&reply, 400, "malformed_json");
}

#[test]
fn an_unknown_field_is_refused_everywhere() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 5);
    let id = buyer.id;
    let line = json!({"product_id": item.id, "quantity": 1, "unit_price": 10});
    let mut discounted = line.clone();
    discounted["discount"] = json!(10);
    for reply in [
        admin.post("/items", json!({"name": "Lamp", "price": 1, "stock": 1, "colour": "red"})),
        admin.patch(&format!("/items/{}", item.id), json!({"stock": 1_000})),
        admin.post(&format!("/items/{}/stock", item.id), json!({"delta": 1, "by": "me"})),
        admin.post(&format!("/users/{id}/balance/increment"), json!({"amount": 1, "currency": "EUR"})),
        admin.post("/users", json!({"name": "A", "email": "a@example.org", "admin": true})),
        buyer.post(&format!("/items/{}/purchase", item.id), json!({"quantity": 1, "unit_price": 1})),
        buyer.post("/orders", json!({"items": [line], "total_amount": 10, "status": "delivered"})),
        buyer.post("/orders", json!({"items": [discounted], "total_amount": 10})),
        buyer.post("/transfers", json!({"to_user_id": 1, "amount": 1, "fee": 0})),
        server.guest().post(
            "/auth/register",
            json!({"name": "A", "email": "b@example.org", "password": "long enough", "role": "admin"}),
        ),
    ] {
        expect_problem(&reply, 422, "validation_failed");
    }
    assert_eq!((buyer.balance(), server.stock(item)), (1_000, 5));
}

#[test]
fn numbers_beyond_the_largest_exact_one_are_refused() {
    let server = Server::start();
    let admin = server.admin();
    for number in ["9007199254740992", "18446744073709551616", "-9007199254740992", "1e300"] {
        let body = format!(r#"{{"name":"Lamp","price":{number},"stock":1}}"#);
        expect_problem(&admin.call("POST", "/items").text(&body).send(), 422, "validation_failed");
        let body = format!(r#"{{"name":"Lamp","price":1,"stock":{number}}}"#);
        expect_problem(&admin.call("POST", "/items").text(&body).send(), 422, "validation_failed");
    }
    expect_invalid(&admin.post("/items", json!({"name": "L", "price": LARGEST + 1, "stock": 1})), "price");
    let largest = admin.item("Priceless", LARGEST, LARGEST);
    assert_eq!(server.item(largest)["price"], LARGEST);
    assert_eq!(server.stock(largest), LARGEST);
}

#[test]
fn money_and_stock_are_never_fractions_or_negative() {
    let server = Server::start();
    let admin = server.admin();
    for (price, stock) in [("1.5", "1"), ("1", "0.5"), ("\"10\"", "1"), ("null", "1"), ("true", "1")] {
        let body = format!(r#"{{"name":"Lamp","price":{price},"stock":{stock}}}"#);
        expect_problem(&admin.call("POST", "/items").text(&body).send(), 422, "validation_failed");
    }
    expect_problem(
        &admin.post("/items", json!({"name": "L", "price": -1, "stock": 1})),
        422,
        "validation_failed",
    );
    expect_problem(
        &admin.post("/items", json!({"name": "L", "price": 1, "stock": -1})),
        422,
        "validation_failed",
    );
    assert!(admin.list("/items").is_empty(), "something was created after all");
}

#[test]
fn text_is_bounded_and_free_of_nul() {
    let server = Server::start();
    let admin = server.admin();
    let named = |name: &str| admin.post("/items", json!({"name": name, "price": 1, "stock": 1}));
    expect_invalid(&named("a\0b"), "name");
    expect_invalid(&named(&"n".repeat(201)), "name");
    expect_invalid(&named(""), "name");
    assert_eq!(named(&"ä".repeat(200)).expect(201)["name"], "ä".repeat(200));
    let described =
        |text: &str| admin.post("/items", json!({"name": "L", "price": 1, "stock": 1, "description": text}));
    expect_invalid(&described(&"d".repeat(2_001)), "description");
    expect_invalid(&described("a\0"), "description");
    assert_eq!(described(&"🪔".repeat(2_000)).expect(201)["description"], "🪔".repeat(2_000));
    let item = admin.item("Lamp", 1, 1);
    let path = format!("/items/{}/stock", item.id);
    expect_invalid(&admin.post(&path, json!({"delta": 1, "reason": "r".repeat(2_001)})), "reason");
    expect_invalid(&server.register("nul\0@example.org", "long enough"), "email");
}

#[test]
fn a_body_over_64_kib_is_too_large_but_an_order_may_have_1_mib() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(10_000_000));
    let padded = |bytes: usize| format!(r#"{{"name":"Lamp","price":1,"stock":1}}{}"#, " ".repeat(bytes));
    admin.call("POST", "/items").text(&padded(60_000)).send().expect(201);
    expect_problem(&admin.call("POST", "/items").text(&padded(70_000)).send(), 413, "payload_too_large");

    let item = admin.item("Lamp", 1, 10_000);
    let order =
        format!(r#"{{"items":[{{"product_id":{},"quantity":1,"unit_price":1}}],"total_amount":1}}"#, item.id);
    let padded = |bytes: usize| format!("{order}{}", " ".repeat(bytes));
    buyer.call("POST", "/orders").text(&padded(1_000_000)).send().expect(201);
    expect_problem(&buyer.call("POST", "/orders").text(&padded(1_100_000)).send(), 413, "payload_too_large");
    assert_eq!(server.stock(item), 9_999);
}

#[test]
fn every_change_tells_its_journal_position_and_positions_grow() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 100);
    let replies = [
        buyer.buy(item, 1),
        buyer.order(&[(item, 1)]),
        admin.restock(item, 5),
        admin.reprice(item, 11),
        admin.credit(buyer.id, 5),
        admin.debit(buyer.id, 5),
        admin.remove(item),
        admin.restore(item),
        server.register("seq@example.org", "long enough"),
    ];
    let seqs: Vec<_> = replies.iter().map(|reply| reply.seq()).collect();
    assert!(seqs.is_sorted_by(|earlier, later| earlier < later), "not ascending: {seqs:?}");
    let order = replies[1].expect(201);
    assert_eq!(order["seq"], seqs[1]);
}

#[test]
fn a_reply_tells_the_durability_that_was_reached() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 100);
    let bought = buyer.buy(item, 1);
    bought.expect(201);
    assert_eq!(bought.header("Purser-Durability"), Some("journal"));
    let stored = buyer
        .call("POST", &format!("/items/{}/purchase", item.id))
        .header("Purser-Durability", "store")
        .json(&json!({"quantity": 1}))
        .send();
    stored.expect(201);
    assert_eq!(stored.header("Purser-Durability"), Some("store"));
}
