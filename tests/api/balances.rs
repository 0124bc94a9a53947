//! Balances, their entries, and transfers between them.

use crate::support::all_at_once;
use crate::support::api::{LARGEST, LARGEST_CREDIT, User};
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::server::Server;
use serde_json::{Value, json};

/// The entries explain the balance: versions 1, 2, 3 …, running totals, positions in journal order.
#[track_caller]
fn expect_sound_entries(user: &User) {
    let entries = user.entries();
    let (mut total, mut seq) = (0, 0);
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry["version"], index + 1, "a gap: {entry}");
        total += entry["delta"].as_i64().expect("a delta");
        assert_eq!(entry["balance_after"], total, "{entry}");
        let next = entry["seq"].as_u64().expect("a seq");
        assert!(next > seq, "out of journal order: {entry} after {seq}");
        seq = next;
        assert!(entry["created_at"].is_string(), "{entry}");
    }
    let balance = user.get("/balance").expect(200);
    assert_eq!((&balance["amount"], &balance["version"]), (&json!(total), &json!(entries.len())));
    assert_eq!(balance["user_id"], user.id);
}

#[test]
fn a_new_balance_is_empty_and_at_version_zero() {
    let server = Server::start();
    let user = server.buyer(0);
    let balance = json!({"user_id": user.id, "amount": 0, "version": 0});
    for (field, value) in balance.as_object().expect("an object") {
        assert_eq!(&user.get("/balance").expect(200)[field], value, "{field}");
    }
    assert!(user.entries().is_empty());
}

#[test]
fn increments_and_decrements_answer_with_their_entry() {
    let server = Server::start();
    let (admin, user) = (server.admin(), server.buyer(0));
    let path = |step: &str| format!("/users/{}/balance/{step}", user.id);
    let body = json!({"amount": 500, "reference": "INV-7", "description": "top-up"});
    let up = admin.post(&path("increment"), body);
    let answer = up.expect(200);
    assert_eq!(
        (&answer["user_id"], &answer["amount"], &answer["version"]),
        (&json!(user.id), &json!(500), &json!(1))
    );
    let entry = json!({
        "version": 1, "seq": up.seq(), "delta": 500, "balance_after": 500, "kind": "increment",
        "reference": "INV-7", "description": "top-up",
    });
    for (field, value) in entry.as_object().expect("an object") {
        assert_eq!(&answer["entry"][field], value, "{field}");
    }
    let down = admin.debit(user.id, 200).expect(200);
    assert_eq!((&down["amount"], &down["version"]), (&json!(300), &json!(2)));
    assert_eq!((&down["entry"]["kind"], &down["entry"]["delta"]), (&json!("decrement"), &json!(-200)));
    let of_admin = admin.get(&format!("/users/{}/balance", user.id)).expect(200);
    assert_eq!(of_admin, user.get("/balance").expect(200));
    assert_eq!(admin.list(&format!("/users/{}/balance/entries", user.id)).len(), 2);
    expect_sound_entries(&user);
}

#[test]
fn a_decrement_below_zero_changes_nothing() {
    let server = Server::start();
    let (admin, user) = (server.admin(), server.buyer(30));
    let refused = expect_problem(&admin.debit(user.id, 31), 409, "insufficient_balance");
    assert_eq!(refused["available"], 30);
    admin.debit(user.id, 30).expect(200);
    expect_problem(&admin.debit(user.id, 1), 409, "insufficient_balance");
    expect_sound_entries(&user);
}

#[test]
fn an_amount_is_between_one_and_ten_to_the_fifteenth() {
    let server = Server::start();
    let (admin, user, other) = (server.admin(), server.buyer(10), server.buyer(0));
    for amount in [json!(0), json!(-5), json!(LARGEST_CREDIT + 1), json!(LARGEST)] {
        let body = json!({"amount": amount});
        for step in ["increment", "decrement"] {
            expect_invalid(
                &admin.post(&format!("/users/{}/balance/{step}", user.id), body.clone()),
                "amount",
            );
        }
    }
    for amount in [json!(0), json!(-5)] {
        expect_invalid(&user.post("/transfers", json!({"to_user_id": other.id, "amount": amount})), "amount");
    }
    expect_problem(&admin.credit(999_999, 1), 404, "not_found");
    expect_problem(&admin.get("/users/999999/balance"), 404, "not_found");
    assert_eq!((user.balance(), other.balance()), (10, 0));
}

