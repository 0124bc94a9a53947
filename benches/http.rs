//! Authenticated, journal-durable purchases over real HTTP against a bare actix-web POST that parses and echoes the same
//! JSON with as many workers: ratio of rates, server CPU per request, backlog and drain. Both servers are processes of
//! their own; the load generator is one thread here. `cargo bench --bench http [-- SECONDS [WORKERS [PAIRS]]]`.

mod support;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Connection, Server, request};

#[global_allocator]
static ALLOCATOR: support::Allocator = mimalloc::MiMalloc;

const BUYERS: usize = 256;
const ECHO: &str = "--echo-server";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().map(String::as_str) == Some(ECHO) {
        return echo::serve(arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(1));
    }
    let number = |place: usize, default: u64| {
        arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (seconds, workers, pairs) = (number(0, 5), number(1, 1) as usize, number(2, 3));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(compare(Duration::from_secs(seconds), workers, pairs))
}

mod echo {
    //! The bare server.
    use actix_web::{App, HttpResponse, HttpServer, post, web};
    use serde::{Deserialize, Serialize};

    #[derive(Deserialize, Serialize)]
    struct Body {
        quantity: i64,
    }

    #[post("/echo")]
    async fn echo(body: web::Json<Body>) -> HttpResponse {
        HttpResponse::Ok().json(&*body)
    }

    pub fn serve(workers: usize) -> anyhow::Result<()> {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(|| App::new().service(echo)).workers(workers).bind("127.0.0.1:0")?;
            println!("listening on http://{}", server.addrs()[0]);
            server.run().await?;
            Ok(())
        })
    }
}

/// CPU seconds so far, of all threads but those of the store.
fn cpu_seconds(server: &Server) -> anyhow::Result<f64> {
    let mut ticks = 0;
    for task in std::fs::read_dir(format!("/proc/{}/task", server.process()))? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let (head, tail) = stat.rsplit_once(')').context("stat")?;
        if head.contains("(store") || head.contains("sqlx") {
            continue;
        }
        let fields: Vec<&str> = tail.split_whitespace().collect();
        ticks += fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    }
    Ok(ticks as f64 / 100.0)
}

