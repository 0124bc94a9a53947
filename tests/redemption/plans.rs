//! Plans: what an account is to reach, and what its cards pay.

use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::server::Server;
use crate::support::store::on_each_store;
use serde_json::json;

const PLANS: &str = "/redemption/plans";

#[test]
fn a_plan_is_created_and_listed_newest_first_and_outlives_a_crash() {
    on_each_store(|server| {
        let created: Vec<_> = [("Small", 500, 0), ("Large", 1_000_000, 10_000)]
            .iter()
            .map(|(name, target, bps)| {
                let body = json!({"name": name, "target_amount": target, "payout_bps": bps});
                let reply = server.admin().post(PLANS, body);
                assert!(reply.seq() > 0);
                let plan = reply.expect(201);
                assert_eq!(
                    (&plan["name"], &plan["target_amount"], &plan["payout_bps"]),
                    (&json!(name), &json!(target), &json!(bps))
                );
                plan
            })
            .collect();
        for _ in 0..2 {
            let listed = server.admin().list(PLANS);
            let [newest, oldest] = &listed[..] else { panic!("{listed:#?}") };
            assert_eq!((oldest, newest), (&created[0], &created[1]));
            server.kill9();
            server.restart();
        }
        server.expect_clean_audit();
    });
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
    let server = Server::start();
    let admin = server.admin();
    let sound = json!({"name": "Plan", "target_amount": 500, "payout_bps": 8_000});
    let wrong = [
        ("name", json!("")),
        ("name", json!("n".repeat(201))),
        ("target_amount", json!(0)),
        ("target_amount", json!(-1)),
        ("target_amount", json!(9_007_199_254_740_992_u64)),
        ("payout_bps", json!(-1)),
        ("payout_bps", json!(10_001)),
        ("colour", json!("red")),
    ];
    for (field, value) in wrong {
        let mut plan = sound.clone();
        plan[field] = value;
        expect_invalid(&admin.post(PLANS, plan), field);
    }
    for field in ["name", "target_amount", "payout_bps"] {
        let mut plan = sound.clone();
        plan.as_object_mut().expect("an object").remove(field);
        expect_invalid(&admin.post(PLANS, plan), field);
    }
    assert!(admin.list(PLANS).is_empty());
}

#[test]
fn a_plan_under_a_key_is_created_once() {
    let server = Server::start();
    let plan = json!({"name": "Plan", "target_amount": 500, "payout_bps": 8_000});
    let first = server.admin().post_keyed("plan", PLANS, &plan).expect(201);
    let again = server.admin().post_keyed("plan", PLANS, &plan);
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
    assert_eq!(again.expect(201), first);
    assert_eq!(server.admin().list(PLANS).len(), 1);
}

#[test]
fn plans_are_for_administrators() {
    let server = Server::start();
    let (user, guest) = (server.buyer(0), server.guest());
    let plan = json!({"name": "Plan", "target_amount": 500, "payout_bps": 8_000});
    expect_problem(&user.post(PLANS, plan.clone()), 403, "forbidden");
    expect_problem(&user.get(PLANS), 403, "forbidden");
    expect_problem(&guest.post(PLANS, plan), 401, "unauthenticated");
    expect_problem(&guest.get(PLANS), 401, "unauthenticated");
    assert!(server.admin().list(PLANS).is_empty());
}
