//! The tests' own tools, tested: a client that misreads, or a matcher that lets anything pass, proves nothing.

use crate::support::expect::expect_problem;
use crate::support::http::{Http, Reply, Target};
use crate::support::server::Setup;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::panic::catch_unwind;
use std::sync::Arc;

/// A server that accepts `connections` one after the other and answers each request with the next of these bytes.
fn scripted(connections: Vec<Vec<&'static str>>) -> Http {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for answers in connections {
            let (mut stream, _) = listener.accept().expect("a client");
            for answer in answers {
                let mut seen = Vec::new();
                let mut byte = [0];
                while !seen.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    seen.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).expect("the client reads");
            }
        }
    });
    Http::new(Arc::new(Target::new(address)))
}

#[test]
fn the_client_reads_every_kind_of_body_and_keeps_its_connection() {
    let client = scripted(vec![
        vec![
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-Twice: a:b \r\nConnection: close\r\n\r\nto the end",
        ],
        vec![
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
        ],
    ]);
    let get = || client.send("GET", "/", &[], None);
    let body = || get().expect("a reply").text();
    assert_eq!((body(), body(), body()), ("{}".into(), String::new(), "abc0123456789".into()));
    let last = get().expect("a reply");
    assert_eq!((last.header("x-twice"), last.text()), (Some("a:b"), "to the end".into()));
    assert_eq!(body(), "new");
    assert!(get().is_err(), "half a body passed for a reply");
}

#[test]
fn the_matcher_of_problems_misses_nothing() {
    let whole = json!({
        "type": "/problems/not-found", "title": "Not found", "status": 404, "code": "not_found",
        "detail": "no such item", "outcome": "not_applied", "request_id": "r-1",
    });
    let reply = |body: &serde_json::Value| Reply {
        to: "GET /".into(),
        status: 404,
        headers: vec![
            ("content-type".into(), "application/problem+json".into()),
            ("request-id".into(), "r-1".into()),
        ],
        body: body.to_string().into_bytes(),
    };
    expect_problem(&reply(&whole), 404, "not_found");
    for member in whole.as_object().expect("an object").keys() {
        let mut lacking = whole.clone();
        lacking[member].take();
        let lacking = reply(&lacking);
        assert!(
            catch_unwind(|| expect_problem(&lacking, 404, "not_found")).is_err(),
            "{member} was not missed"
        );
    }
    for header in 0..2 {
        let mut lacking = reply(&whole);
        lacking.headers.remove(header);
        assert!(catch_unwind(|| expect_problem(&lacking, 404, "not_found")).is_err(), "header {header}");
    }
}

#[test]
fn a_process_that_ends_is_told_with_its_code_and_words() {
    let ended = Setup::new().flag("--no-such-flag").refuses();
    assert!(ended.code.is_some(), "{ended:?}");
    assert!(catch_unwind(|| ended.expect(99, &[])).is_err(), "any code passed");
    assert!(catch_unwind(|| ended.expect_line(&["words that nobody says"])).is_err(), "any words passed");
}
