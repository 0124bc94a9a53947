//! Which account a card goes to.

use crate::cards::{card, ok};
use crate::rig::on_each_store;
use crate::scripted::{Answer, Scripted};
use crate::sentences::{id_of, number};
use crate::support::api::Actor;
use crate::support::eventually;
use crate::support::expect::expect_problem;
use serde_json::json;

/// Hands in a card of this country, perhaps worth so much. The redemption's id.
#[track_caller]
fn handed_in(user: &Actor, country: &str, face_value: Option<u64>) -> String {
    let code = ok(face_value.unwrap_or(100));
    let mut body = json!({"code": code, "country": country});
    if let Some(face_value) = face_value {
        body["face_value"] = json!(face_value);
    }
    id_of(&user.post("/redemptions", body).expect(202))
}

#[test]
fn a_card_waits_until_there_is_an_account_for_its_country() {
    on_each_store(|server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let plan = admin.plan(10_000, 10_000);
        let french = admin.account_in("FR", &plan);
        let id = handed_in(&user, "de", None);
        // The only account is free, and remains so, and is chosen for who comes later.
        let later = handed_in(&user, "FR", None);
        assert_eq!(user.becomes(&later, "succeeded")["account_id"], french);
        assert_eq!(user.redemption(&id)["status"], "queued");
        server.kill9();
        server.restart();
        assert_eq!(user.redemption(&id)["status"], "queued");
        let german = server.admin().account(&plan);
        assert_eq!(user.becomes(&id, "succeeded")["account_id"], german);
        let countries: Vec<_> =
            provider.attempts().into_iter().map(|one| (one.account, one.country)).collect();
        assert_eq!(countries, [(french, "FR".to_owned()), (german, "DE".to_owned())]);
        server.expect_clean_audit();
    });
}

#[test]
fn an_account_in_use_comes_before_one_that_waits_and_the_tightest_that_fits_before_all() {
    on_each_store(|server, _| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let account = |target| admin.account(&admin.plan(target, 10_000));
        let (large, small, middle) = (account(5_000), account(500), account(1_000));
        // Left before each card: large, small, middle.
        let cards = [
            (700, &middle), // 5000 500 1000: only it fits so tightly
            (400, &small),  // 5000 500  300: the one in use has too little left
            (200, &middle), // 5000 100  300
            (100, &small),  // 5000 100  100: least recently used, and filled
            (100, &middle), // 5000   -  100
            (100, &large),  // all others are completed
        ];
        for (face_value, expected) in cards {
            let id = handed_in(&user, "DE", Some(face_value));
            let end = user.becomes(&id, "succeeded");
            assert_eq!(&end["account_id"], expected, "a card of {face_value}");
            assert_eq!(number(&end, "face_value"), face_value);
        }
        for filled in [&small, &middle] {
            assert_eq!(admin.account_view(filled)["status"], "completed");
        }
        server.expect_clean_audit();
    });
}

#[test]
fn accounts_that_are_alike_take_turns_and_remember_them_over_a_restart() {
    on_each_store(|server, _| {
        let user = server.buyer(0);
        let plan = server.admin().plan(10_000, 10_000);
        let accounts: Vec<_> = (0..3).map(|_| server.admin().account(&plan)).collect();
        // A refused card leaves everything as it was but the time of the last use.
        let turns = |count: usize| -> Vec<String> {
            let chosen = |_| user.fails_with(&card("INVALID"))["account_id"].clone();
            (0..count).map(chosen).map(|id| id.as_str().expect("an account").to_owned()).collect()
        };
        let first = turns(3);
        assert!(accounts.iter().all(|account| first.contains(account)), "{first:?} of {accounts:?}");
        assert_eq!(turns(4), [&first[..], &first[..1]].concat());
        // In the middle of a round, so that beginning anew shows.
        server.kill9();
        server.restart();
        assert_eq!(turns(3), [&first[1..], &first[..1]].concat());
        assert_eq!(server.sigterm(), Some(0));
        server.restart();
        assert_eq!(turns(2), first[1..]);
    });
}

#[test]
fn a_logged_out_account_is_not_chosen_until_it_is_logged_in() {
    on_each_store(|server, _| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let plan = admin.plan(10_000, 10_000);
        let account = admin.account(&plan);
        admin.account_step(&account, "logout").expect(200);
        let first = user.handed_in(&ok(100));
        let other = admin.account(&plan);
        assert_eq!(user.becomes(&first, "succeeded")["account_id"], other);
        admin.account_step(&other, "logout").expect(200);
        let second = user.handed_in(&ok(100));
        admin.account_step(&account, "login").expect(200);
        assert_eq!(user.becomes(&second, "succeeded")["account_id"], account);
        server.expect_clean_audit();
    });
}

#[test]
fn an_account_that_is_logged_out_in_the_middle_finishes_its_exchange_first() {
    let provider = Scripted::start(|_| Answer::Held);
    let server = provider.setup().env("PURSER__PROVIDER__TIMEOUT_MS", "60000").start();
    let (admin, user) = (server.admin(), server.buyer(0));
    let plan = admin.plan(10_000, 10_000);
    let account = admin.account(&plan);
    let first = user.handed_in(&ok(100));
    eventually("the card is sent", || (provider.held() == 1).then_some(()));
    expect_problem(&admin.account_step(&account, "complete"), 409, "invalid_state");
    let logged_out = admin.account_step(&account, "logout").expect(200);
    assert_eq!((&logged_out["login_status"], &logged_out["status"]), (&json!("inactive"), &json!("locking")));
    provider.release(100);
    assert_eq!(user.becomes(&first, "succeeded")["account_id"], account);
    let second = user.handed_in(&ok(100));
    let other = admin.account(&plan);
    eventually("the card is sent", || (provider.held() == 1).then_some(()));
    provider.release(100);
    assert_eq!(user.becomes(&second, "succeeded")["account_id"], other);
    assert_eq!(number(&admin.account_view(&account), "redeemed_total"), 100);
    server.expect_clean_audit();
}

#[test]
fn an_account_that_an_operator_completes_takes_no_more_cards() {
    on_each_store(|server, _| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let plan = admin.plan(1_000, 10_000);
        let id = admin.account(&plan);
        user.redeems(&ok(300));
        let view = admin.account_step(&id, "complete").expect(200);
        assert_eq!((&view["status"], number(&view, "redeemed_total")), (&json!("completed"), 300));
        let waits = user.handed_in(&ok(100));
        server.kill9();
        server.restart();
        let other = server.admin().account(&plan);
        assert_eq!(user.becomes(&waits, "succeeded")["account_id"], other);
        assert_eq!(server.admin().account_view(&id), view);
        server.expect_clean_audit();
    });
}

#[test]
fn cards_wait_in_the_order_in_which_they_came() {
    on_each_store(|server, provider| {
        let users: Vec<_> = (0..3).map(|_| server.buyer(0)).collect();
        let codes: Vec<_> = (1..=9).map(ok).collect();
        let ids: Vec<_> =
            codes.iter().zip(users.iter().cycle()).map(|(code, user)| user.handed_in(code)).collect();
        server.kill9();
        server.restart();
        server.admin().account(&server.admin().plan(10_000, 10_000));
        for (id, user) in ids.iter().zip(users.iter().cycle()) {
            user.becomes(id, "succeeded");
        }
        let sent: Vec<_> = provider.attempts().into_iter().map(|attempt| attempt.code).collect();
        assert_eq!(sent, codes);
        provider.expect_one_at_a_time();
    });
}
