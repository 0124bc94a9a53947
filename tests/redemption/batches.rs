//! Many cards at once: what is refused, how far it is, in which order, and what a crash or a change of mind leaves.

use crate::cards::{batch_id, batch_of, card, cards, last4, ok};
use crate::rig::{on_each_store, on_each_store_slowly, simulator};
use crate::sentences::{id_of, number};
use crate::support::all_at_once;
use crate::support::api::Actor;
use crate::support::expect::{expect_problem, expect_refused};
use crate::support::server::Setup;
use crate::support::simulator::Simulator;
use crate::support::store::stores;
use serde_json::{Value, json};

/// The cards in the order in which they were taken.
fn taken(provider: &Simulator) -> Vec<String> {
    provider.taken().into_iter().map(|attempt| attempt.code).collect()
}

/// The redemption of a card in a batch.
#[track_caller]
fn redemption_of(user: &Actor, batch: &str, code: &str) -> Value {
    let found = user.redemptions_of(batch).into_iter().find(|one| one["code_last4"] == last4(code));
    found.unwrap_or_else(|| panic!("no redemption of {code}"))
}

/// The rejected cards of a batch.
#[track_caller]
fn rejected(accepted: &Value) -> Vec<(u64, &str)> {
    let rejected = accepted["rejected"].as_array().expect("the rejected cards");
    rejected.iter().map(|one| (number(one, "index"), one["code"].as_str().expect("a code"))).collect()
}

#[test]
fn the_good_cards_of_a_batch_are_exchanged_in_their_order_and_the_bad_ones_told_by_index() {
    on_each_store(|server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        admin.account(&admin.plan(1_000_000, 5_000));
        let used = ok(7);
        user.redeems(&used);
        let good = cards(200);
        let mut all = good.clone();
        all.insert(5, "-".into());
        all.insert(10, format!(" {}", good[0].to_lowercase()));
        all.insert(20, used.clone());
        all.push(used);
        let accepted = user.hand_in_all(&all).expect(202);
        assert_eq!(accepted["total"], good.len(), "{accepted}");
        let used = "code_already_used";
        assert_eq!(rejected(&accepted), [(5, "validation_failed"), (10, used), (20, used), (203, used)]);
        let batch = batch_id(&accepted);
        let figures = user.batch_ends(batch);
        let amount = 200 * 201 / 2;
        assert_eq!((number(&figures, "succeeded"), number(&figures, "amount")), (200, amount));
        let payout: u64 = (1..=200).map(|amount| amount / 2).sum();
        assert_eq!(number(&figures, "payout"), payout);
        assert_eq!(user.balance(), payout + 3);
        assert_eq!(taken(provider)[1..], good);
        provider.expect_one_at_a_time();
        let redemptions = user.redemptions_of(batch);
        assert_eq!(redemptions.len(), 200);
        for one in &redemptions {
            assert_eq!(one["batch_id"], batch);
            assert_eq!(number(one, "payout"), number(one, "amount") / 2);
            provider.expect_taken_once(&id_of(one), number(one, "amount"));
        }
        server.expect_clean_audit();
    });
}

#[test]
fn a_card_that_makes_no_sense_costs_a_batch_no_other_card() {
    on_each_store(|server, _| {
        let (admin, user) = (server.admin(), server.buyer(0));
        admin.account(&admin.plan(1_000_000, 10_000));
        let wrong = [
            json!({"code": ok(1), "country": "D1"}),
            json!({"code": "A-B-C", "country": "DE"}),
            json!({"code": ok(1), "country": "DE", "face_value": 0}),
            json!({"code": "9".repeat(65), "country": "DE"}),
        ];
        let mut all = vec![json!({"code": ok(10), "country": "DE", "face_value": 10})];
        all.extend(wrong);
        all.push(json!({"code": ok(20), "country": "de"}));
        let accepted = user.post("/redemptions/batches", json!({"cards": all})).expect(202);
        assert_eq!(accepted["total"], 2);
        assert_eq!(rejected(&accepted), [1, 2, 3, 4].map(|index| (index, "validation_failed")));
        assert_eq!(number(&user.batch_ends(batch_id(&accepted)), "amount"), 30);
        server.expect_clean_audit();
    });
}

