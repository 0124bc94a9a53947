//! How fast a journal is read back: survey alone, survey with every record decoded, and the drain of a backlog into the
//! embedded store; then how long a process takes from its start to `listening` with nothing to recover.
//! `cargo bench --bench recovery [-- --records 2000000 --backlog 100000 --rounds 3]`.

mod support;

use anyhow::Context;
use purser::Engine;
use purser::clock::SystemClock;
use purser::domain::{Record, Seq};
use purser::journal::disk::{Directory, Disk};
use purser::journal::{Halt, Journal, JournalOptions, reader, recover};
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Cpu, History, Spread, Table, Target, fdatasync_rate, micros, rounded};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: support::Allocator = mimalloc::MiMalloc;

const USERS: u64 = 10_000;
const PRODUCTS: u64 = 10_000;
/// More than any record here takes.
const RECORD_BYTES: usize = 512;

fn main() -> anyhow::Result<()> {
    let (records, rounds) = (support::argument("records", 2_000_000), support::argument("rounds", 3));
    let directory = support::data_directory("recovery-")?;
    support::banner(&format!("A journal of {records} records, read back {rounds} times"), directory.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    read_back(&runtime, &directory.path().join("long"), records, rounds)?;
    let data = directory.path().join("backlog");
    drain(&runtime, &data, support::argument("backlog", 100_000))?;
    starts(&data, directory.path(), rounds.max(5))
}

/// Writes a journal as an engine does; every record is durable when this returns.
fn write(
    runtime: &tokio::runtime::Runtime,
    disk: &Arc<dyn Disk>,
    records: impl Iterator<Item = Record>,
) -> anyhow::Result<()> {
    let options = JournalOptions { segment_bytes: 32 << 20, keep_segments: 2 };
    let survey = reader::survey(disk.as_ref())?;
    let recovered = recover::recover(disk.as_ref(), survey, Uuid::now_v7(), options.segment_bytes)?;
    // Nobody waits for the records, so none is kept.
    let (sender, _) = tokio::sync::mpsc::unbounded_channel();
    let journal =
        Journal::open(disk.clone(), options, &recovered, Seq::new(1), Arc::new(Halt::default()), sender)?;
    for record in records {
        let space = runtime.block_on(journal.reserve(RECORD_BYTES))?;
        journal.enqueue(record, &[], space);
    }
    journal.close();
    Ok(())
}

fn read_back(
    runtime: &tokio::runtime::Runtime,
    path: &Path,
    records: u64,
    rounds: u64,
) -> anyhow::Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(Directory::open(path)?);
    let mut history = History::new(USERS, PRODUCTS);
    let begun = Instant::now();
    write(runtime, &disk, (0..records).map(|_| history.purchase()))?;
    let survey = reader::survey(disk.as_ref())?;
    anyhow::ensure!(survey.last() == history.last(), "the journal is not whole");
    let bytes: u64 = survey.segments.iter().map(|segment| segment.end).sum();
    let frames: u64 = survey.segments.iter().map(|segment| segment.frames).sum();
    println!(
        "written in {:.1} s: {} segments, {} frames, {:.0} bytes a record; read from the page cache",
        begun.elapsed().as_secs_f64(),
        survey.segments.len(),
        frames,
        bytes as f64 / records as f64
    );
    let mut table = Table::of(["what", "records/s", "MB/s", "CPU us a record"]);
    let [mut surveyed, mut decoded, mut both] = <[Spread; 3]>::default();
    let mut cpus = [0.0; 2];
    for _ in 0..rounds {
        let (cpu, begun) = (Cpu::now(), Instant::now());
        black_box(reader::survey(disk.as_ref())?);
        let first = begun.elapsed().as_secs_f64();
        cpus[0] += cpu.since().own;
        let (cpu, begun, mut count) = (Cpu::now(), Instant::now(), 0);
        reader::read(disk.as_ref(), Seq::new(1), |record, _| {
            count += u64::from(black_box(&record).seq > Seq::ZERO);
            Ok(())
        })?;
        let second = begun.elapsed().as_secs_f64();
        cpus[1] += cpu.since().own;
        anyhow::ensure!(count == records, "only {count} records came back");
        let rate = |seconds: f64| records as f64 / seconds;
        surveyed.add(rate(first));
        decoded.add(rate(second));
        both.add(rate(first + second));
    }
    let each = bytes as f64 / records as f64 / 1e6;
    let all = records * rounds;
    for (what, spread, cpu) in [
        ("survey", &surveyed, cpus[0]),
        ("survey and decode, one pass", &decoded, cpus[1]),
        ("both, as a start with all of it as backlog", &both, cpus[0] + cpus[1]),
    ] {
        table.row([
            what.to_owned(),
            spread.to_string(),
            rounded(spread.median() * each),
            rounded(micros(cpu, all)),
        ]);
    }
    table.print();
    Ok(())
}

