//! A shop with somebody in it whose things are none of the others' business.

use crate::support::api::{Actor, Item, User, order_id, unique};
use crate::support::eventually;
use crate::support::http::Reply;
use crate::support::journal::keeping_its_journal;
use crate::support::server::{Server, Setup};
use serde_json::{Value, json};

pub const PASSWORD: &str = "correct horse battery";
/// What Ann has; nobody else has as much.
const FUNDS: u64 = 777_131_313;
const WITHDRAWN: u64 = 5_556_667;
const PRICE: u64 = 4_321;

pub struct Scene {
    pub server: Server,
    pub admin: Actor,
    /// Whose objects they are.
    pub ann: User,
    /// Who has no business with them.
    pub mallory: User,
    pub item: Item,
    pub plan: String,
    pub anns: Ids,
}

/// One object of each kind that an address can name.
#[derive(Clone)]
pub struct Ids {
    pub user: u64,
    pub item: u64,
    pub order: String,
    pub withdrawal: String,
    pub redemption: String,
    pub batch: String,
    pub account: String,
    pub message: String,
}

fn id(reply: &Value, name: &str) -> String {
    reply[name].as_str().expect("an id").to_owned()
}

impl Ids {
    /// Ids that no object has.
    pub fn of_nothing() -> Self {
        let none = || "018f0000-0000-7000-8000-00000000dead".to_owned();
        let (order, withdrawal, redemption, batch) = (none(), none(), none(), none());
        let (account, message) = (none(), none());
        Self { user: 999_999, item: 999_999, order, withdrawal, redemption, batch, account, message }
    }

    /// A path of the document with these ids in it.
    pub fn put_in(&self, path: &str) -> String {
        let (user, item) = (self.user.to_string(), self.item.to_string());
        let kinds = [
            ("/items/{id}", &item),
            ("/orders/{id}", &self.order),
            ("/withdrawals/{id}", &self.withdrawal),
            ("/redemptions/batches/{id}", &self.batch),
            ("/redemptions/{id}", &self.redemption),
            ("/redemption/accounts/{id}", &self.account),
            ("/messages/failed/{id}", &self.message),
            ("/users/{id}", &user),
            ("/distributors/{id}", &user),
        ];
        let mut path = path.replace("{kind}/{id}", &format!("balance/{user}")).replace("{slug}", "not-found");
        for (place, id) in kinds {
            path = path.replace(place, &place.replace("{id}", id));
        }
        assert!(!path.contains('{'), "{path}: no object of these tests stands for it");
        path
    }
}

impl Scene {
    pub fn open() -> Self {
        Self::open_in(Setup::new())
    }

    pub fn open_in(setup: Setup) -> Self {
        // Shipments are told to nobody: the first attempt fails for good, and the message is kept.
        let setup = keeping_its_journal(setup)
            .env("PURSER__WEBHOOK__URL", "http://127.0.0.1:1/")
            .env("PURSER__MESSAGES__ORDER_SHIPPED__TRIES", "1")
            .env("PURSER__AUTH__ACCESS_TOKEN_SECONDS", "86400");
        let server = setup.start();
        let admin = server.admin();
        let ann = someone(&server, "Annabel Unmentioned", FUNDS);
        let mallory = someone(&server, "Mallory", 50_000_000);
        let item = admin.item("Lamp", PRICE, 1_000_000);
        let plan = json!({"name": "Standard", "target_amount": 50_000, "payout_bps": 8_500});
        let plan = id(&admin.post("/redemption/plans", plan).expect(201), "id");
        let account = json!({"label": "first", "country": "DE", "plan_id": plan});
        let card = json!({"code": "OK2500XSECRET9", "country": "DE"});
        let cards = json!({"cards": [{"code": "OK2500XSECRET8", "country": "DE"}]});
        let shipped = order_id(&ann.order(&[(item, 1)]).expect(201));
        admin.ship(&shipped).expect(200);
        let message = eventually("the shipment cannot be told", || {
            let failed = admin.get("/messages/failed").expect(200);
            failed["data"][0]["id"].as_str().map(str::to_owned)
        });
        let anns = Ids {
            user: ann.id,
            item: item.id,
            order: order_id(&ann.order(&[(item, 3)]).expect(201)),
            withdrawal: id(&ann.post("/withdrawals", json!({"amount": WITHDRAWN})).expect(201), "id"),
            redemption: id(&ann.post("/redemptions", card).expect(202), "id"),
            batch: id(&ann.post("/redemptions/batches", cards).expect(202), "batch_id"),
            account: id(&admin.post("/redemption/accounts", account).expect(201), "id"),
            message,
        };
        Self { server, admin, ann, mallory, item, plan, anns }
    }

    /// Where the journal ends.
    #[track_caller]
    pub fn position(&self) -> u64 {
        self.server.health()["journal"]["appended"].as_u64().expect("a position")
    }

    /// The scene without anything that could be done in the background, so that the journal grows by requests only.
    #[track_caller]
    pub fn at_rest(self) -> Self {
        self.admin.delete(&self.anns.put_in("/messages/failed/{id}")).expect(204);
        self
    }

    /// What a reply tells that Ann alone may know.
    pub fn leak(&self, reply: &Reply) -> Option<String> {
        let anns = &self.anns;
        let amounts = [self.ann.balance().to_string(), FUNDS.to_string(), WITHDRAWN.to_string()];
        let owner = format!("\"user_id\":{}", anns.user);
        let secrets = [&self.ann.email, &anns.order, &anns.withdrawal, &anns.redemption, &anns.batch, &owner];
        let (text, name) = (reply.text(), "Unmentioned".to_owned());
        secrets.into_iter().chain(&amounts).chain([&name]).find(|it| text.contains(it.as_str())).cloned()
    }

    #[track_caller]
    pub fn expect_no_leak(&self, reply: &Reply) {
        let leak = self.leak(reply);
        assert!(leak.is_none(), "{} tells {leak:?}: {}", reply.to, reply.text());
    }

    /// All that Ann has, as an administrator sees it.
    #[track_caller]
    pub fn state(&self) -> Vec<Value> {
        let places = [
            "/users/{id}",
            "/users/{id}/balance",
            "/users/{id}/balance/entries",
            "/items/{id}",
            "/orders/{id}",
            "/withdrawals/{id}",
            "/redemptions/{id}",
            "/redemptions/batches/{id}",
            "/redemption/accounts/{id}",
            "/messages/failed/{id}",
        ];
        places.iter().map(|place| self.admin.get(&self.anns.put_in(place)).expect(200)).collect()
    }
}

/// Somebody with a password, a token and money.
fn someone(server: &Server, name: &str, funds: u64) -> User {
    let admin = server.admin();
    let email = format!("{}@example.org", unique("someone"));
    let user = admin.post("/users", json!({"name": name, "email": email, "password": PASSWORD})).expect(201);
    let user_id = user["id"].as_u64().expect("an id");
    let token = admin.post(&format!("/users/{user_id}/token"), json!({})).expect(201);
    admin.credit(user_id, funds).expect(200);
    User { id: user_id, email, actor: server.bearer(token["access_token"].as_str().expect("a token")) }
}
