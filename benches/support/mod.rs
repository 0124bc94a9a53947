//! What the benchmarks share: arguments, where data goes, the machine's own readings, figures and tables, and a history
//! of purchases to feed stores and journals with. Each benchmark uses a part of it.
#![allow(dead_code, unused_imports, reason = "each benchmark uses a part of it")]

mod figures;
mod history;
mod http;
mod load;
mod machine;
mod stores;

pub use figures::{Spread, Table, micros, rounded};
pub use history::History;
pub use http::{Connection, Server, request};
pub use load::{Load, Sold, drained, read_all};
pub use machine::{Cpu, Storage, fdatasync_rate, file_system, resident_bytes};
pub use stores::{Opened, Target, options_of};

use std::path::{Path, PathBuf};

/// The allocator of the binary, so that figures carry over.
pub type Allocator = mimalloc::MiMalloc;

/// A directory on the disk that holds the build, removed in the end; never a file system in memory.
pub fn data_directory(name: &str) -> anyhow::Result<tempfile::TempDir> {
    let parent = Path::new("target/bench-data");
    std::fs::create_dir_all(parent)?;
    let made = tempfile::Builder::new().prefix(name).tempdir_in(parent)?;
    refuse_memory(made.path())?;
    Ok(made)
}

/// Where a private Postgres puts its data: the system's temporary directory.
pub fn postgres_directory() -> anyhow::Result<PathBuf> {
    let directory = std::env::temp_dir();
    refuse_memory(&directory)?;
    Ok(directory)
}

fn refuse_memory(directory: &Path) -> anyhow::Result<()> {
    let kind = file_system(directory)?;
    let in_memory = ["tmpfs", "ramfs"].contains(&kind.as_str());
    anyhow::ensure!(!in_memory, "{} is in memory ({kind}); set TMPDIR to a disk", directory.display());
    Ok(())
}

/// The number behind `--name`, or the default.
pub fn argument(name: &str, default: u64) -> u64 {
    let wanted = format!("--{name}");
    let mut arguments = std::env::args().skip_while(|argument| *argument != wanted);
    arguments.nth(1).map_or(default, |text| match text.parse() {
        Ok(number) => number,
        Err(error) => panic!("{wanted} wants a number, not {text}: {error}"),
    })
}

/// Whether `--name` was given.
pub fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument.strip_prefix("--") == Some(name))
}

/// Prints what everything below was measured on.
pub fn banner(what: &str, directory: &Path) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?;
    let busy = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let busy = busy.split(' ').next().unwrap_or_default();
    println!("{what}");
    println!(
        "{cores} cores, load average {busy} before the start, {} on {}, {:.0} fdatasync/s\n",
        machine::processor(),
        file_system(directory)?,
        fdatasync_rate(directory)?,
    );
    Ok(())
}
