//! The tests' own tools, tested: books that always agree, or a provider that says what it likes, prove nothing.

use crate::calls::{Call, expect_no_blind_send, sends};
use crate::cards::ok;
use crate::ledger::{Attempt, Inquiry, at_most_in_a_second, one_at_a_time, taken_once};
use crate::rig::simulator;
use crate::scripted::{Answer, Asked, Scripted};
use crate::support::api::unique;
use crate::support::eventually;
use crate::support::http::{Http, Reply, Target};
use crate::support::simulator::Simulator;
use crate::support::store::on_each_store;
use crate::traces::{expect_none, left_behind, place_of, readable};
use serde_json::json;
use std::panic::catch_unwind;
use std::sync::Arc;
use uuid::Uuid;

/// Attempts on one card, each ended so, from one second to another.
fn attempts(of: &[(&str, u32, u32)]) -> Vec<Attempt> {
    let at = |second: &u32| format!("2030-01-01T00:00:{second:02}.000000Z");
    let attempt = |(status, from, to): &(&str, u32, u32)| {
        let attempt = json!({"redemption_id": "r", "account": "one", "code": "OK5X1", "country": "DE",
            "amount": (*status == "taken").then_some(5), "status": status, "started_at": at(from), "ended_at": at(to)});
        serde_json::from_value(attempt).expect("an attempt")
    };
    of.iter().map(attempt).collect()
}

/// What was answered to whoever asked about that card, at these seconds.
fn inquiries(of: &[(&str, u32)]) -> Vec<Inquiry> {
    let inquiry = |(answer, second): &(&str, u32)| {
        let at = format!("2030-01-01T00:00:{second:02}.000000Z");
        let inquiry = json!({"redemption_id": "r", "answer": answer, "answered_at": at});
        serde_json::from_value(inquiry).expect("an inquiry")
    };
    of.iter().map(inquiry).collect()
}

fn fails(check: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    catch_unwind(check).is_err()
}

#[test]
fn a_card_that_is_not_taken_or_taken_twice_or_sent_after_it_was_taken_is_noticed() {
    taken_once(&attempts(&[("dropped_before", 1, 2), ("taken", 3, 4)]), &inquiries(&[("unknown", 2)]), 5);
    let wrong: [&[(&str, u32, u32)]; 4] = [
        &[],
        &[("refused", 1, 2)],
        &[("taken", 1, 2), ("taken", 2, 4)],
        &[("taken", 1, 2), ("repeated", 3, 4)],
    ];
    for wrong in wrong {
        assert!(fails(|| taken_once(&attempts(wrong), &[], 5)), "{wrong:?} passed");
    }
    assert!(fails(|| taken_once(&attempts(&[("taken", 1, 2)]), &[], 6)), "any amount passed");
}

#[test]
fn a_send_that_no_answer_allowed_is_noticed() {
    let heard = |outcome: &str| Call::Heard(outcome.into());
    let story = [Call::Sent, heard("in_doubt"), heard("unknown"), Call::Sent, heard("not_taken"), Call::Sent];
    expect_no_blind_send(&story);
    assert_eq!(sends(&story), 3);
    for before in [Call::Sent, heard("in_doubt"), heard("taken"), heard("refused"), heard("no_answer")] {
        assert!(fails(|| expect_no_blind_send(&[before.clone(), Call::Sent])), "after {before:?}");
    }
}

#[test]
fn only_who_was_told_that_nobody_took_a_card_may_send_it_again() {
    let late = attempts(&[("taken", 5, 6), ("repeated", 7, 8)]);
    taken_once(&late, &inquiries(&[("unknown", 4)]), 5);
    for told in [&[("taken", 6)][..], &[("unknown", 4), ("taken", 6)], &[("refused", 6)]] {
        assert!(fails(|| taken_once(&late, &inquiries(told), 5)), "{told:?} passed");
    }
    let thrice = attempts(&[("taken", 5, 6), ("repeated", 7, 8), ("repeated", 8, 9)]);
    assert!(fails(|| taken_once(&thrice, &inquiries(&[("unknown", 4)]), 5)), "once too often passed");
    taken_once(&thrice, &inquiries(&[("unknown", 3), ("unknown", 4)]), 5);
}

#[test]
fn two_cards_at_once_on_one_account_are_noticed() {
    one_at_a_time(&attempts(&[("taken", 1, 2), ("refused", 2, 5), ("taken", 5, 6)]));
    assert!(fails(|| one_at_a_time(&attempts(&[("taken", 1, 4), ("taken", 3, 5)]))), "an overlap passed");
}

