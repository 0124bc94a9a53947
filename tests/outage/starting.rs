//! Starting without Postgres, and who may have its database.

use crate::sql::Sql;
use crate::support::all_at_once;
use crate::support::postgres::PrivatePostgres;
use crate::support::server::{Ended, Server, Setup, purser, run};
use crate::support::store::Store;
use crate::with_postgres;
use serde_json::json;
use std::path::Path;

fn at(database: &str) -> Setup {
    Setup::new().store(Store::at("postgres", database.to_owned(), ()))
}

fn adopt(data_dir: &Path, database: &str, more: &[&str]) -> Ended {
    let mut command = purser();
    command.args(["journal", "adopt", "--database-url", database]).args(more);
    command.arg("--data-dir").arg(data_dir);
    run(command)
}

#[test]
fn a_postgres_that_cannot_be_reached_at_start_is_waited_for_and_then_given_up_with_exit_3() {
    let mut cluster = PrivatePostgres::create(false);
    let database = cluster.create_database();
    cluster.stop(false);
    let ended = at(&database).env("PURSER__STORE__CONNECT_TIMEOUT_SECONDS", "1").refuses();
    ended.expect(3, &["store cannot be reached"]);
    ended.expect_line(&["waiting", "for the database"]);
}

#[test]
fn a_server_that_waits_for_postgres_serves_once_it_is_there() {
    let mut cluster = PrivatePostgres::create(false);
    let database = cluster.create_database();
    cluster.stop(false);
    let starting = at(&database).launch();
    starting.says(&["waiting", "for the database"]);
    cluster.start();
    starting.serves().expect_clean_audit();
}

#[test]
fn a_second_server_with_another_directory_on_the_same_database_exits_3_and_names_the_holder() {
    let (server, _cluster, database) = with_postgres(Setup::new());
    let directory = server.data_dir().display().to_string();
    at(&database).refuses().expect(3, &["held by", &server.pid().to_string(), &directory]);
    let buyer = server.buyer(10);
    buyer.buy(server.admin().item("Lamp", 10, 1), 1).expect(201);
    server.expect_clean_audit();
}

#[test]
fn a_gap_between_journal_and_database_exits_3_and_names_who_took_the_database() {
    let (mut server, _cluster, database) =
        with_postgres(Setup::new().env("PURSER__JOURNAL__KEEP_SEGMENTS", "0"));
    let (admin, buyer) = (server.admin(), server.buyer(0));
    let path = format!("/users/{}/balance/increment", buyer.id);
    let text = "\u{1f4a1}".repeat(2_000);
    let credit = json!({"amount": 1, "reference": text, "description": text});
    all_at_once(4, |_| {
        while server.oldest_segment() == 1 {
            admin.post(&path, credit.clone()).expect(200);
        }
    });
    let balance = buyer.balance();
    let taken_by = (server.pid().to_string(), server.data_dir().display().to_string());
    server.kill9();
    let mut sql = Sql::connect(&database);
    sql.run("CREATE TABLE kept AS SELECT watermark FROM engine");
    for moved in ["UPDATE engine SET watermark = 0", "UPDATE engine SET watermark = 1000000000"] {
        sql.run(moved);
        let words = ["do not belong together", "taken last by", &taken_by.0, &taken_by.1];
        server.restart_refused().expect(3, &words);
    }
    sql.run("UPDATE engine SET watermark = (SELECT watermark FROM kept)");
    server.restart();
    assert_eq!(buyer.balance(), balance);
    server.expect_clean_audit();
}

#[test]
fn a_store_released_by_a_clean_stop_opens_with_a_new_directory() {
    let (mut server, _cluster, database) = with_postgres(Setup::new());
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 10, 5);
    let position = buyer.buy(item, 2).seq();
    assert_eq!(server.sigterm(), Some(0));
    let secret = server.file("admin-token");
    let next = at(&database).start();
    assert_ne!(next.file("admin-token"), secret, "a new directory has a new secret");
    assert_eq!(next.stock(item), 3);
    let other = next.buyer(100);
    assert!(other.buy(item, 1).seq() > position, "positions go on where they stood");
    next.expect_clean_audit();
    // The first directory's journal is not the store's any more.
    let refused = server.restart_refused();
    assert_eq!(refused.code, Some(3), "{refused:?}");
}

#[test]
fn a_store_of_a_killed_server_is_refused_to_others_until_it_is_adopted() {
    let (mut server, _cluster, database) = with_postgres(Setup::new());
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 10, 5);
    let call = buyer.call("POST", &format!("/items/{}/purchase", item.id));
    call.header("Purser-Durability", "store").json(&json!({"quantity": 2})).send().expect(201);
    server.kill9();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let refused = at(&database).data_dir(dir.path()).refuses();
    refused.expect(3, &["held by", &server.data_dir().display().to_string(), "journal adopt --accept-loss"]);
    let unwilling = adopt(dir.path(), &database, &[]);
    assert_eq!(unwilling.code, Some(2), "{unwilling:?}");
    let adopted = adopt(dir.path(), &database, &["--accept-loss"]);
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    let next: Server = at(&database).data_dir(dir.path()).start();
    assert_eq!(next.stock(item), 3);
    next.buyer(100).buy(item, 1).expect(201);
    next.expect_clean_audit();
    let deposed = server.restart_refused();
    assert_eq!(deposed.code, Some(3), "{deposed:?}");
}
