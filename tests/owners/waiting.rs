//! Work that waits in great numbers when an engine starts.

use crate::house::House;
use futures_util::future::ready;
use futures_util::stream::{self, StreamExt};
use purser::domain::message::MessageKind;
use purser::domain::order::OrderStatus;
use purser::domain::{Money, ProductId, Quantity, UserId};
use purser::engine::{Call, Freshness, LineRequest, Lines, OrderRequest, Pricing};
use purser::messages::{KindStats, Profiles};
use purser::store::{OrderFilter, Page};
use std::time::Duration;

const ORDERS: usize = 100_000;
/// Not enough for all.
const STOCK: i64 = 60_000;
const BUYERS: usize = 200;
const FUNDS: i64 = 1_000_000;
/// Only a defect makes it take that long.
const PATIENCE: Duration = Duration::from_mins(3);

fn order(user_id: UserId, product_id: ProductId) -> OrderRequest {
    let (quantity, unit_price) = (Quantity::new(1).expect("one"), Money::new(10).expect("a price"));
    let lines = Lines::new(vec![LineRequest { product_id, quantity, unit_price }]).expect("sound");
    OrderRequest { user_id, lines, pricing: Pricing::Claimed }
}

fn stats(house: &House) -> KindStats {
    house.engine.message_stats().by_kind.get(&MessageKind::ProcessOrder).copied().unwrap_or_default()
}

/// Polls, for the dispatcher tells nobody how far it is.
async fn reach(house: &House, what: &str, met: impl Fn(KindStats) -> bool) {
    let reached = async {
        while !met(stats(house)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect(what);
}

/// How many of somebody's orders ended so.
async fn ended(house: &House, user_id: UserId, status: OrderStatus) -> usize {
    let filter = OrderFilter { user_id: Some(user_id), status: Some(status) };
    let page = Page { limit: 1_000, before: None };
    let orders = house.engine.orders(filter, page, Freshness::default()).await.expect("a list");
    assert!(orders.value.next.is_none(), "more than a page");
    orders.value.rows.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_orders_that_wait_at_a_start_are_decided_once_each_while_new_ones_are_served() {
    let mut slow = Profiles::default();
    slow.process_order.concurrency = 1;
    let house = House::new(|options| {
        options.profiles = slow;
        options.read_timeout = PATIENCE;
    })
    .await;
    let (scarce, plenty) = (house.item(STOCK).await, house.item(10).await);
    let mut buyers = Vec::new();
    for number in 0..BUYERS {
        buyers.push(house.buyer(&format!("buyer-{number}"), FUNDS).await);
    }
    let accepted = stream::iter((0..ORDERS).map(|number| buyers[number % BUYERS]))
        .map(|user_id| house.engine.accept_order(Call::default(), order(user_id, scarce)))
        .buffer_unordered(256);
    let accepted = accepted.filter(|answer| ready(answer.is_ok())).count().await;
    assert_eq!(accepted, ORDERS);
    let house = house.reopened_with(|options| options.profiles = Profiles::default()).await;
    // Before it has looked at what waits, it shows nothing at all.
    reach(&house, "it sees what waits", |counts| counts.ready + counts.running > 0).await;
    let waiting = ORDERS as u64 - stats(&house).succeeded_total;
    assert!(waiting > ORDERS as u64 * 9 / 10, "only {waiting} of {ORDERS} wait");
    house.buy(buyers[0], plenty, Call::default()).await.expect("sold beside what waits");
    let begun_with = stats(&house);
    assert!(
        begun_with.ready + begun_with.running > 0,
        "all was decided before a new purchase: {begun_with:?}"
    );
    reach(&house, "all are decided", |counts| counts.succeeded_total == ORDERS as u64).await;
    let counts = stats(&house);
    assert_eq!((counts.ready, counts.delayed, counts.running, counts.failed), (0, 0, 0, 0));
    assert_eq!(house.stock(scarce).await, 0);
    let mut paid = 0;
    for buyer in &buyers {
        paid += FUNDS - house.amount(*buyer).await;
    }
    assert_eq!(paid, 10 * (STOCK + 1), "sixty thousand, and the one beside them");
    house.credit(buyers[1], 10, Call::default()).await.expect("credited");
    // Lists are of what is stored; a store that is this busy may count as away for a moment.
    reach(&house, "all is stored", |_| house.engine.health().backlog.records == 0).await;
    let processed = ended(&house, buyers[1], OrderStatus::Processed).await;
    assert_eq!(processed + ended(&house, buyers[1], OrderStatus::Failed).await, ORDERS / BUYERS);
    assert_eq!(house.amount(buyers[1]).await, FUNDS + 10 - 10 * processed as i64);
    house.close().await;
}
