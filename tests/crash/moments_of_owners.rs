//! A panic while an owner of any kind handles a message ends the server: nothing that it may have left half done is used again.
//! What was told before is there afterwards, and what was in doubt is decided once. Where it only decides, nothing is half done:
//! then one request fails or one message is tried again, and all goes on.

use crate::moments_of_a_change::{FAIL_AT, HALTED};
use crate::support::api::{Actor, Item, User, order_of, unique};
use crate::support::eventually;
use crate::support::http::Reply;
use crate::support::journal::lasting;
use crate::support::journal::sound_journal;
use crate::support::server::Server;
use crate::support::store::durable_stores;
use serde_json::{Value, json};

/// As owners name themselves, and messages that each handles before it panics.
const KINDS: [(&str, u32); 8] = [
    ("product", 5),
    ("balance", 9),
    ("session", 2),
    ("directory", 4),
    ("distributor", 2),
    ("levels", 2),
    ("plans", 2),
    ("account", 1),
];

/// The decision of each over which it panics: not the first, so that it has decided before.
const DECISION: u32 = 2;

/// More than any of them needs for so many messages.
const ROUNDS_MAX: usize = 100;

/// A request under a key, and what came of it.
struct Asked {
    actor: Actor,
    method: &'static str,
    path: String,
    body: Value,
    key: String,
    told: Option<Reply>,
}

impl Asked {
    fn send(&self) -> Option<Reply> {
        let call = self.actor.call(self.method, &self.path).header("Idempotency-Key", &self.key);
        let reply = call.json(&self.body).try_send().ok()?;
        // Nothing is done by a server that is about to end, or nobody knows; or by an owner that panicked over it.
        if matches!(reply.status, 500 | 503) {
            return None;
        }
        assert!((200..300).contains(&reply.status), "{} {}", reply.to, reply.text());
        Some(reply)
    }
}

/// Does a bit of everything until the server is gone.
struct Work<'a> {
    admin: &'a Actor,
    user: &'a User,
    item: Item,
    asked: Vec<Asked>,
}

impl Work<'_> {
    /// The reply; none if the server is gone.
    fn ask(&mut self, actor: Actor, method: &'static str, path: String, body: Value) -> Option<Value> {
        let key = unique("key");
        let mut asked = Asked { actor, method, path, body, key, told: None };
        asked.told = asked.send();
        let told = asked.told.as_ref().map(Reply::json);
        self.asked.push(asked);
        told
    }

    fn round(&mut self) -> Option<()> {
        let (admin, user) = (self.admin.clone(), self.user.actor.clone());
        let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
        let lamp = json!({"name": "Lamp", "price": 1, "stock": 1, "sku": unique("sku")});
        self.ask(admin.clone(), "POST", "/items".into(), lamp)?;
        let stock = format!("/items/{}/stock", self.item.id);
        self.ask(admin.clone(), "POST", stock, json!({"delta": 1}))?;
        let order = order_of(&[(self.item, 1)]);
        self.ask(user.clone(), "POST", "/orders".into(), order)?;
        let withdrawal = self.ask(user, "POST", "/withdrawals".into(), json!({"amount": 2}))?;
        let path = format!("/withdrawals/{}/complete", id(&withdrawal));
        self.ask(admin.clone(), "POST", path, json!({}))?;
        let levels = json!({"levels": [{"rank": 0, "name": unique("level"), "threshold": 0}]});
        self.ask(admin.clone(), "PUT", "/levels".into(), levels)?;
        let plan = json!({"name": unique("plan"), "target_amount": 100, "payout_bps": 5_000});
        let plan = self.ask(admin.clone(), "POST", "/redemption/plans".into(), plan)?;
        let account = json!({"label": unique("account"), "country": "DE", "plan_id": id(&plan)});
        let account = self.ask(admin.clone(), "POST", "/redemption/accounts".into(), account)?;
        self.ask(admin, "POST", format!("/redemption/accounts/{}/login", id(&account)), json!({}))?;
        // A session, whose token is told once.
        let path = format!("/users/{}/token", self.user.id);
        let token = self.admin.call("POST", &path).json(&json!({})).try_send().ok()?;
        (token.status == 201).then_some(())
    }

    /// What was told is told again, and what was not is done now. How much was told.
    fn ask_again(&self, kind: &str) -> usize {
        let mut acks = 0;
        for asked in &self.asked {
            let again = asked.send().expect("the server answers");
            let Some(told) = &asked.told else { continue };
            assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{kind}: {}", again.to);
            assert_eq!((again.status, again.json()), (told.status, told.json()), "{kind}: {}", again.to);
            acks += 1;
        }
        acks
    }
}

#[test]
fn a_panic_in_an_owner_of_any_kind_ends_the_server_and_what_was_told_is_there() {
    for store in durable_stores() {
        let name = store.name;
        let mut server: Server = lasting().store(store).start();
        let (admin, user) = (server.admin(), server.buyer(1_000_000));
        let item = admin.item("Lamp", 3, 1_000_000);
        let mut acks = 0;
        for (kind, messages) in KINDS {
            server.kill9();
            server.set_env(FAIL_AT, &format!("panic {messages} turn {kind}"));
            server.restart();
            let mut work = Work { admin: &admin, user: &user, item, asked: Vec::new() };
            let is_gone = (0..ROUNDS_MAX).any(|_| work.round().is_none());
            assert!(is_gone, "{kind}: never so far");
            assert_eq!(server.ends(), Some(HALTED), "{kind}");
            server.set_env(FAIL_AT, "");
            server.restart();
            acks += work.ask_again(kind);
            server.expect_clean_audit();
        }
        server.kill9();
        sound_journal(&server);
        let runs = KINDS.len();
        assert!(acks >= 3 * runs, "only {acks} were told");
        println!("proof: tier=T2 what=panic-in-each-kind-{name} runs={runs} faults={runs} acks={acks}");
    }
}

#[test]
fn a_panic_while_an_owner_of_any_kind_decides_changes_nothing_and_the_server_goes_on() {
    for store in durable_stores() {
        let name = store.name;
        let mut server: Server = lasting().store(store).start();
        let (admin, user) = (server.admin(), server.buyer(1_000_000));
        let item = admin.item("Lamp", 3, 1_000_000);
        let mut acks = 0;
        for (kind, _) in KINDS {
            server.kill9();
            server.set_env(FAIL_AT, &format!("panic {DECISION} deciding {kind}"));
            server.restart();
            server.set_env(FAIL_AT, "");
            let mut work = Work { admin: &admin, user: &user, item, asked: Vec::new() };
            // A message is tried again by itself; any other request is told.
            let has_panicked = || server.output().contains("deciding a command panicked").then_some(());
            let is_seen = (0..ROUNDS_MAX).any(|_| {
                if work.round().is_none() {
                    eventually("the panic is in the log", has_panicked);
                }
                has_panicked().is_some()
            });
            assert!(is_seen, "{kind}: never so far");
            acks += work.ask_again(kind);
            work.round().expect("everything goes on");
            server.expect_clean_audit();
        }
        server.kill9();
        sound_journal(&server);
        let runs = KINDS.len();
        assert!(acks >= 3 * runs, "only {acks} were told");
        println!("proof: tier=T2 what=panic-in-each-decision-{name} runs={runs} faults={runs} acks={acks}");
    }
}