/// An engine starts on a journal that the store has nothing of.
fn drain(runtime: &tokio::runtime::Runtime, data: &Path, purchases: u64) -> anyhow::Result<()> {
    std::fs::create_dir_all(data)?;
    let syncs = fdatasync_rate(data)?;
    let disk: Arc<dyn Disk> = Arc::new(Directory::open(&data.join("journal"))?);
    let mut history = History::new(USERS, PRODUCTS);
    let opening: Vec<Record> = history.opening().collect();
    let purchased = (0..purchases).map(|_| history.purchase());
    write(runtime, &disk, opening.into_iter().chain(purchased))?;
    // When the opening was in the store, and how far it was then: what comes after are purchases alone.
    let steps: Arc<Mutex<Vec<(Instant, u64)>>> = Arc::default();
    let noting = steps.clone();
    let begun = Instant::now();
    let options = support::options_of(&Target::Sqlite(data.to_owned()), data);
    let progress = Arc::new(move |done, _| noting.lock().expect("no panic").push((Instant::now(), done)));
    let engine = runtime.block_on(Engine::start_with(options, Arc::new(SystemClock), progress))?;
    let started = begun.elapsed();
    let steps = steps.lock().expect("no panic").clone();
    let first = steps.iter().find(|(_, done)| *done >= USERS + PRODUCTS).context("no progress was told")?;
    let last = steps.last().context("no progress was told")?;
    let rate = (last.1 - first.1) as f64 / (last.0 - first.0).as_secs_f64();
    println!(
        "drain into SQLite: {} purchases/s over {}; {} fdatasync/s; ready after {:.2} s with {} records in all\n",
        rounded(rate),
        rounded((last.1 - first.1) as f64),
        rounded(syncs),
        started.as_secs_f64(),
        rounded(last.1 as f64),
    );
    let end = runtime.block_on(engine.shutdown());
    anyhow::ensure!(end.backlog_records == 0, "a backlog was left");
    Ok(())
}

fn starts(drained: &Path, directory: &Path, rounds: u64) -> anyhow::Result<()> {
    let mut table = Table::of(["from process start to `listening`", "ms"]);
    let (mut fresh, mut again, mut known) = (Spread::default(), Spread::default(), Spread::default());
    for round in 0..rounds {
        let new = directory.join(format!("fresh-{round}"));
        fresh.add(start(&new)?.as_secs_f64() * 1e3);
        again.add(start(&new)?.as_secs_f64() * 1e3);
    }
    // The first start makes the admin.
    start(drained)?;
    for _ in 0..rounds {
        known.add(start(drained)?.as_secs_f64() * 1e3);
    }
    table.row(["in a new directory".into(), fresh.to_string()]);
    table.row(["again, with an empty journal's segments".into(), again.to_string()]);
    table.row(["with the drained journal above".into(), known.to_string()]);
    table.print();
    Ok(())
}

/// Starts a server, and stops it cleanly.
fn start(data: &Path) -> anyhow::Result<Duration> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purser"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    let begun = Instant::now();
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(server.stdout.take().context("no output")?).lines();
    let listening = lines.find(|line| line.as_ref().map_or(true, |line| line.starts_with("listening")));
    let elapsed = begun.elapsed();
    let told = listening.context("the server did not start")?.is_ok();
    Command::new("sh").args(["-c", &format!("kill -TERM {}", server.id())]).status()?;
    let ended = server.wait()?;
    anyhow::ensure!(told && ended.success(), "the server did not run as it should: {ended}");
    Ok(elapsed)
}
