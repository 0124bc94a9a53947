//! A journal that is not what was written: the server refuses to start, and never starts "around" it.

use crate::support::journal::judge_what_is_left;
use crate::support::server::{Server, Setup};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A server with a journal of many frames, all of them stored, killed; to be damaged.
fn killed() -> Server {
    let mut server = Setup::new().damaged().start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 1, 100);
    for _ in 0..40 {
        buyer.buy(item, 1).expect(201);
    }
    let path = format!("/items/{}/purchase", item.id);
    let stored = buyer.call("POST", &path).header("Purser-Durability", "store").json(&json!({"quantity": 1}));
    stored.send().expect(201);
    server.kill9();
    server
}

/// The segment that holds most, and how many of its bytes are in use.
fn fullest_segment(server: &Server) -> (PathBuf, usize) {
    let journal = server.data_dir().join("journal");
    let entries = fs::read_dir(&journal).expect("the journal's directory");
    let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    files.map(|path| (used(&path), path)).max().map(|(used, path)| (path, used)).expect("a segment")
}

fn used(path: &Path) -> usize {
    let bytes = fs::read(path).expect("a readable segment");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Flips the byte at or after `from` that is not padding.
fn flip(path: &Path, from: usize) {
    let mut bytes = fs::read(path).expect("a readable segment");
    let at = (from..bytes.len()).find(|at| bytes[*at] != 0).expect("a byte in use");
    bytes[at] ^= 0xFF;
    fs::write(path, bytes).expect("a writable segment");
}

#[test]
fn a_flipped_byte_inside_the_journal_exits_3_and_names_segment_and_offset() {
    for part in [2, 3, 4] {
        let mut server = killed();
        let (segment, used) = fullest_segment(&server);
        assert!(used > 1_000, "too little in {}", segment.display());
        flip(&segment, used / part);
        let damaged = fs::read(&segment).expect("a readable segment");
        let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
        for attempt in 1..=2 {
            let ended = server.restart_refused();
            ended.expect(3, &[&name, "offset"]);
            assert!(
                fs::read(&segment).expect("still there") == damaged,
                "attempt {attempt} wrote over the damage"
            );
        }
        let seen = judge_what_is_left(server.data_dir());
        assert!(seen.is_err_and(|wrong| wrong.contains(&name)), "the tests' own check does not see it");
    }
}

#[test]
fn a_segment_cut_in_the_middle_is_never_started_around() {
    let mut server = killed();
    let (segment, used) = fullest_segment(&server);
    let file = fs::OpenOptions::new().write(true).open(&segment).expect("a writable segment");
    file.set_len((used / 2) as u64).expect("the segment can be cut");
    drop(file);
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    server.restart_refused().expect(3, &[&name, "not as long as its header says"]);
    assert!(judge_what_is_left(server.data_dir()).is_err(), "the tests' own check does not see it");
}

#[test]
fn a_store_that_is_ahead_of_the_journal_is_refused() {
    let mut server = Setup::new().damaged().start();
    server.buyer(10);
    assert_eq!(server.sigterm(), Some(0));
    server.restart();
    server.buyer(10);
    server.kill9();
    // Every segment gone: the journal ends before what the store has seen, and the store was not released.
    let journal = server.data_dir().join("journal");
    let entries = fs::read_dir(&journal).expect("the journal's directory");
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::remove_file(path).expect("a removable segment");
        }
    }
    let ended = server.restart_refused();
    assert_eq!(ended.code, Some(3), "{ended:?}");
}
