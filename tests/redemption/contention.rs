//! Many at once: one exchange at a time on each account, and one redemption of each card.

use crate::cards::{batch_id, ok};
use crate::rig::{on_each_store, on_each_store_slowly, simulator};
use crate::sentences::{id_of, number};
use crate::support::expect::expect_problem;
use crate::support::http::Reply;
use crate::support::{all_at_once, race, setting};
use serde_json::json;
use std::collections::BTreeSet;

fn rounds() -> usize {
    setting("PURSER_RACE_ROUNDS", 25)
}

/// A hundred cards handed in at once are all exchanged, and no account had two of them at a time.
fn a_hundred_at_once_on(accounts: usize) {
    on_each_store_slowly(20, |server, provider| {
        let admin = server.admin();
        let plan = admin.plan(1_000_000, 10_000);
        let accounts: Vec<_> = (0..accounts).map(|_| admin.account(&plan)).collect();
        let users: Vec<_> = (0..4).map(|_| server.buyer(0)).collect();
        let ids = all_at_once(100, |turn| users[turn % 4].handed_in(&ok(10)));
        for (turn, id) in ids.iter().enumerate() {
            users[turn % 4].becomes(id, "succeeded");
            provider.expect_taken_once(id, 10);
        }
        let attempts = provider.attempts();
        assert_eq!(attempts.len(), 100, "sent more than once");
        provider.expect_one_at_a_time();
        let used: BTreeSet<_> = attempts.iter().map(|attempt| &attempt.account).collect();
        assert_eq!(used.len(), accounts.len(), "accounts stood idle");
        let mut total = 0;
        for account in &accounts {
            let view = admin.account_view(account);
            assert!(view["lock"].is_null(), "{view}");
            total += number(&view, "balance");
        }
        assert_eq!(total, 1_000);
        assert!(users.iter().all(|user| user.balance() == 250));
        server.expect_clean_audit();
    });
}

#[test]
fn a_hundred_cards_at_once_on_one_account_are_exchanged_strictly_one_after_the_other() {
    a_hundred_at_once_on(1);
}

#[test]
fn a_hundred_cards_at_once_on_seven_accounts_use_them_all_and_none_twice_at_a_time() {
    a_hundred_at_once_on(7);
}

/// Of two requests with the same card one is accepted. Whether it is the first.
#[track_caller]
fn expect_one_accepted(first: &Reply, second: &Reply) -> bool {
    let is_first = first.status == 202;
    let (accepted, refused) = if is_first { (first, second) } else { (second, first) };
    accepted.expect(202);
    expect_problem(refused, 409, "code_already_used");
    is_first
}

#[test]
fn of_two_users_with_the_same_card_at_once_one_redeems_it() {
    on_each_store(|server, provider| {
        let (admin, user, other) = (server.admin(), server.buyer(0), server.buyer(0));
        admin.account(&admin.plan(1_000_000, 10_000));
        for _ in 0..rounds() {
            let code = ok(10);
            let (first, second) = race(|| user.hand_in(&code), || other.hand_in(&code.to_lowercase()));
            let (owner, reply) =
                if expect_one_accepted(&first, &second) { (&user, first) } else { (&other, second) };
            owner.becomes(&id_of(&reply.json()), "succeeded");
        }
        assert_eq!(provider.ledger().len(), rounds());
        assert_eq!(user.balance() + other.balance(), 10 * rounds() as u64);
        server.expect_clean_audit();
    });
}

#[test]
fn of_two_requests_of_one_user_with_the_same_card_at_once_one_is_accepted() {
    on_each_store(|server, _| {
        let user = server.buyer(0);
        for _ in 0..rounds() {
            let code = ok(10);
            let (first, second) = race(|| user.hand_in(&code), || user.hand_in(&code));
            expect_one_accepted(&first, &second);
        }
        assert_eq!(user.list("/redemptions").len(), rounds());
        server.expect_clean_audit();
    });
}

#[test]
fn two_requests_under_one_key_at_once_are_one_redemption_and_told_alike() {
    on_each_store(|server, _| {
        let user = server.buyer(0);
        for round in 0..rounds() {
            let (key, body) = (format!("round-{round}"), json!({"code": ok(10), "country": "DE"}));
            let hand_in = || user.post_keyed(&key, "/redemptions", &body);
            let (first, second) = race(hand_in, hand_in);
            assert_eq!(first.expect(202), second.expect(202));
        }
        assert_eq!(user.list("/redemptions").len(), rounds());
        server.expect_clean_audit();
    });
}

