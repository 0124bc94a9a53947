//! `purser replay`: a real order history as concurrent orders and returns, then the server's state against sums taken
//! from the file.

mod decimal;
mod file;
mod line;
mod plan;
mod prepare;
mod report;
mod submit;
mod sums;
#[cfg(test)]
mod tests;
mod verify;

use super::api;
use super::args::ReplayArgs;
use super::failure::{Exit, Failure};
use super::gauges::{Drain, wait_for_drain};
use super::lanes::{Lanes, interruption};
use super::report::{Check, by_code, emit, print_json};
use super::server::Target;
use file::History;
use plan::Plan;
use report::{Findings, Report};
use std::collections::HashSet;
use submit::{Fate, Submitted};
use sums::Sums;

pub fn run(args: &ReplayArgs) -> Result<Exit, Failure> {
    let history = file::read(&args.file)?;
    let interrupted = interruption();
    let target = Target::open(&args.target)?;
    let lanes = Lanes::new(&target.url, args.concurrency, interrupted);
    let replayed = replay(args, &history, &lanes, &target);
    let report = target.finish(replayed)?;
    if args.target.json {
        print_json(&report);
    } else {
        emit(&report.to_text());
    }
    Ok(Exit::from_check(report.ok))
}

fn replay(args: &ReplayArgs, history: &History, lanes: &Lanes, target: &Target) -> Result<Report, Failure> {
    let (url, token) = (target.url.as_str(), target.token.as_str());
    let (lines, unsellable) = line::judge_all(history);
    let plan = Plan::new(&lines);
    let cast = prepare::cast(args, lanes, token, &plan)?;
    let submitted = submit::all(lanes, token, &plan, &cast)?;
    let drain = wait_for_drain(url, || lanes.is_interrupted())?;

    let sums = Sums::new(&lines, &refused_lines(&plan, &submitted));
    let mut checks = answers(args, &submitted, &drain);
    checks.extend(verify::checks(lanes, url, token, &plan, &cast, &sums)?);
    let audit = api::audit(url, token)?;
    Ok(Report::new(Findings {
        file: args.file.display().to_string(),
        lines: history.rows.len(),
        unsellable: &unsellable,
        plan: &plan,
        submitted: &submitted,
        sums: &sums,
        drain_seconds: drain.seconds(),
        checks,
        audit,
    }))
}

/// The file's lines whose order or return did not take effect.
fn refused_lines(plan: &Plan<'_>, submitted: &Submitted) -> HashSet<u64> {
    let fates = plan.documents.iter().zip(&submitted.fates);
    let refused = fates.filter(|(_, fate)| !matches!(fate, Fate::Accepted));
    refused.flat_map(|(document, _)| document.lines.iter().map(|line| line.file_line)).collect()
}

/// Refusals are part of the game only when scarcity was asked for; errors never are.
fn answers(args: &ReplayArgs, submitted: &Submitted, drain: &Drain) -> Vec<Check> {
    let tally = &submitted.tally;
    let mut checks = vec![Check::new(
        "every order and return was decided",
        tally.errors.is_empty(),
        by_code(&tally.errors, "no errors"),
    )];
    if args.stock.is_none() && args.funds.is_none() {
        let detail = by_code(&tally.refused, "no refusals");
        checks.push(Check::new("no order or return was refused", tally.refused.is_empty(), detail));
    }
    if let Drain::Stalled(left) = drain {
        checks.push(Check::new("the store has everything", false, format!("{left} records do not move")));
    }
    checks
}
