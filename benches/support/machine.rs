//! Readings of the machine: disk, processors, memory.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const SYNCS: u64 = 1_000;
const PAGE: usize = 4_096;
/// Ticks per second of the times in `/proc`: fixed on Linux, whatever the kernel's own.
const TICKS: f64 = 100.0;

/// Writes of 4 KiB into a zero-filled file, each followed by fdatasync, per second: what the disk allows a journal without
/// batching.
pub fn fdatasync_rate(directory: &Path) -> io::Result<f64> {
    let path = directory.join(format!("fdatasync-probe-{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
    let measure = || {
        for page in 0..SYNCS {
            file.write_all_at(&[0; PAGE], page * PAGE as u64)?;
        }
        file.sync_all()?;
        let begun = Instant::now();
        for page in 0..SYNCS {
            file.write_all_at(&[1; PAGE], page * PAGE as u64)?;
            file.sync_data()?;
        }
        Ok(SYNCS as f64 / begun.elapsed().as_secs_f64())
    };
    let measured = measure();
    fs::remove_file(&path)?;
    measured
}

/// The type of the file system that holds a directory.
pub fn file_system(directory: &Path) -> io::Result<String> {
    let directory = directory.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let holding = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (Path::new(fields.next()?), fields.next()?);
        directory.starts_with(place).then(|| (place.components().count(), kind))
    });
    Ok(holding.max_by_key(|(depth, _)| *depth).map_or_else(String::new, |(_, kind)| kind.to_owned()))
}

/// The processors' name, as far as the system tells.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

/// Resident memory of this process.
pub fn resident_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1_024).ok_or_else(|| io::Error::other("no VmRSS"))
}

/// Processor time spent so far.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// By this process, in seconds.
    pub own: f64,
    /// By all processes that it started, and those that they started: a private Postgres with its workers.
    pub others: f64,
}

impl Cpu {
    pub fn now() -> Self {
        let own = std::process::id();
        let mut others = 0;
        let mut left = children(own);
        while let Some(process) = left.pop() {
            let [user, system, gone_user, gone_system] = times(process);
            others += user + system + gone_user + gone_system;
            left.extend(children(process));
        }
        let [user, system, ..] = times(own);
        Self { own: (user + system) as f64 / TICKS, others: others as f64 / TICKS }
    }

    pub fn since(&self) -> Self {
        let now = Self::now();
        Self { own: now.own - self.own, others: now.others - self.others }
    }
}

fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let listed = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    listed
        .flat_map(|ids| ids.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// User and system time of a process, and the same of its children that are gone.
fn times(process: u32) -> [u64; 4] {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut times = [0; 4];
    for (time, field) in times.iter_mut().zip(fields.split_whitespace().skip(11)) {
        *time = field.parse().unwrap_or_default();
    }
    times
}

/// Bytes that this process caused to be written to disk, and how long it took.
pub struct Storage {
    begun: Instant,
    written: u64,
}

impl Storage {
    pub fn now() -> Self {
        Self { begun: Instant::now(), written: written() }
    }

    pub fn bytes(&self) -> u64 {
        written().saturating_sub(self.written)
    }

    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap_or_default()
}
