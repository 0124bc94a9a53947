//! Sessions of others that lock what a batch writes, and sessions of the server that Postgres ends in the middle of one.

use crate::load::Shop;
use crate::proof::prove;
use crate::sql::Sql;
use crate::support::journal::lasting;
use crate::support::{eventually, setting};
use crate::with_postgres;

const WORKERS: usize = 4;

#[test]
fn every_table_that_a_batch_writes_may_be_locked_for_a_while_and_no_sale_waits() {
    let (server, _cluster, database) = with_postgres(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let (mut lock, mut sql) = (Sql::connect(&database), Sql::connect(&database));
    let tables = [
        "BEGIN; LOCK TABLE engine IN ACCESS EXCLUSIVE MODE",
        "BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE",
        "BEGIN; LOCK TABLE movements IN ACCESS EXCLUSIVE MODE",
        "BEGIN; LOCK TABLE balances IN ACCESS EXCLUSIVE MODE",
        "BEGIN; LOCK TABLE entries IN ACCESS EXCLUSIVE MODE",
        "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE",
        "BEGIN; LOCK TABLE keys IN ACCESS EXCLUSIVE MODE",
    ];
    let runs = tables.len().max(setting("PURSER_OUTAGE_CYCLES", 1));
    let waited = shop.trade_throughout(1, |day| {
        let mut waited = 0;
        for table in tables.into_iter().cycle().take(runs) {
            lock.run(table);
            waited += eventually("somebody waits for the table", || Some(sql.waiting()).filter(|it| *it > 0));
            day.more(20);
            lock.run("COMMIT");
            day.more(5);
        }
        waited
    });
    prove("locked-tables", (runs, usize::try_from(waited).expect("a count")), server, shop);
}

#[test]
fn a_writing_session_that_is_ended_in_the_middle_of_a_batch_loses_and_doubles_nothing() {
    let (server, _cluster, database) = with_postgres(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let mut sql = Sql::connect(&database);
    let runs = setting("PURSER_OUTAGE_CYCLES", 10);
    let ended = shop.trade_throughout(1, |day| {
        let mut ended = 0;
        for _ in 0..runs {
            ended +=
                eventually("a batch is caught", || Some(sql.terminate_the_writer()).filter(|it| *it > 0));
            day.more(10);
        }
        ended
    });
    prove("ended-session", (runs, usize::try_from(ended).expect("a count")), server, shop);
}
