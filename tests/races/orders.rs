//! What meets at one order.

use crate::support::api::{Actor, Item, User, order_id};
use crate::support::server::Server;
use crate::support::{expect_serial, race};
use crate::{many_rounds, tells, told};

/// Two lamps of five, sold at 10 to a buyer of 100.
fn sold(server: &Server) -> (Actor, User, Item, String) {
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 10, 5);
    let id = order_id(&buyer.order(&[(item, 2)]).expect(201));
    (admin, buyer, item, id)
}

/// How an order ended: its status, the stock, the money.
fn end(server: &Server, buyer: &User, item: Item, id: &str) -> (String, u64, u64) {
    let status = buyer.read_order(id)["status"].as_str().unwrap_or_default().to_owned();
    (status, server.stock(item), buyer.balance())
}

fn ends(status: &str, stock: u64, balance: u64) -> (String, u64, u64) {
    (status.to_owned(), stock, balance)
}

#[test]
fn an_order_is_cancelled_or_shipped() {
    many_rounds(|server| {
        let (admin, buyer, item, id) = sold(server);
        let (cancelled, shipped) = race(|| buyer.cancel(&id), || admin.ship(&id));
        let seen = (told(&cancelled), told(&shipped), end(server, &buyer, item, &id));
        let refused = || tells(409, "invalid_state");
        let serial = [
            (tells(200, ""), refused(), ends("cancelled", 5, 100)),
            (refused(), tells(200, ""), ends("shipped", 3, 80)),
        ];
        expect_serial(&seen, &serial);
    });
}

#[test]
fn an_order_is_cancelled_once() {
    many_rounds(|server| {
        let (admin, buyer, item, id) = sold(server);
        let (one, other) = race(|| buyer.cancel(&id), || admin.cancel(&id));
        assert_eq!((told(&one), told(&other)), (tells(200, ""), tells(200, "")));
        assert_eq!(end(server, &buyer, item, &id), ends("cancelled", 5, 100));
        let refunds = buyer.entries().iter().filter(|entry| entry["kind"] == "cancel").count();
        assert_eq!(refunds, 1);
    });
}

#[test]
fn an_order_is_cancelled_or_returned() {
    many_rounds(|server| {
        let (admin, buyer, item, id) = sold(server);
        let (cancelled, returned) = race(|| buyer.cancel(&id), || admin.take_back(buyer.id, &id, item, 1));
        let seen = (told(&cancelled), told(&returned), end(server, &buyer, item, &id));
        let refused = || tells(409, "invalid_state");
        let serial = [
            (tells(200, ""), refused(), ends("cancelled", 5, 100)),
            (refused(), tells(201, ""), ends("processed", 4, 90)),
        ];
        expect_serial(&seen, &serial);
    });
}

#[test]
fn goods_come_back_once() {
    many_rounds(|server| {
        let (admin, buyer, item, id) = sold(server);
        let take_back = || admin.take_back(buyer.id, &id, item, 2);
        let (one, other) = race(take_back, take_back);
        let (_, stock, balance) = end(server, &buyer, item, &id);
        let seen = (told(&one), told(&other), stock, balance);
        let refused = || tells(409, "invalid_state");
        expect_serial(&seen, &[(tells(201, ""), refused(), 5, 100), (refused(), tells(201, ""), 5, 100)]);
    });
}

#[test]
fn an_order_is_shipped_once() {
    many_rounds(|server| {
        let (admin, buyer, item, id) = sold(server);
        let (one, other) = race(|| admin.ship(&id), || admin.ship(&id));
        assert_eq!((told(&one), told(&other)), (tells(200, ""), tells(200, "")));
        assert_eq!(end(server, &buyer, item, &id), ends("shipped", 3, 80));
    });
}

#[test]
fn an_order_is_delivered_once_it_is_shipped() {
    many_rounds(|server| {
        let (admin, buyer, item, id) = sold(server);
        let (shipped, delivered) = race(|| admin.ship(&id), || admin.deliver(&id));
        let seen = (told(&shipped), told(&delivered), end(server, &buyer, item, &id));
        let serial = [
            (tells(200, ""), tells(200, ""), ends("delivered", 3, 80)),
            (tells(200, ""), tells(409, "invalid_state"), ends("shipped", 3, 80)),
        ];
        expect_serial(&seen, &serial);
    });
}

#[test]
fn what_is_shipped_is_delivered_and_not_cancelled() {
    many_rounds(|server| {
        let (admin, buyer, item, id) = sold(server);
        admin.ship(&id).expect(200);
        let (delivered, cancelled) = race(|| admin.deliver(&id), || buyer.cancel(&id));
        assert_eq!((told(&delivered), told(&cancelled)), (tells(200, ""), tells(409, "invalid_state")));
        assert_eq!(end(server, &buyer, item, &id), ends("delivered", 3, 80));
    });
}

#[test]
fn an_order_is_cancelled_although_its_item_is_deleted() {
    many_rounds(|server| {
        let (admin, buyer, item, id) = sold(server);
        let (cancelled, deleted) = race(|| buyer.cancel(&id), || admin.remove(item));
        assert_eq!((told(&cancelled), told(&deleted)), (tells(200, ""), tells(204, "")));
        assert_eq!(end(server, &buyer, item, &id), ends("cancelled", 5, 100));
    });
}

#[test]
fn two_orders_of_one_item_are_both_cancelled() {
    many_rounds(|server| {
        let (_, ann, item, anns) = sold(server);
        let bob = server.buyer(100);
        let bobs = order_id(&bob.order(&[(item, 3)]).expect(201));
        let (one, other) = race(|| ann.cancel(&anns), || bob.cancel(&bobs));
        assert_eq!((told(&one), told(&other)), (tells(200, ""), tells(200, "")));
        assert_eq!((server.stock(item), ann.balance(), bob.balance()), (5, 100, 100));
    });
}
