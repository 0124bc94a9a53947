//! A second opinion on what clients were told, by a checker that knows nothing of a journal: the calls on one product, and those
//! on one balance, each as their client saw it, must have some order in which every reply is right and that respects real time
//! (linearizability; Wing and Gong's search). It looks at all orders, so the histories are small.

use crate::support::api::{Item, User};
use crate::support::http::Reply;
use crate::support::journal::lasting;
use crate::support::server::Server;
use crate::support::store::durable_stores;
use crate::support::{Dice, eventually, setting};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

const CLIENTS: usize = 4;
const STOCK: u64 = 60;
const PRICE: u64 = 3;
/// Runs out before the stock does in some histories, and after it in others.
const FUNDS: u64 = STOCK * PRICE;

/// What a call does to a number, and what it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Begins(u64),
    Takes {
        units: u64,
        left: u64,
    },
    Lacks {
        units: u64,
        available: u64,
    },
    Adds {
        units: u64,
        left: u64,
    },
    Shows(u64),
    /// Nobody knows whether these were taken.
    MayTake(u64),
}

/// One number that is never below 0: a product's stock, or a balance.
struct Counter;

impl Specification for Counter {
    type State = u64;
    type Operation = Step;

    fn init() -> u64 {
        0
    }

    fn apply(step: &Step, there: &u64) -> (bool, u64) {
        let there = *there;
        match *step {
            Step::Begins(first) => (true, first),
            Step::Takes { units, left } => (there.checked_sub(units) == Some(left), left),
            Step::Lacks { units, available } => (there == available && available < units, there),
            Step::Adds { units, left } => (there + units == left, left),
            Step::Shows(shown) => (there == shown, there),
            Step::MayTake(units) => (true, there.checked_sub(units).unwrap_or(there)),
        }
    }
}

/// A step between the beginning of its call and its reply; without one it may have come at any time, or never.
#[derive(Clone, Copy, Debug)]
struct Seen {
    step: Step,
    begun: Instant,
    ended: Option<Instant>,
}

/// Whether there is an order for these.
fn is_linearizable(first: u64, seen: &[Seen]) -> bool {
    // An end that never came is behind all others, so that a step without effect can be last.
    let moments = |(client, seen): (usize, &Seen)| {
        let (call, response) = (Action::Call(seen.step), Action::Response(seen.step));
        [((false, Some(seen.begun)), client, call), ((seen.ended.is_none(), seen.ended), client, response)]
    };
    let mut actions: Vec<_> = seen.iter().enumerate().flat_map(moments).collect();
    actions.sort_by_key(|(moment, client, _)| (*moment, *client));
    let begins = Step::Begins(first);
    let first = [(seen.len(), Action::Call(begins)), (seen.len(), Action::Response(begins))];
    let actions = first.into_iter().chain(actions.into_iter().map(|(_, client, action)| (client, action)));
    WGLChecker::<Counter>::is_linearizable(History::from_actions(actions.collect()))
}

/// One call of one client.
struct Asked {
    what: What,
    key: Option<String>,
    begun: Instant,
    reply: Option<(Instant, Reply)>,
}

#[derive(Clone, Copy)]
enum What {
    Buy(u64),
    Restock(u64),
    SeeItem,
    SeeBalance,
}

/// A product and a user that are new, and what everybody was told about them.
struct Scene<'a> {
    server: &'a Server,
    item: Item,
    user: User,
    asked: Vec<Asked>,
}

impl What {
    fn any(dice: &mut Dice) -> Self {
        match dice.roll(12) {
            0..=6 => Self::Buy(1 + dice.roll(4)),
            7 => Self::Restock(1 + dice.roll(3)),
            8 | 9 => Self::SeeItem,
            _ => Self::SeeBalance,
        }
    }
}

