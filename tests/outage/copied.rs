//! A data directory that somebody copied, and two servers that think they are one.

use crate::support::eventually;
use crate::support::server::{Setup, purser, run};
use crate::support::store::Store;
use crate::with_postgres;
use serde_json::json;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A copy as `cp -r` makes it.
fn copy_of(directory: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("a directory");
        for entry in fs::read_dir(from).expect("a directory") {
            let entry = entry.expect("an entry");
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            match entry.file_type().expect("a type") {
                kind if kind.is_dir() => copy(&from, &to),
                kind if kind.is_file() => {
                    fs::copy(&from, &to).expect("a copy");
                }
                _ => {}
            }
        }
    }
    let copied = tempfile::tempdir().expect("a temporary directory");
    copy(directory, copied.path());
    copied
}

/// A server with this directory on this database.
pub fn at(database: &str, directory: &Path) -> Setup {
    Setup::new().store(Store::at("postgres", database.to_owned(), ())).data_dir(directory)
}

#[test]
fn an_old_copy_of_a_data_directory_does_not_serve_and_does_no_harm() {
    let (mut server, _cluster, database) = with_postgres(Setup::new());
    let (item, buyer) = (server.admin().item("Lamp", 1, 100), server.buyer(100));
    buyer.buy(item, 10).expect(201);
    server.drains();
    server.kill9();
    let copied = copy_of(server.data_dir());
    server.restart();
    buyer.buy(item, 20).expect(201);
    server.drains();
    server.kill9();
    at(&database, copied.path()).refuses().expect(3, &["do not belong together"]);
    server.restart();
    buyer.buy(item, 30).expect(201);
    assert_eq!((server.stock(item), buyer.balance()), (40, 40));
    server.expect_clean_audit();
}

#[test]
fn of_a_server_and_the_copy_of_its_data_directory_the_one_that_started_first_ends_and_nothing_is_mixed() {
    let (mut server, _cluster, database) = with_postgres(Setup::new());
    let (item, buyer) = (server.admin().item("Lamp", 1, 100), server.buyer(100));
    buyer.buy(item, 10).expect(201);
    server.drains();
    let copied = copy_of(server.data_dir());
    let other = at(&database, copied.path()).start();
    let token = buyer.token().expect("a token").to_owned();
    other.bearer(&token).buy(item, 20).expect(201);
    other.drains();
    // Whatever it still acknowledges is in its own journal and nowhere else; it finds out at the next thing that it would store.
    eventually("the first one ends", || {
        drop(
            buyer
                .call("POST", &format!("/items/{}/purchase", item.id))
                .json(&json!({"quantity": 1}))
                .try_send(),
        );
        server.has_ended().then_some(())
    });
    assert_eq!(server.ends(), Some(4));
    assert_eq!((other.stock(item), other.bearer(&token).balance()), (70, 70));
    other.bearer(&token).buy(item, 5).expect(201);
    other.drains();
    other.expect_clean_audit();
    // What only the first one has is told apart, not lost: its journal is whole.
    let mut verify = purser();
    verify.args(["journal", "verify", "--data-dir"]).arg(server.data_dir());
    assert_eq!(run(verify).code, Some(0));
}