/// What one run measured.
struct Measured {
    rate: f64,
    cpu_micros: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Keeps every connection busy with its own cycle of requests for the duration.
async fn load(server: &Server, lanes: Vec<Vec<Vec<u8>>>, duration: Duration) -> anyhow::Result<Measured> {
    let cpu_before = cpu_seconds(server)?;
    let begun = Instant::now();
    let local = tokio::task::LocalSet::new();
    let address = server.address();
    let runs: Vec<_> = lanes
        .into_iter()
        .map(|requests| {
            let address = address.to_owned();
            local.spawn_local(tokio::task::unconstrained(async move {
                let mut connection = Connection::open(&address).await?;
                let mut latencies = hdrhistogram::Histogram::<u64>::new(3)?;
                let mut turn = 0;
                while begun.elapsed() < duration {
                    let sent = Instant::now();
                    let (status, _) = connection.exchange(&requests[turn % requests.len()]).await?;
                    if status >= 300 {
                        bail!("status {status}")
                    }
                    latencies.record(sent.elapsed().as_micros() as u64)?;
                    turn += 1;
                }
                Ok(latencies)
            }))
        })
        .collect();
    let mut latencies = hdrhistogram::Histogram::<u64>::new(3)?;
    local
        .run_until(async {
            for run in runs {
                latencies.add(run.await??)?;
            }
            anyhow::Ok(())
        })
        .await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds(server)? - cpu_before;
    Ok(Measured {
        rate: latencies.len() as f64 / elapsed,
        cpu_micros: cpu * 1e6 / latencies.len() as f64,
        p50_ms: latencies.value_at_quantile(0.5) as f64 / 1e3,
        p99_ms: latencies.value_at_quantile(0.99) as f64 / 1e3,
    })
}

struct Shop {
    items: Vec<u64>,
    tokens: Vec<String>,
}

async fn furnish(server: &Server, items: usize) -> anyhow::Result<Shop> {
    let mut shop = Shop { items: Vec::new(), tokens: Vec::new() };
    for number in 0..items {
        let item = json!({"name": format!("Item {number}"), "price": 1, "stock": 1_000_000_000});
        let item = server.ask("POST", "/api/v1/items", &item).await?;
        shop.items.push(item["id"].as_u64().context("an id")?);
    }
    for number in 0..BUYERS {
        let user = json!({"name": "Buyer", "email": format!("buyer{number}@bench.invalid")});
        let user = server.ask("POST", "/api/v1/users", &user).await?["id"].as_u64().context("an id")?;
        let funds = json!({"amount": 1_000_000_000_000_i64});
        server.ask("POST", &format!("/api/v1/users/{user}/balance/increment"), &funds).await?;
        shop.tokens.push(server.token(user).await?);
    }
    Ok(shop)
}

/// Each lane buys as one user, from all items in turn.
fn purchases(shop: &Shop, connections: usize) -> Vec<Vec<Vec<u8>>> {
    let body = json!({"quantity": 1});
    let per_lane = shop.items.len().min(512);
    (0..connections)
        .map(|lane| {
            let token = &shop.tokens[lane % shop.tokens.len()];
            let item = |turn: usize| shop.items[(lane * 7_919 + turn * 104_729) % shop.items.len()];
            (0..per_lane)
                .map(|turn| request("POST", &format!("/api/v1/items/{}/purchase", item(turn)), token, &body))
                .collect()
        })
        .collect()
}

async fn metric(server: &Server, name: &str) -> anyhow::Result<f64> {
    let mut connection = server.connect().await?;
    let (_, body) = connection.exchange(&request("GET", "/metrics", "", &Value::Null)).await?;
    let text = String::from_utf8_lossy(body);
    let line = text.lines().find(|line| line.starts_with(name)).context("the metric")?;
    Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
}

async fn compare(duration: Duration, workers: usize, pairs: u64) -> anyhow::Result<()> {
    println!(
        "{workers} workers, {} s a run, {pairs} pairs; CPU is the server's, without the store's threads",
        duration.as_secs()
    );
    for (items, name) in [(1, "hot"), (10_000, "uniform")] {
        let directory = support::data_directory("http-")?;
        let settings = [("PURSER__SERVER__WORKERS", workers.to_string())];
        let server = Server::purser(env!("CARGO_BIN_EXE_purser"), directory.path(), &settings)?;
        let shop = furnish(&server, items).await?;
        for connections in [64, 256] {
            let mut ratios = Vec::new();
            for _ in 0..pairs {
                let mut command = Command::new(std::env::current_exe()?);
                command.args([ECHO, &workers.to_string()]);
                let bare = Server::start(command)?;
                let echo = vec![vec![request("POST", "/echo", "none", &json!({"quantity": 1}))]; connections];
                let base = load(&bare, echo, duration).await?;
                drop(bare);
                let syncs = metric(&server, "purser_journal_fdatasync_seconds_count").await?;
                let ours = load(&server, purchases(&shop, connections), duration).await?;
                let syncs = (metric(&server, "purser_journal_fdatasync_seconds_count").await? - syncs)
                    / duration.as_secs_f64();
                let backlog = metric(&server, "purser_backlog_records").await?;
                let draining = Instant::now();
                while metric(&server, "purser_backlog_records").await? > 0.0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                println!(
                    "{name:>8} {connections:>4} connections: echo {:>7.0}/s {:>5.1} us | purchase {:>7.0}/s {:>5.1} us \
                     p50 {:.2} ms p99 {:.2} ms, {syncs:.0} fdatasync/s | ratio {:.2}, CPU x{:.2} | backlog {backlog:.0}, \
                     drained in {:.1} s",
                    base.rate,
                    base.cpu_micros,
                    ours.rate,
                    ours.cpu_micros,
                    ours.p50_ms,
                    ours.p99_ms,
                    ours.rate / base.rate,
                    ours.cpu_micros / base.cpu_micros,
                    draining.elapsed().as_secs_f64(),
                );
                ratios.push(ours.rate / base.rate);
            }
            ratios.sort_by(f64::total_cmp);
            println!("{name:>8} {connections:>4} connections: median ratio {:.2}", ratios[ratios.len() / 2]);
        }
    }
    Ok(())
}
