//! What meets at one product.

use crate::support::api::{Item, LARGEST, order_id};
use crate::support::expect::expect_problem;
use crate::support::server::Server;
use crate::support::{all_at_once, expect_serial, race};
use crate::{many_rounds, tells, told};

fn shop(server: &Server, stock: u64) -> (crate::support::api::Actor, crate::support::api::User, Item) {
    let admin = server.admin();
    let item = admin.item("Lamp", 10, stock);
    (admin, server.buyer(100), item)
}

#[test]
fn the_last_unit_is_sold_to_one_of_two() {
    many_rounds(|server| {
        let (_, ann, item) = shop(server, 1);
        let bob = server.buyer(100);
        let (one, other) = race(|| ann.buy(item, 1), || bob.buy(item, 1));
        let seen = (told(&one), told(&other), ann.balance(), bob.balance(), server.stock(item));
        let refused = || tells(409, "insufficient_stock");
        let serial = [(tells(201, ""), refused(), 90, 100, 0), (refused(), tells(201, ""), 100, 90, 0)];
        expect_serial(&seen, &serial);
    });
}

#[test]
fn an_item_is_bought_before_it_is_deleted_or_not_at_all() {
    many_rounds(|server| {
        let (admin, buyer, item) = shop(server, 1);
        let (bought, deleted) = race(|| buyer.buy(item, 1), || admin.remove(item));
        let seen = (told(&bought), told(&deleted), server.stock(item), buyer.balance());
        let serial =
            [(tells(201, ""), tells(204, ""), 0, 90), (tells(410, "item_deleted"), tells(204, ""), 1, 100)];
        expect_serial(&seen, &serial);
    });
}

#[test]
fn an_item_is_bought_once_it_is_restored_or_not_at_all() {
    many_rounds(|server| {
        let (admin, buyer, item) = shop(server, 1);
        admin.remove(item).expect(204);
        let (bought, restored) = race(|| buyer.buy(item, 1), || admin.restore(item));
        let seen = (told(&bought), told(&restored), server.stock(item), buyer.balance());
        let serial =
            [(tells(201, ""), tells(200, ""), 0, 90), (tells(410, "item_deleted"), tells(200, ""), 1, 100)];
        expect_serial(&seen, &serial);
    });
}

#[test]
fn a_purchase_is_at_the_old_price_or_at_the_new_one() {
    many_rounds(|server| {
        let (admin, buyer, item) = shop(server, 1);
        let (bought, changed) = race(|| buyer.buy(item, 1), || admin.reprice(item, 25));
        changed.expect(200);
        let price = bought.expect(201)["unit_price"].as_u64().expect("a price");
        let order = buyer.read_order(&order_id(&bought.json()));
        let seen = (price, order["total_amount"].as_u64(), buyer.balance());
        expect_serial(&seen, &[(10, Some(10), 90), (25, Some(25), 75)]);
    });
}

#[test]
fn an_order_at_a_claimed_price_comes_before_the_change_of_price_or_is_refused() {
    many_rounds(|server| {
        let (admin, buyer, item) = shop(server, 5);
        let (ordered, changed) = race(|| buyer.order(&[(item, 2)]), || admin.reprice(item, 25));
        let seen = (told(&ordered), told(&changed), server.stock(item), buyer.balance());
        let serial =
            [(tells(201, ""), tells(200, ""), 3, 80), (tells(409, "price_changed"), tells(200, ""), 5, 100)];
        expect_serial(&seen, &serial);
    });
}

#[test]
fn of_a_purchase_and_a_removal_beyond_the_stock_one_is_refused() {
    many_rounds(|server| {
        let (admin, buyer, item) = shop(server, 5);
        let (bought, lowered) = race(|| buyer.buy(item, 3), || admin.restock(item, -3));
        let seen = (told(&bought), told(&lowered), server.stock(item), buyer.balance());
        let refused = || tells(409, "insufficient_stock");
        expect_serial(&seen, &[(tells(201, ""), refused(), 2, 70), (refused(), tells(200, ""), 2, 100)]);
    });
}

#[test]
fn an_item_is_bought_once_it_is_restocked_or_not_at_all() {
    many_rounds(|server| {
        let (admin, buyer, item) = shop(server, 0);
        let (bought, restocked) = race(|| buyer.buy(item, 1), || admin.restock(item, 1));
        let seen = (told(&bought), told(&restocked), server.stock(item), buyer.balance());
        let refused = tells(409, "insufficient_stock");
        expect_serial(&seen, &[(tells(201, ""), tells(200, ""), 0, 90), (refused, tells(200, ""), 1, 100)]);
    });
}

