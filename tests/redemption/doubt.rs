//! Cards of which the server cannot know what the provider did: they settle by themselves, and never twice.

use crate::cards::{card, has_ended, ok};
use crate::rig::on_each_impatient_server;
use crate::scripted::{Answer, Asked, Scripted};
use crate::sentences::{id_of, number};
use crate::support::eventually;
use crate::support::server::Server;
use crate::support::store::{Store, stores};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A card of this kind, worth 500, ends as if nothing had happened, but for how often it was sent.
fn settles_by_itself(rule: &str, attempts: u64) {
    on_each_impatient_server(|server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let account = admin.account(&admin.plan(10_000, 5_000));
        let end = user.redeems(&card(rule));
        let id = id_of(&end);
        assert_eq!((number(&end, "amount"), number(&end, "payout")), (500, 250));
        assert_eq!((number(&end, "attempts"), &end["failure"]), (attempts, &Value::Null));
        // Whatever the provider still says must change nothing.
        user.redeems(&ok(100));
        provider.expect_taken_once(&id, 500);
        provider.expect_one_at_a_time();
        for _ in 0..2 {
            assert_eq!((user.redemption(&id), user.balance()), (end.clone(), 300));
            assert_eq!(user.entries().len(), 2);
            let view = server.admin().account_view(&account);
            assert_eq!((number(&view, "balance"), &view["lock"]), (600, &Value::Null));
            server.kill9();
            server.restart();
        }
        provider.expect_taken_once(&id, 500);
        server.expect_clean_audit();
    });
}

#[test]
fn a_connection_that_breaks_before_the_card_is_taken_costs_nothing() {
    settles_by_itself("DROPB500", 2);
}

#[test]
fn a_connection_that_breaks_after_the_card_is_taken_loses_nothing() {
    settles_by_itself("DROPA500", 1);
}

#[test]
fn an_error_of_the_provider_is_no_answer_and_the_card_is_sent_under_the_same_id() {
    settles_by_itself("E500500", 2);
}

#[test]
fn a_provider_that_has_too_much_to_do_is_asked_again() {
    settles_by_itself("R429500", 2);
}

#[test]
fn a_provider_that_answers_twice_pays_once() {
    settles_by_itself("TWICE500", 1);
}

#[test]
fn an_answer_in_time_is_simply_awaited() {
    settles_by_itself("SLOW100X500", 1);
}

#[test]
fn an_answer_after_the_time_out_is_asked_for() {
    on_each_impatient_server(|server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let account = admin.account(&admin.plan(10_000, 10_000));
        let id = user.handed_in(&card("SLOW4000X500"));
        user.becomes(&id, "in_doubt");
        let doubt = [r#""level":"ERROR""#, "a card is in doubt", &id, &account, r#""fence":1"#];
        assert!(server.logs_once(&doubt).contains("no answer within 500ms"));
        assert_eq!(user.balance(), 0);
        let end = user.becomes(&id, "succeeded");
        assert_eq!((number(&end, "amount"), number(&end, "attempts")), (500, 1));
        provider.expect_taken_once(&id, 500);
        assert_eq!((user.balance(), user.entries().len()), (500, 1));
        let story = [
            "waiting > locking: exchange_started",
            "locking > locking: in_doubt",
            "locking > processing: exchange_succeeded",
        ];
        assert_eq!(server.story(&account), story);
        server.expect_clean_audit();
    });
}

/// A card that is at the provider when the server ends is asked for, and not sent again.
fn is_asked_for_after(end: impl Fn(&mut Server), store: Store) {
    eprintln!("on {}", store.name);
    let provider =
        Scripted::start(|asked| if asked.is_exchange() { Answer::Held } else { Answer::Taken(500) });
    let mut server = provider.setup().store(store).env("PURSER__PROVIDER__TIMEOUT_MS", "120000").start();
    let user = server.buyer(0);
    server.admin().account(&server.admin().plan(10_000, 10_000));
    let id = user.handed_in(&ok(500));
    eventually("the card is sent", || (provider.held() == 1).then_some(()));
    end(&mut server);
    server.restart();
    assert_eq!(number(&user.becomes(&id, "succeeded"), "amount"), 500);
    assert_eq!(provider.exchanges().len(), 1, "{:?}", provider.asked());
    assert_eq!(user.balance(), 500);
    server.expect_clean_audit();
}

#[test]
fn a_card_that_a_crash_caught_at_the_provider_is_asked_for_and_not_sent_again() {
    for store in stores() {
        is_asked_for_after(Server::kill9, store);
    }
}

#[test]
fn a_clean_stop_does_not_wait_for_a_provider_that_says_nothing() {
    // Takes its time, whatever the store.
    is_asked_for_after(|server| assert_eq!(server.sigterm(), Some(0)), Store::embedded());
}

#[test]
fn what_the_provider_has_never_seen_is_sent_again_under_the_same_id() {
    for store in stores() {
        eprintln!("on {}", store.name);
        let exchanges = AtomicUsize::new(0);
        let is_first = move || exchanges.fetch_add(1, Ordering::Relaxed) == 0;
        let provider = Scripted::start(move |asked| match asked.is_exchange().then(&is_first) {
            Some(true) => Answer::Nothing,
            Some(false) => Answer::Taken(500),
            None => Answer::Unknown,
        });
        let server = provider.setup().store(store).env("PURSER__PROVIDER__TIMEOUT_MS", "500").start();
        let user = server.buyer(0);
        server.admin().account(&server.admin().plan(10_000, 10_000));
        let end = user.redeems(&ok(500));
        assert_eq!(number(&end, "attempts"), 2);
        let asked = provider.asked();
        let are_sent: Vec<_> = asked.iter().map(Asked::is_exchange).collect();
        assert_eq!(are_sent[..2], [true, false], "sent blindly: {asked:?}");
        assert!(asked.iter().all(|asked| asked.redemption_id() == id_of(&end)), "{asked:?}");
        let sent = provider.exchanges();
        let [first, second] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(first.body, second.body);
        assert_eq!(first.headers["idempotency-key"], second.headers["idempotency-key"]);
        assert_eq!(user.balance(), 500);
        server.expect_clean_audit();
    }
}

#[test]
fn cards_of_every_kind_at_once_are_all_exchanged_once() {
    on_each_impatient_server(|server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let plan = admin.plan(1_000_000, 10_000);
        let accounts: Vec<_> = (0..5).map(|_| admin.account(&plan)).collect();
        let rules = ["DROPB500", "DROPA500", "E500500", "R429500", "TWICE500", "SLOW1000X500", "OK500"];
        let ids: Vec<_> = rules.iter().chain(&rules).map(|rule| user.handed_in(&card(rule))).collect();
        for id in &ids {
            let end = eventually("the card is exchanged", || {
                let seen = user.redemption(id);
                has_ended(&seen).then_some(seen)
            });
            assert_eq!(end["status"], "succeeded", "{end}");
            provider.expect_taken_once(id, 500);
        }
        assert_eq!(provider.taken().len(), ids.len());
        provider.expect_one_at_a_time();
        assert_eq!(user.balance(), 500 * ids.len() as u64);
        let on_accounts: u64 =
            accounts.iter().map(|account| number(&admin.account_view(account), "balance")).sum();
        assert_eq!(on_accounts, 500 * ids.len() as u64);
        server.expect_clean_audit();
    });
}
