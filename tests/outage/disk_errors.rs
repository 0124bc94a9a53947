//! The disk under the journal fails, once or from then on, or takes its time. strace does this to a real server under load, in
//! its calls on the journal's own files and in no others. A failure that happens once is the trap: the same call made again
//! would succeed, and prove nothing of what was written before.

use crate::load::Shop;
use crate::support::journal::lasting;
use crate::support::server::Server;
use crate::support::store::{Store, stores};
use crate::support::{Dice, eventually, setting};
use crate::{check, history};
use purser::journal::segment;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::NamedTempFile;

const WORKERS: usize = 4;

/// The exit code of a server whose engine halted.
const HALTED: i32 = 4;

/// The last of the places at which a disk fails. Each frame of the journal is one write and one sync.
const PLACES: u64 = 80;

fn cycles() -> usize {
    setting("PURSER_OUTAGE_CYCLES", 3)
}

/// A server that stopped cleanly and runs again under strace, and the calls that strace saw on these files.
struct Traced {
    calls: NamedTempFile,
}

impl Traced {
    /// `fault` is what strace calls an injection: which call, what becomes of it, and when. strace counts the calls on these
    /// files only, and for each thread by itself.
    #[track_caller]
    fn restart(server: &mut Server, files: &[PathBuf], fault: &str) -> Self {
        let version = Command::new("strace").arg("--version").stdout(Stdio::null()).status();
        assert!(
            version.is_ok_and(|status| status.success()),
            "This test makes a disk fail. It needs the program strace: `apt-get install strace`."
        );
        let calls = NamedTempFile::new().expect("a temporary file");
        // As a grandchild, so that what we start is the server.
        let mut arguments: Vec<String> = ["strace", "-D", "-f", "-qq", "-o"].map(str::to_owned).into();
        arguments.push(calls.path().display().to_string());
        arguments.extend(["--signal=none", "--trace=pwrite64,fdatasync"].map(str::to_owned));
        arguments.push(format!("--inject={fault}"));
        arguments.extend(files.iter().map(|file| format!("--trace-path={}", file.display())));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert!(server.restart_under(&arguments), "the server ended before it served");
        Self { calls }
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.calls.path()).expect("what strace saw");
        text.lines().map(str::to_owned).collect()
    }

    /// Which of the calls strace marked so.
    fn marked(&self, mark: &str) -> Vec<usize> {
        let lines = self.lines();
        (0..lines.len()).filter(|place| lines[*place].contains(mark)).collect()
    }
}

/// The journal's directory as the system names it.
fn journal_of(server: &Server) -> PathBuf {
    fs::canonicalize(server.data_dir().join("journal")).expect("the journal")
}

/// The segments that the next process may write on; all the others are full.
fn segments(server: &Server) -> Vec<PathBuf> {
    let journal = journal_of(server);
    let files = fs::read_dir(&journal).expect("the journal").count();
    let newest = u32::try_from(files).expect("a few files");
    let numbers = newest.saturating_sub(8).max(1)..=newest + 4;
    numbers.map(|number| journal.join(segment::file_name(number))).collect()
}

fn open(store: Store) -> (Server, Shop) {
    eprintln!("on {}", store.name);
    let server = lasting().store(store).start();
    let shop = Shop::open(&server, WORKERS);
    (server, shop)
}

/// Starts the server without strace: what was told is there, and nothing twice.
#[track_caller]
fn starts_again(server: &mut Server, shop: &mut Shop) {
    server.by_itself();
    server.restart();
    shop.ask_again();
    check::everything_once(server, shop);
}

/// The whole journal explains all that was told.
#[track_caller]
fn prove(what: &str, (runs, faults): (usize, usize), mut server: Server, shop: &Shop) {
    server.kill9();
    let figures = history::explains(&server, shop, runs);
    assert!(faults >= runs, "{what}: {runs} runs, {faults} faults");
    println!("proof: tier=T2 what={what} runs={runs} faults={faults} acks={}", figures.done);
}

