//! A hot product sold by row locks and by an owner: the same purchase as a Postgres transaction (`SELECT … FOR UPDATE`, at
//! `synchronous_commit=on`, over a Unix socket) and through the engine, in process and over HTTP; all by the same number of
//! clients in this process, in turns. `cargo bench --bench row_locks [-- --seconds 6 --pairs 3 --clients 64]`.

#[path = "../tests/support/postgres.rs"]
mod private_postgres;
mod support;

use private_postgres::PrivatePostgres;
use purser::Engine;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{
    Cpu, History, Load, Opened, Server, Sold, Spread, Table, Target, fdatasync_rate, micros, rounded,
};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: support::Allocator = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let (clients, pairs) = (support::argument("clients", 64), support::argument("pairs", 3));
    let duration = Duration::from_secs(support::argument("seconds", 6));
    let place = support::postgres_directory()?;
    let title = format!(
        "One hot product, {clients} clients, {pairs} pairs of {} s: row locks in Postgres, then the engine",
        duration.as_secs()
    );
    support::banner(&title, &place)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let postgres = Arc::new(PrivatePostgres::create(true));
    let mut table = Table::of([
        "pair",
        "fdatasync/s",
        "row locks/s",
        "CPU us",
        "in process/s",
        "CPU us",
        "ratio",
        "HTTP/s",
        "CPU us",
        "ratio",
    ]);
    let [mut locked, mut owned, mut served, mut ratios, mut http_ratios] = <[Spread; 5]>::default();
    for pair in 1..=pairs {
        let syncs = fdatasync_rate(&place)?;
        let (theirs, their_cpu) = runtime.block_on(row_locks(&postgres, clients, duration))?;
        let (ours, our_cpu) = runtime.block_on(engine(clients, duration))?;
        let (http, http_cpu) = runtime.block_on(over_http(clients, duration))?;
        locked.add(theirs.rate());
        owned.add(ours.rate());
        served.add(http.rate());
        ratios.add(ours.rate() / theirs.rate());
        http_ratios.add(http.rate() / theirs.rate());
        table.row([
            pair.to_string(),
            rounded(syncs),
            rounded(theirs.rate()),
            rounded(micros(their_cpu, theirs.count)),
            rounded(ours.rate()),
            rounded(micros(our_cpu, ours.count)),
            rounded(ours.rate() / theirs.rate()),
            rounded(http.rate()),
            rounded(micros(http_cpu, http.count)),
            rounded(http.rate() / theirs.rate()),
        ]);
    }
    table.print();
    println!("row locks:  {locked} successes/s\nin process: {owned} successes/s, ratio {ratios}");
    println!("HTTP:       {served} successes/s, ratio {http_ratios}");
    println!("CPU is per success, clients and databases included.");
    Ok(())
}

/// One run on a new database with the store's own tables and indexes.
async fn row_locks(
    postgres: &Arc<PrivatePostgres>,
    clients: u64,
    duration: Duration,
) -> anyhow::Result<(Sold, f64)> {
    let keeper = postgres.clone();
    let url = tokio::task::spawn_blocking(move || keeper.create_database()).await?;
    let mut history = History::new(clients, 1);
    let mut opened = Opened::new(&Target::Postgres(url.clone())).await?;
    opened.fill(history.opening()).await?;
    opened.hand_over().await?;
    let database = url.rsplit('/').next().unwrap_or_default();
    let options = postgres.socket_url().parse::<PgConnectOptions>()?.database(database);
    let options = options.options([("synchronous_commit", "on"), ("jit", "off")]);
    let mut admin = PgConnection::connect_with(&options).await?;
    let sequence = format!("CREATE SEQUENCE placed START {}", history.last().next());
    sqlx::raw_sql(sqlx::AssertSqlSafe(sequence)).execute(&mut admin).await?;
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(PgConnection::connect_with(&options).await?);
    }
    let (cpu, begun) = (Cpu::now(), Instant::now());
    let callers: Vec<_> = (1..)
        .zip(connections)
        .map(|(user, connection)| tokio::spawn(client(connection, user, begun, duration)))
        .collect();
    let mut count = 0;
    for caller in callers {
        count += caller.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = cpu.since();
    let left: i64 = sqlx::query_scalar("SELECT stock FROM products").fetch_one(&mut admin).await?;
    let sold: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&mut admin).await?;
    anyhow::ensure!(sold as u64 == count && left + sold == History::initial_stock(), "the sums do not agree");
    admin.close().await?;
    Ok((Sold { count, seconds }, cpu.own + cpu.others))
}

