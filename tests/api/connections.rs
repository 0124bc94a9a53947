//! When a connection goes on after a reply and when it is closed, and clients that do not take their replies.

use super::hostile::{Shop, say, with};
use crate::support::api::{Item, order_of};
use crate::support::eventually;
use crate::support::expect::expect_problem;
use crate::support::http::Connection;
use crate::support::server::{Server, Setup};

const CHUNKED: &str = "Transfer-Encoding: chunked";

/// How many connections the server holds, that of the question among them.
fn open_connections(server: &Server) -> u64 {
    let text = server.guest().call_at("GET", "/metrics".into()).send().text();
    let value = text.lines().find_map(|line| line.strip_prefix("purser_http_connections "));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(u64::MAX)
}

#[test]
fn an_error_in_front_of_an_unfinished_body_closes_the_connection_whatever_the_framing() {
    let shop = Shop::in_a(Setup::new().env("PURSER__SERVER__BODY_TIMEOUT_MS", "200"));
    std::thread::scope(|scope| {
        for (length, part) in [(CHUNKED, "5\r\n{\"qua\r\n"), ("Content-Length: 14", "{")] {
            let head = shop.head(length);
            let unknown = head.replace(&shop.token, "none");
            let nowhere = head.replacen("/api/v1", "/nowhere", 1);
            for (head, status, code) in [
                (head, 408, "request_timeout"),
                (unknown, 401, "unauthenticated"),
                (nowhere, 404, "not_found"),
            ] {
                let shop = &shop;
                scope.spawn(move || {
                    let mut connection = shop.server.connect();
                    say(&mut connection, &(head + part));
                    let reply = connection.read_reply(false).expect("an answer");
                    expect_problem(&reply, status, code);
                    assert_eq!(reply.header("Connection"), Some("close"), "{status} {length}");
                    connection.wait_for_close().expect("the server closes");
                });
            }
        }
    });
    shop.expect_sold(0);
}

#[test]
fn a_refusal_of_a_request_with_a_small_body_keeps_the_connection() {
    let shop = Shop::open();
    let body = r#"{"quantity":1}"#;
    let framings = [("Content-Length: 14", body.to_owned()), (CHUNKED, format!("e\r\n{body}\r\n0\r\n\r\n"))];
    for (length, body) in framings {
        let head = shop.head(length);
        for (head, status, code) in [
            (head.replace(&shop.token, "none"), 401, "unauthenticated"),
            (head.replacen("/api/v1", "/nowhere", 1), 404, "not_found"),
            (head.replacen("POST", "PUT", 1), 405, "method_not_allowed"),
        ] {
            let mut connection = shop.server.connect();
            for in_one_piece in [true, false] {
                if in_one_piece {
                    say(&mut connection, &(head.clone() + &body));
                } else {
                    say(&mut connection, &head);
                    say(&mut connection, &body);
                }
                expect_problem(&connection.read_reply(false).expect("an answer"), status, code);
            }
            say(&mut connection, "GET /health/live HTTP/1.1\r\nHost: shop\r\n\r\n");
            connection.read_reply(false).expect("the connection goes on").expect(200);
        }
    }
    shop.expect_sold(0);
}

#[test]
fn an_upgrade_is_not_offered_and_its_request_is_served_as_if_none_were_asked_for() {
    // Longer than the tests are patient.
    let shop = Shop::in_a(Setup::new().env("PURSER__SERVER__BODY_TIMEOUT_MS", "600000"));
    for header in ["Upgrade: websocket", "Connection: Upgrade\r\nUpgrade: websocket"] {
        let mut connection = shop.server.connect();
        say(&mut connection, &(with(header, &shop.purchase()) + &shop.purchase()));
        let reply = connection.read_reply(false).expect("an answer");
        reply.expect(201);
        assert_eq!(reply.header("Connection"), Some("close"));
        connection.wait_for_close().expect("the server closes");
    }
    shop.expect_sold(2);
}

/// A shop whose buyer has orders of a thousand lines each.
fn with_large_orders(setup: Setup, orders: usize) -> Shop {
    let shop = Shop::in_a(setup);
    let item = shop.admin.item("Pin", 0, 1_000_000);
    for _ in 0..orders {
        shop.buyer.post("/orders", order_of(&vec![(item, 1); 1_000])).expect(201);
    }
    shop
}

fn list_of(shop: &Shop) -> String {
    format!(
        "GET /api/v1/orders?limit=100 HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\n\r\n",
        shop.token
    )
}

#[test]
fn a_client_that_does_not_take_its_replies_is_let_go() {
    let shop = with_large_orders(Setup::new().env("PURSER__SERVER__WRITE_TIMEOUT_MS", "500"), 5);
    let before = open_connections(&shop.server);
    // More than the kernel takes in for it.
    let mut deaf = shop.server.connect();
    say(&mut deaf, &list_of(&shop).repeat(16));
    eventually("the server has the connection", || (open_connections(&shop.server) > before).then_some(()));
    eventually("the server lets go", || (open_connections(&shop.server) == before).then_some(()));
}

#[test]
fn replies_that_nobody_takes_are_bounded_and_no_change_is_refused_for_them() {
    let setup = Setup::new()
        .env("PURSER__SERVER__REPLIES_BYTES_MAX", "1048576")
        .env("PURSER__SERVER__WRITE_TIMEOUT_MS", "3600000");
    let shop = with_large_orders(setup, 1);
    let mut deaf: Vec<Connection> = Vec::new();
    let newest = shop.buyer.get("/orders").expect(200)["data"][0]["id"].clone();
    let refused = eventually("there are too many replies that nobody takes", || {
        let mut connection = shop.server.connect();
        say(&mut connection, &list_of(&shop).repeat(64));
        deaf.push(connection);
        let reply = shop.buyer.get("/orders");
        (reply.status != 200).then_some(reply)
    });
    expect_problem(&refused, 503, "overloaded");
    // The reply to a change is large, too, but what has happened is told.
    shop.buyer.cancel(newest.as_str().expect("an id")).expect(200);
    drop(deaf);
    eventually("there is room again", || (shop.buyer.get("/orders").status == 200).then_some(()));
}

#[test]
fn a_page_of_orders_ends_early_when_it_has_many_lines() {
    let shop = with_large_orders(Setup::new(), 7);
    let small: Item = shop.admin.item("Lamp", 1, 10);
    shop.buyer.order(&[(small, 1)]).expect(201);
    for stored in [false, true] {
        if stored {
            shop.server.drains();
        }
        let page = shop.buyer.get("/orders?limit=100").expect(200);
        // The small one and four large ones; a fifth would pass 5,000 lines.
        assert_eq!(page["data"].as_array().map(Vec::len), Some(5));
        assert!(page["next_cursor"].is_string(), "the list goes on");
        assert_eq!(shop.buyer.list("/orders").len(), 8);
    }
    // The list of everybody's orders is the store's.
    assert_eq!(shop.admin.list("/orders").len(), 8);
}
