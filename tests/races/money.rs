//! What meets at one balance, or between two.

use crate::support::api::{LARGEST, LARGEST_CREDIT, order_id};
use crate::support::{expect_serial, race};
use crate::{many_rounds, tells, told};

fn poor() -> (u16, String) {
    tells(409, "insufficient_balance")
}

#[test]
fn transfers_in_both_directions_both_arrive() {
    many_rounds(|server| {
        let (ann, bob) = (server.buyer(100), server.buyer(100));
        let (there, back) = race(|| ann.transfer(bob.id, 100), || bob.transfer(ann.id, 100));
        assert_eq!((told(&there), told(&back)), (tells(201, ""), tells(201, "")));
        assert_eq!((ann.balance(), bob.balance()), (100, 100));
    });
}

#[test]
fn money_on_its_way_can_be_sent_back_once_it_has_arrived() {
    many_rounds(|server| {
        let (ann, bob) = (server.buyer(100), server.buyer(0));
        let (there, back) = race(|| ann.transfer(bob.id, 100), || bob.transfer(ann.id, 100));
        let seen = (told(&there), told(&back), ann.balance(), bob.balance());
        let ok = || tells(201, "");
        expect_serial(&seen, &[(ok(), ok(), 100, 0), (ok(), poor(), 0, 100)]);
    });
}

#[test]
fn the_same_money_is_transferred_once() {
    many_rounds(|server| {
        let (ann, bob, cy) = (server.buyer(100), server.buyer(0), server.buyer(0));
        let (one, other) = race(|| ann.transfer(bob.id, 80), || ann.transfer(cy.id, 80));
        let seen = (told(&one), told(&other), ann.balance(), bob.balance(), cy.balance());
        let ok = || tells(201, "");
        expect_serial(&seen, &[(ok(), poor(), 20, 80, 0), (poor(), ok(), 20, 0, 80)]);
    });
}

#[test]
fn of_a_transfer_and_a_decrement_beyond_the_balance_one_is_refused() {
    many_rounds(|server| {
        let (admin, ann, bob) = (server.admin(), server.buyer(100), server.buyer(0));
        let (sent, debited) = race(|| ann.transfer(bob.id, 80), || admin.debit(ann.id, 70));
        let seen = (told(&sent), told(&debited), ann.balance(), bob.balance());
        expect_serial(&seen, &[(tells(201, ""), poor(), 20, 80), (poor(), tells(200, ""), 30, 0)]);
    });
}

#[test]
fn a_decrement_takes_transferred_money_once_it_has_arrived() {
    many_rounds(|server| {
        let (admin, ann, bob) = (server.admin(), server.buyer(100), server.buyer(0));
        let (sent, debited) = race(|| ann.transfer(bob.id, 80), || admin.debit(bob.id, 70));
        let seen = (told(&sent), told(&debited), ann.balance(), bob.balance());
        expect_serial(&seen, &[(tells(201, ""), tells(200, ""), 20, 10), (tells(201, ""), poor(), 20, 80)]);
    });
}

#[test]
fn of_two_transfers_to_a_receiver_with_room_for_one_one_is_refused() {
    many_rounds(|server| {
        let (admin, rich) = (server.admin(), server.buyer(0));
        for _ in 0..9 {
            admin.credit(rich.id, LARGEST_CREDIT).expect(200);
        }
        admin.credit(rich.id, LARGEST - 9 * LARGEST_CREDIT - 10).expect(200);
        let (ann, bob) = (server.buyer(100), server.buyer(100));
        let (one, other) = race(|| ann.transfer(rich.id, 6), || bob.transfer(rich.id, 7));
        let seen = (told(&one), told(&other), rich.balance(), ann.balance(), bob.balance());
        let (ok, full) = (|| tells(201, ""), || tells(409, "balance_limit"));
        expect_serial(&seen, &[(ok(), full(), LARGEST - 4, 94, 100), (full(), ok(), LARGEST - 3, 100, 93)]);
    });
}

#[test]
fn of_a_decrement_and_a_purchase_beyond_the_balance_one_is_refused() {
    many_rounds(|server| {
        let (admin, ann) = (server.admin(), server.buyer(100));
        let item = admin.item("Lamp", 60, 5);
        let (debited, bought) = race(|| admin.debit(ann.id, 50), || ann.buy(item, 1));
        let seen = (told(&debited), told(&bought), ann.balance(), server.stock(item));
        expect_serial(&seen, &[(tells(200, ""), poor(), 50, 5), (poor(), tells(201, ""), 40, 4)]);
    });
}

#[test]
fn a_purchase_is_paid_from_an_increment_that_came_before_it() {
    many_rounds(|server| {
        let (admin, ann) = (server.admin(), server.buyer(0));
        let item = admin.item("Lamp", 60, 5);
        let (credited, bought) = race(|| admin.credit(ann.id, 60), || ann.buy(item, 1));
        let seen = (told(&credited), told(&bought), ann.balance(), server.stock(item));
        expect_serial(&seen, &[(tells(200, ""), tells(201, ""), 0, 4), (tells(200, ""), poor(), 60, 5)]);
    });
}

#[test]
fn a_decrement_takes_from_an_increment_that_came_before_it() {
    many_rounds(|server| {
        let (admin, ann) = (server.admin(), server.buyer(10));
        let (credited, debited) = race(|| admin.credit(ann.id, 5), || admin.debit(ann.id, 12));
        let seen = (told(&credited), told(&debited), ann.balance());
        expect_serial(&seen, &[(tells(200, ""), tells(200, ""), 3), (tells(200, ""), poor(), 15)]);
    });
}

#[test]
fn of_two_purchases_with_money_for_one_one_is_refused() {
    many_rounds(|server| {
        let (admin, ann) = (server.admin(), server.buyer(100));
        let (lamp, chair) = (admin.item("Lamp", 60, 5), admin.item("Chair", 70, 5));
        let (one, other) = race(|| ann.buy(lamp, 1), || ann.buy(chair, 1));
        let seen = (told(&one), told(&other), ann.balance(), server.stock(lamp), server.stock(chair));
        let ok = || tells(201, "");
        expect_serial(&seen, &[(ok(), poor(), 40, 4, 5), (poor(), ok(), 30, 5, 4)]);
    });
}

#[test]
fn a_refund_can_be_transferred_once_its_order_is_cancelled() {
    many_rounds(|server| {
        let (admin, ann, bob) = (server.admin(), server.buyer(100), server.buyer(0));
        let item = admin.item("Lamp", 60, 5);
        let id = order_id(&ann.order(&[(item, 1)]).expect(201));
        let (cancelled, sent) = race(|| ann.cancel(&id), || ann.transfer(bob.id, 90));
        let seen = (told(&cancelled), told(&sent), ann.balance(), bob.balance(), server.stock(item));
        let ok = || tells(200, "");
        expect_serial(&seen, &[(ok(), tells(201, ""), 10, 90, 5), (ok(), poor(), 100, 0, 5)]);
    });
}