async fn client(
    mut connection: PgConnection,
    user: i64,
    begun: Instant,
    duration: Duration,
) -> anyhow::Result<u64> {
    let mut sold = 0;
    while begun.elapsed() < duration {
        sold += u64::from(purchase(&mut connection, user).await?);
    }
    connection.close().await?;
    Ok(sold)
}

/// The purchase as it is usually written. False when stock or money do not suffice.
async fn purchase(connection: &mut PgConnection, user: i64) -> anyhow::Result<bool> {
    const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    const ORDER: &str =
        "INSERT INTO orders (created_seq, id, user_id, status, total_amount, created_at, updated_at)
         VALUES (nextval('placed'), $1, $2, 'processed', $3, $4, $4)";
    const LINE: &str = "INSERT INTO order_lines (order_id, line, product_id, quantity, unit_price, product_name, product_price)
         VALUES ($1, 0, 1, 1, $2, $3, $2)";
    const MOVEMENT: &str =
        "INSERT INTO movements (product_id, version, seq, delta, stock_after, kind, order_id, created_at)
         VALUES (1, $1, currval('placed'), -1, $2, 'sale', $3, $4)";
    const ENTRY: &str =
        "INSERT INTO entries (user_id, version, seq, delta, balance_after, kind, order_id, created_at)
         VALUES ($1, $2, currval('placed'), -$3, $4, 'order', $5, $6)";
    let mut transaction = connection.begin().await?;
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT name, price, stock, version, {NOW} FROM products WHERE id = 1 FOR UPDATE"
    ));
    let (name, price, stock, version, now): (String, i64, i64, i64, i64) =
        sqlx::query_as(sql).fetch_one(&mut *transaction).await?;
    if stock < 1 {
        return Ok(false);
    }
    sqlx::query("UPDATE products SET stock = stock - 1, version = version + 1, updated_at = $1 WHERE id = 1")
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    let paid: Option<(i64, i64)> = sqlx::query_as(
        "UPDATE balances SET amount = amount - $2, version = version + 1 WHERE user_id = $1 AND amount >= $2
         RETURNING amount, version",
    )
    .bind(user)
    .bind(price)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some((amount, entry)) = paid else { return Ok(false) };
    let order = Uuid::now_v7();
    sqlx::query(ORDER).bind(order).bind(user).bind(price).bind(now).execute(&mut *transaction).await?;
    sqlx::query(LINE).bind(order).bind(price).bind(name).execute(&mut *transaction).await?;
    sqlx::query(MOVEMENT)
        .bind(version + 1)
        .bind(stock - 1)
        .bind(order)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(ENTRY)
        .bind(user)
        .bind(entry)
        .bind(price)
        .bind(amount)
        .bind(order)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(true)
}

/// One run of an engine with an empty journal and the embedded store behind it.
async fn engine(clients: u64, duration: Duration) -> anyhow::Result<(Sold, f64)> {
    let directory = support::data_directory("row-locks-")?;
    let target = Target::Sqlite(directory.path().to_owned());
    let mut history = History::new(clients, 1);
    let mut opened = Opened::new(&target).await?;
    opened.fill(history.opening()).await?;
    opened.hand_over().await?;
    let engine = Engine::start(support::options_of(&target, directory.path())).await?;
    support::read_all(&engine, 1..clients + 1, 1..2).await?;
    let cpu = Cpu::now();
    let load = Load { callers: clients, duration, rate: None, users: clients, products: 1 };
    let sold = load.run(&engine).await?;
    let cpu = cpu.since().own;
    support::drained(&engine).await;
    let left = engine
        .item(purser::domain::ProductId::new(1), purser::engine::Freshness::default())
        .await?
        .value
        .stock;
    anyhow::ensure!(left + sold.count as i64 == History::initial_stock(), "the sums do not agree");
    engine.shutdown().await;
    Ok((sold, cpu))
}

/// One run of a server process with the embedded store, authenticated and with a connection per client.
async fn over_http(clients: u64, duration: Duration) -> anyhow::Result<(Sold, f64)> {
    let directory = support::data_directory("row-locks-")?;
    let mut opened = Opened::new(&Target::Sqlite(directory.path().to_owned())).await?;
    opened.fill(History::new(clients, 1).opening()).await?;
    opened.hand_over().await?;
    let server = Server::purser(env!("CARGO_BIN_EXE_purser"), directory.path(), &[])?;
    let mut tokens = Vec::new();
    for user in 1..=clients {
        tokens.push(server.token(user).await?);
    }
    let cpu = Cpu::now();
    let sold = server.buy(tokens, duration).await?;
    let cpu = cpu.since();
    anyhow::ensure!(
        server.stock().await? + sold.count as i64 == History::initial_stock(),
        "the sums do not agree"
    );
    Ok((sold, cpu.own + cpu.others))
}