#[test]
fn a_batch_goes_on_after_a_crash_where_it_was() {
    for store in stores() {
        eprintln!("on {}", store.name);
        let provider = simulator(&["--latency-ms", "5"]);
        let setup = provider.setup().store(store).env("PURSER__PROVIDER__TIMEOUT_MS", "1000");
        let mut server = setup.start();
        let user = server.buyer(0);
        server.admin().account(&server.admin().plan(1_000_000, 10_000));
        let codes = cards(100);
        let batch = user.handed_in_all(&codes);
        for reached in [5, 30, 60] {
            let before = user.batch_reaches(&batch, reached);
            server.kill9();
            server.restart();
            let after = user.batch(&batch);
            assert!(number(&after, "succeeded") >= number(&before, "succeeded"), "{before} {after}");
            assert_eq!(number(&after, "total"), 100);
        }
        let figures = user.batch_ends(&batch);
        assert_eq!((number(&figures, "succeeded"), number(&figures, "amount")), (100, 5_050));
        assert_eq!(user.balance(), 5_050);
        assert_eq!(taken(&provider), codes, "not once each, or not in order");
        provider.expect_one_at_a_time();
        server.expect_clean_audit();
    }
}

#[test]
fn what_a_batch_has_not_begun_can_be_cancelled() {
    on_each_store_slowly(20, |server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        admin.account(&admin.plan(1_000_000, 10_000));
        let codes = cards(200);
        let batch = user.handed_in_all(&codes);
        user.batch_reaches(&batch, 3);
        let told = user.cancel_batch(&batch).expect(200);
        let figures = user.batch_ends(&batch);
        assert_eq!((&told["batch_id"], &told["cancelled"]), (&json!(batch), &figures["cancelled"]));
        assert!(number(&figures, "cancelled") > 0, "{figures}");
        assert_eq!(number(&figures, "succeeded") + number(&figures, "cancelled"), 200);
        for _ in 0..2 {
            assert_eq!(user.cancel_batch(&batch).expect(200)["cancelled"], 0);
            assert_eq!(user.batch(&batch), figures);
            server.kill9();
            server.restart();
        }
        assert_eq!(provider.ledger().len() as u64, number(&figures, "succeeded"));
        assert_eq!(user.balance(), number(&figures, "payout"));
        let last = codes.last().expect("a card");
        assert_eq!(redemption_of(&user, &batch, last)["status"], "cancelled");
        user.redeems(last);
        server.expect_clean_audit();
    });
}

#[test]
fn one_card_of_a_batch_can_be_cancelled() {
    on_each_store(|server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let codes = cards(3);
        let batch = user.handed_in_all(&codes);
        let second = redemption_of(&user, &batch, &codes[1]);
        assert_eq!(user.cancel_card(&id_of(&second)).expect(200)["status"], "cancelled");
        assert_eq!(number(&user.batch(&batch), "cancelled"), 1);
        admin.account(&admin.plan(1_000_000, 10_000));
        let figures = user.batch_ends(&batch);
        assert_eq!((number(&figures, "succeeded"), number(&figures, "cancelled")), (2, 1));
        assert_eq!(taken(provider), [codes[0].clone(), codes[2].clone()]);
        server.expect_clean_audit();
    });
}

#[test]
fn a_batch_tells_how_many_cards_failed_beside_those_that_succeeded() {
    on_each_store(|server, _| {
        let (admin, user) = (server.admin(), server.buyer(0));
        admin.account(&admin.plan(1_000_000, 10_000));
        let codes = ["INVALID", "OK10", "USED", "OK20", "INVALID"].map(card);
        let batch = user.handed_in_all(&codes);
        let figures = user.batch_ends(&batch);
        let counts =
            ["total", "succeeded", "failed", "amount", "payout"].map(|field| number(&figures, field));
        assert_eq!(counts, [5, 2, 3, 30, 30]);
        for code in &codes {
            let expected = if code.starts_with("OK") { "succeeded" } else { "failed" };
            assert_eq!(redemption_of(&user, &batch, code)["status"], expected);
        }
        server.expect_clean_audit();
    });
}

