//! Lists of what the store has in part only, and positions that nobody handed out.

use crate::support::api::{User, escaped, order_id};
use crate::support::expect::expect_problem;
use crate::support::server::{Server, Setup};
use crate::support::standstill::Standstill;
use crate::support::store::on_each_store;
use serde_json::json;

#[test]
fn a_position_beyond_the_journals_end_is_refused_at_once() {
    // Longer than any client of ours waits for a reply.
    let server = Setup::new().env("PURSER__ADMISSION__READ_TIMEOUT_MS", "600000").start();
    let buyer = server.buyer(10);
    let item = server.admin().item("Lamp", 10, 1);
    let bought = buyer.buy(item, 1);
    let (order, last) = (order_id(&bought.expect(201)), bought.seq());
    for path in [
        "/items".to_owned(),
        format!("/items/{}", item.id),
        "/orders".to_owned(),
        format!("/orders/{order}"),
        "/balance".to_owned(),
        "/balance/entries".to_owned(),
    ] {
        let ask = |seq: u64| buyer.call("GET", &path).header("Purser-Min-Seq", &seq.to_string()).send();
        ask(last).expect(200);
        expect_problem(&ask(last + 1), 503, "read_timeout");
    }
}

/// The ids of the buyer's orders, page by page.
#[track_caller]
fn paged(buyer: &User, status: Option<&str>, limit: usize) -> Vec<String> {
    let filter = status.map(|status| format!("&status={status}")).unwrap_or_default();
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = buyer.get(&format!("/orders?limit={limit}{filter}{cursor}")).expect(200);
        let data = page["data"].as_array().expect("a list has data");
        ids.extend(data.iter().map(|order| order["id"].as_str().expect("an id").to_owned()));
        match page["next_cursor"].as_str() {
            // Only the last page may have room left.
            Some(next) => {
                assert_eq!(data.len(), limit, "{page}");
                cursor = format!("&cursor={}", escaped(next));
            }
            None => return ids,
        }
    }
}

/// The orders of one status, newest first, in pages of several sizes.
#[track_caller]
fn expect_listed(buyer: &User, orders: &[(String, &str)]) {
    for status in [None, Some("processed"), Some("shipped"), Some("delivered"), Some("cancelled")] {
        let wanted = orders.iter().rev().filter(|(_, is)| status.is_none_or(|status| status == *is));
        let wanted: Vec<_> = wanted.map(|(id, _)| id.clone()).collect();
        for limit in [1, 2, 3, 7, 100] {
            assert_eq!(paged(buyer, status, limit), wanted, "{status:?} in pages of {limit}");
        }
    }
}

#[test]
fn a_users_own_orders_are_listed_whole_by_status_however_few_of_their_changes_are_stored() {
    on_each_store(|server: &mut Server| {
        let (admin, buyer) = (server.admin(), server.buyer(1_000));
        let item = admin.item("Lamp", 10, 1_000);
        let place = || (order_id(&buyer.order(&[(item, 1)]).expect(201)), "processed");
        let mut orders: Vec<_> = (0..12).map(|_| place()).collect();
        let ship = |order: &mut (String, &str)| {
            admin.ship(&order.0).expect(200);
            order.1 = "shipped";
        };
        let cancel = |order: &mut (String, &str)| {
            buyer.cancel(&order.0).expect(200);
            order.1 = "cancelled";
        };
        ship(&mut orders[1]);
        let call = admin.call("POST", &format!("/orders/{}/ship", orders[2].0));
        call.header("Purser-Durability", "store").json(&json!({})).send().expect(200);
        orders[2].1 = "shipped";

        let standstill = Standstill::of(server);
        // Whole pages of what the store has as processed are not any more.
        orders[5..12].iter_mut().for_each(cancel);
        ship(&mut orders[3]);
        admin.deliver(&orders[2].0).expect(200);
        orders[2].1 = "delivered";
        orders.extend((0..6).map(|_| place()));
        cancel(&mut orders[13]);
        ship(&mut orders[15]);
        expect_listed(&buyer, &orders);
        drop(standstill);
        server.drains();
        expect_listed(&buyer, &orders);
        server.expect_clean_audit();
    });
}
