//! Work in the background while Postgres is away: what is in memory goes on, and nothing is lost.

use crate::support::api::{order_id, order_of};
use crate::support::eventually;
use crate::support::postgres::PrivatePostgres;
use crate::support::receiver::{Answer, Receiver};
use crate::support::server::Setup;
use crate::{notices_the_outage, with_postgres};
use purser::clock::ManualClock;
use purser::domain::message::MessageKind;
use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::domain::{Money, Outcome, ProductId, Quantity, Stock, Timestamp, UserId};
use purser::engine::{
    AdjustRequest, Call, Engine, EngineOptions, LineRequest, Lines, NewItemRequest, NewUserRequest,
    OrderRequest, Pricing, StepRequest, StoreChoice,
};
use purser::messages::KindStats;
use purser::messages::webhook::WebhookOptions;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

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

fn reach(engine: &Engine, kind: MessageKind, what: &str, met: impl Fn(KindStats) -> bool) {
    eventually(what, || {
        let counts = engine.message_stats().by_kind.get(&kind).copied().unwrap_or_default();
        met(counts).then_some(())
    });
}

async fn buyer(engine: &Engine, name: &str) -> UserId {
    let request = NewUserRequest {
        name: Name::parse(name).expect("a name"),
        email: Email::parse(&format!("{name}@example.org")).expect("an address"),
        password: None,
        role: Role::User,
        open_session: false,
    };
    let user_id = engine.register(request).await.expect("registered").user.id;
    let amount = Money::new(1_000).expect("money");
    let credit = AdjustRequest { user_id, amount, reference: None, description: None };
    engine.credit(Call::default(), credit).await.expect("credited");
    user_id
}

async fn lamp(engine: &Engine) -> ProductId {
    let request = NewItemRequest {
        sku: None,
        name: Name::parse("Lamp").expect("a name"),
        description: None,
        price: Money::new(10).expect("money"),
        stock: Stock::new(10).expect("a stock"),
    };
    match engine.create_item(Call::default(), request).await.expect("an item").outcome {
        Outcome::Item(view) => view.product_id,
        other => panic!("{other:?}"),
    }
}

fn order(user_id: UserId, product_id: ProductId) -> OrderRequest {
    let (quantity, unit_price) = (Quantity::new(1).expect("one"), Money::new(10).expect("money"));
    let lines = Lines::new(vec![LineRequest { product_id, quantity, unit_price }]).expect("sound");
    OrderRequest { user_id, lines, pricing: Pricing::Claimed }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_the_store_waits_for_minutes_uncounted_while_the_rest_goes_on() {
    let receiver = Receiver::start(|count| Answer::Status(if count == 0 { 500 } else { 200 }));
    let mut cluster = PrivatePostgres::create(true);
    let directory = tempfile::tempdir().expect("a directory");
    let mut options = EngineOptions::embedded(directory.path());
    options.store = StoreChoice::Postgres {
        url: cluster.create_database(),
        readers: 2,
        connect_timeout: Duration::from_secs(10),
    };
    options.webhook = Some(WebhookOptions { url: receiver.url(), secret: String::new() });
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
    let start = async || {
        let engine = Engine::start_with(options.clone(), clock.clone(), Arc::new(|_, _| {})).await;
        engine.expect("it starts")
    };
    let engine = start().await;
    let (ann, ben, lamp) = (buyer(&engine, "ann").await, buyer(&engine, "ben").await, lamp(&engine).await);
    let placed = engine.order(Call::default(), order(ann, lamp)).await.expect("ordered");
    let Outcome::Ordered { order_id, .. } = placed.outcome else { panic!("{placed:?}") };
    engine.ship(Call::default(), StepRequest { order_id, of: None }).await.expect("shipped");
    let [told, decided] = [MessageKind::OrderShipped, MessageKind::ProcessOrder];
    reach(&engine, told, "the first attempt fails", |counts| counts.delayed == 1);
    engine.shutdown().await;
    drop(engine);
    let engine = start().await;
    // Ben and the lamp are in memory from here on; Ann is not.
    engine.order(Call::default(), order(ben, lamp)).await.expect("ordered");
    cluster.kill9();
    engine.accept_order(Call::default(), order(ben, lamp)).await.expect("accepted");
    reach(&engine, decided, "it is decided", |counts| counts.succeeded_total == 1);
    for _ in 0..300 {
        reach(&engine, told, "no attempt runs", |counts| counts.running == 0);
        clock.advance_seconds(1);
    }
    reach(&engine, told, "it waits", |counts| counts.delayed == 1);
    assert_eq!(receiver.received().len(), 1, "the outside was told what could not be written down");
    cluster.start();
    reach(&engine, told, "it is done once the store is back", |counts| {
        clock.advance_seconds(1);
        counts.succeeded_total == 1 && counts.failed == 0
    });
    assert_eq!(receiver.received().len(), 2);
    for check in engine.audit().await.expect("an audit").value {
        assert!(check.ok, "{}: {}", check.name, check.detail);
    }
    engine.shutdown().await;
}
