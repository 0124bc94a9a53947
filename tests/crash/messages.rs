//! Work in the background beside crashes: orders that are decided, withdrawals that are counted, and shipments that are told
//! to somebody who often does not listen. Nothing is lost, nothing is done twice.

use crate::support::api::{Actor, Item, User, order_id, order_of};
use crate::support::http::Reply;
use crate::support::journal::{keeping_its_journal, sound_journal};
use crate::support::receiver::{Answer, Receiver};
use crate::support::server::{Server, Setup};
use crate::support::store::durable_stores;
use crate::support::{Dice, eventually, setting};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

const WORKERS: usize = 4;

/// What a worker was told, by idempotency key; `None`: the connection broke.
#[derive(Default)]
pub struct Log {
    pub told: Vec<(String, Request, Option<Value>)>,
    /// Orders that were placed at once and may be shipped, and withdrawals that may be completed.
    pub orders: Vec<String>,
    pub withdrawals: Vec<String>,
}

#[derive(Clone)]
pub struct Request {
    pub as_admin: bool,
    pub path: String,
    pub body: Value,
    pub in_background: bool,
}

impl Request {
    pub fn send(&self, key: &str, buyer: &User, admin: &Actor) -> io::Result<Reply> {
        let actor: &Actor = if self.as_admin { admin } else { buyer };
        let mut call = actor.call("POST", &self.path).header("Idempotency-Key", key);
        if self.in_background {
            call = call.header("Prefer", "respond-async");
        }
        call.json(&self.body).try_send()
    }
}

impl Log {
    fn choose(&mut self, item: Item, dice: &mut Dice) -> Request {
        let request =
            |as_admin, path: String, body, in_background| Request { as_admin, path, body, in_background };
        match dice.roll(6) {
            0 | 1 => request(false, "/orders".into(), order_of(&[(item, 1 + dice.roll(3))]), true),
            2 => request(false, "/orders".into(), order_of(&[(item, 1)]), false),
            3 if !self.orders.is_empty() => {
                let order = self.orders.swap_remove(0);
                request(true, format!("/orders/{order}/ship"), json!({}), false)
            }
            4 if !self.withdrawals.is_empty() => {
                let id = self.withdrawals.swap_remove(0);
                request(true, format!("/withdrawals/{id}/complete"), json!({}), false)
            }
            _ => request(false, "/withdrawals".into(), json!({"amount": 1 + dice.roll(9)}), false),
        }
    }

    pub fn note(&mut self, key: String, request: Request, reply: Option<Reply>) {
        let told = reply.map(|reply| {
            assert!(matches!(reply.status, 200..=202), "{} {}", reply.to, reply.text());
            reply.json()
        });
        if let Some(told) = &told {
            match request.path.as_str() {
                "/orders" if !request.in_background => self.orders.push(order_id(told)),
                "/withdrawals" => self.withdrawals.push(told["id"].as_str().expect("an id").to_owned()),
                _ => {}
            }
        }
        self.told.push((key, request, told));
    }
}

/// Works until the server is gone.
fn work(
    log: &mut Log,
    buyer: &User,
    admin: &Actor,
    item: Item,
    dice: &mut Dice,
    acks: &AtomicUsize,
    name: &str,
) {
    for turn in 0.. {
        let (key, request) = (format!("{name}-{turn}"), log.choose(item, dice));
        let reply = request.send(&key, buyer, admin).ok();
        let gone = reply.is_none();
        log.note(key, request, reply);
        if gone {
            return;
        }
        acks.fetch_add(1, Ordering::Relaxed);
    }
}

fn stats(admin: &Actor) -> Value {
    admin.get("/messages/stats").expect(200)
}

/// Puts back what is dead until nothing is open any more.
pub fn all_done(server: &Server) -> Value {
    let admin = server.admin();
    eventually("no message is open", || {
        let stats = stats(&admin);
        if stats["failed"] != 0 {
            admin.post("/messages/failed/retry", json!({"limit": 1_000})).expect(200);
        }
        let open = ["ready", "delayed", "running", "failed"].iter().any(|status| stats[status] != 0);
        (!open).then_some(stats)
    })
}

