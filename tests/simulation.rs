//! The engine on a simulated disk, before a store whose line fails, with a clock that jumps: thousands of short lives, each made
//! anew from one seed, and each judged by the auditor. `PURSER_SIMULATION_SEEDS` or `PURSER_SIMULATION_SECONDS` make it longer,
//! `PURSER_SIMULATION_FIRST` begins at another seed, `PURSER_SIMULATION_STRIDE=1` takes every place of the loops; a failing run
//! names its seed.

#[path = "simulation/mod.rs"]
mod simulation;

use purser::domain::redemption::SealedCode;
use purser::domain::{Event, Record};
use purser::journal::simulated::{EIO, Fault, Kind};
use simulation::database::Removed;
use simulation::figures::Figures;
use simulation::run::{Single, run, run_with_one};
use simulation::store::Lost;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")),
        Err(_) => default,
    }
}

/// After a failure nobody begins another run.
struct Failed<'a>(&'a AtomicBool);

impl Drop for Failed<'_> {
    fn drop(&mut self) {
        self.0.fetch_or(std::thread::panicking(), Ordering::Relaxed);
    }
}

/// Runs each of the numbers from the first on, until one says that it was the last; on two threads for each processor, as every
/// run waits for its database half of the time.
fn each(first: u64, one: impl Fn(u64) -> Option<Figures> + Sync) -> Figures {
    let (next, total) = (AtomicU64::new(first), Mutex::new(Figures::default()));
    let (has_failed, _removed) = (AtomicBool::new(false), Removed);
    let threads = 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _failed = Failed(&has_failed);
                while !has_failed.load(Ordering::Relaxed)
                    && let Some(figures) = one(next.fetch_add(1, Ordering::Relaxed))
                {
                    *total.lock().expect("no panic") += figures;
                }
            });
        }
    });
    total.into_inner().expect("no panic")
}

fn tell(what: &str, figures: &Figures) {
    println!("{figures:?}");
    let (runs, faults, acks) = (figures.runs, figures.faults(), figures.acknowledged);
    println!("proof: tier=T1 what={what} runs={runs} faults={faults} acks={acks}");
}

#[test]
fn whatever_goes_wrong_nothing_acknowledged_is_lost_and_nothing_happens_twice() {
    let (first, seeds) = (setting("PURSER_SIMULATION_FIRST", 1), setting("PURSER_SIMULATION_SEEDS", 100));
    let seconds = std::env::var("PURSER_SIMULATION_SECONDS").ok().map(|text| text.parse().expect("seconds"));
    let begun = Instant::now();
    let figures = each(first, |seed| {
        let is_over = match seconds {
            Some(seconds) => begun.elapsed() >= Duration::from_secs(seconds),
            None => seed >= first + seeds,
        };
        if is_over {
            return None;
        }
        if seed % 5_000 == 0 {
            eprintln!("seed {seed} after {} s", begun.elapsed().as_secs());
        }
        let verdict = run(seed);
        assert_eq!(verdict.wrong, None, "seed {seed}");
        Some(verdict.figures)
    });
    tell("simulation", &figures);
    if figures.runs >= 100 {
        let Figures { power_cuts, kills, disk_faults, lost_before, lost_after, doubts, cards, .. } = figures;
        let often = [
            power_cuts,
            kills,
            disk_faults,
            lost_before,
            lost_after,
            doubts,
            cards,
            figures.unheard_there,
            figures.rot_noticed,
        ];
        let Figures {
            halts, failed_starts, stops, full, hung, away, jumps, unanswered, refused, read, ..
        } = figures;
        let now_and_then = [
            halts,
            failed_starts,
            stops,
            full,
            hung,
            away,
            jumps,
            unanswered,
            refused,
            read,
            figures.unheard_not,
            figures.deadlocks,
            figures.rot_torn,
            figures.rot_behind,
        ];
        let is_enough = often.iter().all(|count| *count >= figures.runs / 20)
            && now_and_then.iter().all(|count| *count > figures.runs / 1_000)
            && figures.acknowledged > 10 * figures.runs;
        assert!(is_enough, "too little was tried: {figures:?}");
    }
}

/// One thing to go wrong, by its place.
type Place = fn(u64) -> Single;

#[test]
fn every_operation_on_the_disk_and_every_call_of_the_store_goes_wrong_once() {
    let stride = setting("PURSER_SIMULATION_STRIDE", 5);
    // Beside each how many places there are at least, so that none shrinks away.
    let places: [(&str, u64, Place); 7] = [
        ("power-cut-at-each-operation", 60, |n| Single::Disk(None, n, Fault::Crash)),
        ("error-at-each-write", 25, |n| Single::Disk(Some(Kind::Write), n, Fault::Once(EIO))),
        ("error-at-each-sync", 25, |n| Single::Disk(Some(Kind::SyncFile), n, Fault::Once(EIO))),
        ("errors-from-each-sync-on", 25, |n| Single::Disk(Some(Kind::SyncFile), n, Fault::ForEver(EIO))),
        ("error-at-each-sync-of-the-directory", 1, |n| {
            Single::Disk(Some(Kind::SyncDirectory), n, Fault::Once(EIO))
        }),
        ("each-call-of-the-store-lost", 30, |n| Single::Store(n, Lost::Before)),
        ("each-answer-of-the-store-lost", 30, |n| Single::Store(n, Lost::After)),
    ];
    for (what, least, place) in places {
        let figures = each(0, |index| {
            // Not each place unless that is asked for: a run takes a moment.
            let n = index * stride;
            let verdict = run_with_one(17, place(n))?;
            assert_eq!(verdict.wrong, None, "{what} {n}");
            Some(verdict.figures)
        });
        tell(what, &figures);
        assert!(figures.runs >= least.div_ceil(stride), "{what}: too little was tried: {figures:?}");
        assert!(figures.acknowledged > 0, "{what}: too little was tried: {figures:?}");
    }
}

/// No two seals of a card's code are alike.
fn without_seals(record: &Record) -> Record {
    let mut record = record.clone();
    for event in &mut record.events {
        if let Event::CardsHandedIn(cards) = event {
            Arc::make_mut(cards).cards.iter_mut().for_each(|card| card.code = SealedCode::new(Vec::new()));
        }
    }
    record
}

#[test]
fn the_same_seed_is_the_same_run() {
    let first = setting("PURSER_SIMULATION_FIRST", 1_000);
    for seed in first..first + 12 {
        let (one, other) = (run(seed), run(seed));
        assert_eq!((&one.wrong, one.journal.len()), (&other.wrong, other.journal.len()), "seed {seed}");
        assert_eq!(one.calls.len(), other.calls.len(), "seed {seed}");
        for (record, again) in one.journal.iter().zip(&other.journal) {
            assert_eq!(without_seals(record), without_seals(again), "seed {seed}");
        }
        for (call, again) in one.calls.iter().zip(&other.calls) {
            assert_eq!(call, again, "seed {seed}");
        }
        assert_eq!(one.figures, other.figures, "seed {seed}");
    }
}
