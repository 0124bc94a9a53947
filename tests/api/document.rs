//! The OpenAPI document compared with what the server does.

use crate::support::api::order_id;
use crate::support::http::Reply;
use crate::support::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(include_str!("../../docs/openapi.json")).expect("JSON")
}

/// The headers of a real reply that the document should name.
fn own_headers(reply: &Reply) -> BTreeSet<String> {
    let names = reply.headers.iter().map(|(name, _)| name.to_lowercase());
    let is_own = |name: &String| {
        name.starts_with("purser-") || ["request-id", "idempotency-replayed", "etag"].contains(&name.as_str())
    };
    names.filter(is_own).collect()
}

#[test]
fn the_headers_that_are_sent_are_named() {
    let (server, document) = (Server::start(), document());
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 5);
    let order = order_id(&buyer.order(&[(item, 1)]).expect(201));
    let (of_item, of_order) = (format!("/items/{}", item.id), format!("/orders/{order}"));
    let purchase =
        || buyer.post_keyed("a key", &format!("/items/{}/purchase", item.id), &json!({"quantity": 1}));
    purchase().expect(201);
    let replies = [
        ("post", "/items/{id}/purchase", purchase()),
        ("post", "/items", admin.post("/items", json!({"name": "Lamp", "price": 10, "stock": 5}))),
        ("get", "/items", buyer.get("/items")),
        ("get", "/items/{id}", buyer.get(&of_item)),
        ("patch", "/items/{id}", admin.patch(&of_item, json!({"price": 11}))),
        ("post", "/items/{id}/stock", admin.restock(item, 1)),
        ("delete", "/items/{id}", admin.remove(item)),
        ("post", "/items/{id}/restore", admin.restore(item)),
        ("get", "/orders/{id}", buyer.get(&of_order)),
        ("post", "/orders/{id}/cancel", buyer.cancel(&order)),
        ("get", "/balance", buyer.get("/balance")),
        ("get", "/auth/me", buyer.get("/auth/me")),
        ("post", "/auth/me", buyer.post("/auth/me", json!({}))),
        ("post", "/auth/register", server.register("ann@example.org", "long enough")),
        ("post", "/users/{id}/token", admin.post(&format!("/users/{}/token", buyer.id), json!({}))),
        ("get", "/admin/owners", admin.get("/admin/owners")),
        ("get", "/admin/audit", admin.get("/admin/audit")),
        ("post", "/admin/sync-stock", admin.post("/admin/sync-stock", json!({}))),
    ];
    for (method, path, reply) in replies {
        assert!(reply.status < 300, "{}: {}", reply.to, reply.text());
        let operation = &document["paths"][format!("/api/v1{path}")][method];
        let headers = operation["responses"][reply.status.to_string()]["headers"].as_object();
        let named: BTreeSet<_> = headers.expect("headers").keys().map(|name| name.to_lowercase()).collect();
        let mut sent = own_headers(&reply);
        // Only a repeated request gets it; the purchase above is one, and shows that it does.
        if path != "/items/{id}/purchase" && named.contains("idempotency-replayed") {
            sent.insert("idempotency-replayed".into());
        }
        assert_eq!(named, sent, "{method} {path}");
    }
}

#[test]
fn the_headers_that_may_be_sent_are_named() {
    let document = document();
    let asked = |method: &str, path: &str| -> BTreeSet<String> {
        let parameters = document["paths"][format!("/api/v1{path}")][method]["parameters"].as_array();
        let headers = parameters.into_iter().flatten().filter(|parameter| parameter["in"] == "header");
        headers.map(|header| header["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let mutation = of(&["Request-Id", "Idempotency-Key", "Purser-Durability"]);
    let preferring = of(&["Request-Id", "Idempotency-Key", "Purser-Durability", "Prefer"]);
    assert_eq!(asked("post", "/orders"), preferring);
    assert_eq!(asked("post", "/redemptions"), preferring);
    assert_eq!(asked("post", "/redemptions/batches"), mutation);
    assert_eq!(asked("post", "/items/{id}/purchase"), mutation);
    let conditional = of(&["Request-Id", "Idempotency-Key", "Purser-Durability", "If-Match"]);
    assert_eq!(asked("patch", "/items/{id}"), conditional);
    assert_eq!(asked("get", "/orders"), of(&["Request-Id", "Purser-Min-Seq"]));
    for path in ["/auth/login", "/users/{id}/token", "/admin/sync-stock"] {
        assert_eq!(asked("post", path), of(&["Request-Id"]), "{path}");
    }
}

#[test]
fn every_success_with_a_body_is_described() {
    for (path, operations) in document()["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let described = response["content"].as_object().is_some_and(|content| {
                    !content.is_empty() && content.values().all(|kind| kind["schema"].is_object())
                });
                assert!(described || status == "204", "{method} {path} {status}: {response}");
            }
        }
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_reply_is_described() {
    let document = document();
    let mut names = BTreeSet::new();
    let paths = document["paths"].as_object().expect("paths");
    for operation in paths.values().flat_map(|path| path.as_object().expect("operations").values()) {
        let name = operation["operationId"].as_str().expect("a name");
        assert!(names.insert(name), "two are {name}");
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let words = response["description"].as_str().expect("a description");
            assert!(!words.is_empty(), "{status} of {name} is not described");
        }
    }
    assert!(names.len() > 70, "only {names:?}");
}

#[test]
fn a_refusal_may_have_more_members_than_are_listed() {
    let more = &document()["components"]["schemas"]["Problem"]["additionalProperties"];
    assert_eq!(*more, json!({}), "of any type");
}

#[test]
fn a_body_that_may_be_left_out_is_not_required_and_may_not_be_null() {
    let (server, document) = (Server::start(), document());
    let admin = server.admin();
    for path in ["/messages/failed/retry", "/admin/sync-stock"] {
        let body = &document["paths"][format!("/api/v1{path}")]["post"]["requestBody"];
        assert_eq!(body.get("required").unwrap_or(&json!(false)), false, "{path}: {body}");
        assert!(body["content"]["application/json"]["schema"]["$ref"].is_string(), "{path}: {body}");
        admin.call("POST", path).send().expect(200);
        admin.post(path, Value::Null).expect(422);
    }
}
