//! What whoever runs the server looks at.

use crate::support::api::Item;
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::server::{Server, Setup, purser, run};
use crate::support::simulator::Simulator;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Every route of the contract that the server has, without the names of its parameters.
const ROUTES: &[&str] = &[
    "POST /auth/register",
    "POST /auth/login",
    "POST /auth/me",
    "GET /auth/me",
    "POST /auth/refresh",
    "POST /auth/logout",
    "GET /items",
    "POST /items",
    "GET /items/{}",
    "PATCH /items/{}",
    "DELETE /items/{}",
    "POST /items/{}/stock",
    "GET /items/{}/movements",
    "POST /items/{}/restore",
    "POST /items/{}/purchase",
    "POST /orders",
    "GET /orders",
    "GET /orders/{}",
    "POST /orders/{}/cancel",
    "POST /orders/{}/ship",
    "POST /orders/{}/deliver",
    "POST /returns",
    "GET /balance",
    "GET /balance/entries",
    "POST /users",
    "GET /users",
    "GET /users/{}",
    "POST /users/{}/token",
    "GET /users/{}/balance",
    "GET /users/{}/balance/entries",
    "POST /users/{}/balance/increment",
    "POST /users/{}/balance/decrement",
    "POST /transfers",
    "GET /levels",
    "PUT /levels",
    "POST /withdrawals",
    "GET /withdrawals",
    "GET /withdrawals/{}",
    "POST /withdrawals/{}/complete",
    "POST /withdrawals/{}/reject",
    "GET /distributors/{}",
    "GET /distributors/{}/upgrades",
    "POST /upgrades/batch-check",
    "GET /messages/stats",
    "GET /messages/failed",
    "GET /messages/failed/{}",
    "POST /messages/failed/{}/retry",
    "POST /messages/failed/retry",
    "DELETE /messages/failed/{}",
    "POST /redemption/plans",
    "GET /redemption/plans",
    "POST /redemption/accounts",
    "GET /redemption/accounts",
    "GET /redemption/accounts/{}",
    "GET /redemption/accounts/{}/transitions",
    "POST /redemption/accounts/{}/login",
    "POST /redemption/accounts/{}/logout",
    "POST /redemption/accounts/{}/complete",
    "POST /redemption/accounts/import",
    "GET /redemption/accounts/export",
    "POST /redemptions",
    "GET /redemptions",
    "GET /redemptions/{}",
    "POST /redemptions/{}/cancel",
    "POST /redemptions/{}/resolve",
    "POST /redemptions/batches",
    "GET /redemptions/batches/{}",
    "POST /redemptions/batches/{}/cancel",
    "GET /admin/owners",
    "GET /admin/owners/{}/{}",
    "GET /admin/audit",
];

fn get(server: &Server, path: &str) -> crate::support::http::Reply {
    server.guest().call_at("GET", path.into()).send()
}

#[test]
fn a_running_server_is_alive_and_ready() {
    let server = Server::start();
    assert_eq!(get(&server, "/health/live").status, 200);
    let ready = get(&server, "/health/ready").expect(200);
    for part in ["journal", "store", "backlog"] {
        assert!(ready.get(part).is_some(), "readiness does not list the {part}: {ready}");
    }
}

#[test]
fn every_metric_says_what_it_counts() {
    let provider = Simulator::start(&[]);
    let server = Setup::new().env("PURSER__PROVIDER__URL", &provider.url()).start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    buyer.buy(admin.item("Lamp", 10, 1), 1).expect(201);
    let plan =
        admin.post("/redemption/plans", json!({"name": "Plan", "target_amount": 500, "payout_bps": 5000}));
    let account = json!({"label": "first", "country": "DE", "plan_id": plan.expect(201)["id"]});
    admin.post("/redemption/accounts", account).expect(201);
    // The provider is asked for it again, so both of its calls are timed.
    let card = buyer.call("POST", "/redemptions").header("Prefer", "wait=60");
    card.json(&json!({"code": "DROPA5X1", "country": "DE"})).send().expect(200);
    server.drains();
    let text = get(&server, "/metrics").text();
    let after = |mark: &str| -> BTreeSet<String> {
        let rest = text.lines().filter_map(|line| line.strip_prefix(mark));
        rest.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
    };
    let (typed, helped) = (after("# TYPE "), after("# HELP "));
    assert!(typed.len() > 12, "{typed:?}");
    let redemption = [
        "purser_redemptions",
        "purser_redemptions_ended_total",
        "purser_redemption_seconds",
        "purser_redemption_accounts_free",
        "purser_provider_call_seconds",
        "purser_provider_breaker_open",
    ];
    for name in redemption {
        assert!(typed.contains(name), "{name} is not told: {typed:?}");
    }
    let silent: Vec<_> = typed.difference(&helped).collect();
    assert!(silent.is_empty(), "no help for {silent:?}");
}

