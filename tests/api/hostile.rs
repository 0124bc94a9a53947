//! Clients that are slow, broken or ill-meaning: each gets its answer, none changes anything, the others go on.

use crate::support::api::{Actor, Item, User};
use crate::support::eventually;
use crate::support::expect::{expect_problem, expect_refused};
use crate::support::http::{Connection, Reply};
use crate::support::server::{Server, Setup};
use serde_json::json;

pub struct Shop {
    pub server: Server,
    pub admin: Actor,
    pub buyer: User,
    pub token: String,
    item: Item,
}

impl Shop {
    pub fn open() -> Self {
        Self::in_a(Setup::new())
    }

    pub fn in_a(setup: Setup) -> Self {
        let server = setup.start();
        let (admin, buyer) = (server.admin(), server.buyer(1_000));
        let item = admin.item("Lamp", 10, 100);
        let answer = admin.post(&format!("/users/{}/token", buyer.id), json!({})).expect(201);
        let token = answer["access_token"].as_str().expect("a token").to_owned();
        Self { server, admin, buyer, token, item }
    }

    /// The head of a purchase whose body is described by `length`.
    pub fn head(&self, length: &str) -> String {
        format!(
            "POST /api/v1/items/{}/purchase HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\n{length}\r\n\r\n",
            self.item.id, self.token
        )
    }

    pub fn purchase(&self) -> String {
        self.head("Content-Length: 14") + r#"{"quantity":1}"#
    }

    #[track_caller]
    pub fn expect_sold(&self, sold: u64) {
        assert_eq!((self.buyer.balance(), self.server.stock(self.item)), (1_000 - 10 * sold, 100 - sold));
        self.server.expect_clean_audit();
    }
}

#[track_caller]
pub fn say(connection: &mut Connection, text: &str) {
    connection.write(text.as_bytes()).expect("the server reads");
}

/// The request with one more header.
pub fn with(header: &str, request: &str) -> String {
    request.replacen("\r\n", &format!("\r\n{header}\r\n"), 1)
}

/// The next reply closes the connection, and no request behind it is executed.
#[track_caller]
fn expect_last(connection: &mut Connection) -> Reply {
    let last = connection.read_reply(false).expect("an answer");
    assert_eq!(last.header("Connection"), Some("close"), "{} {:?}", last.status, last.headers);
    while let Ok(behind) = connection.read_reply(false) {
        expect_problem(&behind, 400, "bad_request");
    }
    last
}

