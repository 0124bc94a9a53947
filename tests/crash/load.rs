//! A mixed load of purchases, orders, cancels and transfers, half of them keyed, with a log of what each was told.

use crate::support::api::{Item, User, order_of};
use crate::support::http::Reply;
use crate::support::server::Server;
use crate::support::{Dice, eventually};
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// What each buyer starts with: enough for ever.
pub const FUNDS: u64 = 1_000_000_000;

/// One request, and what came of it as far as its sender knows.
pub struct Operation {
    pub kind: Kind,
    pub key: Option<String>,
    path: String,
    pub body: Value,
    /// `None`: the connection broke, so it happened or it did not.
    pub told: Option<Reply>,
    /// When the call began that was answered so, and when it ended.
    pub between: (Instant, Instant),
}

pub enum Kind {
    Sale {
        /// Products and units.
        lines: Vec<(u64, u64)>,
    },
    Cancel {
        order_id: String,
    },
    /// `tag` stands in the description of both entries.
    Transfer {
        to: usize,
        tag: String,
    },
}

/// How far a run of trading is.
#[derive(Default)]
pub struct Day {
    /// Then a buyer who gets no answer has found a fault, and does not leave quietly.
    stays: bool,
    acks: AtomicUsize,
    gone: AtomicUsize,
    over: AtomicBool,
}

impl Day {
    /// Waits for so many more acknowledgements, or until a buyer has found the server gone that may go.
    #[track_caller]
    pub fn more(&self, acknowledgements: usize) {
        let enough = self.acks.load(Ordering::Relaxed) + acknowledgements;
        eventually("enough operations are acknowledged", || {
            let over = self.gone.load(Ordering::Relaxed) > 0;
            assert!(!(over && self.stays), "a buyer was not answered by a server that has to stay");
            (over || self.acks.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }
}

struct Closing<'a>(&'a Day);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

struct Leaving<'a>(&'a Day);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, Ordering::Relaxed);
    }
}

impl Operation {
    fn send(&mut self, buyer: &User) -> io::Result<Reply> {
        let call = buyer.call("POST", &self.path).json(&self.body);
        let begun = Instant::now();
        let reply = match &self.key {
            Some(key) => call.header("Idempotency-Key", key).try_send(),
            None => call.try_send(),
        };
        self.between = (begun, Instant::now());
        reply
    }
}

/// Items, buyers, and everything that the buyers were told.
pub struct Shop {
    /// Each item with its first stock; the last one is scarce.
    pub items: Vec<(Item, u64)>,
    pub buyers: Vec<User>,
    pub log: Vec<Vec<Operation>>,
    /// How much of each buyer's log stood when the last run began.
    recent: Vec<usize>,
}

impl Shop {
    pub fn open(server: &Server, buyers: usize) -> Self {
        let admin = server.admin();
        let stocks = [1_000_000, 1_000_000, 1_000_000, 1_000_000, 60];
        let items = stocks.iter().zip(1..).map(|(stock, price)| (admin.item("Lamp", price, *stock), *stock));
        Self {
            items: items.collect(),
            buyers: (0..buyers).map(|_| server.buyer(FUNDS)).collect(),
            log: (0..buyers).map(|_| Vec::new()).collect(),
            recent: vec![0; buyers],
        }
    }

    /// Lets everybody trade while `meanwhile` does its worst, to the server too, and keeps what each one was told.
    pub fn trade_while<T>(&mut self, cycle: usize, meanwhile: impl FnOnce(&Day) -> T) -> T {
        self.trade_on(cycle, Day::default(), meanwhile)
    }

    /// The same before a server that has to stay, whatever becomes of its store: everybody is answered.
    #[allow(dead_code, reason = "only tests of the store have servers that stay")]
    pub fn trade_throughout<T>(&mut self, cycle: usize, meanwhile: impl FnOnce(&Day) -> T) -> T {
        self.trade_on(cycle, Day { stays: true, ..Day::default() }, meanwhile)
    }

    fn trade_on<T>(&mut self, cycle: usize, day: Day, meanwhile: impl FnOnce(&Day) -> T) -> T {
        let (result, told) = std::thread::scope(|scope| {
            let (shop, day) = (&*self, &day);
            let workers = 0..shop.buyers.len();
            let trading: Vec<_> =
                workers.map(|worker| scope.spawn(move || shop.trade(worker, cycle, day))).collect();
            // A panic here must not leave the others trading for ever.
            let closing = Closing(day);
            let result = meanwhile(day);
            drop(closing);
            let told = trading.into_iter().map(|worker| worker.join().expect("a buyer trades until the end"));
            (result, told.collect())
        });
        self.remember(told);
        result
    }