/// Owners in memory, kind by kind.
fn residents(server: &Server) -> BTreeSet<String> {
    let text = get(server, "/metrics").text();
    let lines = text.lines().filter(|line| line.starts_with("purser_owners_resident{"));
    let found: BTreeSet<_> = lines.map(str::to_owned).collect();
    assert_eq!(found.len(), 8, "{found:?}");
    found
}

#[test]
fn nobody_stays_in_memory_for_what_does_not_exist_or_could_not_be_created() {
    let server = Server::start();
    let admin = server.admin();
    let item = || admin.post("/items", json!({"sku": "taken", "name": "Lamp", "price": 1, "stock": 1}));
    let user = || admin.post("/users", json!({"name": "Ann", "email": "taken@example.org"}));
    let register = || server.register("taken@example.org", "long enough");
    let account = || {
        let nowhere = json!({"label": "first", "country": "DE", "plan_id": uuid::Uuid::now_v7()});
        admin.post("/redemption/accounts", nowhere)
    };
    item().expect(201);
    user().expect(201);
    expect_invalid(&account(), "plan_id");
    let before = residents(&server);
    for id in 1_000..1_100 {
        expect_problem(&admin.get(&format!("/items/{id}")), 404, "not_found");
        expect_problem(&admin.restock(Item { id, price: 1 }, 1), 404, "not_found");
        expect_problem(&admin.get(&format!("/users/{id}/balance")), 404, "not_found");
        expect_problem(&admin.credit(id, 1), 404, "not_found");
        let account = format!("/redemption/accounts/{}", uuid::Uuid::now_v7());
        expect_problem(&admin.get(&account), 404, "not_found");
    }
    assert_eq!(residents(&server), before, "after unknown ids");
    for _ in 0..50 {
        expect_problem(&item(), 409, "sku_taken");
        expect_problem(&user(), 409, "email_taken");
        expect_invalid(&account(), "plan_id");
    }
    // These would have opened a session, too.
    for _ in 0..3 {
        expect_problem(&register(), 409, "email_taken");
    }
    assert_eq!(residents(&server), before, "after creations that were refused");
}

#[test]
fn metrics_are_prometheus_text_with_well_formed_names() {
    let server = Server::start();
    let buyer = server.buyer(100);
    let item = server.admin().item("Lamp", 10, 1);
    buyer.buy(item, 1).expect(201);
    assert_eq!(buyer.buy(item, 1).status, 409);
    let reply = get(&server, "/metrics");
    assert_eq!(reply.status, 200);
    assert!(
        reply.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")),
        "{:?}",
        reply.headers
    );
    let text = reply.text();
    let samples: Vec<_> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(!samples.is_empty(), "no sample at all");
    for sample in &samples {
        let name: String = sample.chars().take_while(|c| !matches!(c, '{' | ' ')).collect();
        let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
        assert!(well_formed, "not a metric: {sample}");
        let value = sample.rsplit(' ').next().unwrap_or_default();
        assert!(value.parse::<f64>().is_ok(), "not a number: {sample}");
    }
    for topic in ["purchase", "journal", "sync", "backlog", "resident", "permit"] {
        assert!(samples.iter().any(|sample| sample.contains(topic)), "no metric about {topic}:\n{text}");
    }
    assert!(
        samples.iter().any(|sample| sample.contains("insufficient_stock")),
        "refusals are not told by code"
    );
    let none_dead = |kind: &str| format!("purser_messages_dead_total{{kind=\"{kind}\"}} 0");
    for kind in ["process_order", "order_shipped", "upgrade_check", "redeem_card"] {
        assert!(samples.contains(&none_dead(kind).as_str()), "the first dead {kind} would not be seen");
    }
}

#[test]
fn the_openapi_document_lists_every_route_of_the_contract() {
    let server = Server::start();
    let document = get(&server, "/api/openapi.json").expect(200);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{document}");
    let mut listed = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        let plain: Vec<_> =
            path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
        for (method, operation) in operations.as_object().expect("operations") {
            let responses = operation["responses"].as_object();
            assert!(responses.is_some_and(|all| !all.is_empty()), "{method} {path} documents no response");
            listed.insert(format!("{} {}", method.to_uppercase(), plain.join("/")));
        }
    }
    let missing: Vec<_> = ROUTES.iter().filter(|route| !listed.contains(**route)).collect();
    assert!(missing.is_empty(), "not in the document: {missing:?}");
    expect_resolvable(&document, &document);
}

