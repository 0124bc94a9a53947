//! The journals of servers, and what the auditor's model says of them.

use super::eventually;
use super::server::{Server, Setup};
use purser::auditor::facts::Entry;
use purser::auditor::{self, Model};
use purser::domain::Seq;
use purser::engine::offline::{self, OfflineError};
use purser::engine::{EngineOptions, StartError};
use std::path::Path;

/// A server that keeps its journal from the first record on, however long it grows.
pub fn keeping_its_journal(setup: Setup) -> Setup {
    setup.env("PURSER__JOURNAL__KEEP_SEGMENTS", "100000")
}

/// The same for many thousands of calls over hours: its tokens and keys last.
pub fn lasting() -> Setup {
    keeping_its_journal(Setup::new())
        .env("PURSER__AUTH__ACCESS_TOKEN_SECONDS", "86400")
        .env("PURSER__IDEMPOTENCY__KEYS_PER_CALLER_MAX", "100000000")
}

/// The journal of a server that does not run and kept all of it; each record follows from those before it.
#[track_caller]
pub fn sound_journal(server: &Server) -> Vec<Entry> {
    let journal = read(server.data_dir()).unwrap_or_else(|error| panic!("{error}"));
    judge(&journal).unwrap_or_else(|wrong| panic!("{wrong}"));
    journal
}

/// The same of whatever a test leaves: it can be read to its end, and each record follows, unless the first ones are gone. Not of
/// what a test has [damaged](Setup::damaged) on purpose.
///
/// # Errors
/// Why it cannot be read, or what does not follow.
pub fn judge_what_is_left(data_dir: &Path) -> Result<(), String> {
    let journal = read(data_dir).map_err(|error| error.to_string())?;
    match journal.first() {
        Some(first) if first.seq == 1 => judge(&journal),
        _ => Ok(()),
    }
}

/// A process that another test is about to start may hold for a moment what we had open: the lock of an earlier reading.
#[track_caller]
fn read(data_dir: &Path) -> Result<Vec<Entry>, OfflineError> {
    eventually("the data directory is free", || match read_once(data_dir) {
        Err(OfflineError::Start(StartError::Locked { .. })) => None,
        read => Some(read),
    })
}

fn read_once(data_dir: &Path) -> Result<Vec<Entry>, OfflineError> {
    let mut journal = Vec::new();
    let options = EngineOptions::embedded(data_dir);
    offline::read_journal(&options, Seq::new(1), |record| journal.push(auditor::entry(&record)))?;
    Ok(journal)
}

fn judge(journal: &[Entry]) -> Result<(), String> {
    let mut model = Model::whole();
    journal.iter().try_for_each(|entry| model.take(entry))
}
