//! Withdrawals, the distributors that count them, and the levels these climb.

use crate::support::api::{Actor, User};
use crate::support::expect::{expect_invalid, expect_problem, expect_refused};
use crate::support::http::Reply;
use crate::support::server::Server;
use crate::support::store::on_each_store;
use crate::support::{all_at_once, eventually, race};
use serde_json::{Value, json};

fn ask(actor: &Actor, amount: u64) -> Reply {
    actor.post("/withdrawals", json!({"amount": amount}))
}

/// Asks for a withdrawal and says which.
fn asked(actor: &Actor, amount: u64) -> String {
    ask(actor, amount).expect(201)["id"].as_str().expect("an id").to_owned()
}

fn step(actor: &Actor, id: &str, step: &str) -> Reply {
    actor.post(&format!("/withdrawals/{id}/{step}"), json!({}))
}

fn completed(server: &Server, user: &User, amount: u64) -> String {
    let id = asked(user, amount);
    step(&server.admin(), &id, "complete").expect(200);
    id
}

/// Ranks 0, 1, 2 … from these thresholds on.
fn set_levels(server: &Server, thresholds: &[u64]) -> Reply {
    let level = |(rank, threshold): (usize, &u64)| json!({"rank": rank, "name": format!("from {threshold}"), "threshold": threshold});
    let levels: Vec<_> = thresholds.iter().enumerate().map(level).collect();
    server.admin().call("PUT", "/levels").json(&json!({"levels": levels})).send()
}

fn distributor(server: &Server, id: u64) -> Value {
    server.admin().get(&format!("/distributors/{id}")).expect(200)
}

fn climbs(server: &Server, id: u64, rank: u64) -> Value {
    eventually("the distributor climbs", || {
        let seen = distributor(server, id);
        (seen["level"]["rank"] == rank).then_some(seen)
    })
}

/// Waits until so many checks were done since the store was made, and none is under way.
fn checked(server: &Server, done: usize) -> Value {
    eventually("all checks are done", || {
        let stats = server.admin().get("/messages/stats").expect(200)["by_kind"]["upgrade_check"].clone();
        let is_open = ["ready", "delayed", "running"].iter().any(|status| stats[status] != 0);
        (!is_open && stats["succeeded_total"] == done).then_some(stats)
    })
}

#[test]
fn a_withdrawal_takes_the_money_at_once_and_completing_it_pays_it_out() {
    on_each_store(|server| {
        let user = server.buyer(100);
        let reply = ask(&user, 60);
        let view = reply.expect(201);
        assert_eq!(
            (&view["status"], &view["amount"], &view["user_id"]),
            (&json!("pending"), &json!(60), &json!(user.id))
        );
        assert_eq!(user.balance(), 40);
        let entry = user.entries().pop().expect("an entry");
        assert_eq!((&entry["kind"], &entry["delta"]), (&json!("withdrawal"), &json!(-60)));
        let id = view["id"].as_str().expect("an id");
        let done = step(&server.admin(), id, "complete").expect(200);
        assert_eq!((&done["status"], &done["amount"]), (&json!("completed"), &json!(60)));
        for _ in 0..2 {
            assert_eq!((user.balance(), user.entries().len()), (40, 2), "completing writes no entry");
            assert_eq!(user.get(&format!("/withdrawals/{id}")).expect(200)["status"], "completed");
            assert_eq!(user.list("/withdrawals").len(), 1);
            assert_eq!(distributor(server, user.id)["withdrawn_total"], 60);
            server.kill9();
            server.restart();
        }
        server.expect_clean_audit();
    });
}

#[test]
fn a_rejected_withdrawal_gives_the_money_back() {
    on_each_store(|server| {
        let user = server.buyer(100);
        let id = asked(&user, 60);
        assert_eq!(step(&server.admin(), &id, "reject").expect(200)["status"], "rejected");
        assert_eq!(user.balance(), 100);
        let entry = user.entries().pop().expect("an entry");
        assert_eq!((&entry["kind"], &entry["delta"]), (&json!("withdrawal_rejected"), &json!(60)));
        assert_eq!(distributor(server, user.id)["withdrawn_total"], 0);
        server.expect_clean_audit();
    });
}

#[test]
fn a_repeated_step_answers_unchanged_and_a_contradicting_one_is_refused() {
    on_each_store(|server| {
        let user = server.buyer(100);
        let (paid, returned) = (asked(&user, 30), asked(&user, 20));
        for _ in 0..2 {
            let admin = server.admin();
            for _ in 0..2 {
                assert_eq!(step(&admin, &paid, "complete").expect(200)["status"], "completed");
                assert_eq!(step(&admin, &returned, "reject").expect(200)["status"], "rejected");
            }
            expect_problem(&step(&admin, &paid, "reject"), 409, "invalid_state");
            expect_problem(&step(&admin, &returned, "complete"), 409, "invalid_state");
            assert_eq!(user.balance(), 70);
            assert_eq!(distributor(server, user.id)["withdrawn_total"], 30);
            server.kill9();
            server.restart();
        }
        checked(server, 1);
        server.expect_clean_audit();
    });
}

