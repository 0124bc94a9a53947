//! Purchases and reads by many callers of an engine in this process.

use purser::Engine;
use purser::domain::{ProductId, Quantity, UserId};
use purser::engine::{Call, Freshness, PurchaseRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the callers do.
#[derive(Clone, Copy)]
pub struct Load {
    pub callers: u64,
    pub duration: Duration,
    /// Purchases per second in all; none for as many as there can be.
    pub rate: Option<u64>,
    /// Each caller buys as one of these users, from all of these products.
    pub users: u64,
    pub products: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Sold {
    pub count: u64,
    pub seconds: f64,
}

impl Sold {
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }
}

impl Load {
    /// Buys single units until the time is up. Every purchase must succeed.
    pub async fn run(self, engine: &Engine) -> anyhow::Result<Sold> {
        let begun = Instant::now();
        let callers: Vec<_> = (0..self.callers)
            .map(|caller| tokio::spawn(self.caller(engine.clone(), caller, begun)))
            .collect();
        let mut count = 0;
        for caller in callers {
            count += caller.await??;
        }
        Ok(Sold { count, seconds: begun.elapsed().as_secs_f64() })
    }

    async fn caller(self, engine: Engine, caller: u64, begun: Instant) -> anyhow::Result<u64> {
        let user_id = UserId::new(caller % self.users + 1);
        let quantity = Quantity::new(1).expect("one");
        let (mut turn, mut sold) = (caller, 0);
        while begun.elapsed() < self.duration {
            if let Some(rate) = self.rate {
                let due = (sold * self.callers + caller) as f64 / rate as f64;
                tokio::time::sleep_until((begun + Duration::from_secs_f64(due)).into()).await;
            }
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let product_id = ProductId::new((turn >> 33) % self.products + 1);
            engine.purchase(Call::default(), PurchaseRequest { user_id, product_id, quantity }).await?;
            sold += 1;
        }
        Ok(sold)
    }
}

/// Reads the balances and products with these ids once, by many callers at a time, in an order that is not the ids'.
pub async fn read_all(
    engine: &Engine,
    users: std::ops::Range<u64>,
    products: std::ops::Range<u64>,
) -> anyhow::Result<Duration> {
    const CALLERS: u64 = 2_048;
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let count = (users.end - users.start) + (products.end - products.start);
    let callers: Vec<_> = (0..CALLERS.min(count))
        .map(|_| {
            let (engine, next, users, products) =
                (engine.clone(), next.clone(), users.clone(), products.clone());
            tokio::spawn(async move {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= count {
                        return anyhow::Ok(());
                    }
                    let place = scattered(turn, count);
                    match place.checked_sub(users.end - users.start) {
                        None => {
                            engine.balance(UserId::new(users.start + place), Freshness::default()).await?;
                        }
                        Some(place) => {
                            engine.item(ProductId::new(products.start + place), Freshness::default()).await?;
                        }
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(begun.elapsed())
}

/// A permutation of `0..count` that leaves no neighbours together.
fn scattered(turn: u64, count: u64) -> u64 {
    const STRIDE: u64 = 1_000_003;
    if count.is_multiple_of(STRIDE) { turn } else { turn * STRIDE % count }
}

/// Waits until the store has everything.
pub async fn drained(engine: &Engine) -> Duration {
    let begun = Instant::now();
    while engine.health().backlog.records > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}
