//! The API in sentences: an administrator, buyers, items, and what they do.

use super::http::{Connection, Http, Reply};
use super::server::Server;
use serde_json::{Value, json};
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest number that the API knows.
pub const LARGEST: u64 = (1 << 53) - 1;
/// The largest single increment or decrement.
pub const LARGEST_CREDIT: u64 = 1_000_000_000_000_000;

/// Someone who calls the API, with or without a token.
#[derive(Clone)]
pub struct Actor {
    http: Arc<Http>,
    token: Option<String>,
}

/// A registered user who calls the API.
#[derive(Clone)]
pub struct User {
    pub id: u64,
    pub email: String,
    pub actor: Actor,
}

impl Deref for User {
    type Target = Actor;
    fn deref(&self) -> &Actor {
        &self.actor
    }
}

/// An item for sale, as it was created.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub id: u64,
    pub price: u64,
}

/// A text that no other test of this process uses.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{stem}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A text as the value of a query parameter.
pub fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl Server {
    /// Someone without a token.
    pub fn guest(&self) -> Actor {
        Actor { http: self.http.clone(), token: None }
    }

    /// Whoever holds this access token.
    pub fn bearer(&self, token: &str) -> Actor {
        Actor { http: self.http.clone(), token: Some(token.into()) }
    }

    #[track_caller]
    pub fn admin(&self) -> Actor {
        self.bearer(&self.file("admin-token"))
    }

    /// A user without a password, with this much to spend.
    #[track_caller]
    pub fn buyer(&self, funds: u64) -> User {
        let admin = self.admin();
        let email = format!("{}@example.org", unique("buyer"));
        let user = admin.post("/users", json!({"name": "Buyer", "email": email})).expect(201);
        let id = user["id"].as_u64().expect("a user has an integer id");
        let token = admin.post(&format!("/users/{id}/token"), json!({})).expect(201);
        let actor = self.bearer(token["access_token"].as_str().expect("a token"));
        if funds > 0 {
            admin.credit(id, funds).expect(200);
        }
        User { id, email, actor }
    }

    /// Registers someone with a password; the reply carries the tokens.
    pub fn register(&self, email: &str, password: &str) -> Reply {
        self.guest().post("/auth/register", json!({"name": "Ann", "email": email, "password": password}))
    }

    /// A connection on which anything can be written.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address()).expect("the server accepts connections")
    }

    /// The committed stock of an item, deleted or not.
    #[track_caller]
    pub fn stock(&self, item: Item) -> u64 {
        self.item(item)["stock"].as_u64().expect("stock is an integer")
    }

    /// The item as an administrator sees it, deleted or not.
    #[track_caller]
    pub fn item(&self, item: Item) -> Value {
        self.admin().get(&format!("/items/{}?include_deleted=true", item.id)).expect(200)
    }

    /// What the server says of itself.
    #[track_caller]
    pub fn health(&self) -> Value {
        self.guest().call_at("GET", "/health/ready".into()).send().json()
    }

    /// Records that the store does not have yet.
    #[track_caller]
    pub fn backlog(&self) -> u64 {
        self.health()["backlog"]["records"].as_u64().expect("a backlog in records")
    }

    /// Waits until the store has everything.
    #[track_caller]
    pub fn drains(&self) {
        super::eventually("the backlog drains by itself", || (self.backlog() == 0).then_some(()));
    }

    /// Stock, money, orders and journal agree with the store.
    #[track_caller]
    pub fn expect_clean_audit(&self) {
        let audit = self.admin().get("/admin/audit").expect(200);
        assert_eq!(audit["ok"], true, "the audit found violations: {audit:#}");
        let checks = audit["checks"].as_array().expect("the audit lists its checks");
        assert!(!checks.is_empty(), "the audit checked nothing");
        assert!(checks.iter().all(|check| check["ok"] == true), "{audit:#}");
    }
}

impl Actor {
    /// The same client without its token.
    pub fn anonymous(&self) -> Self {
        Self { http: self.http.clone(), token: None }
    }

    /// The token, for requests that are written by hand.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A request to a path below `/api/v1`.
    pub fn call(&self, method: &'static str, path: &str) -> Call<'_> {
        self.call_at(method, format!("/api/v1{path}"))
    }

    /// A request to a path as it stands.
    pub fn call_at(&self, method: &'static str, path: String) -> Call<'_> {
        let call = Call { http: &self.http, method, path, headers: Vec::new(), body: None };
        match &self.token {
            Some(token) => call.header("Authorization", &format!("Bearer {token}")),
            None => call,
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path).send()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path).json(&body).send()
    }

    #[track_caller]
    pub fn post_keyed(&self, key: &str, path: &str, body: &Value) -> Reply {
        self.call("POST", path).header("Idempotency-Key", key).json(body).send()
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> Reply {
        self.call("PATCH", path).json(&body).send()
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path).send()
    }

    /// Every element of a list, newest first, over all its pages.
    #[track_caller]
    pub fn list(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut next = format!("{path}{separator}limit=100");
        loop {
            let page = self.get(&next).expect(200);
            all.extend(page["data"].as_array().expect("a list has data").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}{separator}limit=100&cursor={}", escaped(cursor)),
                None => return all,
            }
        }
    }

