//! Every operation by every caller that it is not for: refused in the same way everywhere, without effect, and without a
//! word about what is there. And by those whom it is for, because a server that refuses everybody would pass otherwise.

use crate::access::{self, Who};
use crate::document::{Operation, operations};
use crate::proof;
use crate::scene::{Ids, Scene};
use crate::support::api::Actor;
use crate::support::expect::{expect_problem, expect_refused};
use crate::support::http::Reply;
use crate::tokens::{Forged, corpus, genuine};
use serde_json::{Value, json};

#[track_caller]
fn ask(scene: &Scene, actor: &Actor, operation: &Operation, ids: &Ids) -> Reply {
    let call = actor.call_at(operation.method, ids.put_in(&operation.path));
    match access::body(scene, operation) {
        Some((kind, text)) => call.body(kind, text.as_bytes()).send(),
        None => call.send(),
    }
}

/// The status, and the code of a refusal.
fn told(reply: &Reply) -> (u16, Value) {
    let code = if reply.status < 400 { Value::Null } else { reply.json()["code"].clone() };
    (reply.status, code)
}

/// A refused read is refused in the same way when only its head is asked for.
#[track_caller]
fn expect_same_head(actor: &Actor, operation: &Operation, ids: &Ids, status: u16) {
    if operation.method == "GET" {
        let head = actor.call_at("HEAD", ids.put_in(&operation.path)).send();
        assert_eq!((head.status, head.text()), (status, String::new()), "HEAD {}", operation.path);
    }
}

/// Whoever has a bad token is nobody.
#[track_caller]
fn expect_no_entry(scene: &Scene, forged: &Forged, operation: &Operation, who: Who) {
    let reply = ask(scene, &forged.actor, operation, &scene.anns);
    let without = || told(&ask(scene, &scene.server.guest(), operation, &scene.anns));
    let ignored = who == Who::Anyone || (who == Who::Visitor && forged.what == "no token");
    if ignored {
        assert_eq!(told(&reply), without(), "{} with {}", operation.name(), forged.what);
        assert!(reply.status < 500, "{} {}", reply.to, reply.text());
    } else {
        expect_problem(&reply, 401, forged.code);
        expect_same_head(&forged.actor, operation, &scene.anns, 401);
        scene.expect_no_leak(&reply);
    }
}

/// A problem without what differs from request to request.
fn without_its_id(reply: &Reply) -> Value {
    let mut problem = reply.json();
    problem["request_id"].take();
    problem
}

/// A logged-in user gets nothing that is Ann's. How many requests that were.
#[track_caller]
fn expect_nothing_of_anns(scene: &Scene, operation: &Operation, who: Who) -> usize {
    let mallory = &scene.mallory;
    let nothing = Ids::of_nothing();
    match who {
        Who::Admin => {
            for ids in [&scene.anns, &nothing] {
                let reply = ask(scene, mallory, operation, ids);
                expect_problem(&reply, 403, "forbidden");
                expect_same_head(mallory, operation, ids, 403);
                scene.expect_no_leak(&reply);
            }
            2
        }
        Who::Owner => {
            let foreign = ask(scene, mallory, operation, &scene.anns);
            expect_problem(&foreign, 404, "not_found");
            expect_same_head(mallory, operation, &scene.anns, 404);
            scene.expect_no_leak(&foreign);
            let absent = ask(scene, mallory, operation, &nothing);
            assert_eq!(without_its_id(&foreign), without_its_id(&absent), "{}", operation.name());
            2
        }
        Who::User if operation.method == "GET" => {
            let mut queries = vec![String::new()];
            for (name, value) in [("user_id", &scene.ann.id.to_string()), ("batch_id", &scene.anns.batch)] {
                if operation.query.iter().any(|known| known == name) {
                    queries.push(format!("?{name}={value}"));
                }
            }
            for query in &queries {
                let reply = mallory.call_at("GET", operation.path.clone() + query).send();
                assert!([200, 403, 404].contains(&reply.status), "{} {}", reply.to, reply.text());
                scene.expect_no_leak(&reply);
            }
            queries.len()
        }
        Who::User | Who::Anyone | Who::Visitor => 0,
    }
}

