//! A payout that does not fit on its user's balance: the card is redeemed all the same, and the money comes when there is room.

use crate::cards::ok;
use crate::rig::on_each_store;
use crate::sentences::{id_of, number};
use crate::support::api::{LARGEST, LARGEST_CREDIT, User};
use crate::support::eventually;
use crate::support::server::Server;
use serde_json::Value;

/// Fills the user's balance up to the limit, but for this much.
#[track_caller]
fn fill(server: &Server, user: &User, room: u64) {
    let mut missing = LARGEST - room;
    while missing > 0 {
        let part = missing.min(LARGEST_CREDIT);
        server.admin().credit(user.id, part).expect(200);
        missing -= part;
    }
}

/// What the user was paid for cards, by their redemptions.
#[track_caller]
fn payouts(user: &User) -> Vec<(Value, Value)> {
    let paid = user.entries().into_iter().filter(|entry| entry["kind"] == "payout");
    paid.map(|entry| (entry["reference"].clone(), entry["delta"].clone())).collect()
}

#[test]
fn a_payout_without_room_is_owed_and_paid_once_there_is_some() {
    on_each_store(|server, provider| {
        let (admin, user) = (server.admin(), server.buyer(0));
        let account = admin.account(&admin.plan(10_000, 10_000));
        fill(server, &user, 499);
        let end = user.redeems(&ok(500));
        assert_eq!((number(&end, "amount"), number(&end, "payout")), (500, 500));
        let view = admin.account_view(&account);
        assert_eq!((&view["status"], &view["lock"]), (&"processing".into(), &Value::Null));
        // The account goes on, and what fits is paid.
        let next = user.redeems(&ok(400));
        assert_eq!((user.balance(), payouts(&user)), (LARGEST - 99, vec![(next["id"].clone(), 400.into())]));
        server.expect_clean_audit();
        server.kill9();
        server.restart();
        server.admin().debit(user.id, 1_000).expect(200);
        eventually("what is owed is paid", || (user.balance() == LARGEST - 599).then_some(()));
        for _ in 0..2 {
            assert_eq!(payouts(&user), [(next["id"].clone(), 400.into()), (end["id"].clone(), 500.into())]);
            assert_eq!(user.redemption(&id_of(&end)), end);
            server.expect_clean_audit();
            server.kill9();
            server.restart();
        }
        provider.expect_taken_once(&id_of(&end), 500);
    });
}