#[test]
fn no_balance_passes_its_limit() {
    let server = Server::start();
    let (admin, rich, giver) = (server.admin(), server.buyer(0), server.buyer(LARGEST_CREDIT));
    for _ in 0..9 {
        admin.credit(rich.id, LARGEST_CREDIT).expect(200);
    }
    expect_problem(&admin.credit(rich.id, LARGEST_CREDIT), 409, "balance_limit");
    expect_problem(&giver.transfer(rich.id, LARGEST_CREDIT), 409, "balance_limit");
    assert_eq!((rich.balance(), giver.balance()), (9 * LARGEST_CREDIT, LARGEST_CREDIT));
    admin.credit(rich.id, LARGEST - 9 * LARGEST_CREDIT).expect(200);
    expect_problem(&admin.credit(rich.id, 1), 409, "balance_limit");
    assert_eq!(rich.balance(), LARGEST);
    server.expect_clean_audit();
}

#[test]
fn a_transfer_moves_money_between_two_balances() {
    let server = Server::start();
    let (ann, bob) = (server.buyer(100), server.buyer(0));
    let body = json!({"to_user_id": bob.id, "amount": 60, "description": "rent"});
    let answer = ann.post("/transfers", body).expect(201);
    assert!(answer["id"].is_string(), "{answer}");
    assert_eq!((&answer["amount"], &answer["balance"]), (&json!(60), &json!(40)));
    assert_eq!((ann.balance(), bob.balance()), (40, 60));
    let last = |user: &User| user.entries().pop().expect("an entry");
    assert_eq!((&last(&ann)["kind"], &last(&ann)["delta"]), (&json!("transfer_out"), &json!(-60)));
    assert_eq!((&last(&bob)["kind"], &last(&bob)["delta"]), (&json!("transfer_in"), &json!(60)));
    assert_eq!(last(&ann)["seq"], last(&bob)["seq"], "one record moves both");
    let refused = expect_problem(&ann.transfer(bob.id, 41), 409, "insufficient_balance");
    assert_eq!(refused["available"], 40);
    expect_sound_entries(&ann);
    expect_sound_entries(&bob);
    server.expect_clean_audit();
}

#[test]
fn a_transfer_to_oneself_or_to_nobody_is_refused() {
    let server = Server::start();
    let ann = server.buyer(100);
    expect_problem(&ann.transfer(ann.id, 10), 422, "validation_failed");
    expect_problem(&ann.transfer(999_999, 10), 404, "not_found");
    expect_problem(&server.guest().transfer(ann.id, 10), 401, "unauthenticated");
    assert_eq!(ann.balance(), 100);
}

#[test]
fn n_plus_one_spenders_on_a_balance_for_n_leave_one_refused() {
    let server = Server::start();
    let buyer = server.buyer(90);
    let item = server.admin().item("Lamp", 10, 100);
    let replies = all_at_once(10, |_| buyer.buy(item, 1));
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status != 201).collect();
    assert_eq!(refused.len(), 1);
    expect_problem(refused[0], 409, "insufficient_balance");
    assert_eq!((buyer.balance(), server.stock(item)), (0, 91));
    expect_sound_entries(&buyer);
}

#[test]
fn entries_stay_gapless_under_many_writers() {
    let server = Server::start();
    let (admin, ann, bob) = (server.admin(), server.buyer(1_000), server.buyer(1_000));
    let item = admin.item("Lamp", 3, 10_000);
    all_at_once(6, |worker| {
        for _ in 0..15 {
            let reply = match worker {
                0 => ann.buy(item, 1),
                1 => ann.transfer(bob.id, 2),
                2 => bob.transfer(ann.id, 1),
                3 => admin.credit(ann.id, 5),
                4 => admin.debit(ann.id, 4),
                _ => bob.buy(item, 2),
            };
            assert!(reply.status < 300, "{} {}", reply.to, reply.text());
        }
    });
    expect_sound_entries(&ann);
    expect_sound_entries(&bob);
    assert_eq!(ann.balance() + bob.balance(), 2_000 + 15 - 15 * (3 + 2 * 3));
    server.expect_clean_audit();
}

#[test]
fn balances_and_entries_are_the_same_after_a_crash() {
    let mut server = Server::start();
    let (ann, bob) = (server.buyer(100), server.buyer(0));
    ann.transfer(bob.id, 60).expect(201);
    let seen = |user: &User| -> (Vec<Value>, Value) { (user.entries(), user.get("/balance").expect(200)) };
    let before = (seen(&ann), seen(&bob));
    server.kill9();
    server.restart();
    assert_eq!((seen(&ann), seen(&bob)), before);
}
