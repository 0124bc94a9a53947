//! The servers' own story of their calls to the provider, from their logs, across every kill. Its order is that in which they
//! sent and heard; the provider's ledger has the order in which it came to read, which on a busy machine is another.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// One after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    Sent,
    /// What the provider said to that, or to the question what became of the card.
    Heard(String),
}

/// Where the servers of one data directory write their logs, one after the other.
pub struct CallLog {
    dir: TempDir,
}

impl CallLog {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// A program that runs a server, and keeps what it logs here, too.
    pub fn keeper(&self) -> [String; 4] {
        let script =
            r#"export RUST_LOG=info,purser::redemption=debug; log=$0; exec "$@" 2> >(tee -a "$log" >&2)"#;
        let path = self.path().to_str().expect("a readable path").to_owned();
        ["bash".into(), "-c".into(), script.into(), path]
    }

    /// What was sent and heard for each redemption.
    #[track_caller]
    pub fn calls(&self) -> BTreeMap<String, Vec<Call>> {
        calls_in(&self.path())
    }
}

#[track_caller]
fn calls_in(path: &Path) -> BTreeMap<String, Vec<Call>> {
    let text = std::fs::read_to_string(path).expect("a log");
    let mut calls = BTreeMap::<String, Vec<Call>>::new();
    // A killed server's last line may be half a line, and come behind its successor's first.
    let mut lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    lines.sort_by_key(|line| line["timestamp"].as_str().map(str::to_owned));
    for line in lines {
        let call = match line["message"].as_str() {
            Some("a card is sent to the provider") => Call::Sent,
            Some("the provider was called") => {
                Call::Heard(line["outcome"].as_str().expect("an outcome").to_owned())
            }
            _ => continue,
        };
        calls.entry(line["redemption"].as_str().expect("a redemption").to_owned()).or_default().push(call);
    }
    calls
}

/// A card that may have been sent is only sent where the provider has just said that it does not have it.
#[track_caller]
pub fn expect_no_blind_send(calls: &[Call]) {
    for pair in calls.windows(2) {
        if let [before, Call::Sent] = pair {
            let may_send = [Call::Heard("unknown".into()), Call::Heard("not_taken".into())];
            assert!(may_send.contains(before), "sent after {before:?}: {calls:?}");
        }
    }
}

/// How often it was sent.
pub fn sends(calls: &[Call]) -> usize {
    calls.iter().filter(|call| **call == Call::Sent).count()
}