#[test]
fn ten_thousand_cards_are_a_batch_and_one_more_or_none_are_not() {
    let provider = simulator(&[]);
    let mut server = provider.setup().start();
    let user = server.buyer(0);
    let mut codes = cards(10_001);
    expect_refused(&user.hand_in_all(&codes), &[413, 422]);
    expect_refused(&user.hand_in_all(&[]), &[413, 422]);
    expect_refused(&user.post("/redemptions/batches", json!({"cards": "many"})), &[422]);
    codes.pop();
    let batch = user.handed_in_all(&codes);
    for _ in 0..2 {
        let figures = user.batch(&batch);
        assert_eq!((number(&figures, "queued"), number(&figures, "total")), (10_000, 10_000));
        server.kill9();
        server.restart();
    }
    assert_eq!(user.cancel_batch(&batch).expect(200)["cancelled"], 10_000);
    assert_eq!(number(&user.batch_ends(&batch), "cancelled"), 10_000);
    server.expect_clean_audit();
}

#[test]
fn a_batch_and_its_cancellation_under_a_key_happen_once() {
    on_each_store(|server, _| {
        let user = server.buyer(0);
        let body = batch_of(&cards(10));
        let first = user.post_keyed("batch", "/redemptions/batches", &body).expect(202);
        let cancel = format!("/redemptions/batches/{}/cancel", batch_id(&first));
        let cancelled = user.post_keyed("cancel", &cancel, &json!({})).expect(200);
        assert_eq!(cancelled["cancelled"], 10);
        for _ in 0..2 {
            for (key, path, body, status, first) in [
                ("batch", "/redemptions/batches", &body, 202, &first),
                ("cancel", &cancel, &json!({}), 200, &cancelled),
            ] {
                let again = user.post_keyed(key, path, body);
                assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
                assert_eq!(&again.expect(status), first);
            }
            server.kill9();
            server.restart();
        }
        assert_eq!(user.list("/redemptions").len(), 10);
    });
}

#[test]
fn a_batch_is_its_users_and_the_administrators() {
    let provider = simulator(&[]);
    let server = provider.setup().start();
    let (user, other) = (server.buyer(0), server.buyer(0));
    let batch = user.handed_in_all(&cards(2));
    let path = format!("/redemptions/batches/{batch}");
    expect_problem(&other.get(&path), 404, "not_found");
    expect_problem(&other.cancel_batch(&batch), 404, "not_found");
    expect_problem(&server.guest().get(&path), 401, "unauthenticated");
    expect_problem(&server.guest().hand_in_all(&cards(1)), 401, "unauthenticated");
    let missing = uuid::Uuid::now_v7().to_string();
    expect_problem(&user.get(&format!("/redemptions/batches/{missing}")), 404, "not_found");
    expect_problem(&user.cancel_batch(&missing), 404, "not_found");
    assert_eq!(server.admin().batch(&batch), user.batch(&batch));
    assert_eq!(number(&user.batch(&batch), "queued"), 2);
}

#[test]
fn nobody_hands_in_more_than_so_many_open_cards_and_what_has_ended_counts_no_more() {
    for store in stores() {
        eprintln!("on {}", store.name);
        let setup = Setup::new().store(store).env("PURSER__ADMISSION__OPEN_CARDS_PER_USER_MAX", "10000");
        let server = setup.start();
        let (user, other) = (server.buyer(0), server.buyer(0));
        let batch = user.handed_in_all(&cards(9_999));
        let last = user.handed_in(&ok(1));
        for refused in [user.hand_in_all(&cards(2)), user.hand_in(&ok(1))] {
            expect_problem(&refused, 503, "overloaded");
            assert_eq!(refused.header("Retry-After"), Some("60"));
        }
        let together = all_at_once(4, |_| other.hand_in_all(&cards(5_000)));
        let taken = together.iter().filter(|reply| reply.status == 202).count();
        assert!(taken <= 2, "{taken} batches of 5,000 were taken in together");
        user.cancel_card(&last).expect(200);
        user.handed_in(&ok(1));
        assert_eq!(number(&user.batch(&batch), "queued"), 9_999);
        server.expect_clean_audit();
    }
}
