//! What delayed messages cost, each with a key of its own, as after a receiver's outage: resident memory of the board and the
//! schedule, the time of a start, and how fast a hot product sells beside them.
//! `cargo bench --bench delayed_messages [-- --messages 1000000 --pairs 5 --seconds 2]`

mod support;

use anyhow::Context;
use purser::Engine;
use purser::clock::{Clock, SystemClock};
use purser::domain::message::{Message, MessageKind, OpenMessage, Payload};
use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::domain::{
    MessageId, Money, OrderId, Outcome, ProductId, Quantity, Seq, Stock, Timestamp, UserId,
};
use purser::engine::{AdjustRequest, Call, EngineOptions, NewItemRequest, NewUserRequest, PurchaseRequest};
use purser::messages::board::{Board, Change, Notice};
use purser::messages::schedule::Schedule;
use sqlx::{ConnectOptions, Connection};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Table, drained, resident_bytes, rounded};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: support::Allocator = mimalloc::MiMalloc;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// Hot purchases under way at a time.
const CALLERS: usize = 256;
const BUYERS: usize = 100;

fn main() -> anyhow::Result<()> {
    let count = support::argument("messages", 1_000_000);
    let directory = support::data_directory("messages-")?;
    support::banner(&format!("{count} delayed messages"), directory.path())?;
    let before = settled()?;
    let (board, mut listener) = Board::new();
    let mut schedule = Schedule::new(purser::messages::Profiles::default(), &BTreeMap::new());
    for place in 1..=count {
        board.restore(delayed(place), Seq::new(place));
        while let Ok(Notice { place, change: Change::Stands(open), .. }) = listener.try_recv() {
            schedule.stands(&open, place, NOW);
        }
    }
    let grown = settled()?.saturating_sub(before);
    let counted = schedule.stats().by_kind[&MessageKind::OrderShipped].delayed;
    anyhow::ensure!(counted == count, "{counted} are delayed");
    let mut table = Table::of(["messages", "bytes each"]);
    table.row([rounded(count as f64), rounded(grown as f64 / count as f64)]);
    table.print();
    drop((board, schedule));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(beside_sales(count))
}