/// What may be refused to whom it is for: who asks has nothing to spend, the object was brought into another state before, or the
/// server's own token has no session.
const IN_THE_WAY: [(&str, u16); 10] = [
    ("POST /api/v1/auth/logout", 400),
    ("POST /api/v1/auth/refresh", 401),
    ("POST /api/v1/items/{id}/purchase", 409),
    ("POST /api/v1/orders", 409),
    ("POST /api/v1/orders/{id}/deliver", 409),
    ("POST /api/v1/orders/{id}/ship", 409),
    ("POST /api/v1/redemptions/{id}/resolve", 409),
    ("POST /api/v1/transfers", 409),
    ("POST /api/v1/withdrawals", 409),
    ("POST /api/v1/withdrawals/{id}/reject", 409),
];

/// Whom it is for is let in, but for these. Whether nothing stood in the way.
#[track_caller]
fn expect_entry(scene: &Scene, actor: &Actor, operation: &Operation) -> bool {
    let reply = ask(scene, actor, operation, &scene.anns);
    let done = (200..300).contains(&reply.status);
    if !done {
        let stands = IN_THE_WAY.iter().find(|(name, _)| *name == operation.name());
        expect_refused(&reply, &stands.map_or_else(Vec::new, |(_, status)| vec![*status]));
    }
    done
}

/// What takes away what others need comes last.
fn takes_away(operation: &Operation) -> bool {
    operation.method == "DELETE" || operation.path.ends_with("/auth/logout")
}

#[test]
fn every_operation_is_closed_to_whom_it_is_not_for_and_open_to_whom_it_is_for() {
    let scene = Scene::open();
    let mut operations = operations();
    let table = access::table(&operations);
    let corpus = corpus(&scene);
    genuine(&scene).get("/admin/owners").expect(200);
    expect_told_to_ann(&scene, &operations);
    let before = scene.state();
    let mut refused = 0;
    for operation in &operations {
        let who = table[&operation.name()];
        let position = scene.position();
        for forged in &corpus {
            expect_no_entry(&scene, forged, operation, who);
        }
        refused += corpus.len() + expect_nothing_of_anns(&scene, operation, who);
        if who != Who::Anyone {
            assert_eq!(scene.position(), position, "{} was refused and is in the journal", operation.name());
        }
    }
    for_another(&scene);
    assert_eq!(scene.state(), before, "something of Ann's has changed");

    operations.sort_by_key(takes_away);
    let mut let_in = 0;
    for operation in &operations {
        let mallory: &Actor = &scene.mallory;
        let callers: &[&Actor] = match table[&operation.name()] {
            Who::Anyone | Who::Admin => &[&scene.admin],
            Who::Visitor | Who::User => &[&scene.admin, mallory],
            Who::Owner => &[&scene.ann, &scene.admin],
        };
        let_in += callers.iter().filter(|actor| expect_entry(&scene, actor, operation)).count();
    }
    scene.server.expect_clean_audit();
    proof("access", [operations.len(), refused, let_in], [70, 1_600, 80]);
}

/// Ann's own reads tell what nobody else is told, or its absence elsewhere shows nothing.
#[track_caller]
fn expect_told_to_ann(scene: &Scene, operations: &[Operation]) {
    let own = ["/balance", "/auth/me", "/orders", "/withdrawals", "/redemptions", "/batches/{id}"];
    for operation in operations.iter().filter(|it| it.method == "GET" && !it.path.contains("/users/")) {
        if own.iter().any(|end| operation.path.ends_with(end)) {
            let reply = ask(scene, &scene.ann, operation, &scene.anns);
            assert!(scene.leak(&reply).is_some(), "{} tells Ann nothing: {}", reply.to, reply.text());
        }
    }
}

/// What names its owner in the body: only administrators may name somebody else.
#[track_caller]
fn for_another(scene: &Scene) {
    let line = json!({"product_id": scene.item.id, "quantity": 1, "unit_price": scene.item.price});
    let order = json!({"user_id": scene.ann.id, "items": [line], "total_amount": scene.item.price});
    let reply = scene.mallory.post("/orders", order);
    expect_refused(&reply, &[403, 404, 422]);
    scene.expect_no_leak(&reply);
}
