//! The whole journal of a server, and what the auditor's model says of it.

use super::server::{Server, Setup};
use purser::auditor::facts::Entry;
use purser::auditor::{self, Model};
use purser::domain::Seq;
use purser::engine::{EngineOptions, offline};

/// A server that keeps its journal from the first record on.
pub fn keeping_its_journal(setup: Setup) -> Setup {
    setup.env("PURSER__JOURNAL__KEEP_SEGMENTS", "100000")
}

/// The journal of a server that does not run and kept all of it; each record follows from those before it.
#[track_caller]
pub fn sound_journal(server: &Server) -> Vec<Entry> {
    let mut journal = Vec::new();
    let mut model = Model::whole();
    offline::read_journal(&EngineOptions::embedded(server.data_dir()), Seq::new(1), |record| {
        let entry = auditor::entry(&record);
        model.take(&entry).unwrap_or_else(|wrong| panic!("{wrong}"));
        journal.push(entry);
    })
    .unwrap_or_else(|error| panic!("{error}"));
    journal
}
