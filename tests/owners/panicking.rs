//! Panics that nobody waits for: each halts the engine and is its reason.

use crate::house::{House, KINDS_SWEPT, in_time};
use crate::threads::Thread;
use futures_util::future::poll_immediate;
use purser::engine::{Busy, Call, EngineError};
use purser::journal::HaltReason;

/// It takes nothing on any more, and says why.
async fn expect_halted(house: &House, part: &str) {
    assert_eq!(in_time("a halt", house.engine.halted()).await, HaltReason::Panic(part.into()));
    let health = house.engine.health();
    assert_eq!((health.ready, health.state), (false, "halted"));
    assert_eq!(health.reason, Some(format!("a part of the engine panicked: {part}")));
    let late = in_time("an answer", house.create_item(None, 1)).await;
    assert_eq!(late, Err(EngineError::NotExecuted(Busy::ShuttingDown)));
}

#[tokio::test]
async fn a_panic_in_an_operation_whose_caller_has_gone_away_halts_the_engine() {
    let house = House::new(|options| options.sweep_seconds = 3_600).await;
    let (item, ann) = (house.item(5).await, house.buyer("ann", 100).await);
    let here = Thread::of(&house.engine).await;
    let held_up = here.hold_up().await;
    let mut purchase = Box::pin(house.buy(ann, item, Call::by(ann)));
    assert_eq!(poll_immediate(&mut purchase).await, None, "it has not begun");
    drop(purchase);
    house.clock.break_for_operations();
    drop(held_up);
    expect_halted(&house, "an operation").await;
}

#[tokio::test]
async fn a_panic_in_housekeeping_halts_the_engine() {
    let house = House::new(|options| options.sweep_seconds = 1).await;
    // The pruning of keys and the first sweeps are over.
    house.clock.asked_since_the_start(1 + KINDS_SWEPT).await;
    house.clock.break_for_the_store();
    expect_halted(&house, "passivation").await;
}
