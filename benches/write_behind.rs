//! What the write-behind sustains: purchases over 10,000 products and 10,000 users, batch by batch through `Store::apply`,
//! against COPY alone for the same history rows into the same tables and indexes of Postgres; the same through the
//! embedded store; then an engine under a fixed load: backlog at the end, and how long it takes to drain.
//! `cargo bench --bench write_behind [-- --purchases 60000 --pairs 3 --rate 5000 --seconds 4]`.

#[path = "../tests/support/postgres.rs"]
mod private_postgres;
mod support;

use private_postgres::PrivatePostgres;
use purser::Engine;
use purser::domain::{Event, Record};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Cpu, History, Load, Opened, Spread, Table, Target, fdatasync_rate, micros, rounded};

#[global_allocator]
static ALLOCATOR: support::Allocator = mimalloc::MiMalloc;

const USERS: u64 = 10_000;
const PRODUCTS: u64 = 10_000;
/// History rows of one purchase: movement, entry, order, order line.
const ROWS: u64 = 4;
const MESSAGE: usize = 256 * 1_024;

fn main() -> anyhow::Result<()> {
    let (purchases, pairs) = (support::argument("purchases", 60_000), support::argument("pairs", 3));
    let batch = support::argument("batch", 10_000) as usize;
    let place = support::postgres_directory()?;
    let title = format!(
        "{purchases} purchases in batches of {batch} against COPY alone, {pairs} pairs; {ROWS} history rows each"
    );
    support::banner(&title, &place)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let postgres = Arc::new(PrivatePostgres::create(true));
    let mut table = Table::of([
        "pair",
        "fdatasync/s",
        "COPY rows/s",
        "Postgres CPU us a row",
        "apply rows/s",
        "Postgres CPU us a row",
        "own CPU us a row",
        "ratio",
        "records/s",
        "SQLite records/s",
        "CPU us a record",
    ]);
    let [mut ratios, mut copied, mut applied, mut embedded] = <[Spread; 4]>::default();
    for pair in 1..=pairs {
        let mut history = History::new(USERS, PRODUCTS);
        let opening: Vec<Record> = history.opening().collect();
        let records: Vec<Record> = (0..purchases).map(|_| history.purchase()).collect();
        let syncs = fdatasync_rate(&place)?;
        let copy =
            runtime.block_on(async { copy_alone(&database(&postgres).await?, &opening, &records).await })?;
        let target = Target::Postgres(runtime.block_on(database(&postgres))?);
        let apply = runtime.block_on(apply(&target, &opening, &records, batch))?;
        let directory = support::data_directory("write-behind-")?;
        let sqlite = runtime.block_on(self::apply(
            &Target::Sqlite(directory.path().into()),
            &opening,
            &records,
            batch,
        ))?;
        let rows = purchases * ROWS;
        let rate = |run: &Run| rows as f64 / run.seconds;
        ratios.add(rate(&apply) / rate(&copy));
        copied.add(rate(&copy));
        applied.add(rate(&apply));
        embedded.add(rate(&sqlite));
        table.row([
            pair.to_string(),
            rounded(syncs),
            rounded(rate(&copy)),
            rounded(micros(copy.cpu.others, rows)),
            rounded(rate(&apply)),
            rounded(micros(apply.cpu.others, rows)),
            rounded(micros(apply.cpu.own, rows)),
            rounded(rate(&apply) / rate(&copy)),
            rounded(rate(&apply) / ROWS as f64),
            rounded(rate(&sqlite) / ROWS as f64),
            rounded(micros(sqlite.cpu.own, purchases)),
        ]);
    }
    table.print();
    println!(
        "COPY alone: {copied} rows/s\nPostgres:   {applied} rows/s\nratio:      {ratios}\nSQLite:     {embedded} rows/s\n"
    );
    runtime.block_on(under_load(&postgres))
}

async fn database(postgres: &Arc<PrivatePostgres>) -> anyhow::Result<String> {
    let postgres = postgres.clone();
    Ok(tokio::task::spawn_blocking(move || postgres.create_database()).await?)
}

struct Run {
    seconds: f64,
    cpu: Cpu,
}

/// The batches of the write-behind, one after the other, each committed before the next is made.
async fn apply(target: &Target, opening: &[Record], records: &[Record], batch: usize) -> anyhow::Result<Run> {
    let mut opened = Opened::new(target).await?;
    opened.fill(opening.iter().cloned()).await?;
    let (cpu, begun) = (Cpu::now(), Instant::now());
    for chunk in records.chunks(batch) {
        opened.apply(chunk).await?;
    }
    let run = Run { seconds: begun.elapsed().as_secs_f64(), cpu: cpu.since() };
    opened.audit().await?;
    opened.hand_over().await?;
    Ok(run)
}