    /// Creates an item (as administrator).
    #[track_caller]
    pub fn item(&self, name: &str, price: u64, stock: u64) -> Item {
        let item = self.post("/items", json!({"name": name, "price": price, "stock": stock})).expect(201);
        Item { id: item["id"].as_u64().expect("an item has an integer id"), price }
    }

    #[track_caller]
    pub fn buy(&self, item: Item, quantity: u64) -> Reply {
        self.post(&format!("/items/{}/purchase", item.id), json!({"quantity": quantity}))
    }

    #[track_caller]
    pub fn order(&self, lines: &[(Item, u64)]) -> Reply {
        self.post("/orders", order_of(lines))
    }

    #[track_caller]
    pub fn cancel(&self, order_id: &str) -> Reply {
        self.post(&format!("/orders/{order_id}/cancel"), json!({}))
    }

    #[track_caller]
    pub fn ship(&self, order_id: &str) -> Reply {
        self.post(&format!("/orders/{order_id}/ship"), json!({}))
    }

    #[track_caller]
    pub fn deliver(&self, order_id: &str) -> Reply {
        self.post(&format!("/orders/{order_id}/deliver"), json!({}))
    }

    /// The order as its caller may see it.
    #[track_caller]
    pub fn read_order(&self, order_id: &str) -> Value {
        self.get(&format!("/orders/{order_id}")).expect(200)["order"].clone()
    }

    /// Takes goods of an order back (as administrator).
    #[track_caller]
    pub fn take_back(&self, user_id: u64, order_id: &str, item: Item, quantity: u64) -> Reply {
        let line = json!({"product_id": item.id, "quantity": quantity, "unit_price": item.price});
        self.post("/returns", json!({"user_id": user_id, "order_id": order_id, "items": [line]}))
    }

    #[track_caller]
    pub fn restock(&self, item: Item, delta: i64) -> Reply {
        self.post(&format!("/items/{}/stock", item.id), json!({"delta": delta}))
    }

    #[track_caller]
    pub fn reprice(&self, item: Item, price: u64) -> Reply {
        self.patch(&format!("/items/{}", item.id), json!({"price": price}))
    }

    #[track_caller]
    pub fn remove(&self, item: Item) -> Reply {
        self.delete(&format!("/items/{}", item.id))
    }

    #[track_caller]
    pub fn restore(&self, item: Item) -> Reply {
        self.post(&format!("/items/{}/restore", item.id), json!({}))
    }

    #[track_caller]
    pub fn credit(&self, user_id: u64, amount: u64) -> Reply {
        self.post(&format!("/users/{user_id}/balance/increment"), json!({"amount": amount}))
    }

    #[track_caller]
    pub fn debit(&self, user_id: u64, amount: u64) -> Reply {
        self.post(&format!("/users/{user_id}/balance/decrement"), json!({"amount": amount}))
    }

    #[track_caller]
    pub fn transfer(&self, to_user_id: u64, amount: u64) -> Reply {
        self.post("/transfers", json!({"to_user_id": to_user_id, "amount": amount}))
    }

    /// What the caller can spend now.
    #[track_caller]
    pub fn balance(&self) -> u64 {
        self.get("/balance").expect(200)["amount"].as_u64().expect("an amount is an integer")
    }

    /// The caller's entries, oldest first.
    #[track_caller]
    pub fn entries(&self) -> Vec<Value> {
        let mut entries = self.list("/balance/entries");
        entries.reverse();
        entries
    }
}

/// The body of an honest order at these items' prices.
pub fn order_of(lines: &[(Item, u64)]) -> Value {
    let items: Vec<_> = lines
        .iter()
        .map(
            |(item, quantity)| json!({"product_id": item.id, "quantity": quantity, "unit_price": item.price}),
        )
        .collect();
    let total: u64 = lines.iter().map(|(item, quantity)| item.price * quantity).sum();
    json!({"items": items, "total_amount": total})
}

/// The order that a reply tells of.
#[track_caller]
pub fn order_id(reply: &Value) -> String {
    reply["order_id"].as_str().expect("an order id").to_owned()
}

/// One request in the making.
pub struct Call<'a> {
    http: &'a Http,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    /// A body that claims to be JSON.
    pub fn text(mut self, body: &str) -> Self {
        self.body = Some(body.as_bytes().to_vec());
        self.header("Content-Type", "application/json")
    }

    /// A body of another type.
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self.header("Content-Type", content_type)
    }

    /// The reply; a broken connection fails the test.
    #[track_caller]
    pub fn send(self) -> Reply {
        let what = format!("{} {}", self.method, self.path);
        self.try_send().unwrap_or_else(|error| panic!("no reply to {what}: {error}"))
    }

    /// The reply, or how the connection broke.
    pub fn try_send(self) -> io::Result<Reply> {
        self.http.send(self.method, &self.path, &self.headers, self.body.as_deref())
    }
}
