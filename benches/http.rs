//! Authenticated, journal-durable purchases over real HTTP against a bare actix-web POST that parses and echoes the same
//! JSON with as many workers: ratio of rates, server CPU per request, backlog and drain. Both servers are processes of
//! their own; the load generator is one thread here. `cargo bench --bench http [-- SECONDS [WORKERS [PAIRS]]]`.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

/// A server process.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
        for line in lines {
            if let Some(address) = line?.strip_prefix("listening on http://") {
                return Ok(Self { child, address: address.to_owned() });
            }
        }
        bail!("the server ended before it listened")
    }

    /// CPU seconds so far, of all threads but those of the store.
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let mut ticks = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
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
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One kept-alive connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4_096) })
    }

    /// Sends a request and answers with its status; the body is in the buffer from the returned offset on.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, usize)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection")
            }
            let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let text = std::str::from_utf8(&self.buffer[..head])?;
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if self.buffer.len() >= head + 4 + length.unwrap_or(0) {
                return Ok((text[9..12].parse()?, head + 4));
            }
        }
    }

    async fn json(&mut self, request: &[u8]) -> anyhow::Result<Value> {
        let (status, body) = self.exchange(request).await?;
        let value = serde_json::from_slice(&self.buffer[body..]).unwrap_or(Value::Null);
        anyhow::ensure!(status < 300, "{status}: {value}");
        Ok(value)
    }
}

fn request(method: &str, path: &str, token: &str, body: &Value) -> Vec<u8> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
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
    let cpu_before = server.cpu_seconds()?;
    let begun = Instant::now();
    let local = tokio::task::LocalSet::new();
    let address = server.address.clone();
    let runs: Vec<_> = lanes
        .into_iter()
        .map(|requests| {
            let address = address.clone();
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
    let cpu = server.cpu_seconds()? - cpu_before;
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

async fn furnish(server: &Server, data: &Path, items: usize) -> anyhow::Result<Shop> {
    let admin = std::fs::read_to_string(data.join("admin-token"))?;
    let mut connection = Connection::open(&server.address).await?;
    let mut shop = Shop { items: Vec::new(), tokens: Vec::new() };
    for number in 0..items {
        let item = json!({"name": format!("Item {number}"), "price": 1, "stock": 1_000_000_000});
        let item = connection.json(&request("POST", "/api/v1/items", &admin, &item)).await?;
        shop.items.push(item["id"].as_u64().context("an id")?);
    }
    for number in 0..BUYERS {
        let user = json!({"name": "Buyer", "email": format!("buyer{number}@bench.invalid")});
        let user = connection.json(&request("POST", "/api/v1/users", &admin, &user)).await?;
        let user = format!("/api/v1/users/{}", user["id"]);
        let funds = json!({"amount": 1_000_000_000_000_i64});
        connection.json(&request("POST", &format!("{user}/balance/increment"), &admin, &funds)).await?;
        let token = connection.json(&request("POST", &format!("{user}/token"), &admin, &json!({}))).await?;
        shop.tokens.push(token["access_token"].as_str().context("a token")?.to_owned());
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
    let mut connection = Connection::open(&server.address).await?;
    let (_, body) = connection.exchange(&request("GET", "/metrics", "", &Value::Null)).await?;
    let text = String::from_utf8_lossy(&connection.buffer[body..]).into_owned();
    let line = text.lines().find(|line| line.starts_with(name)).context("the metric")?;
    Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
}

async fn compare(duration: Duration, workers: usize, pairs: u64) -> anyhow::Result<()> {
    println!(
        "{workers} workers, {} s a run, {pairs} pairs; CPU is the server's, without the store's threads",
        duration.as_secs()
    );
    for (items, name) in [(1, "hot"), (10_000, "uniform")] {
        let directory = tempfile::tempdir_in(".")?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_purser"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.path())
            .env("PURSER__SERVER__WORKERS", workers.to_string())
            .env("PURSER__WRITE_BEHIND__BACKLOG_RECORDS_MAX", "20000000")
            .env("PURSER__WRITE_BEHIND__BACKLOG_BYTES_MAX", "8589934592");
        let server = Server::start(command)?;
        let shop = furnish(&server, directory.path(), items).await?;
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
