//! Deadlocks made on purpose: somebody locks a batch's rows in the opposite order. A batch that Postgres ends for that is
//! tried again as a whole.

use crate::load::Shop;
use crate::proof::prove;
use crate::sql::Sql;
use crate::support::journal::lasting;
use crate::support::{eventually, setting};
use crate::with_postgres;

#[test]
fn a_batch_that_is_the_victim_of_a_deadlock_is_written_whole_afterwards() {
    let (server, _cluster, database) = with_postgres(lasting());
    let mut shop = Shop::open(&server, 4);
    let (mut other, mut sql) = (Sql::connect(&database), Sql::connect(&database));
    // Whoever looks first is the victim: the server's session, after Postgres' usual second.
    other.run("SET deadlock_timeout = '10min'");
    let runs = setting("PURSER_OUTAGE_CYCLES", 5);
    let victims = shop.trade_throughout(1, |day| {
        loop {
            other.run("BEGIN; SELECT 1 FROM balances ORDER BY user_id FOR UPDATE");
            eventually("a batch waits", || (sql.waiting() > 0).then_some(()));
            let before = sql.watermark();
            // The batch holds this row.
            other.run("SELECT 1 FROM engine FOR UPDATE");
            assert_eq!(sql.watermark(), before, "a part of the batch was written");
            day.more(10);
            other.run("COMMIT");
            eventually("the batch is written", || (sql.watermark() > before).then_some(()));
            // Postgres counts when the victim's session has ended, which may be later.
            let victims =
                sql.number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
            let victims = usize::try_from(victims).expect("a count");
            if victims >= runs {
                return victims;
            }
        }
    });
    prove("deadlock", (runs, victims), server, shop);
}
