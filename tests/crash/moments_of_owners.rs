//! A panic while an owner of any kind handles a message ends the server: nothing that it may have left half done is used again.
//! What was told before is there afterwards, and what was in doubt is decided once.

use crate::moments_of_a_change::{FAIL_AT, HALTED};
use crate::support::api::{Actor, Item, User, order_of, unique};
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
        // Nothing is done by a server that is about to end, or nobody knows.
        if reply.status == 503 {
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
        self.ask(admin, "POST", "/redemption/accounts".into(), account)?;
        // A session, whose token is told once.
        let path = format!("/users/{}/token", self.user.id);
        let token = self.admin.call("POST", &path).json(&json!({})).try_send().ok()?;
        (token.status == 201).then_some(())
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
            for asked in &work.asked {
                let again = asked.send().expect("the restarted server answers");
                let Some(told) = &asked.told else { continue };
                assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{kind}: {}", again.to);
                assert_eq!((again.status, again.json()), (told.status, told.json()), "{kind}: {}", again.to);
                acks += 1;
            }
            server.expect_clean_audit();
        }
        server.kill9();
        sound_journal(&server);
        let runs = KINDS.len();
        assert!(acks >= 3 * runs, "only {acks} were told");
        println!("proof: tier=T2 what=panic-in-each-kind-{name} runs={runs} faults={runs} acks={acks}");
    }
}