#[test]
fn messages_survive_kill_9_and_are_done_exactly_once() {
    let cycles = setting("PURSER_CRASH_CYCLES", 10);
    for store in durable_stores() {
        eprintln!("on {}", store.name);
        // Two of three notices go wrong, each in its way.
        let receiver = Receiver::start(|count| match count % 6 {
            0 => Answer::Status(500),
            1 => Answer::Nothing,
            2 => Answer::Silence,
            3 => Answer::Status(404),
            _ => Answer::Status(200),
        });
        let mut server = keeping_its_journal(Setup::new())
            .store(store)
            .env("PURSER__WEBHOOK__URL", &receiver.url())
            .env("PURSER__MESSAGES__ORDER_SHIPPED__DELAY_MS", "20")
            .env("PURSER__MESSAGES__ORDER_SHIPPED__TIMEOUT_MS", "100")
            .start();
        let item = server.admin().item("Lamp", 2, 1_000_000);
        let buyers: Vec<_> = (0..WORKERS).map(|_| server.buyer(1_000_000)).collect();
        let mut logs: Vec<_> = (0..WORKERS).map(|_| Log::default()).collect();
        let mut dice = Dice::new(23);
        for cycle in 0..cycles {
            let (acks, enough) =
                (AtomicUsize::new(0), usize::try_from(10 + dice.roll(150)).expect("a number"));
            eprintln!("cycle {cycle}: kill -9 after {enough} acknowledgements");
            let admin = server.admin();
            std::thread::scope(|scope| {
                for (worker, (log, buyer)) in logs.iter_mut().zip(&buyers).enumerate() {
                    let (acks, admin) = (&acks, &admin);
                    let mut dice = Dice::new((cycle * 100 + worker) as u64);
                    let name = format!("c{cycle}-w{worker}");
                    scope.spawn(move || work(log, buyer, admin, item, &mut dice, acks, &name));
                }
                eventually("enough is acknowledged", || {
                    (acks.load(Ordering::Relaxed) >= enough).then_some(())
                });
                server.kill9();
            });
            server.restart();
            decide_what_is_in_doubt(&server, &mut logs, &buyers);
        }
        check(&server, &receiver, &logs, &buyers, item);
        server.kill9();
        sound_journal(&server);
    }
}

/// Whatever was under way when the server went is asked again under its key.
pub fn decide_what_is_in_doubt(server: &Server, logs: &mut [Log], buyers: &[User]) {
    let admin = server.admin();
    for (log, buyer) in logs.iter_mut().zip(buyers) {
        let (told, in_doubt): (Vec<_>, Vec<_>) =
            std::mem::take(&mut log.told).into_iter().partition(|(.., told)| told.is_some());
        log.told = told;
        for (key, request, _) in in_doubt {
            let again = request.send(&key, buyer, &admin).expect("the restarted server answers");
            log.note(key, request, Some(again));
        }
    }
}

pub fn check(server: &Server, receiver: &Receiver, logs: &[Log], buyers: &[User], item: Item) {
    let stats = all_done(server);
    let done = |kind: &str| stats["by_kind"][kind]["succeeded_total"].as_u64().expect("a count");
    let (mut accepted, mut shipped, mut completed, mut sold) = (0, BTreeSet::new(), 0, 0);
    for (log, buyer) in logs.iter().zip(buyers) {
        let orders: BTreeMap<String, Value> = buyer
            .list("/orders")
            .into_iter()
            .map(|order| (order["id"].as_str().expect("an id").to_owned(), order))
            .collect();
        let (mut placed, mut asked, mut paid) = (0, 0, 0);
        for (_, request, told) in &log.told {
            let told = told.as_ref().expect("nothing is in doubt any more");
            let path = request.path.as_str();
            match path {
                "/orders" => {
                    placed += 1;
                    accepted += u64::from(request.in_background);
                    let order = &orders[&order_id(told)];
                    assert_ne!(order["status"], "pending", "{order}");
                    assert_ne!(order["status"], "failed", "{order}");
                    sold += order["items"][0]["quantity"].as_u64().expect("a quantity");
                }
                "/withdrawals" => asked += told["amount"].as_u64().expect("an amount"),
                _ if path.ends_with("/ship") => assert!(shipped.insert(order_id(told))),
                _ => {
                    completed += 1;
                    paid += told["amount"].as_u64().expect("an amount");
                }
            }
        }
        assert_eq!(orders.len(), placed, "orders that nobody placed, or lost ones");
        let spent: u64 = orders.values().map(|order| order["total_amount"].as_u64().expect("a total")).sum();
        assert_eq!(buyer.balance(), 1_000_000 - spent - asked, "money came or went");
        let distributor = buyer.get(&format!("/distributors/{}", buyer.id)).expect(200);
        assert_eq!(distributor["withdrawn_total"], paid, "withdrawals were counted wrong");
    }
    assert_eq!(server.stock(item), 1_000_000 - sold);
    assert_eq!((done("process_order"), done("upgrade_check")), (accepted, completed));
    assert_eq!(done("order_shipped"), shipped.len() as u64);
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for notice in receiver.received() {
        let order = notice.json()["data"]["order_id"].as_str().expect("an id").to_owned();
        ids.entry(order).or_default().insert(notice.headers["webhook-id"].clone());
    }
    assert_eq!(
        ids.keys().cloned().collect::<BTreeSet<_>>(),
        shipped,
        "told of other orders than were shipped"
    );
    assert!(ids.values().all(|ids| ids.len() == 1), "an order was told under two ids: {ids:?}");
    assert!(accepted > 0 && completed > 0 && !shipped.is_empty(), "too little happened");
    server.expect_clean_audit();
}
