//! Postgres away: killed, stopped, started again, or its sessions ended, all under load.

use crate::load::Shop;
use crate::proof::prove;
use crate::sql::Sql;
use crate::support::eventually;
use crate::support::expect::expect_problem;
use crate::support::journal::lasting;
use crate::support::postgres::PrivatePostgres;
use crate::support::server::Setup;
use crate::support::setting;
use crate::{check, notices_the_outage, with_postgres};

/// Buyers who trade at the same time.
const WORKERS: usize = 4;

#[test]
fn every_acknowledged_operation_survives_postgres_killed_and_restarted_under_load_exactly_once() {
    let (mut server, mut cluster, _) = with_postgres(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let cycles = setting("PURSER_OUTAGE_CYCLES", 5);
    let mut noticed = 0;
    for cycle in 1..=cycles {
        let end: fn(&mut PrivatePostgres) = match cycle % 3 {
            0 => |cluster| cluster.stop(false),
            1 => PrivatePostgres::kill9,
            _ => |cluster| cluster.stop(true),
        };
        shop.trade_throughout(cycle, |day| {
            day.more(40);
            end(&mut cluster);
            day.more(80);
            notices_the_outage(&server);
            noticed += 1;
            cluster.start();
            day.more(40);
        });
        server.drains();
        shop.ask_again();
        check::everything_once(&server, &shop);
    }
    // The next process would not know of it.
    assert!(!server.output().contains("the store was rewound"), "{}", server.output());
    let before = check::seen(&server, &shop);
    server.kill9();
    server.restart();
    assert_eq!(check::seen(&server, &shop), before, "a restart changed what is seen");
    prove("postgres-gone", (cycles, noticed), server, shop);
}

#[test]
fn a_server_and_its_postgres_killed_together_lose_nothing() {
    let (mut server, mut cluster, _) = with_postgres(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let cycles = setting("PURSER_OUTAGE_CYCLES", 2);
    let mut killed = 0;
    for cycle in 1..=cycles {
        shop.trade_while(cycle, |day| {
            day.more(60);
            cluster.kill9();
            day.more(60);
            server.kill9();
        });
        // Neither starts beside one that still runs.
        cluster.start();
        server.restart();
        killed += 2;
        shop.ask_again();
        check::everything_once(&server, &shop);
    }
    prove("killed-together", (cycles, killed), server, shop);
}

#[test]
fn without_postgres_the_server_sells_from_memory_and_refuses_only_what_it_would_have_to_load() {
    let (server, mut cluster, _) = with_postgres(Setup::new());
    let (admin, ann, bob) = (server.admin(), server.buyer(1_000), server.buyer(0));
    let item = admin.item("Lamp", 10, 50);
    server.drains();
    cluster.kill9();
    for sold in 1..=20 {
        let bought = ann.buy(item, 1).expect(201);
        assert_eq!(
            (bought["remaining_stock"].as_u64(), bought["balance"].as_u64()),
            (Some(50 - sold), Some(1_000 - 10 * sold))
        );
    }
    let id = crate::support::api::order_id(&ann.order(&[(item, 2)]).expect(201));
    ann.transfer(bob.id, 80).expect(201);
    notices_the_outage(&server);
    assert_eq!(server.backlog(), 22);
    // What is in memory can be read and changed, the orders that are not stored yet included.
    assert_eq!((ann.balance(), bob.balance(), server.stock(item)), (700, 80, 28));
    assert_eq!(ann.read_order(&id)["status"], "processed");
    admin.ship(&id).expect(200);
    assert_eq!(server.guest().call_at("GET", "/health/live".into()).send().status, 200);
    // What is not, cannot.
    expect_problem(&server.guest().get("/items"), 503, "store_unavailable");
    expect_problem(&server.guest().get("/items/900000"), 503, "store_unavailable");
    expect_problem(
        &ann.post("/items/900000/purchase", serde_json::json!({"quantity": 1})),
        503,
        "store_unavailable",
    );
    expect_problem(&ann.transfer(900_000, 1), 503, "store_unavailable");
    assert_eq!(ann.balance(), 700, "a refused operation moved money");
    cluster.start();
    server.drains();
    eventually("lists are served again", || (server.guest().get("/items").status == 200).then_some(()));
    assert_eq!(ann.list("/orders").len(), 21);
    expect_problem(&ann.transfer(900_000, 1), 404, "not_found");
    server.expect_clean_audit();
}

#[test]
fn durability_in_the_store_is_told_when_it_is_reached_and_refused_while_the_store_is_away() {
    let (server, mut cluster, _) = with_postgres(Setup::new());
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 50);
    let path = format!("/items/{}/purchase", item.id);
    let buy = |durability: &str| {
        let call = buyer.call("POST", &path).header("Purser-Durability", durability);
        call.json(&serde_json::json!({"quantity": 1})).send()
    };
    let stored = buy("store");
    stored.expect(201);
    assert_eq!(stored.header("Purser-Durability"), Some("store"));
    cluster.kill9();
    let journaled = buy("journal");
    journaled.expect(201);
    assert_eq!(journaled.header("Purser-Durability"), Some("journal"));
    notices_the_outage(&server);
    expect_problem(&buy("store"), 503, "store_unavailable");
    assert_eq!((server.stock(item), buyer.balance()), (48, 980), "what was refused was done");
    cluster.start();
    server.drains();
    let stored = buy("store");
    stored.expect(201);
    assert_eq!(stored.header("Purser-Durability"), Some("store"));
    server.expect_clean_audit();
}

#[test]
fn a_store_that_is_lost_after_admission_ends_in_the_normal_reply() {
    let (server, mut cluster, _) =
        with_postgres(Setup::new().env("PURSER__ADMISSION__READ_TIMEOUT_MS", "500"));
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 50);
    server.drains();
    // Nothing was on its way there, so the server cannot know yet.
    cluster.kill9();
    let path = format!("/items/{}/purchase", item.id);
    let call = buyer.call("POST", &path).header("Purser-Durability", "store");
    let reply = call.json(&serde_json::json!({"quantity": 1})).send();
    reply.expect(201);
    assert_eq!(reply.header("Purser-Durability"), Some("journal"));
    assert_eq!(server.stock(item), 49);
}

#[test]
fn sessions_that_postgres_ends_under_load_lose_and_double_nothing() {
    let (server, _cluster, database) = with_postgres(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let mut sql = Sql::connect(&database);
    let runs = 15.max(setting("PURSER_OUTAGE_CYCLES", 1));
    let ended = shop.trade_throughout(1, |day| {
        let mut ended = 0;
        for _ in 0..runs {
            day.more(20);
            // Between two tries the server may have none.
            ended +=
                eventually("a session is found", || Some(sql.terminate_the_server()).filter(|it| *it > 0));
        }
        ended
    });
    prove("ended-sessions", (runs, usize::try_from(ended).expect("a count")), server, shop);
}
