//! A server that is frozen while another one takes its store over by `journal adopt`, and then goes on as if nothing had been: a
//! process that was paused, a virtual machine that was moved. No clock and no lock of a session tells it; the store's epoch does.

use crate::copied::at;
use crate::load::Shop;
use crate::proof::expect_clean_audit_of_stopped;
use crate::sql::Sql;
use crate::support::eventually;
use crate::support::journal::{lasting, sound_journal};
use crate::support::server::{Ended, Server, Setup, purser, run};
use crate::support::standstill::Standstill;
use crate::{check, history, with_postgres};
use serde_json::json;
use std::fs;
use std::path::Path;

/// The exit code of a server whose engine halted.
const HALTED: i32 = 4;

/// A table `known` says which users the store had when it was taken over.
const ENTRIES: &str = "SELECT count(*) FROM entries WHERE user_id IN (SELECT id FROM known)";
const EPOCH: &str = "SELECT epoch FROM engine";
/// Sessions of the server that have written something and not committed it.
const WRITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'purser' AND backend_xid IS NOT NULL";

/// A server that keeps requests and connections over a long pause of its own.
fn patient() -> Setup {
    lasting()
        .env("PURSER__SERVER__CLIENT_TIMEOUT_MS", "600000")
        .env("PURSER__SERVER__BODY_TIMEOUT_MS", "600000")
        .env("PURSER__SERVER__KEEP_ALIVE_SECONDS", "3600")
}

fn adopt(data_dir: &Path, database: &str) -> Ended {
    let mut command = purser();
    command.args(["journal", "adopt", "--accept-loss", "--database-url", database]);
    // The server that starts on it has small segments, too.
    command.arg("--data-dir").arg(data_dir).env("PURSER__JOURNAL__SEGMENT_BYTES", "4194304");
    run(command)
}

/// Stops the process where it is, with all its threads.
#[track_caller]
fn freeze(server: &Server) {
    server.signal("STOP");
    let threads = format!("/proc/{}/task", server.pid());
    eventually("all its threads stand still", || {
        for thread in fs::read_dir(&threads).expect("a process") {
            let stat = fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
            let (_, state) = stat.rsplit_once(") ")?;
            if !state.starts_with('T') {
                return None;
            }
        }
        Some(())
    });
}

/// Lets it go on: it has to find out by itself, to say so, and to end.
#[track_caller]
fn thaws_and_ends(server: &mut Server) {
    server.signal("CONT");
    server.logs_once(&["purser: the store was taken over by", "do not start this one again"]);
    assert_eq!(server.ends(), Some(HALTED));
}

/// What the store has of the users that it knew when it was taken over, and who holds it.
struct Before {
    sql: Sql,
    entries: i64,
    epoch: i64,
}

impl Before {
    fn of(mut sql: Sql) -> Self {
        let (entries, epoch) = (sql.number(ENTRIES), sql.number(EPOCH));
        Self { sql, entries, epoch }
    }

    #[track_caller]
    fn expect_unchanged(&mut self) {
        assert_eq!(self.sql.number(ENTRIES), self.entries, "something of the first server is there");
        assert_eq!(self.sql.number(EPOCH), self.epoch, "somebody else holds the store");
    }
}

/// Nothing is wrong with the store and with the journal of the server that has it now.
#[track_caller]
fn passes_its_audit(mut server: Server) {
    server.drains();
    server.expect_clean_audit();
    server.kill9();
    expect_clean_audit_of_stopped(&server);
}

#[test]
fn a_server_that_was_frozen_at_rest_ends_when_its_store_was_taken_over_and_sells_nothing_of_it() {
    let (mut first, _cluster, database) = with_postgres(patient());
    let (item, buyer) = (first.admin().item("Lamp", 1, 100), first.buyer(100));
    buyer.buy(item, 10).expect(201);
    first.drains();
    freeze(&first);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let next = std::thread::scope(|scope| {
        // Sent to the first one, which has it before it when it goes on. It may be answered or not.
        let under_way = scope.spawn(|| {
            let call = buyer.call("POST", &format!("/items/{}/purchase", item.id));
            drop(call.json(&json!({"quantity": 1})).try_send());
        });
        let adopted = adopt(dir.path(), &database);
        assert_eq!(adopted.code, Some(0), "{adopted:?}");
        let next = at(&database, dir.path()).start();
        let token = next.admin().post(&format!("/users/{}/token", buyer.id), json!({})).expect(201);
        let same = next.bearer(token["access_token"].as_str().expect("a token"));
        same.buy(item, 20).expect(201);
        next.drains();
        thaws_and_ends(&mut first);
        under_way.join().expect("the request under way comes to an end");
        same.buy(item, 5).expect(201);
        assert_eq!((next.stock(item), same.balance(), same.list("/orders").len()), (65, 65, 3));
        next
    });
    first.restart_refused().expect(3, &["purser"]);
    passes_its_audit(next);
    println!("proof: tier=T3 what=frozen-at-rest runs=1 faults=1 acks=3");
}

#[test]
fn a_server_that_was_frozen_in_a_batch_ends_when_its_store_was_taken_over_and_nothing_is_mixed() {
    let (mut first, _cluster, database) = with_postgres(patient());
    let mut shop = Shop::open(&first, 4);
    let mut sql = Sql::connect(&database);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (next, mut next_shop, adopted_at, mut before) = shop.trade_while(1, |day| {
        day.more(40);
        let standstill = Standstill::of(&first);
        // Acknowledged, and not in the store.
        day.more(40);
        eventually("it is frozen in a batch", || {
            freeze(&first);
            // Or between two tries of one, of which the lock's time-out ended the first.
            let in_a_batch = sql.waiting() > 0;
            if !in_a_batch {
                first.signal("CONT");
            }
            in_a_batch.then_some(())
        });
        drop(standstill);
        eventually("its batch has begun to write", || (sql.number(WRITING) > 0).then_some(()));
        // Postgres holds the store's row for it as long as its session lasts, or until it has been idle for too long.
        adopt(dir.path(), &database).expect(3, &["55P03"]);
        assert!(sql.terminate_the_server() > 0, "it had no session");
        let adopted = adopt(dir.path(), &database);
        assert_eq!(adopted.code, Some(0), "{adopted:?}");
        let adopted_at = sql.watermark();
        sql.run("CREATE TABLE known AS SELECT id FROM users");
        let next = at(&database, dir.path()).start();
        let mut before = Before::of(sql);
        let mut next_shop = Shop::open(&next, 2);
        next_shop.trade_throughout(1, |next_day| {
            next_day.more(40);
            // Here its buyers get their answers, and go on until it ends.
            thaws_and_ends(&mut first);
            next_day.more(40);
        });
        before.expect_unchanged();
        (next, next_shop, adopted_at, before)
    });
    // What it told is in its own journal, with more than the store ever had of it, and nowhere else.
    let figures = history::explains(&first, &shop, 40);
    let records = i64::try_from(sound_journal(&first).len()).expect("a few records");
    assert!(records > adopted_at, "nothing of {records} records was left to lose");
    first.restart_refused().expect(3, &["purser"]);
    next_shop.ask_again();
    next.drains();
    check::everything_once(&next, &next_shop);
    before.expect_unchanged();
    passes_its_audit(next);
    println!("proof: tier=T3 what=frozen-in-a-batch runs=1 faults=1 acks={}", figures.done);
}
