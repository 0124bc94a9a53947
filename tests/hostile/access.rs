//! Who may do what: one line for each operation. An operation without a line fails the tests, as does a line without one.

use crate::document::Operation;
use crate::scene::{PASSWORD, Scene};
use crate::support::api::unique;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Who {
    /// Nobody is asked for a token, and none is looked at.
    Anyone,
    /// No token is needed, but one that is sent must be good.
    Visitor,
    /// Whoever is logged in, and is shown only what is the caller's.
    User,
    /// The owner of what the address names, and administrators.
    Owner,
    Admin,
}
use Who::{Admin, Anyone, Owner, User, Visitor};

const TABLE: &[(&str, Who)] = &[
    ("GET /api/openapi.json", Anyone),
    ("GET /api/v1/admin/audit", Admin),
    ("GET /api/v1/admin/owners", Admin),
    ("GET /api/v1/admin/owners/{kind}/{id}", Admin),
    ("POST /api/v1/admin/sync-stock", Admin),
    ("POST /api/v1/auth/login", Anyone),
    ("POST /api/v1/auth/logout", User),
    ("GET /api/v1/auth/me", User),
    ("POST /api/v1/auth/me", User),
    ("POST /api/v1/auth/refresh", Anyone),
    ("POST /api/v1/auth/register", Anyone),
    ("GET /api/v1/balance", User),
    ("GET /api/v1/balance/entries", User),
    ("GET /api/v1/distributors/{id}", Owner),
    ("GET /api/v1/distributors/{id}/upgrades", Owner),
    ("GET /api/v1/items", Visitor),
    ("POST /api/v1/items", Admin),
    ("GET /api/v1/items/{id}", Visitor),
    ("DELETE /api/v1/items/{id}", Admin),
    ("PATCH /api/v1/items/{id}", Admin),
    ("GET /api/v1/items/{id}/movements", Admin),
    ("POST /api/v1/items/{id}/purchase", User),
    ("POST /api/v1/items/{id}/restore", Admin),
    ("POST /api/v1/items/{id}/stock", Admin),
    ("GET /api/v1/levels", Anyone),
    ("PUT /api/v1/levels", Admin),
    ("GET /api/v1/messages/failed", Admin),
    ("POST /api/v1/messages/failed/retry", Admin),
    ("GET /api/v1/messages/failed/{id}", Admin),
    ("DELETE /api/v1/messages/failed/{id}", Admin),
    ("POST /api/v1/messages/failed/{id}/retry", Admin),
    ("GET /api/v1/messages/stats", Admin),
    ("GET /api/v1/orders", User),
    ("POST /api/v1/orders", User),
    ("GET /api/v1/orders/{id}", Owner),
    ("POST /api/v1/orders/{id}/cancel", Owner),
    ("POST /api/v1/orders/{id}/deliver", Admin),
    ("POST /api/v1/orders/{id}/ship", Admin),
    ("GET /api/v1/redemption/accounts", Admin),
    ("POST /api/v1/redemption/accounts", Admin),
    ("GET /api/v1/redemption/accounts/export", Admin),
    ("POST /api/v1/redemption/accounts/import", Admin),
    ("GET /api/v1/redemption/accounts/{id}", Admin),
    ("POST /api/v1/redemption/accounts/{id}/complete", Admin),
    ("POST /api/v1/redemption/accounts/{id}/login", Admin),
    ("POST /api/v1/redemption/accounts/{id}/logout", Admin),
    ("GET /api/v1/redemption/accounts/{id}/transitions", Admin),
    ("GET /api/v1/redemption/plans", Admin),
    ("POST /api/v1/redemption/plans", Admin),
    ("GET /api/v1/redemptions", User),
    ("POST /api/v1/redemptions", User),
    ("POST /api/v1/redemptions/batches", User),
    ("GET /api/v1/redemptions/batches/{id}", Owner),
    ("POST /api/v1/redemptions/batches/{id}/cancel", Owner),
    ("GET /api/v1/redemptions/{id}", Owner),
    ("POST /api/v1/redemptions/{id}/cancel", Owner),
    ("POST /api/v1/redemptions/{id}/resolve", Admin),
    ("POST /api/v1/returns", Admin),
    ("POST /api/v1/transfers", User),
    ("POST /api/v1/upgrades/batch-check", Admin),
    ("GET /api/v1/users", Admin),
    ("POST /api/v1/users", Admin),
    ("GET /api/v1/users/{id}", Admin),
    ("GET /api/v1/users/{id}/balance", Admin),
    ("POST /api/v1/users/{id}/balance/decrement", Admin),
    ("GET /api/v1/users/{id}/balance/entries", Admin),
    ("POST /api/v1/users/{id}/balance/increment", Admin),
    ("POST /api/v1/users/{id}/token", Admin),
    ("GET /api/v1/withdrawals", User),
    ("POST /api/v1/withdrawals", User),
    ("GET /api/v1/withdrawals/{id}", Owner),
    ("POST /api/v1/withdrawals/{id}/complete", Admin),
    ("POST /api/v1/withdrawals/{id}/reject", Admin),
    ("GET /health/live", Anyone),
    ("GET /health/ready", Anyone),
    ("GET /metrics", Anyone),
    ("GET /problems/{slug}", Anyone),
];

