//! One named test for each hole of the systems that this one replaces, and for those that this one had.

mod support;

#[path = "regressions/reading.rs"]
mod reading;

use serde_json::json;
use support::api::{Item, order_id, order_of};
use support::expect::{expect_invalid, expect_problem};
use support::store::on_each_store;
use support::{all_at_once, race};

#[test]
fn two_debits_of_50_and_30_on_100_end_at_20_in_whatever_order() {
    on_each_store(|server| {
        for _ in 0..30 {
            let (admin, user) = (server.admin(), server.buyer(100));
            let (one, other) = race(|| admin.debit(user.id, 50), || admin.debit(user.id, 30));
            let mut left = [one.expect(200)["amount"].clone(), other.expect(200)["amount"].clone()];
            left.sort_by_key(serde_json::Value::as_u64);
            assert_eq!(left[0], 20);
            assert!(left[1] == 50 || left[1] == 70, "{left:?}");
            assert_eq!((user.balance(), user.entries().len()), (20, 3));
        }
        server.expect_clean_audit();
    });
}

#[test]
fn a_debit_of_50_on_30_is_refused_and_changes_nothing() {
    on_each_store(|server| {
        let user = server.buyer(30);
        let (before, entries) = (user.get("/balance").expect(200), user.entries());
        let refused = expect_problem(&server.admin().debit(user.id, 50), 409, "insufficient_balance");
        assert_eq!(refused["available"], 30);
        assert_eq!((user.get("/balance").expect(200), user.entries()), (before, entries));
        server.kill9();
        server.restart();
        assert_eq!(user.balance(), 30);
        server.expect_clean_audit();
    });
}

#[test]
fn the_kth_line_short_of_stock_moves_nothing_at_all_for_every_k() {
    const LINES: usize = 6;
    on_each_store(|server| {
        let (admin, buyer) = (server.admin(), server.buyer(1_000));
        let items: Vec<Item> = (0..LINES).map(|_| admin.item("Lamp", 10, 5)).collect();
        let versions =
            || -> Vec<_> { items.iter().map(|item| server.item(*item)["version"].clone()).collect() };
        let before = versions();
        for short in 0..LINES {
            let quantity = |line: usize| if line == short { 6 } else { 2 };
            let lines: Vec<_> =
                items.iter().enumerate().map(|(line, item)| (*item, quantity(line))).collect();
            let refused = expect_problem(&buyer.order(&lines), 409, "insufficient_stock");
            assert_eq!((&refused["product_id"], &refused["available"]), (&json!(items[short].id), &json!(5)));
            assert!(items.iter().all(|item| server.stock(*item) == 5), "line {short} moved stock");
            assert_eq!((versions(), buyer.balance()), (before.clone(), 1_000), "line {short}");
        }
        assert!(buyer.list("/orders").is_empty(), "a refused order was kept");
        buyer.order(&items.iter().map(|item| (*item, 2)).collect::<Vec<_>>()).expect(201);
        server.expect_clean_audit();
    });
}

#[test]
fn an_unknown_or_deleted_product_refuses_the_whole_order() {
    on_each_store(|server| {
        let (admin, buyer) = (server.admin(), server.buyer(1_000));
        let items: Vec<Item> = (0..3).map(|_| admin.item("Lamp", 10, 5)).collect();
        let deleted = admin.item("Gone", 10, 5);
        admin.remove(deleted).expect(204);
        for place in 0..=items.len() {
            let mut lines: Vec<_> = items.iter().map(|item| (*item, 1)).collect();
            lines.insert(place, (Item { id: 999_999, price: 10 }, 1));
            expect_invalid(&buyer.order(&lines), &format!("items.{place}.product_id"));
            lines[place].0 = deleted;
            let gone = expect_problem(&buyer.order(&lines), 410, "item_deleted");
            assert_eq!(gone["product_id"], deleted.id);
        }
        assert!(items.iter().all(|item| server.stock(*item) == 5), "stock moved");
        assert_eq!((server.stock(deleted), buyer.balance()), (5, 1_000));
        server.expect_clean_audit();
    });
}

#[test]
fn the_client_cannot_set_the_price_or_the_total() {
    on_each_store(|server| {
        let buyer = server.buyer(1_000);
        let item = server.admin().item("Lamp", 500, 5);
        let path = format!("/items/{}/purchase", item.id);
        for field in ["unit_price", "price", "total_amount"] {
            let mut body = json!({"quantity": 1});
            body[field] = json!(1);
            expect_problem(&buyer.post(&path, body), 422, "validation_failed");
        }
        let cheap = order_of(&[(Item { id: item.id, price: 1 }, 2)]);
        let refused = expect_problem(&buyer.post("/orders", cheap), 409, "price_changed");
        assert_eq!(refused["unit_price"], 500);
        let mut rebate = order_of(&[(item, 2)]);
        rebate["total_amount"] = json!(1);
        expect_invalid(&buyer.post("/orders", rebate), "total_amount");
        assert_eq!((server.stock(item), buyer.balance()), (5, 1_000));
        assert_eq!(buyer.order(&[(item, 2)]).expect(201)["status"], "processed");
        assert_eq!(buyer.balance(), 0);
    });
}

