//! One card: what becomes of it, of the account, and of its user's money.

use crate::cards::{card, last4, ok};
use crate::rig::{on_each_store, simulator};
use crate::scripted::{Answer, Scripted};
use crate::sentences::{id_of, number};
use crate::support::eventually;
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::store::stores;
use serde_json::{Value, json};

/// What happens to an account for the first card that it takes.
const FIRST_CARD: [&str; 2] =
    ["waiting > locking: exchange_started", "locking > processing: exchange_succeeded"];

#[test]
fn a_good_card_pays_its_share_rounded_down_and_counts_for_the_account() {
    on_each_store(|server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let (account, code) = (admin.account(&admin.plan(10_000, 8_555)), ok(999));
        let end = user.redeems(&code);
        assert_eq!((number(&end, "amount"), number(&end, "payout")), (999, 854));
        assert_eq!((&end["user_id"], &end["country"]), (&json!(user.id), &json!("DE")));
        assert_eq!((&end["account_id"], &end["failure"]), (&json!(account), &Value::Null));
        assert_eq!((&end["batch_id"], &end["face_value"]), (&Value::Null, &Value::Null));
        assert_eq!(end["code_last4"], last4(&code));
        assert_eq!(number(&end, "attempts"), 1);
        for _ in 0..2 {
            assert_eq!(user.redemption(&id_of(&end)), end);
            assert_eq!(user.balance(), 854);
            let entries = user.entries();
            let [entry] = &entries[..] else { panic!("{entries:#?}") };
            assert_eq!((&entry["kind"], &entry["delta"]), (&json!("payout"), &json!(854)));
            assert_eq!(entry["reference"], end["id"]);
            let view = server.admin().account_view(&account);
            assert_eq!((number(&view, "balance"), number(&view, "redeemed_total")), (999, 999));
            assert_eq!((&view["status"], &view["lock"]), (&json!("processing"), &Value::Null));
            assert_eq!(server.story(&account), FIRST_CARD);
            server.kill9();
            server.restart();
        }
        let attempts = provider.attempts();
        let [attempt] = &attempts[..] else { panic!("{attempts:#?}") };
        assert_eq!((&attempt.code, &attempt.redemption_id), (&code, &id_of(&end)));
        assert_eq!((&attempt.account, attempt.country.as_str()), (&account, "DE"));
        provider.expect_taken_once(&id_of(&end), 999);
        server.expect_clean_audit();
    });
}

#[test]
fn a_card_too_small_for_a_payout_succeeds_with_none() {
    on_each_store(|server, _| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let account = admin.account(&admin.plan(10_000, 5_000));
        let end = user.redeems(&ok(1));
        assert_eq!((number(&end, "amount"), number(&end, "payout"), user.balance()), (1, 0, 0));
        assert_eq!(number(&admin.account_view(&account), "balance"), 1);
        server.expect_clean_audit();
    });
}

#[test]
fn an_account_is_completed_by_the_card_that_reaches_its_target() {
    on_each_store(|server, _| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let account = admin.account(&admin.plan(1_000, 5_000));
        user.redeems(&ok(600));
        assert_eq!(admin.account_view(&account)["status"], "processing");
        user.redeems(&ok(400));
        let view = admin.account_view(&account);
        assert_eq!((&view["status"], number(&view, "redeemed_total")), (&json!("completed"), 1_000));
        let rest = ["processing > locking: exchange_started", "locking > completed: target_reached"];
        assert_eq!(server.story(&account), [FIRST_CARD, rest].concat());
        assert_eq!(user.balance(), 500);
        server.expect_clean_audit();
    });
}

#[test]
fn who_prefers_to_wait_is_told_the_end_and_everybody_else_that_it_is_queued() {
    on_each_store(|server, _| {
        let (admin, user) = (server.admin(), server.buyer(0));
        admin.account(&admin.plan(10_000, 10_000));
        let hand_in = |code: &str, country: &str, wait: &str| {
            let body = json!({"code": code, "country": country});
            user.call("POST", "/redemptions").header("Prefer", wait).json(&body).send()
        };
        let good = hand_in(&ok(500), "DE", "wait=60").expect(200);
        assert_eq!((&good["status"], number(&good, "amount")), (&json!("succeeded"), 500));
        let bad = hand_in(&card("INVALID"), "DE", "wait=60").expect(200);
        assert_eq!((&bad["status"], &bad["failure"]["code"]), (&json!("failed"), &json!("refused")));
        let unheard = hand_in(&ok(500), "FR", "wait=1");
        assert_eq!(unheard.expect(202)["status"], "queued", "no account is for France");
        user.handed_in(&ok(500));
    });
}

#[test]
fn who_has_waited_in_vain_is_told_how_the_card_stands_by_then() {
    let provider = Scripted::start(|_| Answer::Held);
    let server = provider.setup().start();
    let (user, account) = (server.buyer(0), server.admin().account(&server.admin().plan(10_000, 10_000)));
    let body = json!({"code": ok(500), "country": "DE"});
    let told = user.call("POST", "/redemptions").header("Prefer", "wait=2").json(&body).send().expect(202);
    assert_eq!((&told["status"], &told["account_id"]), (&json!("locking"), &json!(account)));
    provider.release(500);
}