/// The history rows alone, written out beforehand, each table in one COPY and one transaction.
async fn copy_alone(url: &str, opening: &[Record], records: &[Record]) -> anyhow::Result<Run> {
    let mut opened = Opened::new(&Target::Postgres(url.to_owned())).await?;
    opened.fill(opening.iter().cloned()).await?;
    opened.hand_over().await?;
    let tables = written_out(records)?;
    let mut connection = PgConnection::connect(url).await?;
    let (cpu, begun) = (Cpu::now(), Instant::now());
    for (sql, text) in tables {
        let mut copy = connection.copy_in_raw(sql).await?;
        for message in text.as_bytes().chunks(MESSAGE) {
            copy.send(message).await?;
        }
        copy.finish().await?;
    }
    let run = Run { seconds: begun.elapsed().as_secs_f64(), cpu: cpu.since() };
    connection.close().await?;
    Ok(run)
}

/// Each table's COPY statement with its rows, in journal order.
fn written_out(records: &[Record]) -> anyhow::Result<[(&'static str, String); 4]> {
    let [mut movements, mut entries, mut orders, mut lines] = [const { String::new() }; 4];
    for record in records {
        let (seq, at) = (record.seq, record.at.micros());
        for event in &record.events {
            match event {
                Event::StockMoved(moved) => {
                    let (posting, order) =
                        (moved.posting, moved.order_id.map_or_else(|| "\\N".into(), |id| id.to_string()));
                    let (id, version, kind) = (moved.product_id, posting.version, moved.kind.word());
                    writeln!(
                        movements,
                        "{id}\t{version}\t{seq}\t{}\t{}\t{kind}\t{order}\t\\N\t{at}",
                        posting.delta, posting.total
                    )?;
                }
                Event::EntryPosted(entry) => {
                    let (posting, order) =
                        (entry.posting, entry.order_id.map_or_else(|| "\\N".into(), |id| id.to_string()));
                    let (id, version, kind) = (entry.user_id, posting.version, entry.kind.word());
                    writeln!(
                        entries,
                        "{id}\t{version}\t{seq}\t{}\t{}\t{kind}\t{order}\t\\N\t\\N\t{at}",
                        posting.delta, posting.total
                    )?;
                }
                Event::OrderPlaced(order) => {
                    let (id, user, status) = (order.id, order.user_id, order.status.word());
                    writeln!(
                        orders,
                        "{seq}\t{id}\t{user}\t{status}\t{}\t\\N\t\\N\t\\N\t{at}\t{at}",
                        order.total
                    )?;
                    for (number, line) in order.lines.iter().enumerate() {
                        let (product, quantity, price) = (line.product_id, line.quantity, line.unit_price);
                        writeln!(
                            lines,
                            "{id}\t{number}\t{product}\t{quantity}\t{price}\t{}\t{}",
                            line.product_name, line.product_price
                        )?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok([
        (
            "COPY movements (product_id, version, seq, delta, stock_after, kind, order_id, reason, created_at) FROM STDIN",
            movements,
        ),
        (
            "COPY entries (user_id, version, seq, delta, balance_after, kind, order_id, reference, description, created_at) \
             FROM STDIN",
            entries,
        ),
        (
            "COPY orders (created_seq, id, user_id, status, total_amount, failure_code, failure_detail, failure_product_id, \
             created_at, updated_at) FROM STDIN",
            orders,
        ),
        (
            "COPY order_lines (order_id, line, product_id, quantity, unit_price, product_name, product_price) FROM STDIN",
            lines,
        ),
    ])
}

async fn under_load(postgres: &Arc<PrivatePostgres>) -> anyhow::Result<()> {
    let (rate, seconds) = (support::argument("rate", 5_000), support::argument("seconds", 4));
    println!(
        "An engine under a fixed load of {rate} purchases/s for {seconds} s, 1,024 callers, {PRODUCTS} products"
    );
    let mut table =
        Table::of(["store", "fdatasync/s", "sold/s", "backlog at the end", "its age, s", "drained in, s"]);
    for embedded in [false, true] {
        let directory = support::data_directory("write-behind-")?;
        let target = if embedded {
            Target::Sqlite(directory.path().to_owned())
        } else {
            Target::Postgres(database(postgres).await?)
        };
        let mut opened = Opened::new(&target).await?;
        opened.fill(History::new(USERS, PRODUCTS).opening()).await?;
        opened.hand_over().await?;
        let syncs = fdatasync_rate(directory.path())?;
        let engine = Engine::start(support::options_of(&target, directory.path())).await?;
        support::read_all(&engine, 1..USERS + 1, 1..PRODUCTS + 1).await?;
        let duration = Duration::from_secs(seconds);
        let load = Load { callers: 1_024, duration, rate: Some(rate), users: USERS, products: PRODUCTS };
        let sold = load.run(&engine).await?;
        let backlog = engine.health().backlog;
        let drained = support::drained(&engine).await;
        table.row([
            target.name().to_owned(),
            rounded(syncs),
            rounded(sold.rate()),
            rounded(backlog.records as f64),
            rounded(backlog.seconds),
            rounded(drained.as_secs_f64()),
        ]);
        engine.shutdown().await;
    }
    table.print();
    Ok(())
}