#[test]
fn the_openapi_document_of_the_repository_is_that_of_the_code() {
    let mut command = purser();
    command.arg("openapi");
    let generated = run(command).stdout;
    let committed = include_str!("../../docs/openapi.json");
    assert!(
        generated == committed,
        "docs/openapi.json is not up to date: cargo run -- openapi > docs/openapi.json"
    );
}

#[test]
fn the_type_of_a_problem_leads_to_its_explanation() {
    let server = Server::start();
    let problem = expect_problem(&get(&server, "/nowhere"), 404, "not_found");
    let reply = get(&server, problem["type"].as_str().expect("a type"));
    assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("text/plain; charset=utf-8")));
    assert!(reply.text().starts_with("Not found\n\n404. There is nothing here"), "{}", reply.text());
    let codes: Vec<_> = include_str!("../../docs/errors.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'))
        .collect();
    assert!(codes.len() > 30, "{codes:?}");
    for code in codes {
        assert_eq!(get(&server, &format!("/problems/{}", code.replace('_', "-"))).status, 200, "{code}");
    }
    for none in ["/problems/no-such-problem", "/problems/not_found", "/problems/", "/problems"] {
        expect_problem(&get(&server, none), 404, "not_found");
    }
}

/// Every reference in the document points at something that is in it.
#[track_caller]
fn expect_resolvable(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap_or(reference);
                assert!(document.pointer(pointer).is_some(), "{reference} points at nothing");
            }
            members.values().for_each(|member| expect_resolvable(document, member));
        }
        Value::Array(elements) => elements.iter().for_each(|element| expect_resolvable(document, element)),
        _ => {}
    }
}

#[test]
fn the_documentation_is_served_without_the_network() {
    let server = Server::start();
    let mut path = "/docs".to_owned();
    let page = loop {
        let reply = get(&server, &path);
        match reply.header("location") {
            Some(next) if (300..400).contains(&reply.status) => path = next.to_owned(),
            _ => break reply,
        }
    };
    assert_eq!(page.status, 200, "{path}");
    assert!(
        page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")),
        "{:?}",
        page.headers
    );
    assert!(!page.text().contains("src=\"http"), "the page loads from elsewhere: {}", page.text());
}

#[test]
fn an_administrator_sees_the_owners() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 10, 5);
    let last = buyer.buy(item, 1).seq();
    let owner = |kind: &str, id: u64| {
        let owner = admin.get(&format!("/admin/owners/{kind}/{id}")).expect(200);
        assert_eq!((&owner["kind"], &owner["id"]), (&json!(kind), &json!(id.to_string())));
        assert_eq!((&owner["mailbox_depth"], &owner["holds"]), (&json!(0), &json!(0)), "{owner}");
        owner
    };
    for owner in [owner("product", item.id), owner("balance", buyer.id)] {
        assert_eq!((&owner["resident"], &owner["last_seq"]), (&json!(true), &json!(last)), "{owner}");
    }
    let stranger = owner("product", 900_001);
    assert_eq!((&stranger["resident"], &stranger["last_seq"]), (&json!(false), &json!(0)));
    let listed = |query: &str| admin.get(&format!("/admin/owners{query}")).expect(200)["data"].clone();
    assert_eq!(listed("?kind=product&limit=5"), json!([owner("product", item.id)]));
    let kinds = |owners: &Value| -> BTreeSet<String> {
        let owners = owners.as_array().expect("a list").iter();
        owners.map(|owner| owner["kind"].as_str().expect("a kind").to_owned()).collect()
    };
    let every = listed("?limit=100");
    assert_eq!(kinds(&every), ["balance", "directory", "product", "session"].map(String::from).into());
    assert!(every.as_array().expect("a list").contains(&owner("balance", buyer.id)), "{every:#}");
    assert_eq!(listed("?limit=1").as_array().map(Vec::len), Some(1));
    expect_problem(&admin.get("/admin/owners?kind=cart"), 400, "bad_request");
    expect_problem(&admin.get("/admin/owners/cart/1"), 404, "not_found");
}

#[test]
fn an_audit_names_its_checks() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    buyer.buy(admin.item("Lamp", 10, 5), 1).expect(201);
    let audit = admin.get("/admin/audit").expect(200);
    assert_eq!(audit["ok"], true, "{audit:#}");
    let checks = audit["checks"].as_array().expect("checks");
    let named = |check: &Value| check["name"].as_str().is_some_and(|name| !name.is_empty());
    assert!(!checks.is_empty() && checks.iter().all(named), "{audit:#}");
    assert!(checks.iter().all(|check| check["ok"] == true && check.get("detail").is_some()), "{audit:#}");
}