/// The table by operation; it names just those of the document.
#[track_caller]
pub fn table(operations: &[Operation]) -> BTreeMap<String, Who> {
    let documented: BTreeSet<_> = operations.iter().map(Operation::name).collect();
    let table: BTreeMap<_, _> = TABLE.iter().map(|(name, who)| ((*name).to_owned(), *who)).collect();
    let named: BTreeSet<_> = table.keys().cloned().collect();
    assert_eq!(documented, named, "left: the document, right: the table of who may do what");
    table
}

/// A body that would be taken, if the operation has one: its type and text.
pub fn body(scene: &Scene, operation: &Operation) -> Option<(&'static str, String)> {
    if operation.path.ends_with("/accounts/import") {
        return Some(("text/csv", format!("label,country,plan_id\nnext,DE,{}\n", scene.plan)));
    }
    operation.fields.as_ref()?;
    Some(("application/json", honest(scene, operation).to_string()))
}

/// The honest body of an operation with a JSON body.
pub fn honest(scene: &Scene, operation: &Operation) -> Value {
    let (item, price) = (scene.item.id, scene.item.price);
    let email = || format!("{}@example.org", unique("new"));
    let line = json!({"product_id": item, "quantity": 1, "unit_price": price});
    let code = || unique("OK7X").replace('-', "");
    match operation.name().as_str() {
        "POST /api/v1/admin/sync-stock" => json!({"item_id": item}),
        "POST /api/v1/auth/login" => json!({"email": scene.ann.email, "password": PASSWORD}),
        "POST /api/v1/auth/refresh" => json!({"refresh_token": "none"}),
        "POST /api/v1/auth/register" => json!({"name": "New", "email": email(), "password": PASSWORD}),
        "POST /api/v1/items" => json!({"name": "Chair", "price": 5, "stock": 5}),
        "PATCH /api/v1/items/{id}" => json!({"price": price}),
        "POST /api/v1/items/{id}/purchase" => json!({"quantity": 1}),
        "POST /api/v1/items/{id}/stock" => json!({"delta": 1}),
        "PUT /api/v1/levels" => json!({"levels": [{"rank": 0, "name": "Starter", "threshold": 0}]}),
        "POST /api/v1/messages/failed/retry" => json!({"kind": "upgrade_check", "limit": 5}),
        "POST /api/v1/orders" => json!({"items": [line], "total_amount": price}),
        "POST /api/v1/redemption/accounts" => {
            json!({"label": "other", "country": "FR", "plan_id": scene.plan})
        }
        "POST /api/v1/redemption/plans" => json!({"name": "P", "target_amount": 500, "payout_bps": 100}),
        "POST /api/v1/redemptions" => json!({"code": code(), "country": "FR"}),
        "POST /api/v1/redemptions/batches" => json!({"cards": [{"code": code(), "country": "FR"}]}),
        "POST /api/v1/redemptions/{id}/resolve" => json!({"outcome": "failed"}),
        "POST /api/v1/returns" => json!({"user_id": scene.ann.id, "items": [line]}),
        "POST /api/v1/transfers" => json!({"to_user_id": scene.ann.id, "amount": 1}),
        "POST /api/v1/upgrades/batch-check" => json!({"limit": 10}),
        "POST /api/v1/users" => json!({"name": "New", "email": email()}),
        "POST /api/v1/users/{id}/balance/decrement" | "POST /api/v1/users/{id}/balance/increment" => {
            json!({"amount": 1})
        }
        "POST /api/v1/withdrawals" => json!({"amount": 1}),
        other => panic!("{other}: these tests know no honest body for it"),
    }
}
