//! Addresses and methods: one spelling rule for all of them, HEAD wherever there is GET, and an honest `Allow`.

use crate::support::expect::{expect_problem, expect_refused};
use crate::support::http::Reply;
use crate::support::server::Server;
use std::collections::BTreeSet;

fn ask(server: &Server, method: &'static str, path: &str) -> Reply {
    server.guest().call_at(method, path.into()).send()
}

#[test]
fn head_is_answered_as_get_without_the_body() {
    let server = Server::start();
    let item = server.admin().item("Lamp", 10, 5).id;
    // Visitors' lists may lag behind the journal, and both replies are to show the same.
    server.drains();
    for path in [
        "/api/v1/items".to_owned(),
        format!("/api/v1/items/{item}"),
        "/api/v1/items/999999".into(),
        "/api/v1/balance".into(),
        "/api/v1/nowhere".into(),
        "/health/live".into(),
        "/api/openapi.json".into(),
        "/docs/".into(),
    ] {
        let (get, head) = (ask(&server, "GET", &path), ask(&server, "HEAD", &path));
        assert_eq!((head.status, head.text()), (get.status, String::new()), "{path}");
        for header in ["Content-Type", "ETag"] {
            assert_eq!(head.header(header), get.header(header), "{header} of {path}");
        }
        let names = |reply: &Reply| -> BTreeSet<String> {
            reply.headers.iter().map(|(name, _)| name.to_lowercase()).collect()
        };
        assert_eq!(names(&head), names(&get), "{path}");
        let length: usize = head.header("Content-Length").expect("a length").parse().expect("a number");
        // Ids of requests are all of one length.
        assert_eq!(length, get.body.len(), "{path}");
    }
}

#[test]
fn a_reply_to_head_stays_without_a_body_when_another_request_follows_at_once() {
    let server = Server::start();
    let item = server.admin().item("Lamp", 10, 5).id;
    let request = |method| format!("{method} /api/v1/items/{item} HTTP/1.1\r\nHost: shop\r\n\r\n");
    let mut connection = server.connect();
    connection.write((request("HEAD") + &request("GET")).as_bytes()).expect("the server reads");
    assert_eq!(connection.read_reply(true).expect("a head").status, 200);
    assert_eq!(connection.read_reply(false).expect("a reply").expect(200)["id"], item);
}

#[test]
fn a_method_that_is_not_allowed_is_told_those_that_are() {
    let server = Server::start();
    for (method, path, allowed) in [
        ("PUT", "/api/v1/items", "GET, HEAD, POST"),
        ("PUT", "/api/v1/items/1", "GET, HEAD, PATCH, DELETE"),
        ("GET", "/api/v1/items/1/purchase", "POST"),
        ("HEAD", "/api/v1/items/1/purchase", "POST"),
        ("OPTIONS", "/api/v1/auth/me", "GET, HEAD, POST"),
        ("DELETE", "/health/live", "GET, HEAD"),
        ("POST", "/docs/", "GET, HEAD"),
    ] {
        let reply = ask(&server, method, path);
        assert_eq!(reply.header("Allow"), Some(allowed), "{method} {path}: {}", reply.status);
        if method != "HEAD" {
            expect_problem(&reply, 405, "method_not_allowed");
        }
    }
}

#[test]
fn an_address_with_an_empty_segment_is_another_address() {
    let server = Server::start();
    for method in ["GET", "POST", "DELETE"] {
        for path in
            ["/api/v1/items/", "/api/v1/items//", "/api/v1//items", "/api/v1/orders//cancel", "/health/live/"]
        {
            expect_problem(&ask(&server, method, path), 404, "not_found");
        }
    }
}

#[test]
fn an_escaped_character_in_an_address_is_that_character() {
    let server = Server::start();
    let admin = server.admin();
    assert_eq!(admin.item("Lamp", 10, 5).id, 1);
    for path in ["/api/v1/items/%31", "/api/v1/%69tems/1", "/%61pi/v1/ite%6ds/%31"] {
        assert_eq!(ask(&server, "GET", path).expect(200)["id"], 1, "{path}");
        let wrong = ask(&server, "PUT", path);
        expect_problem(&wrong, 405, "method_not_allowed");
        assert_eq!(wrong.header("Allow"), Some("GET, HEAD, PATCH, DELETE"), "{path}");
    }
    // An escaped slash separates nothing, and what has no such character has no such object.
    for path in ["/api/v1/items%2F1", "/api/v1%2Fitems", "/api/v1/%2569tems"] {
        expect_problem(&ask(&server, "GET", path), 404, "not_found");
        expect_problem(&ask(&server, "PUT", path), 404, "not_found");
    }
    for path in ["/api/v1/items/%2F", "/api/v1/items/%00", "/api/v1/items/%FF", "/api/v1/items/%"] {
        expect_refused(&ask(&server, "GET", path), &[404]);
        expect_problem(&ask(&server, "PUT", path), 405, "method_not_allowed");
    }
    let metrics = ask(&server, "GET", "/metrics").text();
    let counted =
        |line: &&str| line.starts_with("purser_http_requests_total") && line.contains("status=\"200\"");
    let routes: Vec<_> = metrics.lines().filter(counted).filter(|line| line.contains("items/{id}")).collect();
    assert!(
        routes.len() == 1 && routes[0].ends_with(" 3"),
        "escaped addresses are counted apart:\n{metrics}"
    );
}
