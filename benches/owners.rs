//! What an idle owner costs: resident memory with very many of them, and how many cold ones are loaded per second, from
//! either store. The store is filled by a process of its own, so that its memory is not reused by the owners.
//! `cargo bench --bench owners [-- --owners 200000 --rounds 5] [--postgres-only | --sqlite-only]`; the figures for a
//! million owners: `-- --owners 1000000`.

#[path = "../tests/support/postgres.rs"]
mod private_postgres;
mod support;

use anyhow::Context;
use private_postgres::PrivatePostgres;
use purser::Engine;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{Cpu, History, Opened, Spread, Table, Target, fdatasync_rate, micros, resident_bytes, rounded};

#[global_allocator]
static ALLOCATOR: support::Allocator = mimalloc::MiMalloc;

/// Loaded before anything is measured: connections, caches and buffers have their size then.
const WARM_UP: u64 = 2_000;

fn main() -> anyhow::Result<()> {
    let (owners, rounds) = (support::argument("owners", 200_000), support::argument("rounds", 5));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if let Ok(target) = std::env::var("PURSER_BENCH_FILL") {
        return runtime.block_on(fill(&target, owners));
    }
    let directory = support::data_directory("owners-")?;
    let title = format!(
        "{owners} idle owners, half of them balances and half products, loaded in {rounds} rounds each"
    );
    support::banner(&title, directory.path())?;
    let mut table = Table::of([
        "store",
        "fdatasync/s",
        "owners",
        "bytes each",
        "loaded/s, median of rounds",
        "CPU us each",
        "store's CPU us each",
    ]);
    if !support::flag("postgres-only") {
        let target = Target::Sqlite(directory.path().join("sqlite"));
        runtime.block_on(measure(&mut table, &target, &directory.path().join("sqlite"), owners, rounds))?;
    }
    if !support::flag("sqlite-only") {
        support::postgres_directory()?;
        let postgres = PrivatePostgres::create(true);
        let target = Target::Postgres(postgres.create_database());
        runtime.block_on(measure(&mut table, &target, &directory.path().join("postgres"), owners, rounds))?;
    }
    table.print();
    println!(
        "Bytes are resident memory of the whole process, so they hold the registry and the allocator's waste too."
    );
    Ok(())
}

/// In the process that only fills the store.
async fn fill(target: &str, owners: u64) -> anyhow::Result<()> {
    let target = if target.starts_with("postgres:") {
        Target::Postgres(target.to_owned())
    } else {
        Target::Sqlite(target.into())
    };
    let mut opened = Opened::new(&target).await?;
    opened.fill(History::new(owners / 2, owners / 2).opening()).await?;
    opened.hand_over().await?;
    Ok(())
}

async fn measure(
    table: &mut Table,
    target: &Target,
    data: &Path,
    owners: u64,
    rounds: u64,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(data)?;
    let mut filling = Command::new(std::env::current_exe()?);
    let wanted = match target {
        Target::Sqlite(path) => path.to_str().context("a path in UTF-8")?.to_owned(),
        Target::Postgres(url) => url.clone(),
    };
    filling.env("PURSER_BENCH_FILL", wanted).args(["--owners", &owners.to_string()]);
    anyhow::ensure!(filling.status()?.success(), "the store could not be filled");
    let mut options = support::options_of(target, data);
    options.idle_seconds = u32::MAX;
    options.sweep_seconds = 3_600;
    let syncs = fdatasync_rate(data)?;
    let engine = Engine::start(options).await?;
    let each = owners / 2;
    support::read_all(&engine, 1..WARM_UP + 1, 1..WARM_UP + 1).await?;
    let mut total = (0, 0.0);
    for kind in ["balances", "products"] {
        let (mut rates, mut from) = (Spread::default(), WARM_UP + 1);
        let before = settled().await?;
        let cpu = Cpu::now();
        for round in 1..=rounds {
            let to = WARM_UP + 1 + (each - WARM_UP) * round / rounds;
            let (users, products) = if kind == "balances" { (from..to, 0..0) } else { (0..0, from..to) };
            let seconds = support::read_all(&engine, users, products).await?.as_secs_f64();
            rates.add((to - from) as f64 / seconds);
            from = to;
        }
        let (cpu, loaded) = (cpu.since(), each - WARM_UP);
        let grown = settled().await?.saturating_sub(before);
        total = (total.0 + loaded, total.1 + grown as f64);
        table.row([
            format!("{}, {kind}", target.name()),
            rounded(syncs),
            rounded(loaded as f64),
            rounded(grown as f64 / loaded as f64),
            rates.to_string(),
            rounded(micros(cpu.own, loaded)),
            rounded(micros(cpu.others, loaded)),
        ]);
    }
    let (blank, owners) = (String::new, rounded(total.0 as f64));
    let name = format!("{}, all", target.name());
    table.row([name, blank(), owners, rounded(total.1 / total.0 as f64), blank(), blank(), blank()]);
    engine.shutdown().await;
    Ok(())
}

/// Resident memory once freed memory had the time to go back.
async fn settled() -> anyhow::Result<u64> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(resident_bytes()?)
}
