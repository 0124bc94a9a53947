//! Messages inside one process, with a real journal and the embedded store behind it: upgrade checks per second from end to
//! end, and how fast orders that wait are decided beside the same orders decided at once. `cargo bench --bench messages [-- ORDERS [CHECKS]]`.

mod support;

use purser::domain::message::MessageKind;
use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::domain::{Money, Outcome, ProductId, Quantity, Stock, UserId, WithdrawalId};
use purser::engine::{
    AdjustRequest, Call, Engine, EngineOptions, LineRequest, Lines, NewItemRequest, NewUserRequest,
    OrderRequest, Pricing, WithdrawalRequest,
};
use purser::messages::Profiles;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USERS: usize = 1_000;
const IN_FLIGHT: usize = 256;

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let orders = numbers.next().unwrap_or(100_000);
    let checks = numbers.next().unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!("{:.0} fdatasync/s", support::fdatasync_rate(support::data_directory("probe")?.path())?);
    runtime.block_on(withdrawals(checks))?;
    runtime.block_on(background(orders))
}

fn options(directory: &Path, profiles: &Profiles) -> EngineOptions {
    let mut options = EngineOptions::embedded(directory);
    options.backlog_records_max = u64::MAX;
    options.backlog_bytes_max = u64::MAX;
    options.profiles = *profiles;
    options
}

/// Calls `work` for every number below `count`, so many at a time.
async fn all<F, Fut>(engine: &Engine, count: usize, work: F) -> anyhow::Result<()>
where
    F: Fn(Engine, usize) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..IN_FLIGHT {
        let (engine, next, work) = (engine.clone(), next.clone(), work.clone());
        let beside = engine.clone();
        let calls = async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                work(engine.clone(), number).await;
            }
        };
        tasks.push(tokio::spawn(async move { beside.run_beside_owners(calls).await }));
    }
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn withdrawals(checks: usize) -> anyhow::Result<()> {
    let directory = support::data_directory("messages")?;
    let engine = Engine::start(options(directory.path(), &Profiles::default())).await?;
    let users: Arc<[UserId]> = users(&engine).await?.into();
    let amount = Money::new(1).expect("in range");
    let ask = |engine: &Engine, user_id| {
        let (engine, request) = (engine.clone(), WithdrawalRequest { user_id, amount });
        async move {
            match engine.request_withdrawal(Call::default(), request).await.expect("asked for").outcome {
                Outcome::Withdrawal(withdrawal) => withdrawal.id,
                other => panic!("{other:?}"),
            }
        }
    };
    let mut asked: Vec<WithdrawalId> = Vec::with_capacity(checks);
    while asked.len() < checks {
        let some = (0..IN_FLIGHT).map(|turn| ask(&engine, users[(asked.len() + turn) % users.len()]));
        asked.extend(futures_util::future::join_all(some).await);
    }
    let asked: Arc<[WithdrawalId]> = asked.into();
    let begun = Instant::now();
    let ids = asked.clone();
    all(&engine, checks, move |engine, number| {
        let id = ids[number];
        async move {
            engine.complete_withdrawal(Call::default(), id).await.expect("completed");
        }
    })
    .await?;
    let completing = begun.elapsed();
    settled(&engine).await;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{checks} upgrade checks from end to end: {:.0}/s ({:.1} s, of which {:.1} s were completing the withdrawals)",
        checks as f64 / seconds,
        seconds,
        completing.as_secs_f64(),
    );
    let stats = engine.message_stats();
    let done: u64 = stats.by_kind.values().map(|kind| kind.succeeded_total).sum();
    println!("{done} of {} delivered, {} failed", checks, open(&engine));
    engine.shutdown().await;
    Ok(())
}

async fn background(orders: usize) -> anyhow::Result<()> {
    let directory = support::data_directory("messages")?;
    // One at a time while they are accepted, so that nearly all are still there for the next engine.
    let mut slow = Profiles::default();
    slow.process_order.concurrency = 1;
    let engine = Engine::start(options(directory.path(), &slow)).await?;
    let users: Arc<[UserId]> = users(&engine).await?.into();
    let product_id = item(&engine).await?;
    let request = move |users: &[UserId], number: usize| {
        let (quantity, unit_price) = (Quantity::new(1).expect("one"), Money::new(1).expect("in range"));
        let lines = Lines::new(vec![LineRequest { product_id, quantity, unit_price }]).expect("sound");
        OrderRequest { user_id: users[number % users.len()], lines, pricing: Pricing::Claimed }
    };
    let begun = Instant::now();
    let buyers = users.clone();
    all(&engine, orders, move |engine, number| {
        let request = request(&buyers, number);
        async move {
            engine.order(Call::default(), request).await.expect("ordered");
        }
    })
    .await?;
    let foreground = orders as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let buyers = users.clone();
    all(&engine, orders, move |engine, number| {
        let request = request(&buyers, number);
        async move {
            engine.accept_order(Call::default(), request).await.expect("accepted");
        }
    })
    .await?;
    println!("{:.0} orders/s accepted", orders as f64 / begun.elapsed().as_secs_f64());
    engine.shutdown().await;
    let waiting = orders as u64 - decided(&engine);
    drop(engine);
    let starting = Instant::now();
    let engine = Engine::start(options(directory.path(), &Profiles::default())).await?;
    println!("{waiting} waiting messages at the start, which took {:.2} s", starting.elapsed().as_secs_f64());
    let begun = Instant::now();
    while decided(&engine) < orders as u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let drained = waiting as f64 / begun.elapsed().as_secs_f64();
    println!(
        "background orders: {drained:.0}/s decided; the same in the foreground: {foreground:.0}/s; ratio {:.2}",
        drained / foreground
    );
    engine.shutdown().await;
    Ok(())
}

/// Orders that were decided in the background, by this engine and those before it.
fn decided(engine: &Engine) -> u64 {
    let stats = engine.message_stats();
    stats.by_kind.get(&MessageKind::ProcessOrder).map_or(0, |kind| kind.succeeded_total)
}

/// Messages that are not done.
fn open(engine: &Engine) -> u64 {
    let stats = engine.message_stats();
    stats.by_kind.values().map(|kind| kind.ready + kind.delayed + kind.running + kind.failed).sum()
}

async fn settled(engine: &Engine) {
    while open(engine) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn users(engine: &Engine) -> anyhow::Result<Vec<UserId>> {
    let mut users = Vec::with_capacity(USERS);
    for number in 0..USERS {
        let request = NewUserRequest {
            name: Name::parse("User").map_err(anyhow::Error::msg)?,
            email: Email::parse(&format!("user-{number}@bench.invalid")).map_err(anyhow::Error::msg)?,
            password: None,
            role: Role::User,
            open_session: false,
        };
        let user_id = engine.register(request).await?.user.id;
        let amount = Money::new(1_000_000_000).expect("in range");
        let credit = AdjustRequest { user_id, amount, reference: None, description: None };
        engine.credit(Call::default(), credit).await?;
        users.push(user_id);
    }
    Ok(users)
}

async fn item(engine: &Engine) -> anyhow::Result<ProductId> {
    let request = NewItemRequest {
        sku: None,
        name: Name::parse("Lamp").map_err(anyhow::Error::msg)?,
        description: None,
        price: Money::new(1).expect("in range"),
        stock: Stock::new(1_000_000_000).expect("in range"),
    };
    match engine.create_item(Call::default(), request).await?.outcome {
        Outcome::Item(view) => Ok(view.product_id),
        other => anyhow::bail!("{other:?}"),
    }
}