#[test]
fn more_attempts_in_a_second_than_allowed_are_noticed() {
    let three = attempts(&[("taken", 1, 9), ("taken", 1, 9), ("taken", 2, 9), ("taken", 2, 9)]);
    at_most_in_a_second(&three, 2);
    assert!(fails(move || at_most_in_a_second(&three, 1)), "two at once passed");
}

#[test]
fn the_simulators_ledger_is_read_in_order_and_one_that_is_killed_answers_no_more() {
    let provider = Simulator::start(&[]);
    let codes = ["INVALID1", "DROPA7X1", "OK5X1"];
    let ids = codes.map(|code| {
        let id = Uuid::now_v7();
        // The second is dropped.
        let _ = provider.exchange(id, code);
        id.to_string()
    });
    let read: Vec<_> = provider.attempts().into_iter().map(|one| (one.redemption_id, one.code)).collect();
    let sent: Vec<_> = ids.iter().cloned().zip(codes.map(str::to_owned)).collect();
    assert_eq!(read, sent);
    assert_eq!(provider.taken().iter().map(|one| one.amount).collect::<Vec<_>>(), [Some(7), Some(5)]);
    provider.expect_taken_once(&ids[2], 5);
    provider.expect_one_at_a_time();
    let address = provider.address();
    drop(provider);
    let after = Http::new(Arc::new(Target::new(address))).send("GET", "/ledger", &[], None);
    assert!(after.is_err(), "it still answers");
    let unsigned = simulator(&[]).exchange(Uuid::now_v7(), "OK5X1").expect("an answer");
    assert_eq!(unsigned.status, 401, "our servers must sign");
}

#[test]
fn the_scripted_provider_answers_holds_drops_and_goes_away_as_it_is_told() {
    const UNKNOWN: &str = "018f0000-0000-7000-8000-000000000001";
    let provider = Scripted::start(|asked| match asked.redemption_id().as_str() {
        "held" => Answer::Held,
        "dropped" => Answer::Nothing,
        "busy" => Answer::Status(503),
        UNKNOWN => Answer::Unknown,
        _ => Answer::Taken(7),
    });
    let http = || Http::new(Arc::new(Target::new(provider.address())));
    let send = |id: &str| {
        let body = json!({"redemption_id": id}).to_string();
        http().send("POST", "/exchange", &[], Some(body.as_bytes()))
    };
    let is_taken = |reply: Reply| reply.json() == json!({"status": "taken", "amount": 7});
    assert!(send("other").is_ok_and(is_taken));
    assert!(send("dropped").is_err());
    assert_eq!(send("busy").expect("an answer").status, 503);
    let status = http().send("GET", &format!("/exchange/{UNKNOWN}"), &[], None);
    assert_eq!(status.expect("an answer").json()["status"], "unknown");
    let sent: Vec<bool> = provider.asked().iter().map(Asked::is_exchange).collect();
    assert_eq!((sent, provider.exchanges().len()), (vec![true, true, true, false], 3));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| send("held"));
        eventually("it is held", || (provider.held() == 1).then_some(()));
        provider.release(7);
        assert!(late.join().expect("no panic").is_ok_and(is_taken));
        let never = scope.spawn(|| send("held"));
        eventually("it is held", || (provider.held() == 1).then_some(()));
        provider.vanish();
        assert!(never.join().expect("no panic").is_err());
    });
    eventually("nobody listens", || send("other").is_err().then_some(()));
    let again = Scripted::start_at(provider.address(), |_| Answer::Taken(7));
    assert!(send("other").is_ok_and(is_taken));
    assert_eq!(again.asked().len(), 1);
}

#[test]
fn what_a_server_writes_is_found_in_its_files_and_in_its_database() {
    on_each_store(|server| {
        let label = unique("Canary");
        let admin = server.admin();
        let account = json!({"label": label, "country": "DE", "plan_id": admin.plan(500, 10_000)});
        admin.post("/redemption/accounts", account).expect(201);
        server.drains();
        let folder = tempfile::tempdir().expect("a temporary directory");
        let left = left_behind(server, &folder.path().join("log"));
        let place = place_of(&left, &label).expect("the label is found");
        assert!(place.contains("journal"), "it is in {place}");
        assert!(fails(|| expect_none(&left, std::slice::from_ref(&label), "now")));
        expect_none(&left, &[ok(1)], "now");
        let tables = left.iter().filter(|(place, _)| place.starts_with("public.")).cloned().collect();
        let expected = server.database_url().map(|_| "public.accounts");
        assert_eq!(place_of(&tables, &label), expected);
        let bytes = vec![("bytes".to_owned(), readable(b"\\x4\0F4b".to_vec()))];
        assert_eq!((place_of(&bytes, "ok"), place_of(&bytes, "no")), (Some("bytes"), None), "hexadecimal");
    });
}
