//! Clients that tear their connection down at any moment of a purchase. What they began is done or not, and nothing is held
//! for them afterwards.

use crate::bodies::seeded;
use crate::proof;
use crate::support::api::Actor;
use crate::support::eventually;
use crate::support::http::Connection;
use crate::support::journal::keeping_its_journal;
use crate::support::server::{Server, Setup};
use crate::support::{Dice, setting};
use std::sync::atomic::{AtomicUsize, Ordering};

const FUNDS: u64 = 1_000_000;
const STOCK: u64 = 100_000;
const PRICE: u64 = 3;
const CLIENTS: u64 = 8;

/// How many connections the server has, that of the question among them.
fn connections(server: &Server) -> u64 {
    let text = server.guest().call_at("GET", "/metrics".into()).send().text();
    let value = text.lines().find_map(|line| line.strip_prefix("purser_http_connections "));
    value.and_then(|value| value.trim().parse().ok()).expect("a number of connections")
}

/// Holds and waiting messages of all owners in memory.
fn unsettled(admin: &Actor) -> u64 {
    let owners = admin.get("/admin/owners?limit=100").expect(200);
    let owners = owners["data"].as_array().expect("owners").clone();
    assert!(!owners.is_empty(), "nobody is in memory");
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    owners.iter().map(|owner| number(&owner["holds"]) + number(&owner["mailbox_depth"])).sum()
}

/// One purchase that ends in a reset somewhere. Whether its reply was heard.
fn torn(address: std::net::SocketAddr, request: &[u8], dice: &mut Dice) -> bool {
    let mut connection = Connection::open(address).expect("the server accepts connections");
    let length = request.len() as u64;
    let until = if dice.roll(3) == 0 { dice.roll(length) } else { length };
    connection.write(&request[..until as usize]).expect("the server reads");
    let heard = until == length && dice.roll(4) == 0;
    if heard {
        connection.read_reply(false).expect("a reply").expect(201);
    } else {
        // Between none and all of the time that a purchase takes.
        for _ in 0..dice.roll(400) {
            std::thread::yield_now();
        }
    }
    connection.reset().expect("a reset");
    heard
}

#[test]
fn a_client_that_resets_its_connection_leaves_a_whole_purchase_or_none_and_no_hold() {
    let server = keeping_its_journal(Setup::new()).start();
    let (admin, buyer) = (server.admin(), server.buyer(FUNDS));
    let item = admin.item("Lamp", PRICE, STOCK);
    let body = r#"{"quantity":1}"#;
    let request = format!(
        "POST /api/v1/items/{}/purchase HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        item.id,
        buyer.token().expect("a token"),
        body.len()
    );
    let each = setting("PURSER_HOSTILE_INPUTS", 2_000) as u64 / CLIENTS;
    let (mut dice, seed) = seeded();
    eprintln!("{seed}");
    let heard = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let mut dice = Dice::new(dice.roll(1 << 31));
            let (request, heard, server) = (request.as_bytes(), &heard, &server);
            scope.spawn(move || {
                for _ in 0..each {
                    let ended = torn(server.address(), request, &mut dice);
                    heard.fetch_add(usize::from(ended), Ordering::Relaxed);
                }
            });
        }
    });
    // Requests of connections that are not read yet are still to come.
    eventually("the torn connections are gone", || (connections(&server) == 1).then_some(()));
    eventually("nothing is held any more", || (unsettled(&admin) == 0).then_some(()));
    let heard = heard.into_inner();
    let sold = eventually("the books of stock and money agree", || {
        let (sold, spent) = (STOCK - server.stock(item), FUNDS - buyer.balance());
        (spent == sold * PRICE).then_some(sold as usize)
    });
    let torn = (CLIENTS * each) as usize;
    assert!((heard..=torn).contains(&sold), "{sold} sold, {heard} heard of it, {torn} asked");
    assert_eq!(buyer.list("/orders").len(), sold, "orders");
    server.drains();
    server.expect_clean_audit();
    assert!(sold > heard && sold < torn, "{sold} sold, {heard} heard of it, {torn} asked");
    proof("resets", [torn, torn - heard, sold], [100, 50, 10]);
}