#[test]
fn more_than_there_is_cannot_be_withdrawn() {
    let server = Server::start();
    let user = server.buyer(50);
    let problem = expect_problem(&ask(&user, 51), 409, "insufficient_balance");
    assert_eq!(problem["available"], 50);
    for amount in [json!(0), json!(-1), json!(1_000_000_000_000_001_u64)] {
        expect_invalid(&user.post("/withdrawals", json!({"amount": amount})), "amount");
    }
    let statuses: Vec<_> = all_at_once(10, |_| ask(&user, 20).status);
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 2, "{statuses:?}");
    assert_eq!((user.balance(), user.list("/withdrawals").len()), (10, 2));
    server.expect_clean_audit();
}

#[test]
fn of_completing_and_rejecting_at_once_one_wins() {
    let server = Server::start();
    let user = server.buyer(1_000);
    let mut paid = 0;
    for _ in 0..20 {
        let (id, admin) = (asked(&user, 10), server.admin());
        let (complete, reject) = race(|| step(&admin, &id, "complete"), || step(&admin, &id, "reject"));
        assert_eq!(complete.status + reject.status, 200 + 409, "{} {}", complete.text(), reject.text());
        paid += u64::from(complete.status == 200) * 10;
        expect_refused(if complete.status == 200 { &reject } else { &complete }, &[409]);
    }
    assert_eq!(user.balance(), 1_000 - paid);
    assert_eq!(distributor(&server, user.id)["withdrawn_total"], paid);
    server.expect_clean_audit();
}

#[test]
fn a_withdrawal_is_its_users_and_the_administrators() {
    let server = Server::start();
    let (user, other) = (server.buyer(100), server.buyer(100));
    let id = asked(&user, 10);
    expect_problem(&other.get(&format!("/withdrawals/{id}")), 404, "not_found");
    assert!(other.list("/withdrawals").is_empty());
    expect_problem(&other.get(&format!("/distributors/{}", user.id)), 404, "not_found");
    expect_problem(&other.get(&format!("/distributors/{}/upgrades", user.id)), 404, "not_found");
    for way in ["complete", "reject"] {
        expect_problem(&step(&user, &id, way), 403, "forbidden");
        expect_problem(&step(&server.guest(), &id, way), 401, "unauthenticated");
        expect_problem(&step(&server.admin(), &uuid::Uuid::nil().to_string(), way), 404, "not_found");
    }
    expect_problem(&user.call("PUT", "/levels").json(&json!({"levels": []})).send(), 403, "forbidden");
    expect_problem(&user.post("/upgrades/batch-check", json!({"limit": 1})), 403, "forbidden");
    expect_problem(&server.admin().get("/distributors/999999"), 404, "not_found");
    assert_eq!(server.admin().list("/withdrawals").len(), 1);
    assert_eq!(user.get(&format!("/distributors/{}", user.id)).expect(200)["withdrawn_total"], 0);
}

#[test]
fn completed_withdrawals_climb_several_levels_at_once_and_never_down() {
    on_each_store(|server| {
        let user = server.buyer(10_000);
        assert_eq!(distributor(server, user.id)["level"]["rank"], 0);
        set_levels(server, &[0, 100, 500, 2_000]).expect(200);
        let first = completed(server, &user, 600);
        let seen = climbs(server, user.id, 2);
        assert_eq!((&seen["level"]["name"], &seen["withdrawn_total"]), (&json!("from 500"), &json!(600)));
        assert!(seen["upgraded_at"].is_string(), "{seen}");
        completed(server, &user, 10);
        checked(server, 2);
        let second = completed(server, &user, 1_390);
        climbs(server, user.id, 3);
        for done in [4, 5] {
            let history = user.list(&format!("/distributors/{}/upgrades", user.id));
            let [upper, lower] = &history[..] else { panic!("{history:#?}") };
            assert_eq!((&lower["from"]["rank"], &lower["to"]["rank"]), (&json!(0), &json!(2)));
            assert_eq!(
                (&upper["from"]["name"], &upper["to"]["name"]),
                (&json!("from 500"), &json!("from 2000"))
            );
            assert_eq!((&lower["withdrawal_id"], &upper["withdrawal_id"]), (&json!(first), &json!(second)));
            set_levels(server, &[0, 5_000]).expect(200);
            completed(server, &user, 1);
            checked(server, done);
            assert_eq!(distributor(server, user.id)["level"]["rank"], 3, "it went down");
            server.kill9();
            server.restart();
        }
        server.expect_clean_audit();
    });
}

