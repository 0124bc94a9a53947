//! Accounts of the provider: created, logged in and out, completed, and who may do that.

use crate::sentences::{id_of, number};
use crate::support::api::Actor;
use crate::support::expect::{expect_invalid, expect_problem, expect_refused};
use crate::support::server::Server;
use crate::support::store::on_each_store;
use serde_json::{Value, json};

const ACCOUNTS: &str = "/redemption/accounts";

/// The ids in a list, oldest first.
#[track_caller]
fn listed(admin: &Actor, query: &str) -> Vec<String> {
    let mut ids: Vec<_> = admin.list(&format!("{ACCOUNTS}{query}")).iter().map(id_of).collect();
    ids.reverse();
    ids
}

#[test]
fn an_account_begins_waiting_with_nothing_on_it_and_outlives_a_crash() {
    on_each_store(|server| {
        let plan = server.admin().plan(500, 8_000);
        let body = json!({"label": "first", "country": "DE", "plan_id": plan});
        let reply = server.admin().post(ACCOUNTS, body);
        assert!(reply.seq() > 0);
        let created = reply.expect(201);
        assert_eq!(
            (&created["label"], &created["country"], &created["plan_id"]),
            (&json!("first"), &json!("DE"), &json!(plan))
        );
        assert_eq!((&created["status"], &created["lock"]), (&json!("waiting"), &Value::Null));
        assert_eq!((number(&created, "balance"), number(&created, "redeemed_total")), (0, 0));
        assert!(["active", "inactive"].iter().any(|it| created["login_status"] == *it), "{created}");
        let id = id_of(&created);
        for _ in 0..2 {
            assert_eq!(server.admin().account_view(&id), created);
            assert_eq!(server.admin().list(ACCOUNTS), std::slice::from_ref(&created));
            server.kill9();
            server.restart();
        }
        server.expect_clean_audit();
    });
}

#[test]
fn accounts_are_listed_by_status_login_and_country() {
    on_each_store(|server| {
        let admin = server.admin();
        let plan = admin.plan(1_000, 10_000);
        let german = admin.account_in("DE", &plan);
        let (french, done) = (admin.account_in("FR", &plan), admin.account_in("FR", &plan));
        admin.account_step(&french, "logout").expect(200);
        admin.account_step(&done, "complete").expect(200);
        server.drains();
        for (query, ids) in [
            ("", vec![&german, &french, &done]),
            ("?status=processing", vec![]),
            ("?status=waiting", vec![&german, &french]),
            ("?status=completed", vec![&done]),
            ("?status=locking", vec![]),
            ("?login_status=inactive", vec![&french]),
            ("?login_status=active", vec![&german, &done]),
            ("?country=FR", vec![&french, &done]),
            ("?country=IT", vec![]),
            ("?country=FR&status=completed&login_status=active", vec![&done]),
        ] {
            let seen = listed(&admin, query);
            assert_eq!(seen.iter().collect::<Vec<_>>(), ids, "{query}");
        }
        for query in ["?status=open", "?login_status=maybe"] {
            expect_refused(&admin.get(&format!("{ACCOUNTS}{query}")), &[400, 422]);
        }
    });
}

#[test]
fn an_account_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
    let server = Server::start();
    let admin = server.admin();
    let sound = json!({"label": "one", "country": "DE", "plan_id": admin.plan(500, 8_000)});
    let wrong = [
        ("label", json!("")),
        ("label", json!("l".repeat(201))),
        ("label", json!("a\u{0}b")),
        ("country", json!("")),
        ("country", json!("D")),
        ("country", json!("DEU")),
        ("country", json!("D1")),
        ("country", json!("ÄÖ")),
        ("plan_id", json!("no id")),
        ("status", json!("completed")),
    ];
    for (field, value) in wrong {
        let mut account = sound.clone();
        account[field] = value;
        expect_invalid(&admin.post(ACCOUNTS, account), field);
    }
    let mut account = sound.clone();
    account["plan_id"] = json!(uuid::Uuid::now_v7().to_string());
    expect_refused(&admin.post(ACCOUNTS, account), &[404, 409, 422]);
    assert!(listed(&admin, "").is_empty());
}

