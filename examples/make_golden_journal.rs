//! Makes the golden files of a new version of the journal's format, once, when it is added (with records and folders of
//! its own in `tests/journal/golden_records.rs` and `golden_files.rs`). What is there already stays as it is. Run with
//! `cargo run --example make_golden_journal`.

#[path = "../tests/journal/golden_files.rs"]
mod golden_files;
#[path = "../tests/journal/golden_records.rs"]
mod golden_records;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let place = golden_files::fixtures();
    golden_files::make(&place, &golden_records::records())
        .with_context(|| format!("{:?} in {} were not made", golden_files::FOLDERS, place.display()))?;
    println!("made {:?} in {}", golden_files::FOLDERS, place.display());
    Ok(())
}
