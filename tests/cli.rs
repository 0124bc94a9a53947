//! The commands that prove the main job: `stress` and `replay`, each with a server of its own, on both stores; and those for
//! dead letters and upgrades.

mod support;

#[path = "cli/messages.rs"]
mod messages;
#[path = "cli/replay.rs"]
mod replay;
#[path = "cli/stress.rs"]
mod stress;
#[path = "cli/upgrades.rs"]
mod upgrades;

use serde_json::Value;
use support::server::{purser, run};
use support::store::Store;

/// Runs a command with a server of its own on this store. What it printed as JSON.
#[track_caller]
fn machine(store: &Store, arguments: &[&str]) -> Value {
    let mut command = purser();
    command.env("PURSER__JOURNAL__SEGMENT_BYTES", "4194304").args(arguments).arg("--json");
    if let Some(url) = &store.url {
        command.args(["--database-url", url]);
    }
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{arguments:?} on {}: {ended:?}", store.name);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {}", ended.stdout))
}

/// The report is content, its checks and the audit's held, and there were some.
#[track_caller]
fn expect_clean(report: &Value) {
    assert_eq!(report["ok"], true, "{report:#}");
    for checks in [&report["checks"], &report["audit"]["checks"]] {
        let checks = checks.as_array().expect("checks");
        assert!(!checks.is_empty() && checks.iter().all(|check| check["ok"] == true), "{report:#}");
    }
    assert_eq!(report["audit"]["ok"], true, "{report:#}");
}