/// Two engines with the same shop, one of them with the messages, sell in turn.
async fn beside_sales(count: u64) -> anyhow::Result<()> {
    let (pairs, seconds) = (support::argument("pairs", 5), support::argument("seconds", 2));
    let (bare, laden) = (support::data_directory("bare-")?, support::data_directory("laden-")?);
    let mut shops = Vec::new();
    for directory in [&bare, &laden] {
        let engine = Engine::start(options(directory.path())).await?;
        let shop = furnish(&engine).await?;
        // Each message needs a record that queued it.
        while engine.health().journal.durable <= count {
            sell(&engine, &shop, Duration::from_secs(1)).await?;
        }
        drained(&engine).await;
        engine.shutdown().await;
        shops.push(shop);
    }
    delay(&laden.path().join("store.db"), count).await?;
    let bare = Engine::start(options(bare.path())).await?;
    let begun = Instant::now();
    let laden = Engine::start(options(laden.path())).await?;
    println!("a start with {count} delayed messages took {:.1} s", begun.elapsed().as_secs_f64());
    while delayed_now(&laden) < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("after {:.1} s all of them were scheduled", begun.elapsed().as_secs_f64());
    let mut ratios = Vec::new();
    for _ in 0..pairs {
        let mut rates = [0.0; 2];
        for ((engine, shop), rate) in [&bare, &laden].into_iter().zip(&shops).zip(&mut rates) {
            *rate = sell(engine, shop, Duration::from_secs(seconds)).await?;
            drained(engine).await;
        }
        println!(
            "hot purchases: {:.0}/s without, {:.0}/s beside them, ratio {:.2}",
            rates[0],
            rates[1],
            rates[1] / rates[0]
        );
        ratios.push(rates[1] / rates[0]);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    bare.shutdown().await;
    laden.shutdown().await;
    Ok(())
}

/// None for the first moments of an engine.
fn delayed_now(engine: &Engine) -> u64 {
    engine.message_stats().by_kind.get(&MessageKind::OrderShipped).map_or(0, |kind| kind.delayed)
}

fn options(directory: &Path) -> EngineOptions {
    let mut options = EngineOptions::embedded(directory);
    options.backlog_records_max = u64::MAX;
    options.backlog_bytes_max = u64::MAX;
    options
}

/// Who buys, and what.
struct Shop {
    buyers: Vec<UserId>,
    product_id: ProductId,
}

async fn furnish(engine: &Engine) -> anyhow::Result<Shop> {
    let mut buyers = Vec::new();
    for number in 0..BUYERS {
        let request = NewUserRequest {
            name: Name::parse("Buyer").map_err(anyhow::Error::msg)?,
            email: Email::parse(&format!("buyer-{number}@bench.invalid")).map_err(anyhow::Error::msg)?,
            password: None,
            role: Role::User,
            open_session: false,
        };
        let user_id = engine.register(request).await?.user.id;
        let amount = Money::new(1_000_000_000_000).context("an amount")?;
        let credit = AdjustRequest { user_id, amount, reference: None, description: None };
        engine.credit(Call::default(), credit).await?;
        buyers.push(user_id);
    }
    let request = NewItemRequest {
        sku: None,
        name: Name::parse("Lamp").map_err(anyhow::Error::msg)?,
        description: None,
        price: Money::new(1).context("a price")?,
        stock: Stock::new(1_000_000_000).context("a stock")?,
    };
    match engine.create_item(Call::default(), request).await?.outcome {
        Outcome::Item(view) => Ok(Shop { buyers, product_id: view.product_id }),
        other => anyhow::bail!("{other:?}"),
    }
}

/// Purchases per second of the one product.
async fn sell(engine: &Engine, shop: &Shop, duration: Duration) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|caller| {
        let (engine, product_id, user_id) = (engine.clone(), shop.product_id, shop.buyers[caller % BUYERS]);
        tokio::spawn(async move {
            let (mut sold, quantity) = (0_u64, Quantity::new(1).context("one")?);
            while begun.elapsed() < duration {
                engine.purchase(Call::default(), PurchaseRequest { user_id, product_id, quantity }).await?;
                sold += 1;
            }
            anyhow::Ok(sold)
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut count = 0;
    for caller in callers {
        count += caller.await??;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Puts messages that are due tomorrow into a store that is at rest, one for each of its first records.
async fn delay(store: &Path, count: u64) -> anyhow::Result<()> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store);
    let mut connection = options.connect().await?;
    let micros = SystemClock.now().micros();
    sqlx::query(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1)
         INSERT INTO messages (created_seq, id, user_id, kind, payload, created_at, attempts, forgiven, next_attempt_at)
         SELECT n, randomblob(16), 1 + n % 100, 'order_shipped',
                printf('{\"order_shipped\":{\"order_id\":\"%08x-0000-7000-8000-000000000000\",\"total\":1}}', n), $2, 1, 0, $3
         FROM n",
    )
    .bind(count as i64)
    .bind(micros)
    .bind(micros + 86_400_000_000)
    .execute(&mut connection)
    .await?;
    connection.close().await?;
    Ok(())
}

/// Due within the next hours, in no particular order.
fn delayed(place: u64) -> OpenMessage {
    let order_id = OrderId::new(Uuid::now_v7());
    let message = Message {
        id: MessageId::new(Uuid::now_v7()),
        user_id: UserId::new(place),
        payload: Payload::OrderShipped { order_id, total: Money::ZERO },
        created_at: NOW,
    };
    let seconds = 1 + place.wrapping_mul(2_654_435_761) % 10_000;
    let next_attempt_at = Some(NOW.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)));
    OpenMessage { attempts: 1, next_attempt_at, ..OpenMessage::queued(Arc::new(message)) }
}

/// Resident memory once freed memory had the time to go back.
fn settled() -> anyhow::Result<u64> {
    std::thread::sleep(Duration::from_secs(1));
    Ok(resident_bytes()?)
}
