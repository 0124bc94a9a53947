//! What completing a withdrawal costs beside a plain decrement, over real HTTP: 100 connections ask for each in turn, the
//! checks of the distributors' levels run in the background meanwhile. `cargo bench --bench withdrawals [-- CALLS [PAIRS]]`.

mod support;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{Connection, Server, fdatasync_rate, request};

#[global_allocator]
static ALLOCATOR: support::Allocator = mimalloc::MiMalloc;

const CONNECTIONS: usize = 100;

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let (calls, pairs) = (numbers.next().unwrap_or(200), numbers.next().unwrap_or(5));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(compare(calls, pairs))
}

/// Sends each lane's requests over a connection of its own, one after the other; answers with how long each took and, of
/// each lane, the ids in the replies.
async fn send(address: &str, lanes: Vec<Vec<Vec<u8>>>) -> anyhow::Result<(Histogram<u64>, Vec<Vec<String>>)> {
    let local = tokio::task::LocalSet::new();
    let sending = lanes.into_iter().map(|requests| {
        let address = address.to_owned();
        local.spawn_local(async move {
            let mut connection = Connection::open(&address).await?;
            let (mut took, mut ids) = (Histogram::<u64>::new(3)?, Vec::with_capacity(requests.len()));
            for request in &requests {
                let sent = Instant::now();
                let (status, body) = connection.exchange(request).await?;
                took.record(sent.elapsed().as_micros() as u64)?;
                anyhow::ensure!(status < 300, "status {status}: {}", String::from_utf8_lossy(body));
                let reply: Value = serde_json::from_slice(body)?;
                ids.push(reply["id"].as_str().unwrap_or_default().to_owned());
            }
            anyhow::Ok((took, ids))
        })
    });
    let sending: Vec<_> = sending.collect();
    local
        .run_until(async {
            let (mut all, mut ids) = (Histogram::<u64>::new(3)?, Vec::new());
            for lane in sending {
                let (took, of_lane) = lane.await??;
                all.add(took)?;
                ids.push(of_lane);
            }
            Ok((all, ids))
        })
        .await
}

async fn compare(calls: usize, pairs: usize) -> anyhow::Result<()> {
    let directory = support::data_directory("withdrawals-")?;
    println!(
        "{CONNECTIONS} connections, {calls} calls each, {pairs} pairs; {:.0} fdatasync/s",
        fdatasync_rate(directory.path())?
    );
    let server = Server::purser(env!("CARGO_BIN_EXE_purser"), directory.path(), &[])?;
    let (mut users, mut tokens) = (Vec::new(), Vec::new());
    for number in 0..CONNECTIONS {
        let user = json!({"name": "Distributor", "email": format!("distributor{number}@bench.invalid")});
        let user = server.ask("POST", "/api/v1/users", &user).await?["id"].as_u64().context("an id")?;
        let funds = json!({"amount": 1_000_000_000});
        server.ask("POST", &format!("/api/v1/users/{user}/balance/increment"), &funds).await?;
        users.push(user);
        tokens.push(server.token(user).await?);
    }
    let one = json!({"amount": 1});
    let of_admin = |path: &str, body: &Value| request("POST", path, server.admin(), body);
    let mut ratios = Vec::new();
    for _ in 0..pairs {
        let asking =
            tokens.iter().map(|token| vec![request("POST", "/api/v1/withdrawals", token, &one); calls]);
        let (_, ids) = send(server.address(), asking.collect()).await?;
        settled(&server).await?;
        let decrement = |user: &u64| of_admin(&format!("/api/v1/users/{user}/balance/decrement"), &one);
        let lanes = users.iter().map(|user| vec![decrement(user); calls]).collect();
        let (plain, _) = send(server.address(), lanes).await?;
        settled(&server).await?;
        let complete = |id: &String| of_admin(&format!("/api/v1/withdrawals/{id}/complete"), &json!({}));
        let lanes = ids.iter().map(|ids| ids.iter().map(complete).collect()).collect();
        let (completing, _) = send(server.address(), lanes).await?;
        let milliseconds = |took: &Histogram<u64>, share| took.value_at_quantile(share) as f64 / 1e3;
        let ratio = completing.value_at_quantile(0.5) as f64 / plain.value_at_quantile(0.5) as f64;
        println!(
            "decrement: median {:.2} ms, P95 {:.2} ms | complete: median {:.2} ms, P95 {:.2} ms | ratio of medians {ratio:.2}",
            milliseconds(&plain, 0.5),
            milliseconds(&plain, 0.95),
            milliseconds(&completing, 0.5),
            milliseconds(&completing, 0.95),
        );
        ratios.push(ratio);
    }
    settled(&server).await?;
    ratios.sort_by(f64::total_cmp);
    let stats = server.ask("GET", "/api/v1/messages/stats", &Value::Null).await?;
    println!(
        "median ratio {:.2}; {} checks done of {}, {} failed",
        ratios[ratios.len() / 2],
        stats["succeeded_total"],
        CONNECTIONS * calls * pairs,
        stats["failed"]
    );
    Ok(())
}

/// Waits until nothing is left to be checked or stored.
async fn settled(server: &Server) -> anyhow::Result<()> {
    loop {
        let stats = server.ask("GET", "/api/v1/messages/stats", &Value::Null).await?;
        let health = server.ask("GET", "/health/ready", &Value::Null).await?;
        let open =
            ["ready", "delayed", "running"].iter().filter_map(|name| stats[name].as_u64()).sum::<u64>();
        if open == 0 && health["backlog"]["records"] == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