#[test]
fn who_waits_when_the_server_stops_is_told_how_the_card_stands_and_it_goes_on_afterwards() {
    for store in stores() {
        eprintln!("on {}", store.name);
        let provider = simulator(&[]);
        let mut server = provider.setup().store(store).start();
        let user = server.buyer(0);
        let body = json!({"code": ok(500), "country": "DE"});
        let hand_in = || user.call("POST", "/redemptions").header("Prefer", "wait=60").json(&body).send();
        let told = std::thread::scope(|scope| {
            let waiting = scope.spawn(hand_in);
            eventually("the card is handed in", || (user.list("/redemptions").len() == 1).then_some(()));
            server.signal("TERM");
            waiting.join().expect("no panic")
        });
        let card = told.expect(202);
        assert_eq!(card["status"], "queued", "{card}");
        assert_eq!(server.ends(), Some(0));
        server.restart();
        server.admin().account(&server.admin().plan(10_000, 10_000));
        user.becomes(&id_of(&card), "succeeded");
    }
}

#[test]
fn a_card_that_the_provider_refuses_fails_with_its_reason_and_the_account_is_as_before() {
    on_each_store(|server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let account = admin.account(&admin.plan(10_000, 10_000));
        let refused = |rule: &str, reason: &str| {
            let end = user.fails_with(&card(rule));
            assert_eq!(end["failure"]["code"], "refused");
            assert!(end["failure"]["detail"].as_str().is_some_and(|text| text.contains(reason)), "{end}");
            assert!(end["amount"].is_null() && end["payout"].is_null(), "{end}");
        };
        refused("INVALID", "invalid");
        assert_eq!(admin.account_view(&account)["status"], "waiting");
        user.redeems(&ok(70));
        refused("USED", "used");
        let view = admin.account_view(&account);
        assert_eq!((&view["status"], &view["lock"]), (&json!("processing"), &Value::Null));
        assert_eq!((number(&view, "redeemed_total"), user.balance()), (70, 70));
        let before = ["waiting > locking: exchange_started", "locking > waiting: exchange_failed"];
        let after = ["processing > locking: exchange_started", "locking > processing: exchange_failed"];
        assert_eq!(server.story(&account), [before, FIRST_CARD, after].concat());
        assert_eq!(provider.ledger().len(), 3, "what is refused is not sent again");
        server.expect_clean_audit();
    });
}

#[test]
fn a_lock_tells_what_it_is_for_and_its_fence_grows_for_ever() {
    let provider = Scripted::start(|_| Answer::Held);
    let mut server = provider.setup().env("PURSER__PROVIDER__TIMEOUT_MS", "60000").start();
    let user = server.buyer(0);
    let account = server.admin().account(&server.admin().plan(10_000, 10_000));
    let mut fence = 0;
    for (turn, previous) in ["waiting", "processing", "processing"].into_iter().enumerate() {
        let id = user.handed_in(&ok(500));
        eventually("the card is sent", || (provider.held() == 1).then_some(()));
        let view = server.admin().account_view(&account);
        let lock = &view["lock"];
        assert_eq!(view["status"], "locking");
        assert_eq!((&lock["redemption_id"], &lock["previous_status"]), (&json!(id), &json!(previous)));
        assert!(lock["since"].is_string() && lock["deadline"].is_string(), "{lock}");
        assert!(number(lock, "fence") > fence, "turn {turn}: {lock} after {fence}");
        fence = number(lock, "fence");
        let waits = user.redemption(&id);
        assert_eq!((&waits["status"], &waits["account_id"]), (&json!("locking"), &json!(account)));
        expect_problem(&user.cancel_card(&id), 409, "invalid_state");
        provider.release(500);
        user.becomes(&id, "succeeded");
        server.kill9();
        server.restart();
    }
    let sent = &provider.asked()[0];
    assert_eq!(sent.headers["idempotency-key"], sent.redemption_id());
    assert_eq!((&sent.body["account"], &sent.body["country"]), (&json!(account), &json!("DE")));
}

#[test]
fn a_server_that_signs_with_another_secret_takes_no_card() {
    let provider = simulator(&[]);
    let server = provider.setup().env("PURSER__PROVIDER__SECRET", "something else altogether").start();
    let user = server.buyer(0);
    let account = server.admin().account(&server.admin().plan(10_000, 10_000));
    let id = user.handed_in(&ok(500));
    // That the provider knows nobody of that name says nothing definite of the card.
    user.becomes(&id, "in_doubt");
    assert!(provider.ledger().is_empty());
    assert_eq!(number(&server.admin().account_view(&account), "redeemed_total"), 0);
}

#[test]
fn a_card_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
    let provider = simulator(&[]);
    let server = provider.setup().start();
    let user = server.buyer(0);
    let wrong = [
        ("code", json!("")),
        ("code", json!(" - - ")),
        ("code", json!("9".repeat(50_000))),
        ("code", json!("ÄÖÜ-1234")),
        ("country", json!("")),
        ("country", json!("DEU")),
        ("face_value", json!(0)),
        ("face_value", json!(-1)),
        ("face_value", json!(9_007_199_254_740_992_u64)),
        ("colour", json!("red")),
    ];
    for (field, value) in wrong {
        let mut body = json!({"code": ok(500), "country": "DE"});
        body[field] = value;
        expect_invalid(&user.post("/redemptions", body), field);
    }
    for field in ["code", "country"] {
        let mut body = json!({"code": ok(500), "country": "DE"});
        body.as_object_mut().expect("an object").remove(field);
        expect_invalid(&user.post("/redemptions", body), field);
    }
    expect_problem(&server.guest().hand_in(&ok(500)), 401, "unauthenticated");
    assert!(user.list("/redemptions").is_empty());
}
