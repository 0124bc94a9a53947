//! Redemptions as they are listed, and who may see them; accounts by what their cards have made of them.

use crate::cards::{card, cards, last4, ok};
use crate::rig::{on_each_store, simulator};
use crate::scripted::{Answer, Scripted};
use crate::sentences::id_of;
use crate::support::api::{Actor, escaped};
use crate::support::eventually;
use crate::support::expect::{expect_problem, expect_refused};
use serde_json::{Value, json};

/// The last characters of the codes on a page.
#[track_caller]
fn ends(page: &Value) -> Vec<&str> {
    let data = page["data"].as_array().expect("a list has data");
    data.iter().map(|one| one["code_last4"].as_str().expect("a text")).collect()
}

#[test]
fn own_redemptions_are_listed_newest_first_in_pages_that_stay_put() {
    on_each_store(|server, _| {
        let user = server.buyer(0);
        let codes = cards(30);
        user.handed_in_all(&codes[..10]);
        codes[10..20].iter().for_each(|code| drop(user.handed_in(code)));
        user.handed_in_all(&codes[20..]);
        let expected: Vec<_> = codes.iter().rev().map(|code| last4(code)).collect();
        let first = user.get("/redemptions");
        assert!(first.as_of() > 0);
        let first = first.expect(200);
        assert_eq!(ends(&first), expected[..20]);
        let cursor = escaped(first["next_cursor"].as_str().expect("there is more"));
        let late = user.handed_in(&ok(1));
        let second = user.get(&format!("/redemptions?cursor={cursor}")).expect(200);
        assert_eq!(ends(&second), expected[20..]);
        assert_eq!(second["next_cursor"], Value::Null);
        let all = user.list("/redemptions");
        assert_eq!((all.len(), id_of(&all[0])), (31, late));
        assert_eq!(all[7], user.redemption(&id_of(&all[7])), "listed as it is shown");
        server.drains();
        assert_eq!(user.list("/redemptions"), all);
        server.kill9();
        server.restart();
        assert_eq!(user.list("/redemptions"), all);
    });
}

#[test]
fn redemptions_are_listed_by_status_and_batch() {
    on_each_store(|server, _| {
        let (admin, user) = (server.admin(), server.buyer(0));
        admin.account(&admin.plan(1_000_000, 10_000));
        let good = id_of(&user.redeems(&ok(10)));
        let bad = id_of(&user.fails_with(&card("INVALID")));
        let french = json!({"code": ok(10), "country": "FR"});
        let waits = id_of(&user.post("/redemptions", french).expect(202));
        let batch = user.handed_in_all(&["OK10", "INVALID"].map(card));
        user.batch_ends(&batch);
        let listed = |actor: &Actor, query: &str| -> Vec<String> {
            actor.list(&format!("/redemptions?{query}")).iter().map(id_of).collect()
        };
        server.drains();
        for actor in [&user.actor, &admin] {
            let of_batch = listed(actor, &format!("batch_id={batch}"));
            assert_eq!(of_batch.len(), 2);
            let [failed, succeeded] = &of_batch[..] else { panic!("{of_batch:?}") };
            assert_eq!(listed(actor, "status=queued"), [waits.as_str()]);
            assert_eq!(listed(actor, "status=failed"), [failed.as_str(), &bad]);
            assert_eq!(listed(actor, "status=succeeded"), [succeeded.as_str(), &good]);
            assert!(listed(actor, "status=in_doubt").is_empty());
            let both = format!("batch_id={batch}&status=succeeded");
            assert_eq!(listed(actor, &both), [succeeded.as_str()]);
            for query in ["status=lost", "batch_id=none", "limit=0", "cursor=no-cursor-of-ours"] {
                expect_refused(&actor.get(&format!("/redemptions?{query}")), &[400, 422]);
            }
        }
        assert!(listed(&server.buyer(0), &format!("batch_id={batch}")).is_empty());
        server.expect_clean_audit();
    });
}

#[test]
fn redemptions_are_their_users_and_the_administrators() {
    let provider = simulator(&[]);
    let server = provider.setup().start();
    let (admin, user, other) = (server.admin(), server.buyer(0), server.buyer(0));
    let id = user.handed_in(&ok(500));
    let path = format!("/redemptions/{id}");
    expect_problem(&other.get(&path), 404, "not_found");
    expect_problem(&other.cancel_card(&id), 404, "not_found");
    assert!(other.list("/redemptions").is_empty());
    for path in [&path, "/redemptions"] {
        expect_problem(&server.guest().get(path), 401, "unauthenticated");
    }
    expect_problem(&server.guest().cancel_card(&id), 401, "unauthenticated");
    let missing = uuid::Uuid::now_v7().to_string();
    expect_problem(&user.get(&format!("/redemptions/{missing}")), 404, "not_found");
    expect_problem(&user.cancel_card(&missing), 404, "not_found");
    assert_eq!(admin.redemption(&id), user.redemption(&id));
    assert_eq!(user.list("/redemptions"), [user.redemption(&id)]);
    let others = other.handed_in(&ok(500));
    server.drains();
    let all: Vec<_> = admin.list("/redemptions").iter().map(id_of).collect();
    assert_eq!(all, [others, id]);
}

#[test]
fn accounts_are_listed_by_what_their_cards_have_made_of_them() {
    let provider = Scripted::start(|asked| match asked.body["country"].as_str() {
        Some("FR") => Answer::Held,
        _ => Answer::Taken(10),
    });
    let server = provider.setup().start();
    let (admin, user) = (server.admin(), server.buyer(0));
    let (large, small) = (admin.plan(1_000, 10_000), admin.plan(10, 10_000));
    let [german, french, full] = [("DE", &large), ("FR", &large), ("IT", &small)]
        .map(|(country, plan)| admin.account_in(country, plan));
    for (country, end) in [("DE", "succeeded"), ("IT", "succeeded"), ("FR", "locking")] {
        let body = json!({"code": ok(10), "country": country});
        user.becomes(&id_of(&user.post("/redemptions", body).expect(202)), end);
    }
    eventually("it is with the provider", || (provider.held() == 1).then_some(()));
    server.drains();
    let by_status = [
        ("waiting", None),
        ("processing", Some(german)),
        ("locking", Some(french)),
        ("completed", Some(full)),
    ];
    for (status, expected) in by_status {
        let listed = admin.list(&format!("/redemption/accounts?status={status}"));
        assert_eq!(listed.iter().map(id_of).collect::<Vec<_>>(), Vec::from_iter(expected), "{status}");
    }
}