#[test]
fn a_body_that_stalls_times_out_and_changes_nothing() {
    let shop = Shop::open();
    let mut slow = shop.server.connect();
    say(&mut slow, &(shop.head("Content-Length: 14") + r#"{"quan"#));
    let reply = slow.read_reply(false).expect("an answer before the connection closes");
    expect_problem(&reply, 408, "request_timeout");
    shop.expect_sold(0);
}

#[test]
fn a_head_that_stalls_does_not_hold_its_connection_for_ever() {
    let shop = Shop::open();
    let mut slow = shop.server.connect();
    say(&mut slow, "GET /api/v1/items HTTP/1.1\r\nHost: sh");
    slow.wait_for_close().expect("the server gives up");
    shop.expect_sold(0);
}

#[test]
fn a_stalled_client_does_not_keep_the_others_waiting() {
    let shop = Shop::open();
    let stalled: Vec<_> = (0..64)
        .map(|_| {
            let mut connection = shop.server.connect();
            say(&mut connection, &(shop.head("Content-Length: 14") + "{"));
            connection
        })
        .collect();
    shop.buyer.buy(shop.item, 1).expect(201);
    drop(stalled);
    shop.expect_sold(1);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let shop = Shop::open();
    let mut connection = shop.server.connect();
    let head = format!("GET /api/v1/items HTTP/1.1\r\nHost: shop\r\nX-Long: {}\r\n\r\n", "x".repeat(300_000));
    // The server may stop reading and close before everything is written; then there is nothing to read either.
    let written = connection.write(head.as_bytes());
    if let Ok(reply) = written.and_then(|()| connection.read_reply(false)) {
        assert!((400..500).contains(&reply.status), "{} {}", reply.status, reply.text());
    }
    shop.buyer.buy(shop.item, 1).expect(201);
    shop.expect_sold(1);
}

#[test]
fn a_body_that_is_too_large_is_refused_by_its_announced_and_by_its_real_length() {
    let shop = Shop::open();
    let mut announced = shop.server.connect();
    say(&mut announced, &(shop.head("Content-Length: 70000") + &" ".repeat(70_000)));
    let reply = announced.read_reply(false).expect("an answer");
    expect_problem(&reply, 413, "payload_too_large");

    let mut chunked = shop.server.connect();
    let chunk = format!("{:x}\r\n{}\r\n", 10_000, " ".repeat(10_000));
    say(&mut chunked, &(shop.head("Transfer-Encoding: chunked") + &chunk.repeat(8) + "0\r\n\r\n"));
    let reply = chunked.read_reply(false).expect("an answer");
    expect_problem(&reply, 413, "payload_too_large");
    shop.expect_sold(0);
}

#[test]
fn a_chunked_body_is_a_body() {
    let shop = Shop::open();
    let mut connection = shop.server.connect();
    let chunks = "5\r\n{\"qua\r\n9\r\nntity\":1}\r\n0\r\n\r\n";
    say(&mut connection, &(shop.head("Transfer-Encoding: chunked") + chunks));
    connection.read_reply(false).expect("an answer").expect(201);
    shop.expect_sold(1);
}

#[test]
fn pipelined_requests_are_answered_each_and_in_order() {
    let shop = Shop::open();
    let mut connection = shop.server.connect();
    say(&mut connection, &shop.purchase().repeat(10));
    for sold in 1..=10 {
        let reply = connection.read_reply(false).expect("an answer for each request");
        assert_eq!(reply.expect(201)["remaining_stock"], 100 - sold);
    }
    shop.expect_sold(10);
}

#[test]
fn what_is_sent_behind_a_closing_request_is_not_executed() {
    let shop = Shop::open();
    let purchase = shop.purchase();
    let closing = [
        with("Connection: close", &purchase),
        with("Connection: keep-alive, Close", &purchase),
        purchase.replacen("HTTP/1.1", "HTTP/1.0", 1),
        with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", &purchase),
    ];
    for (sold, closing) in (1..).zip(&closing) {
        let mut connection = shop.server.connect();
        say(&mut connection, &format!("{purchase}{closing}{}", purchase.repeat(3)));
        connection.read_reply(false).expect("an answer to what came before").expect(201);
        if closing.contains("HTTP/1.0") {
            // There, closing goes without saying.
            connection.read_reply(false).expect("an answer").expect(201);
            while let Ok(behind) = connection.read_reply(false) {
                expect_problem(&behind, 400, "bad_request");
            }
        } else {
            expect_last(&mut connection).expect(201);
        }
        shop.expect_sold(2 * sold);
    }
}

#[test]
fn what_is_sent_behind_a_request_that_is_answered_with_close_is_not_executed() {
    let shop = Shop::open();
    let blank = " ".repeat(70_000);
    let large = shop.head("Content-Length: 70000") + &blank;
    // Refused before their bodies are read, which are too long to be read for nothing.
    let unknown = large.replace(&shop.token, "none");
    let nowhere = format!("POST /nowhere HTTP/1.1\r\nHost: shop\r\nContent-Length: 70000\r\n\r\n{blank}");
    for (first, status, code) in
        [(&large, 413, "payload_too_large"), (&unknown, 401, "unauthenticated"), (&nowhere, 404, "not_found")]
    {
        let mut connection = shop.server.connect();
        say(&mut connection, &(first.clone() + &shop.purchase().repeat(2)));
        expect_problem(&expect_last(&mut connection), status, code);
        shop.expect_sold(0);
    }
}

#[test]
fn what_is_sent_behind_a_body_that_came_too_late_is_not_executed() {
    let shop = Shop::in_a(Setup::new().env("PURSER__SERVER__BODY_TIMEOUT_MS", "200"));
    let mut connection = shop.server.connect();
    say(&mut connection, &(shop.head("Content-Length: 14") + "{"));
    let late = connection.read_reply(false).expect("an answer");
    expect_problem(&late, 408, "request_timeout");
    assert_eq!(late.header("Connection"), Some("close"));
    // The server may have closed by now.
    let _ = connection.write((r#""quantity":1}"#.to_owned() + &shop.purchase()).as_bytes());
    let _ = connection.wait_for_close();
    shop.expect_sold(0);
}

#[test]
fn a_connection_lost_inside_a_request_changes_nothing() {
    let shop = Shop::open();
    for cut in ["POST /api/v1/it", "\r\n\r\n", r#"{"quan"#] {
        let request = shop.purchase();
        let until = request.find(cut).map_or(cut.len(), |at| at + cut.len());
        let mut connection = shop.server.connect();
        let part = request.get(..until).unwrap_or(&request);
        say(&mut connection, part);
        drop(connection);
    }
    shop.buyer.buy(shop.item, 1).expect(201);
    shop.expect_sold(1);
}

#[test]
fn a_purchase_whose_client_went_away_is_whole_and_its_key_tells_the_outcome() {
    let shop = Shop::open();
    let path = format!("/items/{}/purchase", shop.item.id);
    for round in 1..=20 {
        let key = format!("gone-{round}");
        let request = with(&format!("Idempotency-Key: {key}"), &shop.purchase());
        let mut connection = shop.server.connect();
        say(&mut connection, &request);
        drop(connection);
        shop.buyer.post_keyed(&key, &path, &json!({"quantity": 1})).expect(201);
    }
    shop.expect_sold(20);
}

#[test]
fn unkeyed_purchases_of_lost_clients_are_whole_or_not_at_all() {
    let shop = Shop::open();
    for _ in 0..20 {
        let mut connection = shop.server.connect();
        say(&mut connection, &shop.purchase());
        drop(connection);
    }
    let settled = eventually("no purchase is under way any more", || {
        let seen = (shop.buyer.balance(), shop.server.stock(shop.item));
        (seen.0 == 1_000 - 10 * (100 - seen.1)).then_some(100 - seen.1)
    });
    assert!(settled <= 20, "{settled} sold to 20 clients");
    shop.server.expect_clean_audit();
}

#[test]
fn bytes_that_are_not_http_are_refused_and_the_server_goes_on() {
    let shop = Shop::open();
    for garbage in ["\x16\x03\x01\x02\0\x01\0\x01\u{7f}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let mut connection = shop.server.connect();
        say(&mut connection, garbage);
        if let Ok(reply) = connection.read_reply(false) {
            assert!((400..600).contains(&reply.status), "{garbage:?} answered {}", reply.status);
        }
    }
    shop.buyer.buy(shop.item, 1).expect(201);
    shop.expect_sold(1);
}

#[test]
fn what_is_not_http_is_the_clients_mistake_and_none_of_the_servers() {
    let mut server = Server::start();
    let long = format!("GET / HTTP/1.1\r\nHost: shop\r\nX-Long: {}\r\n\r\n", "x".repeat(140_000));
    for garbage in ["GET\r\n\r\n", "\0\x01\x02\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", &long] {
        let mut connection = server.connect();
        // The server may close before it has read everything.
        let _ = connection.write(garbage.as_bytes());
        let _ = connection.wait_for_close();
    }
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("ERROR") && !ended.stderr.contains("WARN"), "{}", ended.stderr);
}

#[test]
fn a_request_says_once_for_which_host_it_is_unless_it_is_of_version_1_0() {
    let shop = Shop::open();
    for (head, status) in [
        ("GET /api/v1/items HTTP/1.1\r\n\r\n", 400),
        ("GET /api/v1/items HTTP/1.1\r\nHost: shop\r\nHost: else\r\n\r\n", 400),
        ("GET /api/v1/items HTTP/1.0\r\n\r\n", 200),
        ("GET http://shop/api/v1/items HTTP/1.1\r\nHost: shop\r\n\r\n", 200),
    ] {
        let mut connection = shop.server.connect();
        say(&mut connection, head);
        assert_eq!(connection.read_reply(false).expect("an answer").status, status, "{head:?}");
        if status == 400 || head.contains("HTTP/1.0") {
            connection.wait_for_close().expect("the server closes");
        }
    }
}

#[test]
fn a_header_that_says_one_thing_is_refused_when_it_is_said_twice() {
    let shop = Shop::open();
    let twice = |header: &str| with(&format!("{header}\r\n{header}"), &shop.purchase());
    for header in ["Purser-Durability: journal", "If-Match: \"1\"", "Content-Encoding: identity"] {
        let mut connection = shop.server.connect();
        say(&mut connection, &twice(header));
        expect_problem(&connection.read_reply(false).expect("an answer"), 400, "bad_request");
    }
    for header in [&format!("Authorization: Bearer {}", shop.token), "Content-Type: application/json"] {
        let mut connection = shop.server.connect();
        say(&mut connection, &with(header, &shop.purchase()));
        expect_problem(&connection.read_reply(false).expect("an answer"), 400, "bad_request");
    }
    let mut connection = shop.server.connect();
    say(&mut connection, &twice("Idempotency-Key: a"));
    expect_problem(&connection.read_reply(false).expect("an answer"), 400, "idempotency_key_invalid");
    let mut connection = shop.server.connect();
    let read = format!("GET /api/v1/items/{} HTTP/1.1\r\nHost: shop\r\n", shop.item.id);
    say(&mut connection, &(read + "Purser-Min-Seq: 1\r\nPurser-Min-Seq: 2\r\n\r\n"));
    expect_problem(&connection.read_reply(false).expect("an answer"), 400, "bad_request");
    shop.expect_sold(0);
}

#[test]
fn a_request_with_two_lengths_is_not_smuggled_through() {
    let shop = Shop::open();
    let lengths = "Content-Length: 14\r\nContent-Length: 15";
    let both = "Content-Length: 14\r\nTransfer-Encoding: chunked";
    for length in [lengths, both] {
        let mut connection = shop.server.connect();
        say(&mut connection, &(shop.head(length) + r#"{"quantity":1}"#));
        if let Ok(reply) = connection.read_reply(false) {
            assert!((400..500).contains(&reply.status), "{length:?} answered {}", reply.status);
        }
    }
    shop.expect_sold(0);
}

#[test]
fn ids_that_no_object_can_have_are_refused() {
    let shop = Shop::open();
    for id in ["0", "-1", "9007199254740992", "18446744073709551616", "x", "1.5", "%00", "1%20or%201=1"] {
        expect_refused(&shop.server.guest().get(&format!("/items/{id}")), &[400, 404, 422]);
        expect_refused(&shop.admin.get(&format!("/users/{id}/balance")), &[400, 404, 422]);
        expect_refused(&shop.buyer.get(&format!("/orders/{id}")), &[400, 404, 422]);
    }
    shop.expect_sold(0);
}
