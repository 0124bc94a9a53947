//! What clients are told while a server is on its way out, and what must not keep it.

use crate::support::api::{Item, User};
use crate::support::eventually;
use crate::support::expect::expect_problem;
use crate::support::http::{Connection, Reply};
use crate::support::postgres::PrivatePostgres;
use crate::support::server::{Server, Setup};
use crate::support::store::Store;
use std::sync::Barrier;
use std::time::Duration;

/// A server that cannot end before its Postgres is there again: there is a sale to be stored.
fn held_back() -> (Server, PrivatePostgres, Item, User) {
    let mut cluster = PrivatePostgres::create(false);
    let store = Store::at("postgres", cluster.create_database(), ());
    let server = Setup::new().store(store).start();
    let (item, buyer) = (server.admin().item("Lamp", 10, 100), server.buyer(1_000));
    eventually("everything is stored", || {
        let ready = server.guest().call_at("GET", "/health/ready".into()).send().json();
        (ready["backlog"]["records"] == 0).then_some(())
    });
    cluster.stop(true);
    buyer.buy(item, 1).expect(201);
    (server, cluster, item, buyer)
}

fn ask(connection: &mut Connection, method: &str, path: &str) -> Reply {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n");
    connection.write(request.as_bytes()).expect("the server reads");
    connection.read_reply(false).expect("an answer")
}

/// Asks the server to end, and returns once it is ending.
fn begin_the_end(server: &Server) {
    server.signal("TERM");
    eventually("the server is not ready any more", || {
        let ready = ask(&mut server.connect(), "GET", "/health/ready");
        (ready.status == 503).then(|| expect_problem(&ready, 503, "shutting_down"))
    });
}

#[track_caller]
fn expect_turned_away(reply: &Reply) {
    expect_problem(reply, 503, "shutting_down");
    assert!(reply.header("Retry-After").is_some(), "{:?}", reply.headers);
    assert_eq!(reply.header("Connection"), Some("close"), "the client had better look elsewhere");
}

#[test]
fn connections_old_and_new_are_turned_away_in_words_until_the_engine_is_down() {
    let (mut server, mut cluster, item, buyer) = held_back();
    let mut old: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut old {
        assert_eq!(ask(connection, "GET", "/health/live").status, 200);
    }
    begin_the_end(&server);
    let purchase = format!("/api/v1/items/{}/purchase", item.id);
    let item = format!("/api/v1/items/{}", item.id);
    for (method, path) in [("POST", purchase.as_str()), ("GET", &item), ("GET", "/nowhere")] {
        expect_turned_away(&ask(&mut old.pop().expect("an old connection"), method, path));
        expect_turned_away(&ask(&mut server.connect(), method, path));
    }
    expect_turned_away(&buyer.call("POST", "/transfers").text("{}").send());
    // Whoever watches sees how it goes, on one connection.
    let mut watching = server.connect();
    for _ in 0..2 {
        assert_eq!(ask(&mut watching, "GET", "/health/live").status, 200);
        let ready = expect_problem(&ask(&mut watching, "GET", "/health/ready"), 503, "shutting_down");
        assert_eq!((&ready["state"], &ready["backlog"]["records"]), (&"draining".into(), &1.into()));
        assert!(ask(&mut watching, "GET", "/metrics").text().contains("purser_backlog_records 1"));
    }
    cluster.start();
    assert_eq!(server.ends(), Some(0));
    server.restart();
    assert_eq!((buyer.balance(), buyer.list("/orders").len()), (990, 1));
}