impl Scene<'_> {
    fn ask(&self, what: What, key: Option<String>) -> Asked {
        let (admin, item) = (self.server.admin(), self.item.id);
        let user = &self.user;
        let begun = Instant::now();
        let call = match what {
            What::Buy(quantity) => {
                let call = user.call("POST", &format!("/items/{item}/purchase"));
                call.json(&json!({"quantity": quantity}))
            }
            What::Restock(delta) => {
                admin.call("POST", &format!("/items/{item}/stock")).json(&json!({"delta": delta}))
            }
            What::SeeItem => user.call("GET", &format!("/items/{item}")),
            What::SeeBalance => user.call("GET", "/balance"),
        };
        let call = match &key {
            Some(key) => call.header("Idempotency-Key", key),
            None => call,
        };
        let reply = call.try_send().ok().map(|reply| (Instant::now(), reply));
        Asked { what, key, begun, reply }
    }

    /// So many calls of each client, or fewer if the server goes away; `meanwhile` is told how many were answered.
    fn trade(&mut self, seed: u64, calls: usize, meanwhile: impl FnOnce(&AtomicUsize)) {
        let answered = AtomicUsize::new(0);
        let more = std::thread::scope(|scope| {
            let (scene, answered) = (&*self, &answered);
            let client = |client: usize| {
                let mut dice = Dice::new(seed * 100 + client as u64);
                let mut asked = Vec::new();
                for call in 0..calls {
                    let what = What::any(&mut dice);
                    let is_keyed = match what {
                        What::Buy(_) => dice.roll(2) == 0,
                        What::Restock(_) => true,
                        What::SeeItem | What::SeeBalance => false,
                    };
                    let key = is_keyed.then(|| format!("{seed}-{client}-{call}"));
                    let one = scene.ask(what, key);
                    let is_answered = one.reply.is_some();
                    asked.push(one);
                    if !is_answered {
                        break;
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                asked
            };
            let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
            meanwhile(answered);
            let all = clients.into_iter().flat_map(|client| client.join().expect("a client ends"));
            all.collect::<Vec<_>>()
        });
        self.asked.extend(more);
    }

    /// Asks again under each key that nobody heard of. What is told then has happened since the first time.
    fn settle(&mut self) -> usize {
        let is_open = |asked: &Asked| asked.reply.is_none() && asked.key.is_some();
        let open: Vec<_> = (0..self.asked.len()).filter(|place| is_open(&self.asked[*place])).collect();
        for place in &open {
            let again = self.ask(self.asked[*place].what, self.asked[*place].key.clone());
            self.asked[*place].reply = again.reply;
        }
        open.len()
    }

    fn seen(&self, step: impl Fn(What, Option<&Reply>) -> Option<Step>) -> Vec<Seen> {
        let seen = |asked: &Asked| {
            let (ended, reply) = asked.reply.as_ref().map(|(ended, reply)| (*ended, reply)).unzip();
            let step = step(asked.what, reply)?;
            Some(Seen { step, begun: asked.begun, ended })
        };
        self.asked.iter().filter_map(seen).collect()
    }
}

fn figure(body: &Value, name: &str) -> u64 {
    body[name].as_u64().unwrap_or_else(|| panic!("no {name}: {body}"))
}

/// What a call was to the product's stock.
fn on_stock(what: What, reply: Option<&Reply>) -> Option<Step> {
    let Some(reply) = reply else {
        return match what {
            What::Buy(units) => Some(Step::MayTake(units)),
            What::Restock(_) => panic!("restocks are settled"),
            What::SeeItem | What::SeeBalance => None,
        };
    };
    let body = reply.json();
    match (what, reply.status, body["code"].as_str()) {
        (What::Buy(units), 201, _) => Some(Step::Takes { units, left: figure(&body, "remaining_stock") }),
        (What::Buy(units), 409, Some("insufficient_stock")) => {
            Some(Step::Lacks { units, available: figure(&body, "available") })
        }
        (What::Buy(_), 409, Some("insufficient_balance")) | (What::SeeBalance, 200, _) => None,
        (What::Restock(units), 200, _) => Some(Step::Adds { units, left: figure(&body, "stock") }),
        (What::SeeItem, 200, _) => Some(Step::Shows(figure(&body, "stock"))),
        _ => panic!("{} {}", reply.to, reply.text()),
    }
}

/// What a call was to the user's balance.
fn on_balance(what: What, reply: Option<&Reply>) -> Option<Step> {
    match (what, reply) {
        (What::Buy(units), None) => Some(Step::MayTake(units * PRICE)),
        (What::Buy(units), Some(reply)) => {
            let body = reply.json();
            match body["code"].as_str() {
                None => Some(Step::Takes { units: units * PRICE, left: figure(&body, "balance") }),
                Some("insufficient_balance") => {
                    Some(Step::Lacks { units: units * PRICE, available: figure(&body, "available") })
                }
                Some(_) => None,
            }
        }
        (What::SeeBalance, Some(reply)) => Some(Step::Shows(figure(&reply.json(), "amount"))),
        (What::SeeBalance, None) | (What::Restock(_) | What::SeeItem, _) => None,
    }
}

#[test]
fn a_checker_that_knows_no_journal_finds_an_order_for_each_products_and_each_balances_replies() {
    let (first, histories) = (setting("PURSER_CRASH_SEED", 7), setting("PURSER_CRASH_HISTORIES", 6));
    for store in durable_stores() {
        let name = store.name;
        let mut server = lasting().store(store).start();
        let (mut steps, mut lacking, mut settled, mut unheard) = (0, 0, 0, 0);
        for history in 0..histories {
            let seed = (first + history) as u64;
            let (item, user) = (server.admin().item("Lamp", PRICE, STOCK), server.buyer(FUNDS));
            let mut asked = Vec::new();
            let mut run = |server: &Server, part: u64, calls: usize, meanwhile: &dyn Fn(&AtomicUsize)| {
                let mut scene = Scene { server, item, user: user.clone(), asked: std::mem::take(&mut asked) };
                settled += scene.settle();
                scene.trade(seed * 10 + part, calls, meanwhile);
                asked = std::mem::take(&mut scene.asked);
            };
            let enough = 5 + Dice::new(seed).roll(40) as usize;
            run(&server, 0, 1_000, &|answered| {
                eventually("enough calls are answered", || {
                    (answered.load(Ordering::Relaxed) >= enough).then_some(())
                });
                server.signal("KILL");
            });
            server.kill9();
            server.restart();
            run(&server, 1, 6, &|_| {});
            let scene = Scene { server: &server, item, user, asked };
            unheard += scene.asked.iter().filter(|asked| asked.reply.is_none()).count();
            for (what, first, seen) in
                [("stock", STOCK, scene.seen(on_stock)), ("balance", FUNDS, scene.seen(on_balance))]
            {
                assert!(
                    is_linearizable(first, &seen),
                    "{name}, seed {seed}: no order for the {what}: {seen:#?}"
                );
                steps += seen.len();
                lacking += seen.iter().filter(|seen| matches!(seen.step, Step::Lacks { .. })).count();
            }
        }
        let runs = 2 * histories;
        println!("proof: tier=T2 what=second-opinion-{name} runs={runs} faults={histories} acks={steps}");
        eprintln!("{lacking} refusals, {settled} settled, {unheard} unheard of");
        assert!(steps > 20 * runs && lacking > 0 && settled > 0, "too little was looked at");
    }
}

#[test]
fn replies_that_no_order_explains_are_noticed() {
    let begun = Instant::now();
    let at = |millis: u64| begun + std::time::Duration::from_millis(millis);
    let seen = |step, from, to| Seen { step, begun: at(from), ended: Some(at(to)) };
    let sale = |left, from, to| seen(Step::Takes { units: 1, left }, from, to);
    let open = |from| Seen { step: Step::MayTake(1), begun: at(from), ended: None };
    // Side by side any order will do; a call that nobody heard of may have come first, or never.
    assert!(is_linearizable(2, &[sale(0, 0, 9), sale(1, 1, 8)]));
    assert!(is_linearizable(2, &[open(0), sale(0, 5, 6)]));
    assert!(is_linearizable(2, &[open(0), sale(1, 5, 6), seen(Step::Shows(1), 7, 8)]));
    let wrong: [&[Seen]; 6] = [
        // Sold twice.
        &[sale(1, 0, 9), sale(1, 1, 8)],
        // The second came after the first was answered, and saw more.
        &[sale(0, 0, 1), sale(1, 2, 3)],
        // What was sold is there again.
        &[sale(1, 0, 1), seen(Step::Shows(2), 2, 3)],
        // Refused though there was enough.
        &[seen(Step::Lacks { units: 1, available: 0 }, 0, 1)],
        // What nobody heard of happened, and then it had not.
        &[open(0), sale(0, 5, 6), seen(Step::Shows(1), 7, 8)],
        // It cannot have happened before it was asked for.
        &[sale(0, 0, 1), open(2)],
    ];
    for wrong in wrong {
        assert!(!is_linearizable(2, wrong), "{wrong:?} passed");
    }
}