#[test]
fn accounts_are_for_administrators() {
    let server = Server::start();
    let (user, guest, admin) = (server.buyer(0), server.guest(), server.admin());
    let plan = admin.plan(500, 8_000);
    let (id, missing) = (admin.account_in("DE", &plan), uuid::Uuid::now_v7().to_string());
    for (method, below) in [
        ("POST", ""),
        ("GET", ""),
        ("GET", "/{id}"),
        ("GET", "/{id}/transitions"),
        ("POST", "/{id}/login"),
        ("POST", "/{id}/logout"),
        ("POST", "/{id}/complete"),
        ("POST", "/import"),
        ("GET", "/export"),
    ] {
        let call = |actor: &Actor, id: &str| {
            let call = actor.call(method, &format!("{ACCOUNTS}{}", below.replace("{id}", id)));
            if method == "POST" { call.text("{}").send() } else { call.send() }
        };
        expect_problem(&call(&user, &id), 403, "forbidden");
        expect_problem(&call(&guest, &id), 401, "unauthenticated");
        if below.contains("{id}") {
            expect_problem(&call(&admin, &missing), 404, "not_found");
        }
    }
    assert_eq!(admin.account_view(&id)["login_status"], "active");
}

#[test]
fn logging_in_and_out_is_listed_with_its_reason_and_a_repetition_changes_nothing() {
    on_each_store(|server| {
        let id = {
            let admin = server.admin();
            admin.account_in("DE", &admin.plan(500, 8_000))
        };
        for (step, status) in [("logout", "inactive"), ("login", "active"), ("logout", "inactive")] {
            let first = server.admin().account_step(&id, step).expect(200);
            assert_eq!((&first["login_status"], &first["status"]), (&json!(status), &json!("waiting")));
            server.kill9();
            server.restart();
            let again = server.admin().account_step(&id, step).expect(200);
            assert_eq!(again, first, "the repetition changed something");
        }
        server.drains();
        let told = server.admin().transitions(&id);
        let seen: Vec<_> = told.iter().map(|one| (&one["login_status"], &one["reason"])).collect();
        let (on, off) = (json!("active"), json!("inactive"));
        let reasons = ["created", "logged_out", "logged_in", "logged_out"].map(|reason| json!(reason));
        assert_eq!(seen, [&on, &off, &on, &off].into_iter().zip(&reasons).collect::<Vec<_>>());
        assert!(told.iter().all(|one| (&one["from"], &one["to"]) == (&json!("waiting"), &json!("waiting"))));
        assert!(told.iter().all(|one| one["created_at"].is_string()), "{told:#?}");
        server.expect_clean_audit();
    });
}

#[test]
fn an_account_that_an_operator_completes_stays_completed() {
    on_each_store(|server| {
        let admin = server.admin();
        let id = admin.account_in("DE", &admin.plan(1_000, 10_000));
        let first = admin.account_step(&id, "complete").expect(200);
        assert_eq!((&first["status"], number(&first, "version")), (&json!("completed"), 2));
        for _ in 0..2 {
            let again = server.admin().account_step(&id, "complete").expect(200);
            assert_eq!(again, first, "the repetition changed something");
            let told = server.admin().transitions(&id);
            let last = told.last().expect("a transition");
            assert_eq!((&last["from"], &last["to"]), (&json!("waiting"), &json!("completed")));
            assert_eq!(last["reason"], "completed_by_operator");
            server.kill9();
            server.restart();
        }
        server.expect_clean_audit();
    });
}

#[test]
fn steps_and_creations_under_a_key_happen_once_and_are_answered_alike() {
    on_each_store(|server| {
        let plan = server.admin().plan(1_000, 10_000);
        let body = json!({"label": "first", "country": "de", "plan_id": plan});
        let created = server.admin().post_keyed("create", ACCOUNTS, &body).expect(201);
        let step = format!("{ACCOUNTS}/{}/logout", id_of(&created));
        let stepped = server.admin().post_keyed("step", &step, &json!({})).expect(200);
        for _ in 0..2 {
            let admin = server.admin();
            for (key, path, body, status, first) in
                [("create", ACCOUNTS, &body, 201, &created), ("step", &step, &json!({}), 200, &stepped)]
            {
                let again = admin.post_keyed(key, path, body);
                assert_eq!(again.header("Idempotency-Replayed"), Some("true"), "{}", again.text());
                assert_eq!(&again.expect(status), first);
            }
            assert_eq!(admin.list(ACCOUNTS).len(), 1);
            server.kill9();
            server.restart();
        }
        assert_eq!(server.admin().account_view(&id_of(&created))["country"], "DE");
        server.expect_clean_audit();
    });
}
