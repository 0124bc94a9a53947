//! Postgres there, but in nobody's service: locked tables, and a backlog that grows to its cap.

use crate::load::Shop;
use crate::proof::prove;
use crate::sql::Sql;
use crate::support::eventually;
use crate::support::expect::expect_problem;
use crate::support::journal::lasting;
use crate::support::server::Setup;
use crate::{notices_the_outage, with_postgres};
use serde_json::json;
use std::thread;

#[test]
fn tables_locked_in_postgres_stop_no_sale() {
    let (server, _cluster, database) = with_postgres(lasting());
    let mut shop = Shop::open(&server, 4);
    let (mut lock, mut sql) = (Sql::connect(&database), Sql::connect(&database));
    let waited = shop.trade_throughout(1, |day| {
        day.more(40);
        lock.run("BEGIN; LOCK TABLE products, balances, orders, entries IN ACCESS EXCLUSIVE MODE");
        // Only what has written something has an id: a batch, and not a read of an order.
        let batches = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock' AND backend_xid IS NOT NULL";
        let waited = eventually("a batch waits", || Some(sql.number(batches)).filter(|it| *it > 0));
        let stands = sql.watermark();
        // Whoever gets no reply in time fails here.
        day.more(150);
        assert_eq!(sql.watermark(), stands, "something was stored");
        lock.run("COMMIT");
        day.more(20);
        waited
    });
    prove("all-tables-locked", (1, usize::try_from(waited).expect("a count")), server, shop);
}

#[test]
fn a_postgres_that_hangs_is_known_to_and_what_has_to_be_stored_is_refused_at_once() {
    let (server, cluster, _) = with_postgres(Setup::new());
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 1, 10);
    let buy = format!("/items/{}/purchase", item.id);
    let stored = || {
        let call = buyer.call("POST", &buy).header("Purser-Durability", "store");
        call.json(&json!({"quantity": 1})).send()
    };
    server.drains();
    cluster.freeze();
    buyer.buy(item, 1).expect(201);
    notices_the_outage(&server);
    expect_problem(&stored(), 503, "store_unavailable");
    expect_problem(&admin.get("/admin/audit"), 503, "store_unavailable");
    assert_eq!(
        buyer.buy(item, 1).expect(201)["remaining_stock"],
        8,
        "sold from memory, and only what was asked for"
    );
    cluster.thaw();
    eventually("the store is back", || (server.health()["store"]["reachable"] == true).then_some(()));
    let reply = stored();
    assert_eq!(reply.header("Purser-Durability"), Some("store"));
    assert_eq!(reply.expect(201)["remaining_stock"], 7);
    server.expect_clean_audit();
}

#[test]
fn whoever_waits_for_a_locked_table_is_answered_when_the_server_halts() {
    // Longer than any client of ours waits for a reply.
    let (mut server, _cluster, database) =
        with_postgres(Setup::new().env("PURSER__ADMISSION__READ_TIMEOUT_MS", "600000"));
    let (admin, buyer) = (server.admin(), server.buyer(10));
    let item = admin.item("Lamp", 10, 1);
    assert_eq!(server.sigterm(), Some(0));
    server.restart();
    assert_eq!(buyer.balance(), 10);
    let (mut lock, mut sql) = (Sql::connect(&database), Sql::connect(&database));
    lock.run("BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE");
    let told = thread::scope(|scope| {
        let purchase = scope.spawn(|| buyer.buy(item, 1));
        eventually("the item is asked for", || (sql.waiting() > 0).then_some(()));
        sql.run("UPDATE engine SET epoch = epoch + 1");
        // The flush of this one tells that the store was taken over, unless the idle look at it was faster.
        let credit = json!({"amount": 1});
        let _ =
            admin.call("POST", &format!("/users/{}/balance/increment", buyer.id)).json(&credit).try_send();
        purchase.join().expect("an answer before the server ends")
    });
    expect_problem(&told, 503, "shutting_down");
    assert_eq!(server.ends(), Some(4));
}

#[test]
fn a_backlog_at_its_cap_refuses_every_write_and_takes_them_again_when_it_has_drained() {
    for (name, value) in [("BACKLOG_RECORDS_MAX", "25"), ("BACKLOG_BYTES_MAX", "1048576")] {
        let setup = Setup::new().env(&format!("PURSER__WRITE_BEHIND__{name}"), value);
        let (server, mut cluster, _) = with_postgres(setup);
        let (admin, buyer) = (server.admin(), server.buyer(1_000_000));
        let item = admin.item("Lamp", 1, 1_000_000);
        server.drains();
        cluster.stop(false);
        // Many lines make a large record.
        let order: Vec<_> = (0..500).map(|_| (item, 1)).collect();
        let mut taken = 0;
        let refused = eventually("the cap is reached", || {
            let reply = buyer.order(&order);
            if reply.status != 201 {
                return Some(reply);
            }
            taken += 1;
            None
        });
        expect_problem(&refused, 503, "backlog_full");
        expect_problem(&admin.credit(buyer.id, 1), 503, "backlog_full");
        assert_eq!(server.backlog(), taken);
        assert_eq!((server.stock(item), buyer.balance()), (1_000_000 - 500 * taken, 1_000_000 - 500 * taken));
        cluster.start();
        server.drains();
        buyer.order(&order).expect(201);
        server.expect_clean_audit();
    }
}