#[test]
fn of_two_restocks_beyond_the_limit_one_is_refused() {
    many_rounds(|server| {
        let (admin, _, item) = shop(server, LARGEST - 5);
        let (one, other) = race(|| admin.restock(item, 3), || admin.restock(item, 4));
        let seen = (told(&one), told(&other), server.stock(item));
        let refused = || tells(409, "stock_limit");
        let serial = [(tells(200, ""), refused(), LARGEST - 2), (refused(), tells(200, ""), LARGEST - 1)];
        expect_serial(&seen, &serial);
    });
}

#[test]
fn an_item_deleted_and_restored_ends_as_the_last_of_both_left_it() {
    many_rounds(|server| {
        let (admin, _, item) = shop(server, 5);
        admin.remove(item).expect(204);
        let (deleted, restored) = race(|| admin.remove(item), || admin.restore(item));
        restored.expect(200);
        // What is deleted already stays so until it is restored; what was restored before is deleted again.
        let seen = (told(&deleted), server.item(item)["deleted_at"].is_null(), server.stock(item));
        expect_serial(&seen, &[(tells(204, ""), true, 5), (tells(204, ""), false, 5)]);
    });
}

#[test]
fn of_two_changes_on_one_revision_one_is_refused() {
    many_rounds(|server| {
        let (admin, _, item) = shop(server, 5);
        let change = |price: u64| {
            let call = admin.call("PATCH", &format!("/items/{}", item.id)).header("If-Match", "\"1\"");
            call.json(&serde_json::json!({"price": price})).send()
        };
        let (one, other) = race(|| change(11), || change(12));
        let seen = (told(&one), told(&other), server.item(item)["price"].as_u64());
        let stale = || tells(412, "version_conflict");
        expect_serial(&seen, &[(tells(200, ""), stale(), Some(11)), (stale(), tells(200, ""), Some(12))]);
    });
}

#[test]
fn of_two_orders_over_the_same_last_units_in_opposite_directions_one_is_refused() {
    many_rounds(|server| {
        let admin = server.admin();
        let (lamp, chair) = (admin.item("Lamp", 10, 1), admin.item("Chair", 10, 1));
        let (ann, bob) = (server.buyer(20), server.buyer(20));
        let (one, other) =
            race(|| ann.order(&[(lamp, 1), (chair, 1)]), || bob.order(&[(chair, 1), (lamp, 1)]));
        let seen = (told(&one), told(&other), server.stock(lamp) + server.stock(chair));
        let refused = || tells(409, "insufficient_stock");
        expect_serial(&seen, &[(tells(201, ""), refused(), 0), (refused(), tells(201, ""), 0)]);
        assert_eq!(ann.balance() + bob.balance(), 20);
    });
}

#[test]
fn nobody_is_refused_because_of_a_claim_that_fails() {
    many_rounds(|server| {
        // Whoever cannot pay must not take the last unit away from whoever can, not even for a moment.
        let (_, rich, item) = shop(server, 1);
        let poor: Vec<_> = (0..3).map(|_| server.buyer(9)).collect();
        let replies = all_at_once(4, |n| if n == 0 { rich.buy(item, 1) } else { poor[n - 1].buy(item, 1) });
        replies[0].expect(201);
        for reply in &replies[1..] {
            let refusals = [tells(409, "insufficient_balance"), tells(409, "insufficient_stock")];
            expect_serial(&told(reply), &refusals);
            expect_problem(reply, 409, &told(reply).1);
        }
        assert_eq!((server.stock(item), rich.balance()), (0, 90));
    });
}

#[test]
fn a_unit_is_bought_again_once_its_order_is_cancelled_or_not_at_all() {
    many_rounds(|server| {
        let (_, ann, item) = shop(server, 1);
        let bob = server.buyer(100);
        let id = order_id(&ann.order(&[(item, 1)]).expect(201));
        let (cancelled, bought) = race(|| ann.cancel(&id), || bob.buy(item, 1));
        let seen = (told(&cancelled), told(&bought), server.stock(item), ann.balance(), bob.balance());
        let refused = tells(409, "insufficient_stock");
        let serial = [(tells(200, ""), tells(201, ""), 0, 100, 90), (tells(200, ""), refused, 1, 100, 100)];
        expect_serial(&seen, &serial);
    });
}
