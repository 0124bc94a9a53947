//! The second opinion: it agrees with what the engine does, and with nothing else.

#[path = "auditor/histories.rs"]
mod histories;
#[path = "store/story.rs"]
#[expect(dead_code, reason = "the store's tests use more of it")]
mod story;
#[path = "auditor/tamperings.rs"]
mod tamperings;

use purser::auditor::{self, Model};
use purser::domain::Record;

/// What the model says of a journal.
fn judged(records: &[Record]) -> Result<(), String> {
    let mut model = Model::whole();
    records.iter().try_for_each(|record| model.take(&auditor::entry(record)))
}
