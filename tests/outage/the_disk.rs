//! The journal's disk, full.

use crate::support::api::Item;
use crate::support::eventually;
use crate::support::expect::expect_problem;
use crate::support::http::Reply;
use crate::support::server::Setup;
use crate::support::store::stores;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own, gone when dropped.
struct SmallDisk {
    path: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Self {
        let path = tempfile::tempdir().expect("a temporary directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "purser-test"]).arg(path.path());
        let mounted = mount.output().expect("the program `mount`");
        assert!(
            mounted.status.success(),
            "This test fills a small disk. It needs to mount a tmpfs, that is, to run as root: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self { path }
    }

    fn path(&self) -> &Path {
        self.path.path()
    }

    /// Takes what room is left.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut filler = fs::File::create(&path).expect("an empty file still fits");
        let zeros = vec![0; 1 << 16];
        while filler.write_all(&zeros).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazy, because a failed test may still have its server on it.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// Sends until there is no room for another record; how often there was. The room that is left has an end.
fn use_up(send: impl Fn() -> Reply) -> u64 {
    let mut taken = 0;
    loop {
        let reply = send();
        if reply.status != 200 {
            expect_problem(&reply, 503, "storage_full");
            return taken;
        }
        taken += 1;
    }
}

#[test]
fn a_full_disk_is_told_before_anything_is_decided_and_is_over_when_there_is_space_again() {
    for store in stores() {
        let disk = SmallDisk::mount(96);
        eprintln!("on {}", store.name);
        // No segment leaves, so that nobody but us makes space.
        let setup = Setup::new().store(store).env("PURSER__JOURNAL__KEEP_SEGMENTS", "100");
        let mut server = setup.data_dir(&disk.path().join("data")).start();
        let (admin, buyer) = (server.admin(), server.buyer(1_000));
        let item = admin.item("Lamp", 1, 5);
        server.drains();
        let filler = disk.fill();
        // A long text makes a large record.
        let path = format!("/users/{}/balance/increment", buyer.id);
        let body = json!({"amount": 1, "description": "\u{1f4a1}".repeat(2_000)});
        let credit = || admin.post(&path, body.clone());
        let taken = use_up(credit);
        assert_eq!(buyer.balance(), 1_000 + taken, "what was refused was done");
        fs::remove_file(filler).expect("the filler goes");
        eventually("there is space again", || (credit().status == 200).then_some(()));
        buyer.buy(item, 1).expect(201);
        assert_eq!((server.stock(item), buyer.balance()), (4, 1_000 + taken));
        server.expect_clean_audit();
        server.kill9();
        server.restart();
        assert_eq!((server.stock(item), buyer.balance()), (4, 1_000 + taken));
        server.expect_clean_audit();
    }
}

#[test]
fn names_that_were_wanted_while_the_disk_was_full_can_be_taken_when_it_is_not() {
    let disk = SmallDisk::mount(96);
    let setup = Setup::new().env("PURSER__JOURNAL__KEEP_SEGMENTS", "100");
    let server = setup.data_dir(&disk.path().join("data")).start();
    let (admin, buyer) = (server.admin(), server.buyer(0));
    let (lamp, chair) = (admin.item("Lamp", 1, 5), admin.item("Chair", 1, 5));
    server.drains();
    let filler = disk.fill();
    let path = format!("/users/{}/balance/increment", buyer.id);
    // Large ones first, and small ones until there is no room for them either.
    for text in [&"\u{1f4a1}".repeat(2_000), ""] {
        let body = json!({"amount": 1, "description": text});
        use_up(|| admin.post(&path, body.clone()));
    }
    let new = |sku: &str| admin.post("/items", json!({"name": "New", "sku": sku, "price": 1, "stock": 1}));
    let rename = |item: Item, sku: &str| admin.patch(&format!("/items/{}", item.id), json!({"sku": sku}));
    let register = || server.register("ann@example.org", "long enough");
    // Twice, because the second would wait for a name that the first one kept.
    for _ in 0..2 {
        for reply in [register(), new("for a new item"), rename(lamp, "for the lamp"), new("for the lamp")] {
            expect_problem(&reply, 503, "storage_full");
        }
    }
    fs::remove_file(filler).expect("the filler goes");
    eventually("there is space again", || (admin.credit(buyer.id, 1).status == 200).then_some(()));
    register().expect(201);
    rename(chair, "for the lamp").expect(200);
    new("for a new item").expect(201);
    for (refused, code) in [
        (register(), "email_taken"),
        (rename(lamp, "for the lamp"), "sku_taken"),
        (rename(lamp, "for a new item"), "sku_taken"),
    ] {
        expect_problem(&refused, 409, code);
    }
    server.expect_clean_audit();
}

#[test]
fn a_start_without_room_for_a_segment_says_how_much_it_needs_and_how_much_there_is() {
    let disk = SmallDisk::mount(8);
    let path = disk.path().join("data");
    let start = || Setup::new().data_dir(&path).env("PURSER__JOURNAL__SEGMENT_BYTES", "33554432").refuses();
    for _ in 0..2 {
        let ended = start();
        ended.expect(3, &["33554432 bytes", "are free", &path.join("journal").to_string_lossy()]);
    }
    let free = start()
        .stderr
        .split(" are free")
        .next()
        .and_then(|text| text.split_whitespace().rev().find_map(|word| word.parse::<u64>().ok()));
    assert!(free.is_some_and(|free| (1 << 20..8 << 20).contains(&free)), "{free:?}");
}
