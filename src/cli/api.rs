//! The calls that several verbs make, and the parts of their answers that they use. Preparations carry no
//! idempotency key: there are tens of thousands of them, and a caller may only have so many unexpired keys.

use super::client::{Call, Client, blocking};
use super::failure::Failure;
use super::lanes::spinner;
use super::problem::CallError;
use super::report::{Audit, thousands};
use serde::Deserialize;
use serde_json::json;

#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub id: i64,
    pub name: String,
    pub email: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Item {
    pub id: i64,
    pub sku: Option<String>,
    pub stock: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Balance {
    pub amount: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Token {
    pub access_token: String,
}

#[derive(Debug, Deserialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    pub next_cursor: Option<String>,
}

/// All pages of a list, the newest row first, with a spinner meanwhile.
pub async fn list(
    client: &Client,
    call: &Call<'_>,
    what: &'static str,
) -> Result<Vec<serde_json::Value>, CallError> {
    let waiting = spinner(what);
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let mut call = call.clone().query("limit", "100");
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor);
        }
        let page: Page<serde_json::Value> = client.patiently(&call).await?;
        found.extend(page.data);
        waiting.set_message(format!("{what}: {}", thousands(found.len() as u64)));
        match page.next_cursor {
            Some(next) => cursor = Some::<String>(next),
            None => break,
        }
    }
    waiting.finish_and_clear();
    Ok(found)
}

pub async fn create_item(client: &Client, token: &str, body: serde_json::Value) -> Result<Item, CallError> {
    client.patiently(&Call::post("/api/v1/items", body).bearer(token)).await
}

pub async fn item(client: &Client, token: &str, id: i64) -> Result<Item, CallError> {
    client.patiently(&Call::get(format!("/api/v1/items/{id}")).bearer(token)).await
}

pub async fn restock(client: &Client, token: &str, id: i64, delta: i64) -> Result<Item, CallError> {
    let body = json!({ "delta": delta, "reason": "prepared for a replay" });
    client.patiently(&Call::post(format!("/api/v1/items/{id}/stock"), body).bearer(token)).await
}

pub async fn create_user(client: &Client, token: &str, name: &str, email: &str) -> Result<User, CallError> {
    let body = json!({ "name": name, "email": email });
    client.patiently(&Call::post("/api/v1/users", body).bearer(token)).await
}

pub async fn user_token(client: &Client, token: &str, user: i64) -> Result<Token, CallError> {
    client.patiently(&Call::post(format!("/api/v1/users/{user}/token"), json!({})).bearer(token)).await
}

pub async fn balance(client: &Client, token: &str, user: i64) -> Result<Balance, CallError> {
    client.patiently(&Call::get(format!("/api/v1/users/{user}/balance")).bearer(token)).await
}

/// Adds to a balance (or takes from it, if negative) in steps of the largest amount one call may have.
pub async fn fund(client: &Client, token: &str, user: i64, delta: i64) -> Result<(), CallError> {
    const STEP: i64 = 1_000_000_000_000_000;
    let (verb, mut left) = if delta < 0 { ("decrement", -delta) } else { ("increment", delta) };
    while left > 0 {
        let amount = left.min(STEP);
        let path = format!("/api/v1/users/{user}/balance/{verb}");
        let call = Call::post(path, json!({ "amount": amount })).bearer(token);
        client.patiently::<Balance>(&call).await?;
        left -= amount;
    }
    Ok(())
}

/// The first user for which `wanted` holds, among those whose name or email contains `text`.
pub async fn find_user(
    client: &Client,
    token: &str,
    text: &str,
    wanted: impl Fn(&User) -> bool,
) -> Result<Option<User>, CallError> {
    let mut cursor: Option<String> = None;
    loop {
        let mut call = Call::get("/api/v1/users").query("q", text).query("limit", "100").bearer(token);
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor);
        }
        let page: Page<User> = client.patiently(&call).await?;
        if let Some(user) = page.data.into_iter().find(&wanted) {
            return Ok(Some(user));
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(None),
        }
    }
}

/// The item with this sku, if there is one that is not deleted.
pub async fn find_item(client: &Client, token: &str, sku: &str) -> Result<Option<Item>, CallError> {
    let call = Call::get("/api/v1/items").query("sku", sku).query("limit", "1").bearer(token);
    let page: Page<Item> = client.patiently(&call).await?;
    Ok(page.data.into_iter().find(|item| item.sku.as_deref() == Some(sku)))
}

/// Lets the server audit itself.
pub fn audit(url: &str, token: &str) -> Result<Audit, Failure> {
    let call = Call::get("/api/v1/admin/audit").bearer(token);
    Ok(blocking(url, async |client| client.patiently(&call).await)?)
}

/// A fresh idempotency key: a call that is repeated because its answer got lost takes effect once.
pub fn new_key() -> String {
    uuid::Uuid::now_v7().to_string()
}
