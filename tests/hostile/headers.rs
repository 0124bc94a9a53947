//! Headers, queries and ids that no honest client sends, on every operation, byte by byte.

use crate::access::{Who, body, table};
use crate::bodies::{Tally, is_no_http, seeded, sender};
use crate::document::{Operation, operations};
use crate::proof;
use crate::scene::{Ids, Scene};
use crate::support::expect::{expect_problem, expect_refused};
use crate::support::http::{Connection, Reply};
use crate::support::server::Setup;
use crate::support::{all_at_once, setting};
use std::io;

const TEXTS: &[&[u8]] = &[
    b"",
    b" ",
    b"\"",
    b"\"\"",
    b"\"a",
    b"a,b",
    b"*",
    b"-1",
    b"0",
    b"1.5",
    b"NaN",
    b"18446744073709551616",
    b"9223372036854775807",
    b"\x01",
    b"\t",
    b"a\x7fb",
    b"\xff\xfe",
    b"\xc3\xa4",
    b"' OR 1=1; --",
    b"%00",
    b"%s%n",
    b"Bearer",
    b"Bearer ",
    b"bearer \xff",
    b"Bearer a.b.c",
    b"Basic YTpi",
    b"wait=0",
    b"wait=-1",
    b"wait=99999999999999999999",
    b"wait=\"0",
    b";;,=,wait=,respond",
    b"text/plain",
    b"application/json; charset=utf-16",
    b"application/json; charset",
    b"multipart/form-data; boundary=",
    b"gzip",
    b"gzip, chunked",
    b"store",
    b"W/\"1\"",
    b"\"1\", \"2\"",
];

const NAMES: &[&str] = &[
    "Idempotency-Key",
    "Authorization",
    "Prefer",
    "If-Match",
    "Content-Type",
    "Content-Encoding",
    "Purser-Durability",
    "Request-Id",
    "Accept",
    "Accept-Encoding",
    "Expect",
    "Cookie",
    "X-Forwarded-For",
    "X-HTTP-Method-Override",
    "Range",
    "If-None-Match",
];

/// Framings that do not describe a body. They are the connection's end.
const FRAMINGS: &[&str] = &[
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 0x10",
    "Content-Length: 5 5",
    "Content-Length: 18446744073709551616",
    "Content-Length: 1e1",
    "Content-Length:",
    "Transfer-Encoding: identity, chunked, x",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Content-Length: 3\r\nContent-Length: 4",
    "Content-Length : 3",
];

struct Request<'a> {
    scene: &'a Scene,
    operation: &'a Operation,
    who: Who,
}

