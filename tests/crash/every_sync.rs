//! A server that is killed in front of every write, or every sync, of one of its threads in turn: between the acceptance of an
//! order and its decision, a shipment and its notice, a payout and its check, and between each of these and its end.

use crate::messages::{Log, Request, all_done, check, decide_what_is_in_doubt};
use crate::support::api::{Actor, Item, User, order_of};
use crate::support::eventually;
use crate::support::receiver::{Answer, Receiver};
use crate::support::server::{Server, Setup};
use crate::support::store::durable_stores;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// More than any thread makes for the work below.
const CALLS_MAX: u32 = 60;

/// Does a bit of everything that messages are for, until the server is gone. Whether it still answers.
fn work(log: &mut Log, buyer: &User, admin: &Actor, item: Item, name: &str) -> bool {
    let request =
        |as_admin, path: String, body, in_background| Request { as_admin, path, body, in_background };
    let steps: [fn(&mut Log) -> Option<String>; 5] = [
        |_| Some("/orders".into()),
        |_| Some("/orders".into()),
        |log| log.orders.pop().map(|id| format!("/orders/{id}/ship")),
        |_| Some("/withdrawals".into()),
        |log| log.withdrawals.pop().map(|id| format!("/withdrawals/{id}/complete")),
    ];
    for (step, path) in steps.into_iter().enumerate() {
        let path = path(log).expect("the step before was answered");
        let body = match path.as_str() {
            "/orders" => order_of(&[(item, 1)]),
            "/withdrawals" => json!({"amount": 3}),
            _ => json!({}),
        };
        let request = request(matches!(step, 2 | 4), path, body, step == 0);
        let key = format!("{name}-{step}");
        let reply = request.send(&key, buyer, admin).ok();
        let gone = reply.is_none();
        log.note(key, request, reply);
        if gone {
            return false;
        }
    }
    true
}

/// Waits until the server has ended or has nothing left to do. Whether it has ended.
fn killed(server: &mut Server, admin: &Actor) -> bool {
    eventually("the server is killed or done", || {
        if server.has_ended() {
            return Some(true);
        }
        let stats = admin.call("GET", "/messages/stats").try_send().ok()?.json();
        let open = ["ready", "delayed", "running"].iter().any(|status| stats[status] != 0);
        let backlog = admin.anonymous().call_at("GET", "/health/ready".into()).try_send().ok()?.json();
        (!open && stats != Value::Null && backlog["backlog"]["records"] == 0).then_some(false)
    })
}

#[test]
fn messages_survive_a_kill_in_front_of_every_write_and_sync_and_are_done_exactly_once() {
    let version = Command::new("strace").arg("--version").stdout(Stdio::null()).status();
    assert!(
        version.is_ok_and(|status| status.success()),
        "This test kills the server as it writes. It needs the program strace: `apt-get install strace`."
    );
    // Of the embedded store's own writes there are too many: there its syncs count, and the journal's.
    for (store, call) in durable_stores().into_iter().zip(["fdatasync", "pwrite64"]) {
        eprintln!("{call} on {}", store.name);
        let receiver = Receiver::start(|count| Answer::Status(if count % 2 == 0 { 500 } else { 200 }));
        let mut server = Setup::new()
            .store(store)
            .env("PURSER__WEBHOOK__URL", &receiver.url())
            .env("PURSER__MESSAGES__ORDER_SHIPPED__DELAY_MS", "20")
            .start();
        let item = server.admin().item("Lamp", 2, 1_000_000);
        let buyer = server.buyer(1_000_000);
        let (mut logs, mut kills) = ([Log::default()], 0);
        for place in 1..=CALLS_MAX {
            assert_eq!(server.sigterm(), Some(0));
            // Counted per thread. As a grandchild, so that what we start is the server.
            let kill = format!("--inject={call}:signal=KILL:when={place}");
            let strace = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", &format!("--trace={call}"), &kill];
            let serves = server.restart_under(&strace);
            let admin = server.admin();
            let done = serves && work(&mut logs[0], &buyer, &admin, item, &format!("{call}-{place}"));
            let survived = done && !killed(&mut server, &admin);
            if survived {
                break;
            }
            kills += 1;
            eprintln!("killed in front of {call} {place}");
            if serves {
                assert_eq!(server.ends(), None, "it was to be killed");
            }
            server.by_itself();
            server.restart();
            decide_what_is_in_doubt(&server, &mut logs, std::slice::from_ref(&buyer));
            all_done(&server);
        }
        assert!((8..CALLS_MAX).contains(&kills), "{kills} kills are not all that there could be");
        check(&server, &receiver, &logs, std::slice::from_ref(&buyer), item);
    }
}
