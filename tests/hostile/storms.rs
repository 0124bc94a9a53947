//! A storm of repeated requests: every key is sent up to five times at once by clients that do not wait for each other, while
//! the server is killed and started again. One key is one effect and one answer.

use crate::bodies::seeded;
use crate::proof;
use crate::support::api::{Item, User};
use crate::support::expect::expect_problem;
use crate::support::http::Reply;
use crate::support::journal::keeping_its_journal;
use crate::support::server::{Server, Setup};
use crate::support::store::{Store, stores};
use crate::support::{Dice, eventually, setting};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const FUNDS: u64 = 1_000_000;
const PRICE: u64 = 7;
const KEYS: u64 = 240;
/// Less than is asked for: refusals are remembered as well.
const STOCK: u64 = 400;
const WORKERS: usize = 12;

/// A keyed purchase.
struct Wanted {
    buyer: usize,
    key: String,
    quantity: u64,
}

impl Wanted {
    fn send(&self, buyers: &[User], item: Item) -> std::io::Result<Reply> {
        let call = buyers[self.buyer].call("POST", &format!("/items/{}/purchase", item.id));
        call.header("Idempotency-Key", &self.key).json(&json!({"quantity": self.quantity})).try_send()
    }
}

/// What stays the same when a request is repeated.
fn answer(reply: &Reply) -> (u16, Value) {
    let mut body = reply.json();
    if let Some(request_id) = body.get_mut("request_id") {
        request_id.take();
    }
    (reply.status, body)
}

/// What the storm is made of, and what came back.
struct Storm {
    wanted: Vec<Wanted>,
    /// Places in `wanted`, repeated, as they are still to be sent.
    queue: Mutex<VecDeque<usize>>,
    answers: Mutex<BTreeMap<usize, Vec<(u16, Value)>>>,
    sent: AtomicUsize,
    acks: AtomicUsize,
}

impl Storm {
    fn brewing(dice: &mut Dice, buyers: usize) -> Self {
        let wanted: Vec<_> = (0..KEYS)
            .map(|number| Wanted {
                buyer: dice.roll(buyers as u64) as usize,
                key: format!("storm-{number}"),
                quantity: 1 + dice.roll(3),
            })
            .collect();
        // Neighbours are at work at the same time.
        let repeated = |place| std::iter::repeat_n(place, 1 + dice.roll(5) as usize);
        let queue = (0..wanted.len()).flat_map(repeated).collect();
        let (sent, acks) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { wanted, queue: Mutex::new(queue), answers: Mutex::default(), sent, acks }
    }

    fn next(&self) -> Option<usize> {
        self.queue.lock().expect("no worker panics").pop_front()
    }

    fn note(&self, place: usize, reply: &Reply) {
        assert!(matches!(reply.status, 201 | 409), "{} {}", reply.to, reply.text());
        self.answers.lock().expect("no worker panics").entry(place).or_default().push(answer(reply));
        self.acks.fetch_add(1, Ordering::Relaxed);
    }

    /// Works until nothing is left or the server is gone. What was sent then has no answer.
    fn rages(&self, buyers: &[User], item: Item) {
        while let Some(place) = self.next() {
            self.sent.fetch_add(1, Ordering::Relaxed);
            match self.wanted[place].send(buyers, item) {
                Ok(reply) => self.note(place, &reply),
                Err(_) => return,
            }
        }
    }
}

fn weather(store: Store, dice: &mut Dice, kills: usize) -> [usize; 3] {
    let mut server = keeping_its_journal(Setup::new().store(store)).start();
    let buyers: Vec<_> = (0..4).map(|_| server.buyer(FUNDS)).collect();
    let item = server.admin().item("Lamp", PRICE, STOCK);
    let storm = Storm::brewing(dice, buyers.len());
    let whole = storm.queue.lock().expect("nobody is at work").len();
    for round in 0..=kills {
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| storm.rages(&buyers, item));
            }
            if round < kills {
                let due = (whole * (round + 1) / (kills + 2)).saturating_sub(WORKERS * round);
                eventually("enough is acknowledged", || {
                    (storm.acks.load(Ordering::Relaxed) >= due).then_some(())
                });
                server.kill9();
            }
        });
        if round < kills {
            server.restart();
        }
    }
    assert!(storm.next().is_none(), "not all was sent");
    // Each is asked for once more, so that each has an answer; those that had one get it again.
    let answered: BTreeSet<_> = storm.answers.lock().expect("no worker panics").keys().copied().collect();
    for (place, wanted) in storm.wanted.iter().enumerate() {
        let reply = wanted.send(&buyers, item).expect("a server that stays");
        storm.note(place, &reply);
        let replayed = reply.header("Idempotency-Replayed") == Some("true");
        assert!(replayed || !answered.contains(&place), "{} was executed again", wanted.key);
        let other = Wanted { quantity: 9, key: wanted.key.clone(), ..*wanted };
        let reused = other.send(&buyers, item).expect("a server that stays");
        expect_problem(&reused, 422, "idempotency_key_reused");
    }
    expect_one_effect_each(&server, &storm, &buyers, item);
    let counts = [whole, kills, storm.acks.load(Ordering::Relaxed)];
    assert!(answered.len() > KEYS as usize / 2, "only {} keys were answered in the storm", answered.len());
    counts
}

fn expect_one_effect_each(server: &Server, storm: &Storm, buyers: &[User], item: Item) {
    let answers = storm.answers.lock().expect("no worker panics");
    let (mut sold, mut refused, mut spent) = (0, 0, vec![0; buyers.len()]);
    let mut orders = vec![BTreeSet::new(); buyers.len()];
    for (place, wanted) in storm.wanted.iter().enumerate() {
        let told = &answers[&place];
        assert!(told.iter().all(|answer| *answer == told[0]), "{} has two answers: {told:?}", wanted.key);
        let (status, body) = &told[0];
        if *status == 409 {
            assert_eq!(body["code"], "insufficient_stock", "{body}");
            refused += 1;
            continue;
        }
        sold += wanted.quantity;
        spent[wanted.buyer] += wanted.quantity * PRICE;
        let order = body["order_id"].as_str().expect("an order").to_owned();
        assert!(orders[wanted.buyer].insert(order), "two keys have one order");
    }
    assert_eq!(server.stock(item), STOCK - sold);
    assert!(refused > 0 && sold > STOCK / 2, "{sold} units were sold and {refused} keys refused");
    for ((buyer, orders), spent) in buyers.iter().zip(&orders).zip(spent) {
        assert_eq!(buyer.balance(), FUNDS - spent);
        let listed: BTreeSet<_> = buyer
            .list("/orders")
            .iter()
            .map(|order| order["id"].as_str().expect("an id").to_owned())
            .collect();
        assert_eq!(&listed, orders, "orders that no key accounts for, or the other way round");
    }
    server.expect_clean_audit();
}

#[test]
fn a_key_that_is_sent_again_and_again_has_one_effect_and_one_answer_however_often_the_server_dies() {
    let kills = setting("PURSER_HOSTILE_KILLS", 3);
    let (mut dice, seed) = seeded();
    eprintln!("{seed}");
    let mut counts = [0; 3];
    for store in stores() {
        let more = weather(store, &mut dice, kills);
        counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
    }
    proof("storm", counts, [2 * KEYS as usize, 2 * kills, 2 * KEYS as usize]);
}