impl Request<'_> {
    /// The request's bytes, `headers` among them; its own body's length is told unless they tell one.
    fn bytes(&self, headers: &[u8], without: &str, is_framed: bool) -> Vec<u8> {
        let (kind, text) = body(self.scene, self.operation).unwrap_or(("application/json", String::new()));
        let token = sender(self.scene, self.who).token().unwrap_or_default();
        let mut head = format!("{} {} HTTP/1.1\r\n", self.operation.method, self.path());
        for (name, value) in [
            ("Host", "shop"),
            ("Authorization", &format!("Bearer {token}")),
            ("Content-Type", kind),
            ("Content-Length", &text.len().to_string()),
        ] {
            let is_told = name == "Content-Length" && !is_framed;
            if !name.eq_ignore_ascii_case(without) && !is_told {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        [head.as_bytes(), headers, b"\r\n\r\n", text.as_bytes()].concat()
    }

    fn path(&self) -> String {
        let path = &self.operation.path;
        // What they begin goes on in the background, and would be taken for something that a refusal wrote.
        let goes_on = ["/ship", "/withdrawals/{id}/complete"].iter().any(|end| path.ends_with(end));
        if goes_on { Ids::of_nothing().put_in(path) } else { self.scene.anns.put_in(path) }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<Reply> {
        let mut connection = Connection::open(self.scene.server.address())?;
        connection.write(bytes)?;
        connection.read_reply(false)
    }
}

/// Operations that end what the others need, by their honest requests.
fn is_final(operation: &Operation) -> bool {
    operation.path.ends_with("/auth/logout") || operation.method == "DELETE"
}

#[test]
fn no_header_makes_the_server_fail_and_no_refused_request_is_written() {
    let scene = Scene::open().at_rest();
    let mut operations = operations();
    let table = table(&operations);
    operations.retain(|operation| !is_final(operation) && !operation.path.ends_with("/admin/audit"));
    let mut tally = Tally::beginning(&scene);
    let (mut dice, seed) = seeded();
    let inputs = setting("PURSER_HOSTILE_INPUTS", 2_000);
    for input in 0..inputs {
        let operation = &operations[input % operations.len()];
        let request = Request { scene: &scene, operation, who: table[&operation.name()] };
        let name = NAMES[dice.roll(NAMES.len() as u64) as usize];
        let text = TEXTS[dice.roll(TEXTS.len() as u64) as usize];
        let long = b"k".repeat(1 << dice.roll(13));
        let text = if dice.roll(8) == 0 { &long[..] } else { text };
        let header = [name.as_bytes(), b": ", text].concat();
        let replaced = if dice.roll(2) == 0 { name } else { "" };
        let bytes = request.bytes(&header, replaced, true);
        let shown = String::from_utf8_lossy(&header).chars().take(200).collect::<String>();
        let what = format!("{seed}, input {input}, {} with {shown:?}", operation.name());
        let reply = request.send(&bytes).unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
        tally.is_keyed = name == "Idempotency-Key";
        let is_http = text.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
        if is_http {
            tally.count(&scene, &what, &reply);
        } else {
            tally.count_bytes(&scene, &what, &reply);
        }
    }
    scene.server.expect_clean_audit();
    proof("headers", [tally.sent, tally.refused, tally.taken], [inputs, inputs / 10, inputs / 10]);
}

#[test]
fn a_length_that_is_none_or_not_the_bodys_is_refused_or_ends_the_connection() {
    let scene = Scene::open_in(Setup::new().env("PURSER__SERVER__BODY_TIMEOUT_MS", "300"));
    let mut operations = operations();
    let table = table(&operations);
    operations.retain(|operation| operation.fields.is_some());
    let position = scene.position();
    let (mut sent, mut refused) = (0, 0);
    for operation in &operations {
        let request = Request { scene: &scene, operation, who: table[&operation.name()] };
        let length = body(&scene, operation).map_or(0, |(_, text)| text.len());
        let mismatched =
            [format!("Content-Length: {}", length + 9), format!("Content-Length: {}", length / 2)];
        for framing in FRAMINGS.iter().copied().chain(mismatched.iter().map(String::as_str)) {
            sent += 1;
            let bytes = request.bytes(framing.as_bytes(), "", false);
            let Ok(reply) = request.send(&bytes) else { continue };
            assert!((400..500).contains(&reply.status), "{framing}: {} {}", operation.name(), reply.status);
            refused += 1;
            if !is_no_http(&reply) {
                let code = reply.json()["code"].as_str().unwrap_or_default().to_owned();
                expect_problem(&reply, reply.status, &code);
            }
        }
    }
    assert_eq!(scene.position(), position, "a body without a length was taken");
    scene.server.expect_clean_audit();
    proof("framings", [sent, refused, operations.len()], [300, 250, 20]);
}

#[test]
fn no_query_and_no_id_makes_a_read_fail() {
    let scene = Scene::open();
    let mut operations = operations();
    let table = table(&operations);
    operations.retain(|operation| operation.method == "GET" && !operation.path.ends_with("/admin/audit"));
    let (mut sent, mut refused) = (0, 0);
    let long = "9".repeat(3_000);
    let values = [
        "",
        "0",
        "-1",
        "1.5",
        "x",
        "NaN",
        "true",
        "9007199254740992",
        "18446744073709551616",
        "%00",
        "%FF%FE",
        "%",
        "%zz",
        "%F0%9F%AA%94",
        "a%20or%201=1",
        "%27%3B--",
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e",
        "[]",
        "018f0000-0000-7000-8000-00000000dead",
        "{}",
        "+",
        "*",
        "__________8",
        "AAAAAAAAAAA",
        &long,
    ];
    for operation in &operations {
        let actor = sender(&scene, table[&operation.name()]);
        let honest = scene.anns.put_in(&operation.path);
        let names = operation.query.iter().map(String::as_str).chain(["", "limit", "unknown", "%00", "q[]"]);
        let mut places: Vec<String> = names
            .flat_map(|name| values.iter().map(move |value| format!("{name}={value}")))
            .map(|pair| format!("{honest}?{pair}"))
            .collect();
        places.push(format!("{honest}?{}", "limit=1&".repeat(2)));
        places.push(format!("{honest}?{}", "a&".repeat(5_000)));
        if let Some((before, after)) = operation.path.split_once('{') {
            let after = after.split_once('}').map_or("", |(_, after)| after).replace("{id}", "1");
            places.extend(values.iter().map(|value| format!("{before}{value}{after}")));
        }
        for place in places {
            sent += 1;
            let reply = actor.call_at("GET", place).send();
            if reply.status >= 400 {
                expect_refused(&reply, &[400, 404, 422]);
                refused += 1;
            }
        }
        for position in ["-1", "x", "18446744073709551616"] {
            sent += 1;
            let reply = actor.call_at("GET", honest.clone()).header("Purser-Min-Seq", position).send();
            if reply.status >= 400 {
                expect_refused(&reply, &[400]);
                refused += 1;
            }
        }
    }
    // A position that the journal does not have is waited for in vain, by all at once.
    let ahead = all_at_once(operations.len(), |index| {
        let operation = &operations[index];
        let call =
            sender(&scene, table[&operation.name()]).call_at("GET", scene.anns.put_in(&operation.path));
        call.header("Purser-Min-Seq", "18446744073709551615").send()
    });
    let late = ahead.iter().filter(|reply| reply.status != 200);
    let late = late.inspect(|reply| drop(expect_problem(reply, 503, "read_timeout"))).count();
    assert!(late >= 10, "only {late} reads waited for a position");
    sent += ahead.len();
    refused += late;
    proof("reads", [operations.len(), refused, sent - refused], [30, 1_000, 1_000]);
}
