//! `purser stress`: items, buyers, then one purchase attempt per buyer over real HTTP, and whether exactly the stock
//! was sold. The load is a closed loop: as many requests in flight as `--concurrency` says.

mod attempt;
mod prepare;
mod report;

use super::api;
use super::args::StressArgs;
use super::failure::{Exit, Failure};
use super::gauges::{fdatasyncs, wait_for_drain};
use super::lanes::{Lanes, Until, interruption, progress};
use super::report::{Tally, emit, print_json};
use super::server::Target;
use prepare::Scene;
use report::Report;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Price of every item, in minor units.
const PRICE: i64 = 100;

pub fn run(args: &StressArgs) -> Result<Exit, Failure> {
    let interrupted = interruption();
    let target = Target::open(&args.target)?;
    let lanes = Lanes::new(&target.url, args.concurrency, interrupted);
    let measured = measure(args, &lanes, &target);
    let report = target.finish(measured)?;
    if args.target.json {
        print_json(&report);
    } else {
        emit(&report.to_text());
    }
    Ok(Exit::from_check(report.ok))
}

fn measure(args: &StressArgs, lanes: &Lanes, target: &Target) -> Result<Report, Failure> {
    let scene = prepare::scene(args, lanes, &target.token)?;
    let syncs_before = fdatasyncs(&target.url);
    let (tally, took) = fire(args, lanes, &target.token, &scene)?;
    let syncs = fdatasyncs(&target.url).zip(syncs_before).map(|(after, before)| after.saturating_sub(before));
    let drain = wait_for_drain(&target.url, || lanes.is_interrupted())?;
    let remaining = prepare::remaining(target, &scene)?;
    let audit = api::audit(&target.url, &target.token)?;
    Ok(Report::new(args, &scene, &tally, took, syncs, &drain, &remaining, audit))
}

fn fire(args: &StressArgs, lanes: &Lanes, token: &str, scene: &Scene) -> Result<(Tally, Duration), Failure> {
    let tally = Mutex::new(Tally::default());
    let buyers = scene.buyers.len();
    let begin = Instant::now();
    let (until, length) = match args.duration {
        Some(seconds) => (Until::Moment { jobs: buyers, end: begin + Duration::from_secs(seconds) }, 0),
        None => (Until::Count(buyers), buyers),
    };
    let bar = progress("purchases", length);
    if args.duration.is_some() {
        bar.unset_length();
    }
    lanes.run(until, &bar, async |client, index| {
        let buyer = &scene.buyers[index];
        let item = scene.items[index % scene.items.len()].id;
        attempt::purchase(client, token, buyer, item, &tally).await;
        Ok(())
    })?;
    Ok((tally.into_inner().unwrap_or_else(PoisonError::into_inner), begin.elapsed()))
}