#[test]
fn a_card_alone_and_in_a_batch_at_once_is_redeemed_in_one_of_them() {
    on_each_store(|server, provider| {
        let (admin, user, other) = (server.admin(), server.buyer(0), server.buyer(0));
        admin.account(&admin.plan(1_000_000, 10_000));
        for _ in 0..rounds() {
            // One card of its own, so that the batch is not empty.
            let (code, own) = (ok(10), ok(10));
            let both = [own, code.clone()];
            let (alone, batch) = race(|| user.hand_in(&code), || other.hand_in_all(&both));
            let batch = batch.expect(202);
            if alone.status == 202 {
                assert_eq!(batch["rejected"], json!([{"index": 1, "code": "code_already_used"}]));
                user.becomes(&id_of(&alone.json()), "succeeded");
            } else {
                expect_problem(&alone, 409, "code_already_used");
                assert_eq!(batch["total"], 2);
            }
            other.batch_ends(batch_id(&batch));
        }
        assert_eq!(provider.ledger().len(), 2 * rounds());
        assert_eq!(user.balance() + other.balance(), 20 * rounds() as u64);
        server.expect_clean_audit();
    });
}

#[test]
fn each_card_of_two_batches_at_once_is_redeemed_in_one_of_them() {
    on_each_store(|server, provider| {
        let (admin, user, other) = (server.admin(), server.buyer(0), server.buyer(0));
        let plan = admin.plan(1_000_000, 10_000);
        (0..3).for_each(|_| drop(admin.account(&plan)));
        for _ in 0..5 {
            let before = provider.ledger().len();
            let shared: Vec<_> = (0..50).map(|_| ok(10)).collect();
            // One card of its own each, so that no batch is empty.
            let forwards: Vec<_> = shared.iter().cloned().chain([ok(10)]).collect();
            let backwards: Vec<_> = shared.into_iter().rev().chain([ok(10)]).collect();
            let (first, second) = race(|| user.hand_in_all(&forwards), || other.hand_in_all(&backwards));
            let mut accepted = 0;
            for (owner, reply) in [(&user, &first), (&other, &second)] {
                let told = reply.expect(202);
                let rejected = told["rejected"].as_array().map_or(0, Vec::len) as u64;
                assert_eq!(number(&told, "total") + rejected, 51, "{told}");
                accepted += number(&told, "total");
                assert_eq!(owner.batch_ends(batch_id(&told))["succeeded"], told["total"]);
            }
            assert_eq!(accepted, 52, "{} {}", first.text(), second.text());
            assert_eq!(provider.ledger().len(), before + 52);
        }
        let codes: BTreeSet<_> = provider.taken().into_iter().map(|attempt| attempt.code).collect();
        assert_eq!(codes.len(), 260);
        assert_eq!(user.balance() + other.balance(), 2_600);
        server.expect_clean_audit();
    });
}

#[test]
fn a_card_that_is_cancelled_while_it_is_sent_is_either_cancelled_or_exchanged() {
    let provider = simulator(&[]);
    let server = provider.setup().start();
    let (admin, user) = (server.admin(), server.buyer(0));
    let account = admin.account(&admin.plan(1_000_000, 10_000));
    let mut exchanged = BTreeSet::new();
    for _ in 0..rounds() {
        admin.account_step(&account, "logout").expect(200);
        let id = user.handed_in(&ok(10));
        let (cancelled, _) = race(|| user.cancel_card(&id), || admin.account_step(&account, "login"));
        if cancelled.status == 200 {
            user.becomes(&id, "cancelled");
        } else {
            expect_problem(&cancelled, 409, "invalid_state");
            user.becomes(&id, "succeeded");
            exchanged.insert(id);
        }
    }
    let sent: BTreeSet<_> = provider.attempts().into_iter().map(|attempt| attempt.redemption_id).collect();
    assert_eq!(sent, exchanged);
    assert_eq!(user.balance(), 10 * exchanged.len() as u64);
    server.expect_clean_audit();
}