#[test]
fn nobody_reads_another_users_order() {
    on_each_store(|server| {
        let (ann, bob) = (server.buyer(100), server.buyer(100));
        let item = server.admin().item("Lamp", 10, 5);
        let id = order_id(&ann.order(&[(item, 1)]).expect(201));
        let path = format!("/orders/{id}");
        let check = || {
            expect_problem(&bob.get(&path), 404, "not_found");
            expect_problem(&bob.cancel(&id), 404, "not_found");
            expect_problem(&ann.anonymous().get(&path), 401, "unauthenticated");
            assert!(bob.list("/orders").is_empty(), "foreign orders are listed");
            assert_eq!(ann.read_order(&id)["id"], id);
        };
        check();
        server.kill9();
        server.restart();
        check();
    });
}

#[test]
fn a_crash_between_the_decision_and_the_database_write_loses_no_sale() {
    on_each_store(|server| {
        let (admin, buyer) = (server.admin(), server.buyer(1_000_000));
        let item = admin.item("Lamp", 10, 10_000);
        let mut sold = 0;
        for round in 1..=5_u64 {
            // The kill follows the last acknowledgement at once: write-behind had no time for it.
            let acked: Vec<String> = all_at_once(8, |_| {
                (0..5).map(|_| order_id(&buyer.buy(item, 1).expect(201))).collect::<Vec<_>>()
            })
            .concat();
            server.kill9();
            sold += acked.len() as u64;
            server.restart();
            for id in &acked {
                assert_eq!(buyer.read_order(id)["status"], "processed", "round {round}");
            }
            assert_eq!((server.stock(item), buyer.balance()), (10_000 - sold, 1_000_000 - 10 * sold));
            assert_eq!(buyer.list("/orders").len() as u64, sold);
        }
        server.expect_clean_audit();
    });
}

#[test]
fn a_lagging_store_is_never_copied_over_newer_state() {
    on_each_store(|server| {
        let buyer = server.buyer(1_000_000);
        let item = server.admin().item("Lamp", 10, 1_000);
        let stop = std::sync::atomic::AtomicBool::new(false);
        let (server_ref, stop) = (&*server, &stop);
        let (sold, ()) = race(
            || {
                let mut sold = 0;
                while sold < 1_000 && !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let left = buyer.buy(item, 1).expect(201)["remaining_stock"].clone();
                    sold += 1;
                    assert_eq!(left, 1_000 - sold, "a sold unit came back");
                }
                sold
            },
            || {
                for _ in 0..10 {
                    let one = server_ref.cli(&["sync-stock", &item.id.to_string()]);
                    assert_eq!(one.code, Some(0), "{one:?}");
                    let all = server_ref.cli(&["sync-stock"]);
                    assert_eq!(all.code, Some(0), "{all:?}");
                }
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            },
        );
        assert_eq!((server.stock(item), buyer.balance()), (1_000 - sold, 1_000_000 - 10 * sold));
        server.expect_clean_audit();
        server.kill9();
        server.restart();
        assert_eq!(server.stock(item), 1_000 - sold);
        server.expect_clean_audit();
    });
}

#[test]
fn the_last_unit_is_sold_once_however_many_want_it() {
    on_each_store(|server| {
        let buyers: Vec<_> = (0..24).map(|_| server.buyer(100)).collect();
        for round in 0..10 {
            let item = server.admin().item("Last lamp", 1, 1);
            let replies = all_at_once(buyers.len(), |n| buyers[n].buy(item, 1));
            let sold: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
            assert_eq!(sold.len(), 1, "round {round}");
            assert_eq!(sold[0].expect(201)["remaining_stock"], 0);
            for refused in replies.iter().filter(|reply| reply.status != 201) {
                assert_eq!(expect_problem(refused, 409, "insufficient_stock")["available"], 0);
            }
            assert_eq!(server.stock(item), 0);
        }
        let spent: u64 = buyers.iter().map(|buyer| 100 - buyer.balance()).sum();
        assert_eq!(spent, 10);
        server.expect_clean_audit();
    });
}

#[test]
fn ten_units_for_ten_funded_and_ten_unfunded_buyers_at_once_sell_exactly_ten() {
    on_each_store(|server| {
        for round in 0..10 {
            let buyers: Vec<_> = (0..20).map(|n| server.buyer(if n % 2 == 0 { 10 } else { 0 })).collect();
            let item = server.admin().item("Lamp", 10, 10);
            let replies = all_at_once(20, |n| buyers[n].buy(item, 1));
            for (n, reply) in replies.iter().enumerate() {
                if n % 2 == 0 {
                    reply.expect(201);
                } else {
                    // Refused for want of money, or because all ten had been sold by then.
                    let all_sold = reply.json()["code"] == "insufficient_stock";
                    let why = if all_sold { "insufficient_stock" } else { "insufficient_balance" };
                    assert_eq!(expect_problem(reply, 409, why)["available"], 0, "round {round}");
                }
                assert_eq!(buyers[n].balance(), 0);
            }
            assert_eq!(server.stock(item), 0);
        }
        server.expect_clean_audit();
    });
}

#[test]
fn orders_over_the_same_items_in_opposite_directions_never_stop_each_other() {
    on_each_store(|server| {
        let (admin, buyers) = (server.admin(), [server.buyer(100_000), server.buyer(100_000)]);
        let items: Vec<Item> = (0..5).map(|_| admin.item("Lamp", 1, 10_000)).collect();
        let forth: Vec<_> = items.iter().map(|item| (*item, 1)).collect();
        let back: Vec<_> = items.iter().rev().map(|item| (*item, 1)).collect();
        all_at_once(8, |n| {
            for _ in 0..10 {
                buyers[n % 2].order(if n % 2 == 0 { &forth } else { &back }).expect(201);
            }
        });
        assert!(items.iter().all(|item| server.stock(*item) == 10_000 - 80));
        server.expect_clean_audit();
    });
}
