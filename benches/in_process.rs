//! Durable purchases per second inside one process: hot (one product) and uniform (10,000 products), with a real journal
//! and the embedded store behind it. `cargo bench --bench in_process [-- SECONDS [PRODUCTS [ARBITERS]]]`.

mod support;

use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::domain::{Money, Outcome, ProductId, Quantity, UserId};
use purser::engine::{
    AdjustRequest, Call, Engine, EngineOptions, NewItemRequest, NewUserRequest, PurchaseRequest,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IN_FLIGHT: usize = 1_024;
const BUYERS: usize = 1_024;

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let seconds = numbers.next().unwrap_or(5);
    let products = numbers.next().map_or_else(|| vec![1, 10_000], |products| vec![products as usize]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let arbiters = numbers.next().unwrap_or(1) as usize;
    println!("{:.0} fdatasync/s", support::fdatasync_rate(support::data_directory("probe")?.path())?);
    for products in products {
        runtime.block_on(run(products, arbiters, Duration::from_secs(seconds)))?;
    }
    Ok(())
}

async fn run(products: usize, arbiters: usize, duration: Duration) -> anyhow::Result<()> {
    let directory = support::data_directory("in-process")?;
    let mut options = EngineOptions::embedded(directory.path());
    options.arbiters = arbiters;
    options.backlog_records_max = u64::MAX;
    options.backlog_bytes_max = u64::MAX;
    let engine = Engine::start(options).await?;
    let mut buyers = Vec::new();
    for number in 0..BUYERS {
        buyers.push(buyer(&engine, number).await?);
    }
    let mut items = Vec::new();
    for number in 0..products {
        items.push(item(&engine, number).await?);
    }
    let items: Arc<[ProductId]> = items.into();
    let sold = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..IN_FLIGHT)
        .map(|lane| {
            let (engine, items, sold) = (engine.clone(), items.clone(), sold.clone());
            let user_id = buyers[lane % buyers.len()];
            let beside = engine.clone();
            tokio::spawn(async move {
                beside
                    .run_beside_owners(async move {
                        let mut turn = lane;
                        while begun.elapsed() < duration {
                            turn = turn
                                .wrapping_mul(6_364_136_223_846_793_005)
                                .wrapping_add(1_442_695_040_888_963_407);
                            let product_id = items[(turn >> 33) % items.len()];
                            let quantity = Quantity::new(1).expect("one");
                            let request = PurchaseRequest { user_id, product_id, quantity };
                            engine.purchase(Call::default(), request).await.expect("sold");
                            sold.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let sold = sold.load(Ordering::Relaxed);
    let backlog = engine.health().backlog;
    let draining = Instant::now();
    let end = engine.shutdown().await;
    println!(
        "{products:>6} products: {:>9.0} durable purchases/s over {elapsed:.1} s ({sold} sold), backlog {} records, \
         drained in {:.1} s, left {}",
        sold as f64 / elapsed,
        backlog.records,
        draining.elapsed().as_secs_f64(),
        end.backlog_records,
    );
    Ok(())
}

async fn buyer(engine: &Engine, number: usize) -> anyhow::Result<UserId> {
    let request = NewUserRequest {
        name: Name::parse("Buyer").map_err(anyhow::Error::msg)?,
        email: Email::parse(&format!("buyer-{number}@bench.invalid")).map_err(anyhow::Error::msg)?,
        password: None,
        role: Role::User,
        open_session: false,
    };
    let user_id = engine.register(request).await?.user.id;
    let amount = Money::new(1_000_000_000_000).expect("in range");
    engine
        .credit(Call::default(), AdjustRequest { user_id, amount, reference: None, description: None })
        .await?;
    Ok(user_id)
}

async fn item(engine: &Engine, number: usize) -> anyhow::Result<ProductId> {
    let request = NewItemRequest {
        sku: None,
        name: Name::parse(&format!("Item {number}")).map_err(anyhow::Error::msg)?,
        description: None,
        price: Money::new(1_999).expect("in range"),
        stock: 1_000_000_000,
    };
    match engine.create_item(Call::default(), request).await?.outcome {
        Outcome::Item(view) => Ok(view.product_id),
        other => anyhow::bail!("{other:?}"),
    }
}
