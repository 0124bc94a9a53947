//! `purser upgrades batch-check`: asks a running server to look at many distributors, batch by batch.

use super::api::new_key;
use super::args::UpgradesVerb;
use super::client::{Call, blocking};
use super::failure::{Exit, Failure};
use super::lanes::progress;
use super::report::{emit, print_json, thousands};
use super::server::running;
use serde_json::{Value, json};

/// Distributors asked for at once, so that progress is seen and what is left can be gone on with.
const BATCH: u64 = 1_000;

pub fn run(verb: &UpgradesVerb) -> Result<Exit, Failure> {
    let UpgradesVerb::BatchCheck { level, limit, after, server } = verb;
    let (url, token) = running(server)?;
    let bar = progress("queueing checks", usize::try_from(*limit).unwrap_or(usize::MAX));
    let (mut checked, mut next) = (0, *after);
    while checked < *limit {
        let mut batch = json!({ "limit": BATCH.min(limit - checked) });
        if let Some(level) = level {
            batch["level"] = json!(level);
        }
        if let Some(after) = next {
            batch["after"] = json!(after);
        }
        let call = Call::post("/api/v1/upgrades/batch-check", batch).bearer(&token).key(new_key());
        let report: Value = blocking(&url, async |client| client.patiently(&call).await)?;
        checked += report["checked"].as_u64().unwrap_or(0);
        bar.set_position(checked);
        next = report["next_after"].as_u64();
        if next.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    if server.json {
        print_json(&json!({ "checked": checked, "next_after": next }));
    } else {
        let rest = next.map_or_else(String::new, |id| format!("; go on with --after {id}"));
        emit(&format!("{} checks are queued{rest}\n", thousands(checked)));
    }
    Ok(Exit::Clean)
}