/// How the disk fails in the middle of a frame.
struct Failure {
    what: &'static str,
    call: &'static str,
    error: &'static str,
    /// Whether the same call fails ever after.
    lasts: bool,
    last_words: [&'static str; 2],
}

impl Failure {
    /// Whatever fails, the server ends, without another call on its journal: what was being written is unknown until the
    /// next start has read it back.
    fn ends_the_server(&self) {
        for store in stores() {
            let name = store.name;
            let (mut server, mut shop) = open(store);
            let mut dice = Dice::new(setting("PURSER_CRASH_SEED", 7) as u64);
            for cycle in 1..=cycles() {
                assert_eq!(server.sigterm(), Some(0));
                let place = 1 + dice.roll(PLACES);
                let ever_after = if self.lasts { "+" } else { "" };
                let fault = format!("{}:error={}:when={place}{ever_after}", self.call, self.error);
                eprintln!("cycle {cycle}: {fault}");
                let files = segments(&server);
                let traced = Traced::restart(&mut server, &files, &fault);
                shop.trade_while(cycle, |day| {
                    // Until somebody finds it gone.
                    day.more(1_000_000);
                    server.logs_once(&self.last_words);
                    assert_eq!(server.ends(), Some(HALTED));
                });
                let (lines, failed) = (traced.lines(), traced.marked("(INJECTED)"));
                let is_last = failed.len() == 1 && failed[0] + 1 == lines.len();
                assert!(is_last, "not the last call on the journal: {lines:#?}");
                starts_again(&mut server, &mut shop);
            }
            prove(&format!("{}-{name}", self.what), (cycles(), cycles()), server, &shop);
        }
    }
}

const SYNC_FAILED: &str = "purser: fdatasync of the journal failed";
const WRITE_FAILED: &str = "purser: writing the journal failed";

#[test]
fn a_disk_that_fails_to_sync_once_ends_the_server_and_the_sync_is_not_tried_again() {
    let last_words = [SYNC_FAILED, "os error 5"];
    Failure { what: "sync-fails-once", call: "fdatasync", error: "EIO", lasts: false, last_words }
        .ends_the_server();
}

#[test]
fn a_disk_that_fails_to_sync_ever_after_ends_the_server_without_another_acknowledgement() {
    let last_words = [SYNC_FAILED, "os error 5"];
    Failure { what: "sync-fails", call: "fdatasync", error: "EIO", lasts: true, last_words }
        .ends_the_server();
}

#[test]
fn a_disk_that_fails_to_write_once_ends_the_server_and_the_frame_is_not_written_again() {
    let last_words = [WRITE_FAILED, "os error 5"];
    Failure { what: "write-fails-once", call: "pwrite64", error: "EIO", lasts: false, last_words }
        .ends_the_server();
}

#[test]
fn a_disk_that_has_no_room_for_a_frame_after_all_ends_the_server_like_any_failed_write() {
    let last_words = [WRITE_FAILED, "os error 28"];
    Failure { what: "no-room-once", call: "pwrite64", error: "ENOSPC", lasts: false, last_words }
        .ends_the_server();
}

#[test]
fn a_segment_for_which_there_is_no_room_is_prepared_again_and_no_buyer_notices() {
    for store in stores() {
        let name = store.name;
        let (mut server, mut shop) = open(store);
        assert_eq!(server.sigterm(), Some(0));
        // Of 4 MiB in steps of 1 MiB, with a header: a start makes one, and the keeper's thread two, of which this is the second.
        let prepared = journal_of(&server).join(segment::TEMPORARY);
        let traced = Traced::restart(&mut server, &[prepared], "pwrite64:error=ENOSPC:when=7");
        server.logs_once(&["no journal segment can be prepared"]);
        shop.trade_throughout(1, |day| {
            day.more(200);
            eventually("the segment is written again", || {
                traced
                    .marked("(INJECTED)")
                    .first()
                    .filter(|failed| **failed + 5 < traced.lines().len())
                    .copied()
            });
        });
        let failed = traced.marked("(INJECTED)");
        server.kill9();
        starts_again(&mut server, &mut shop);
        prove(&format!("no-room-for-a-segment-{name}"), (1, failed.len()), server, &shop);
    }
}

/// A server on a slow disk stays, and tells nothing before it is durable.
fn is_waited_for(what: &str, delay: &str, acknowledgements: usize) {
    for store in stores() {
        let name = store.name;
        let (mut server, mut shop) = open(store);
        assert_eq!(server.sigterm(), Some(0));
        let files = segments(&server);
        let traced = Traced::restart(&mut server, &files, &format!("fdatasync:{delay}"));
        // Nobody of the shop, whose books are closed to others.
        let (admin, other) = (server.admin(), server.buyer(0));
        shop.trade_throughout(1, |day| {
            for _ in 0..5 {
                day.more(acknowledgements / 5);
                let told = admin.credit(other.id, 1);
                told.expect(200);
                let health = server.health();
                let durable = health["journal"]["durable"].as_u64().expect("a position");
                assert!(durable >= told.seq(), "record {} was told before its sync: {health}", told.seq());
            }
        });
        assert_eq!(other.balance(), 5);
        server.kill9();
        let delayed = traced.marked("(DELAYED)").len();
        starts_again(&mut server, &mut shop);
        prove(&format!("{what}-{name}"), (1, delayed), server, &shop);
    }
}

#[test]
fn a_disk_whose_every_sync_is_slow_is_waited_for() {
    is_waited_for("slow-syncs", "delay_enter=50000", 200);
}

#[test]
fn a_disk_that_stalls_is_waited_for() {
    is_waited_for("stalls", "delay_enter=3000000:when=10+30", 200);
}
