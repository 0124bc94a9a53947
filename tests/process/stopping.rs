//! How a server ends when it is asked to.

use crate::support::api::order_of;
use crate::support::eventually;
use crate::support::expect::expect_problem;
use crate::support::server::{Server, purser, run};

#[test]
fn a_server_that_is_asked_to_end_exits_0_and_finds_everything_again() {
    let mut server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 10, 5);
    buyer.buy(item, 2).expect(201);
    for _ in 0..3 {
        assert_eq!(server.sigterm(), Some(0));
        server.restart();
        assert_eq!((server.stock(item), buyer.balance()), (3, 80));
        server.expect_clean_audit();
    }
}

#[test]
fn an_idle_connection_does_not_hold_a_stopping_server() {
    let mut server = Server::start();
    let idle = server.connect();
    let mut half = server.connect();
    half.write(b"GET /api/v1/items HTTP/1.1\r\nHost: sh").expect("the server reads");
    assert_eq!(server.sigterm(), Some(0));
    drop((idle, half));
}

#[test]
fn a_stopped_data_directory_passes_its_audit_and_its_journal_verifies() {
    let mut server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    buyer.buy(admin.item("Lamp", 10, 5), 2).expect(201);
    assert_eq!(server.cli(&["audit"]).code, Some(0));
    let offline = |server: &Server, arguments: &[&str]| {
        let mut command = purser();
        command.args(arguments).arg("--data-dir").arg(server.data_dir());
        run(command)
    };
    assert_eq!(server.sigterm(), Some(0));
    for arguments in [&["audit"][..], &["journal", "verify"]] {
        let ended = offline(&server, arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    }
    server.restart();
    server.kill9();
    let verified = offline(&server, &["journal", "verify"]);
    assert_eq!(verified.code, Some(0), "after a crash: {verified:?}");
}

#[test]
fn commands_speak_json_to_machines() {
    let server = Server::start();
    server.buyer(100);
    let audit = server.cli(&["audit", "--json"]);
    assert_eq!(audit.code, Some(0), "{audit:?}");
    let printed: serde_json::Value = serde_json::from_str(&audit.stdout).expect("one JSON document");
    assert_eq!(printed["ok"], true, "{printed}");
    let mut command = purser();
    command.arg("openapi");
    let document = run(command);
    assert_eq!(document.code, Some(0), "{}", document.stderr);
    let printed: serde_json::Value = serde_json::from_str(&document.stdout).expect("one JSON document");
    assert!(printed["paths"].is_object());
}

#[test]
fn a_key_is_known_again_under_another_token_secret() {
    let mut server = Server::start();
    let buyer = server.buyer(100);
    let credit = format!("/users/{}/balance/increment", buyer.id);
    let amount = serde_json::json!({"amount": 50});
    let new_user =
        serde_json::json!({"name": "Ada", "email": "ada@example.com", "password": "a long password"});
    server.admin().post_keyed("once", &credit, &amount).expect(200);
    server.admin().post_keyed("user", "/users", &new_user).expect(201);
    assert_eq!(server.sigterm(), Some(0));
    std::fs::remove_file(server.data_dir().join("secret")).expect("the secret's file");
    server.restart();
    let again = server.admin().post_keyed("once", &credit, &amount);
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{}", again.text());
    assert_eq!(again.expect(200)["amount"], 150);
    // What is secret in a request is only comparable under the secret it was hashed with: never executed again.
    expect_problem(&server.admin().post_keyed("user", "/users", &new_user), 422, "idempotency_key_reused");
}

#[test]
fn a_key_is_known_again_by_a_store_that_was_made_anew_from_its_journal() {
    let mut server = Server::start();
    let buyer = server.buyer(100);
    let item = server.admin().item("Lamp", 10, 5);
    let buy = format!("/items/{}/purchase", item.id);
    let one = serde_json::json!({"quantity": 1});
    let first = buyer.post_keyed("once", &buy, &one).expect(201);
    server.kill9();
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(server.data_dir().join(name));
    }
    server.restart();
    let again = buyer.post_keyed("once", &buy, &one);
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{}", again.text());
    assert_eq!(again.expect(201), first);
    assert_eq!((server.stock(item), buyer.balance()), (4, 90));
    server.expect_clean_audit();
}

#[test]
fn a_server_that_is_asked_to_end_while_messages_flow_exits_0_and_does_the_rest_after_its_next_start() {
    let mut server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000_000));
    let order = order_of(&[(admin.item("Lamp", 1, 1_000_000), 1)]);
    for round in 1..=3 {
        let placed = std::sync::atomic::AtomicUsize::new(0);
        let place = || {
            let call = buyer.call("POST", "/orders").header("Prefer", "respond-async").json(&order);
            call.try_send().is_ok_and(|reply| reply.status == 202)
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while place() {
                        placed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
            eventually("orders flow", || {
                (placed.load(std::sync::atomic::Ordering::Relaxed) > 50 * round).then_some(())
            });
            assert_eq!(server.sigterm(), Some(0));
        });
        server.restart();
    }
    eventually("all orders are decided", || buyer.list("/orders?status=pending").is_empty().then_some(()));
    server.expect_clean_audit();
}