#[test]
fn a_client_that_closes_when_it_is_told_to_sees_no_connection_break() {
    const CLIENTS: usize = 24;
    /// Longer than an idle server takes to end.
    const THINKING: Duration = Duration::from_millis(200);
    let mut server = Server::start();
    let (item, buyer) = (server.admin().item("Lamp", 0, 1_000_000), server.buyer(0));
    let token = server.admin().post(&format!("/users/{}/token", buyer.id), serde_json::json!({})).expect(201);
    let token = token["access_token"].as_str().expect("a token");
    let purchase = format!(
        "POST /api/v1/items/{}/purchase HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{{\"quantity\":1}}",
        item.id
    );
    let everybody_buys = Barrier::new(CLIENTS + 1);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = server.connect();
                for bought in 1.. {
                    connection.write(purchase.as_bytes()).expect("the server reads");
                    let reply = connection.read_reply(false).expect("an answer to every request");
                    if reply.status == 503 {
                        return expect_turned_away(&reply);
                    }
                    reply.expect(201);
                    if reply.header("Connection") == Some("close") {
                        return;
                    }
                    if bought == 2 {
                        everybody_buys.wait();
                    }
                    std::thread::sleep(THINKING);
                }
            });
        }
        everybody_buys.wait();
        server.signal("TERM");
    });
    assert_eq!(server.ends(), Some(0));
}

#[test]
fn an_upload_that_stalls_is_cut_and_keeps_no_server_from_its_end() {
    // Longer than the tests are patient.
    let mut server = Setup::new()
        .env("PURSER__SERVER__BODY_TIMEOUT_MS", "600000")
        .env("PURSER__SERVER__SHUTDOWN_SECONDS", "600")
        .start();
    let token = server.file("admin-token");
    let mut upload = server.connect();
    let head = format!(
        "POST /api/v1/items HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
    );
    upload.write(head.as_bytes()).expect("the server reads");
    assert_eq!(upload.read_one(false).expect("the server waits for the body").status, 100);
    upload.write(b"{\"name\":").expect("the server reads");
    server.signal("TERM");
    expect_turned_away(&upload.read_reply(false).expect("an answer"));
    assert_eq!(server.ends(), Some(0));
}

/// Buyers buy until they are turned away or the server is gone, which `end` asks to end and, held back as it is, is then killed.
fn killed_on_its_way_out(end: impl FnOnce(&Server)) {
    const BUYERS: usize = 4;
    let (mut server, mut cluster, item, buyer) = held_back();
    // Both are in memory, so this needs no store.
    server.admin().credit(buyer.id, 10_000_000).expect(200);
    server.admin().restock(item, 1_000_000).expect(200);
    let everybody_buys = Barrier::new(BUYERS + 1);
    // How many purchases were acknowledged, and whether the last one was not answered.
    let buy = || {
        let mut bought = 0;
        loop {
            let call = buyer.call("POST", &format!("/items/{}/purchase", item.id));
            match call.json(&serde_json::json!({"quantity": 1})).try_send() {
                Ok(reply) if reply.status == 503 => {
                    expect_turned_away(&reply);
                    return (bought, false);
                }
                Ok(reply) => drop(reply.expect(201)),
                Err(_) => return (bought, true),
            }
            bought += 1;
            if bought == 2 {
                everybody_buys.wait();
            }
        }
    };
    let told: Vec<(u64, bool)> = std::thread::scope(|scope| {
        let buying: Vec<_> = (0..BUYERS).map(|_| scope.spawn(buy)).collect();
        everybody_buys.wait();
        end(&server);
        assert!(!server.has_ended(), "nothing held it back");
        server.kill9();
        buying.into_iter().map(|buyer| buyer.join().expect("a buyer buys until the end")).collect()
    });
    cluster.start();
    server.restart();
    let bought: u64 = 1 + told.iter().map(|(bought, _)| bought).sum::<u64>();
    let in_doubt = told.iter().filter(|(_, in_doubt)| *in_doubt).count() as u64;
    let orders = buyer.list("/orders").len() as u64;
    assert!(
        (bought..=bought + in_doubt).contains(&orders),
        "{orders} orders, {bought} told, {in_doubt} in doubt"
    );
    // What was under way holds nothing back.
    assert_eq!((server.stock(item), buyer.balance()), (1_000_100 - orders, 10_001_000 - 10 * orders));
    server.expect_clean_audit();
}

#[test]
fn a_server_that_is_killed_as_it_is_asked_to_end_loses_nothing_that_it_acknowledged() {
    killed_on_its_way_out(|server| server.signal("TERM"));
}

#[test]
fn a_server_that_is_killed_while_it_turns_clients_away_loses_nothing_that_it_acknowledged() {
    killed_on_its_way_out(begin_the_end);
}
