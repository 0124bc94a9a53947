//! Card codes: one use in the whole system, and when a card may be handed in again.

use crate::cards::{card, ok};
use crate::rig::{on_each_store, simulator};
use crate::sentences::id_of;
use crate::support::expect::expect_problem;
use crate::support::http::Reply;
use serde_json::json;

/// The ways in which a code can be written.
fn writings(code: &str) -> Vec<String> {
    let grouped = |by: &str| {
        let groups: Vec<_> = code.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        groups.join(by)
    };
    vec![code.to_owned(), code.to_lowercase(), grouped("-"), grouped(" "), format!(" {} ", grouped(" - "))]
}

#[track_caller]
fn expect_used(reply: &Reply, code: &str) {
    expect_problem(reply, 409, "code_already_used");
    assert!(!reply.text().to_uppercase().contains(code), "the answer tells the code: {}", reply.text());
}

#[test]
fn a_card_in_use_or_taken_is_refused_to_everybody_however_it_is_written() {
    on_each_store(|server, provider| {
        let (user, other) = (server.buyer(0), server.buyer(0));
        let code = ok(500);
        let id = user.handed_in(&writings(&code)[2]);
        for _ in 0..2 {
            for writing in writings(&code) {
                expect_used(&user.hand_in(&writing), &code);
                expect_used(&other.hand_in(&writing), &code);
            }
            server.kill9();
            server.restart();
        }
        server.admin().account(&server.admin().plan(10_000, 10_000));
        user.becomes(&id, "succeeded");
        for _ in 0..2 {
            for writing in writings(&code) {
                expect_used(&other.hand_in(&writing), &code);
            }
            server.kill9();
            server.restart();
        }
        provider.expect_taken_once(&id, 500);
        assert_eq!(provider.attempts()[0].code, code, "the provider is sent the normalised code");
        assert_eq!((user.balance(), other.balance()), (500, 0));
        server.expect_clean_audit();
    });
}

#[test]
fn a_card_that_was_not_taken_may_be_handed_in_again_by_anybody() {
    on_each_store(|server, provider| {
        let (user, other) = (server.buyer(0), server.buyer(0));
        server.admin().account(&server.admin().plan(10_000, 10_000));
        for rule in ["INVALID", "USED"] {
            let code = card(rule);
            let first = user.fails_with(&code);
            server.kill9();
            server.restart();
            let second = other.fails_with(&code.to_lowercase());
            assert_ne!(id_of(&first), id_of(&second));
            assert_eq!(user.redemption(&id_of(&first)), first);
            let sent = provider.attempts().iter().filter(|attempt| attempt.code == code).count();
            assert_eq!(sent, 2, "{:?}", provider.attempts());
        }
        server.expect_clean_audit();
    });
}

#[test]
fn a_queued_card_can_be_cancelled_and_its_code_is_free_again() {
    on_each_store(|server, provider| {
        let (user, other) = (server.buyer(0), server.buyer(0));
        let code = ok(500);
        let id = user.handed_in(&code);
        let cancelled = user.cancel_card(&id);
        assert!(cancelled.seq() > 0);
        let cancelled = cancelled.expect(200);
        assert_eq!((&cancelled["id"], &cancelled["status"]), (&json!(id), &json!("cancelled")));
        for _ in 0..2 {
            assert_eq!(user.redemption(&id), cancelled);
            assert_eq!(user.cancel_card(&id).expect(200), cancelled, "it is done already");
            server.kill9();
            server.restart();
        }
        let again = other.handed_in(&code);
        server.admin().account(&server.admin().plan(10_000, 10_000));
        other.becomes(&again, "succeeded");
        assert_eq!(provider.ledger().len(), 1);
        assert_eq!((user.balance(), other.balance()), (0, 500));
        assert_eq!(user.cancel_card(&id).expect(200), cancelled, "whoever has the card now");
        expect_used(&user.hand_in(&code), &code);
        server.expect_clean_audit();
    });
}

#[test]
fn a_card_that_has_ended_cannot_be_cancelled() {
    on_each_store(|server, _| {
        let user = server.buyer(0);
        server.admin().account(&server.admin().plan(10_000, 10_000));
        for end in [user.redeems(&ok(500)), user.fails_with(&card("INVALID"))] {
            expect_problem(&user.cancel_card(&id_of(&end)), 409, "invalid_state");
            assert_eq!(user.redemption(&id_of(&end)), end);
        }
        assert_eq!(user.balance(), 500);
        server.expect_clean_audit();
    });
}

#[test]
fn a_retry_under_a_key_is_answered_as_the_first_and_a_refusal_never_flips() {
    on_each_store(|server, _| {
        let (user, other) = (server.buyer(0), server.buyer(0));
        let (code, wrong) = (ok(500), card("INVALID"));
        let hand_in = |key: &str, code: &str| {
            user.post_keyed(key, "/redemptions", &json!({"code": code, "country": "DE"}))
        };
        let first = hand_in("one", &code).expect(202);
        let lost = other.handed_in(&wrong);
        expect_used(&hand_in("two", &wrong), &wrong);
        server.kill9();
        server.restart();
        server.admin().account(&server.admin().plan(10_000, 10_000));
        user.becomes(&id_of(&first), "succeeded");
        other.becomes(&lost, "failed");
        let again = hand_in("one", &code);
        assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
        assert_eq!(again.expect(202), first);
        let refused = hand_in("two", &wrong);
        assert_eq!(refused.header("Idempotency-Replayed"), Some("true"));
        expect_used(&refused, &wrong);
        expect_problem(&hand_in("one", &ok(500)), 422, "idempotency_key_reused");
        assert_eq!((user.balance(), user.list("/redemptions").len()), (500, 1));
    });
}

#[test]
fn a_cancel_under_a_key_is_answered_as_the_first() {
    let provider = simulator(&[]);
    let mut server = provider.setup().start();
    let user = server.buyer(0);
    let cancel = format!("/redemptions/{}/cancel", user.handed_in(&ok(500)));
    let first = user.post_keyed("cancel", &cancel, &json!({})).expect(200);
    for _ in 0..2 {
        let again = user.post_keyed("cancel", &cancel, &json!({}));
        assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
        assert_eq!(again.expect(200), first);
        server.kill9();
        server.restart();
    }
}
