//! How fast, on this machine: `cargo test --release --test store rates -- --ignored --nocapture --test-threads 1`.

use crate::fixture::Fixture;
use purser::domain::event::{Entry, StockMove};
use purser::domain::order::{Order, OrderLine, OrderStatus};
use purser::domain::text::Name;
use purser::domain::{
    EntryKind, Event, Money, MovementKind, Operation, OrderId, Posting, ProductId, Quantity, Record, Seq,
    Timestamp, UserId,
};
use purser::store::Batch;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

const ITEMS: u64 = 1_000;
const USERS: u64 = 20_000;
const ORDERS: u64 = 200_000;
const BATCH: usize = 4_096;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check"]
async fn rates_of_sqlite() {
    measure("SQLite", Fixture::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check"]
async fn rates_of_postgres() {
    measure("Postgres", Fixture::postgres().await).await;
}

async fn measure(what: &str, store: Fixture) {
    let mut setup = crate::story::Story::default();
    for item in 0..ITEMS {
        setup.item(Some(&format!("SKU-{item}")), 1_000_000);
    }
    for user in 0..USERS {
        let id = setup.user(&format!("user{user}@example.org"));
        setup.credit(id, 1_000_000);
    }
    let lease = store.acquired().await;
    let began = Instant::now();
    store.write(lease, &setup.records, BATCH).await;
    println!("{what}: {:.0} set-up records/s", rate(setup.records.len(), began));
    let orders = orders(setup.last());
    let mut after = setup.last();
    let (began, mut batching) = (Instant::now(), 0.0);
    for chunk in orders.chunks(BATCH) {
        let start = Instant::now();
        let batch = Batch::of(after, chunk);
        batching += start.elapsed().as_secs_f64();
        store.store.apply(lease.epoch, &batch).await.expect("the batch is written");
        after = batch.to;
    }
    println!("{what}: {:.0} single-line orders/s, {batching:.2} s of it batching", rate(orders.len(), began));
    let began = Instant::now();
    let ids: Vec<UserId> = (1..=USERS).map(UserId::new).collect();
    let mut loaded = 0;
    for ids in ids.chunks(500) {
        loaded += store.store.load_balances(ids, Timestamp::default()).await.expect("balances").value.len();
    }
    println!("{what}: {:.0} balances loaded/s in batches of 500", rate(loaded, began));
    let began = Instant::now();
    assert!(store.audit().await.iter().all(|check| check.ok));
    println!("{what}: audit of {} orders in {:.1} s", orders.len(), began.elapsed().as_secs_f64());
}

fn rate(count: usize, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}

fn orders(after: Seq) -> Vec<Record> {
    let mut stock = vec![(1_000_000, 1); ITEMS as usize + 1];
    let mut money = vec![(1_000_000, 1); USERS as usize + 1];
    let step = |totals: &mut Vec<(i64, u64)>, id: u64, delta: i64| {
        let total = &mut totals[id as usize];
        *total = (total.0 + delta, total.1 + 1);
        Posting { delta, total: total.0, version: total.1 }
    };
    let (price, name) = (Money::new(19).expect("money"), Name::parse("A thing").expect("a name"));
    let order = |index: u64| {
        let seq = Seq::new(after.get() + index + 1);
        let at = Timestamp::from_micros(1_700_000_000_000_000 + index as i64);
        let (product_id, user_id) =
            (ProductId::new(index * 7_919 % ITEMS + 1), UserId::new(index * 104_729 % USERS + 1));
        let id = OrderId::new(Uuid::now_v7());
        let line = OrderLine {
            product_id,
            quantity: Quantity::new(1).expect("a quantity"),
            unit_price: price,
            product_name: name.clone(),
            product_price: price,
        };
        let order = Order {
            id,
            user_id,
            status: OrderStatus::Processed,
            total: price,
            lines: vec![line],
            returned: Vec::new(),
            refunded: Money::ZERO,
            failure: None,
            created_at: at,
            updated_at: at,
        };
        let posting = step(&mut money, user_id.get(), -19);
        let (kind, order_id) = (EntryKind::Order, Some(id));
        let paid = Entry { user_id, kind, order_id, reference: None, description: None, posting };
        let posting = step(&mut stock, product_id.get(), -1);
        let sold = StockMove { product_id, kind: MovementKind::Sale, order_id, reason: None, posting };
        let events =
            vec![Event::OrderPlaced(Arc::new(order)), Event::EntryPosted(paid), Event::StockMoved(sold)];
        let (operation, caller) = (Operation::Purchase, Some(user_id));
        Record { seq, at, operation, caller, key: None, refusal: None, events }
    };
    (0..ORDERS).map(order).collect()
}
