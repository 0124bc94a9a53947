//! A mixed load of purchases, orders, cancels and transfers, half of them keyed, with a log of what each was told.

use crate::support::Dice;
use crate::support::api::{Item, User, order_of};
use crate::support::http::Reply;
use crate::support::server::Server;
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What each buyer starts with: enough for ever.
pub const FUNDS: u64 = 1_000_000_000;

/// One request, and what came of it as far as its sender knows.
pub struct Operation {
    pub kind: Kind,
    pub key: Option<String>,
    path: String,
    body: Value,
    /// `None`: the connection broke, so it happened or it did not.
    pub told: Option<Reply>,
}

pub enum Kind {
    Sale,
    Cancel {
        order_id: String,
    },
    /// `tag` stands in the description of both entries.
    Transfer {
        to: usize,
        tag: String,
    },
}

impl Operation {
    fn send(&self, buyer: &User) -> io::Result<Reply> {
        let call = buyer.call("POST", &self.path).json(&self.body);
        match &self.key {
            Some(key) => call.header("Idempotency-Key", key).try_send(),
            None => call.try_send(),
        }
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

    /// Trades until the server goes away.
    pub fn trade(&self, worker: usize, cycle: usize, acks: &AtomicUsize) -> Vec<Operation> {
        let mut dice = Dice::new((cycle * 1_000 + worker) as u64);
        let (mut log, mut open) = (Vec::new(), Vec::new());
        loop {
            let name = format!("c{cycle}-w{worker}-{}", log.len());
            let mut operation = self.choose(worker, name, &mut dice, &mut open);
            match operation.send(&self.buyers[worker]) {
                Ok(reply) if reply.status == 503 => {
                    // Refused by a server that is stopping: definitely not executed.
                    assert_eq!(reply.json()["code"], "shutting_down", "{}", reply.text());
                    return log;
                }
                Ok(reply) => {
                    assert!(matches!(reply.status, 200 | 201 | 409), "{} {}", reply.to, reply.text());
                    if matches!(operation.kind, Kind::Sale) && reply.status == 201 {
                        open.push(crate::support::api::order_id(&reply.json()));
                    }
                    operation.told = Some(reply);
                    log.push(operation);
                    acks.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {
                    log.push(operation);
                    return log;
                }
            }
        }
    }

    fn choose(&self, worker: usize, name: String, dice: &mut Dice, open: &mut Vec<String>) -> Operation {
        let mut item = || {
            let index = usize::try_from(dice.roll(self.items.len() as u64)).expect("an index");
            (self.items[index].0, 1 + dice.roll(3))
        };
        let (first, second, third) = (item(), item(), item());
        let (kind, path, body) = match dice.roll(10) {
            0..=3 => (Kind::Sale, format!("/items/{}/purchase", first.0.id), json!({"quantity": first.1})),
            4..=6 => (Kind::Sale, "/orders".to_owned(), order_of(&[first, second, third])),
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
        Operation { kind, key, path, body, told: None }
    }

    /// Adds what was told in a run.
    pub fn remember(&mut self, told: Vec<Vec<Operation>>) {
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