    /// Trades until the server goes away or the day is over.
    fn trade(&self, worker: usize, cycle: usize, day: &Day) -> Vec<Operation> {
        let mut dice = Dice::new((cycle * 1_000 + worker) as u64);
        let (mut log, mut open) = (Vec::new(), Vec::new());
        let _leaving = Leaving(day);
        while !day.over.load(Ordering::Relaxed) {
            let name = format!("c{cycle}-w{worker}-{}", log.len());
            let mut operation = self.choose(worker, name, &mut dice, &mut open);
            match operation.send(&self.buyers[worker]) {
                Ok(reply) if reply.status == 503 => match reply.json()["code"].as_str() {
                    // Refused by a server that is stopping: definitely not executed.
                    Some("shutting_down") if !day.stays => return log,
                    // The disk failed under it.
                    Some("outcome_unknown") if !day.stays => {
                        log.push(operation);
                        return log;
                    }
                    // An order that is not in memory any more; everything else can be done without the store.
                    Some("store_unavailable" | "read_timeout")
                        if matches!(operation.kind, Kind::Cancel { .. }) => {}
                    _ => panic!("{} {}", reply.to, reply.text()),
                },
                Ok(reply) => {
                    assert!(matches!(reply.status, 200 | 201 | 409), "{} {}", reply.to, reply.text());
                    if matches!(operation.kind, Kind::Sale { .. }) && reply.status == 201 {
                        open.push(crate::support::api::order_id(&reply.json()));
                    }
                    operation.told = Some(reply);
                    log.push(operation);
                    day.acks.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    assert!(!day.stays, "a server that has to stay does not answer: {error}");
                    log.push(operation);
                    return log;
                }
            }
        }
        log
    }

    fn choose(&self, worker: usize, name: String, dice: &mut Dice, open: &mut Vec<String>) -> Operation {
        let mut item = || {
            let index = usize::try_from(dice.roll(self.items.len() as u64)).expect("an index");
            (self.items[index].0, 1 + dice.roll(3))
        };
        let (first, second, third) = (item(), item(), item());
        let (kind, path, body) = match dice.roll(10) {
            0..=3 => {
                let lines = vec![(first.0.id, first.1)];
                let path = format!("/items/{}/purchase", first.0.id);
                (Kind::Sale { lines }, path, json!({"quantity": first.1}))
            }
            4..=6 => {
                let lines = [first, second, third];
                let told = lines.iter().map(|(item, units)| (item.id, *units)).collect();
                (Kind::Sale { lines: told }, "/orders".to_owned(), order_of(&lines))
            }
            7 if !open.is_empty() => {
                let order_id = open.swap_remove(0);
                let path = format!("/orders/{order_id}/cancel");
                (Kind::Cancel { order_id }, path, json!({}))
            }
            _ => {
                let to = (worker + 1) % self.buyers.len();
                let body = json!({"to_user_id": self.buyers[to].id, "amount": 1 + dice.roll(5), "description": name});
                (Kind::Transfer { to, tag: name.clone() }, "/transfers".to_owned(), body)
            }
        };
        let key = (dice.roll(2) == 0).then_some(name);
        let now = Instant::now();
        Operation { kind, key, path, body, told: None, between: (now, now) }
    }

    /// Adds what was told in a run.
    fn remember(&mut self, told: Vec<Vec<Operation>>) {
        self.recent = self.log.iter().map(Vec::len).collect();
        for (log, told) in self.log.iter_mut().zip(told) {
            log.extend(told);
        }
    }

    /// Sends every keyed request of the last run again: what was told is told again, and what was in doubt is decided.
    #[track_caller]
    pub fn ask_again(&mut self) {
        for (worker, log) in self.log.iter_mut().enumerate() {
            let buyer = &self.buyers[worker];
            for operation in log.iter_mut().skip(self.recent[worker]).filter(|one| one.key.is_some()) {
                let before = operation.between;
                let again = operation.send(buyer).expect("the restarted server answers");
                match &operation.told {
                    Some(told) => {
                        assert_eq!(again.status, told.status, "{:?}: {}", operation.key, again.text());
                        assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{:?}", operation.key);
                        assert_eq!(
                            without_request_id(&again),
                            without_request_id(told),
                            "{:?}",
                            operation.key
                        );
                        operation.between = before;
                    }
                    None => operation.told = Some(again),
                }
            }
        }
    }
}

fn without_request_id(reply: &Reply) -> Value {
    let mut body = reply.json();
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    body
}
