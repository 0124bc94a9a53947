//! Work in the background while Postgres is away: what is in memory goes on, and nothing is lost.

use crate::support::api::{order_id, order_of};
use crate::support::eventually;
use crate::support::receiver::{Answer, Receiver};
use crate::support::server::Setup;
use crate::{notices_the_outage, with_postgres};
use serde_json::json;

#[test]
fn orders_are_decided_and_withdrawals_paid_out_checked_and_told_while_postgres_is_away() {
    let receiver = Receiver::start(|count| Answer::Status(if count == 0 { 500 } else { 200 }));
    let setup = Setup::new()
        .env("PURSER__WEBHOOK__URL", &receiver.url())
        .env("PURSER__MESSAGES__ORDER_SHIPPED__DELAY_MS", "20");
    let (server, mut cluster, _) = with_postgres(setup);
    let (admin, ann) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 5);
    let levels = json!([{"rank": 0, "name": "Starter", "threshold": 0}, {"rank": 1, "name": "Partner", "threshold": 100}]);
    admin.call("PUT", "/levels").json(&json!({"levels": levels})).send().expect(200);
    let ask = |amount: u64| ann.post("/withdrawals", json!({"amount": amount})).expect(201)["id"].clone();
    let step = |id: &serde_json::Value, step: &str| {
        let id = id.as_str().expect("an id");
        admin.post(&format!("/withdrawals/{id}/{step}"), json!({})).expect(200)
    };
    let (small, large, unwanted) = (ask(10), ask(150), ask(40));
    step(&small, "complete");
    let done = |kind: &str, count: u64| {
        eventually("the messages are done", || {
            let stats = admin.get("/messages/stats").expect(200)["by_kind"][kind].clone();
            (stats["succeeded_total"] == count).then_some(())
        });
    };
    done("upgrade_check", 1);
    server.drains();
    cluster.kill9();
    step(&large, "complete");
    step(&unwanted, "reject");
    let place = |in_background: bool| {
        let call = ann.call("POST", "/orders");
        let call = if in_background { call.header("Prefer", "respond-async") } else { call };
        order_id(&call.json(&order_of(&[(item, 2)])).send().expect(if in_background { 202 } else { 201 }))
    };
    let (decided, shipped) = (place(true), place(false));
    let refused = place(true);
    admin.ship(&shipped).expect(200);
    done("upgrade_check", 2);
    done("process_order", 2);
    done("order_shipped", 1);
    notices_the_outage(&server);
    let distributor = ann.get(&format!("/distributors/{}", ann.id)).expect(200);
    assert_eq!((&distributor["level"]["rank"], &distributor["withdrawn_total"]), (&json!(1), &json!(160)));
    let statuses = [&decided, &shipped, &refused].map(|id| ann.read_order(id)["status"].clone());
    assert_eq!(statuses, ["processed", "shipped", "failed"]);
    assert_eq!((ann.balance(), receiver.received().len()), (1_000 - 160 - 40, 2));
    cluster.start();
    server.drains();
    let withdrawals: Vec<_> = admin.list("/withdrawals").iter().map(|row| row["status"].clone()).collect();
    assert_eq!(withdrawals, ["rejected", "completed", "completed"]);
    assert_eq!(admin.get("/messages/stats").expect(200)["failed"], 0);
    server.expect_clean_audit();
}