#[test]
fn levels_are_one_whole_list_in_order() {
    let mut server = Server::start();
    let shown = |server: &Server| server.guest().get("/levels").expect(200)["levels"].clone();
    assert_eq!(shown(&server).as_array().map(Vec::len), Some(1), "everybody begins somewhere");
    let set = set_levels(&server, &[0, 10, 20]).expect(200)["levels"].clone();
    assert_eq!(set[1], json!({"rank": 1, "name": "from 10", "threshold": 10}));
    assert_eq!(shown(&server), set);
    expect_invalid(&set_levels(&server, &[0, 20, 20]), "levels.2.threshold");
    expect_invalid(&set_levels(&server, &[]), "levels");
    let gap = json!({"levels": [{"rank": 1, "name": "one", "threshold": 0}]});
    expect_invalid(&server.admin().call("PUT", "/levels").json(&gap).send(), "levels.0.rank");
    server.kill9();
    server.restart();
    assert_eq!(shown(&server), set);
}

#[test]
fn a_batch_check_finds_who_has_reached_a_level_since_it_was_set() {
    on_each_store(|server| {
        let users: Vec<_> = (0..7).map(|_| server.buyer(1_000)).collect();
        for user in &users {
            completed(server, user, 300);
        }
        checked(server, 7);
        set_levels(server, &[0, 200, 900]).expect(200);
        assert!(users.iter().all(|user| distributor(server, user.id)["level"]["rank"] == 0));
        let mut after = Value::Null;
        let mut counted = 0;
        loop {
            let mut batch = json!({"level": 0, "limit": 3});
            if !after.is_null() {
                batch["after"] = after;
            }
            let report = server.admin().post("/upgrades/batch-check", batch).expect(202);
            counted += report["checked"].as_u64().expect("a count");
            after = report["next_after"].clone();
            if after.is_null() {
                break;
            }
        }
        assert_eq!(counted, 7);
        for user in &users {
            climbs(server, user.id, 1);
        }
        checked(server, 14);
        let none_left = server.admin().post("/upgrades/batch-check", json!({"level": 0, "limit": 100}));
        assert_eq!(none_left.expect(202)["checked"], 0);
        let history = users[0].list(&format!("/distributors/{}/upgrades", users[0].id));
        assert_eq!((history.len(), &history[0]["withdrawal_id"]), (1, &Value::Null));
        server.expect_clean_audit();
    });
}

#[test]
fn a_batch_check_under_a_key_is_answered_as_the_first_and_asks_for_nothing_more() {
    on_each_store(|server| {
        let user = server.buyer(1_000);
        completed(server, &user, 300);
        checked(server, 1);
        set_levels(server, &[0, 200, 500]).expect(200);
        let batch = |limit: u64| {
            let body = json!({"level": 0, "limit": limit});
            server.admin().post_keyed("nightly", "/upgrades/batch-check", &body)
        };
        let first = batch(1).expect(202);
        assert_eq!((&first["checked"], &first["next_after"]), (&json!(1), &json!(user.id)));
        climbs(server, user.id, 1);
        server.kill9();
        server.restart();
        let batch = |limit: u64| {
            let body = json!({"level": 0, "limit": limit});
            server.admin().post_keyed("nightly", "/upgrades/batch-check", &body)
        };
        let again = batch(1);
        assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
        assert_eq!(again.expect(202), first);
        expect_problem(&batch(2), 422, "idempotency_key_reused");
        checked(server, 2);
    });
}

#[test]
fn a_withdrawal_that_waited_over_a_crash_ends_once() {
    on_each_store(|server| {
        let user = server.buyer(1_000);
        let (paid, kept, refused) = (asked(&user, 300), asked(&user, 200), asked(&user, 100));
        for _ in 0..2 {
            server.kill9();
            server.restart();
            let admin = server.admin();
            assert_eq!(step(&admin, &paid, "complete").expect(200)["status"], "completed");
            assert_eq!(step(&admin, &refused, "reject").expect(200)["status"], "rejected");
            assert_eq!(user.get(&format!("/withdrawals/{kept}")).expect(200)["status"], "pending");
            expect_problem(&step(&admin, &paid, "reject"), 409, "invalid_state");
        }
        checked(server, 1);
        assert_eq!(distributor(server, user.id)["withdrawn_total"], 300);
        assert_eq!(user.balance(), 500);
        server.expect_clean_audit();
    });
}

#[test]
fn many_withdrawals_of_one_user_are_counted_once_each_whatever_happens_in_between() {
    on_each_store(|server| {
        let user = server.buyer(10_000);
        set_levels(server, &[0, 50, 100, 150]).expect(200);
        for _ in 0..3 {
            let admin = server.admin();
            let ids: Vec<_> = (0..8).map(|_| asked(&user, 10)).collect();
            all_at_once(ids.len(), |index| step(&admin, &ids[index], "complete").expect(200));
            server.kill9();
            server.restart();
        }
        let seen = climbs(server, user.id, 3);
        assert_eq!(seen["withdrawn_total"], 240);
        let stats = checked(server, 24);
        assert_eq!(stats["failed"], 0);
        let ranks: Vec<_> = user
            .list(&format!("/distributors/{}/upgrades", user.id))
            .iter()
            .map(|climb| (climb["from"]["rank"].clone(), climb["to"]["rank"].clone()))
            .collect();
        assert!(ranks.windows(2).all(|pair| pair[0].0 == pair[1].1), "{ranks:?}");
        server.expect_clean_audit();
    });
}
