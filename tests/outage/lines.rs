//! Lines to Postgres that are torn at any message, slow, or stall for a while.

use crate::load::{Kind, Operation, Shop};
use crate::proof::prove;
use crate::proxy::Fault;
use crate::sql::Sql;
use crate::support::journal::lasting;
use crate::support::{eventually, setting};
use crate::{notices_the_outage, with_proxy};
use std::time::{Duration, Instant};

const WORKERS: usize = 4;

/// A transaction of this load has more messages on a new connection, where it has to prepare its statements.
const MESSAGES: usize = 40;

/// Lines that are torn one after the other, before a batch gets through.
const IN_A_ROW: usize = 4;

#[test]
fn a_line_torn_at_any_message_of_a_transaction_loses_and_doubles_nothing() {
    let (server, proxy, _cluster, _) = with_proxy(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let runs = MESSAGES.max(setting("PURSER_OUTAGE_CYCLES", 1));
    shop.trade_throughout(1, |day| {
        for run in 0..runs {
            // The first of a row meets statements that are prepared already, and so has the smallest number.
            let (row, place) = (run / IN_A_ROW, run % IN_A_ROW);
            let part = MESSAGES / IN_A_ROW;
            proxy.tear(1 + row % part + place * part);
            eventually("a line is torn", || (proxy.fired(Fault::Torn) > run).then_some(()));
            if place + 1 == IN_A_ROW {
                let before = proxy.commits();
                eventually("a batch gets through", || (proxy.commits() > before).then_some(()));
                day.more(5);
            }
        }
    });
    prove("torn-line", (runs, proxy.fired(Fault::Torn)), server, shop);
}

#[test]
fn a_slow_line_to_postgres_holds_up_no_sale() {
    let (server, proxy, _cluster, database) = with_proxy(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let mut sql = Sql::connect(&database);
    let runs = setting("PURSER_OUTAGE_CYCLES", 3);
    let standstills = shop.trade_throughout(1, |day| {
        day.more(20);
        // A batch has some ten statements, and each waits for the answer to the one before.
        proxy.delay(Duration::from_millis(50));
        let standstill = |_: usize| {
            // A machine that is slow itself needs a few tries to sell so much before the next batch is there.
            eventually("many are answered between one batch and the next", || {
                let before = sql.watermark();
                let batch = || Some(sql.watermark()).filter(|stands| *stands > before);
                let stands = eventually("a batch gets through", batch);
                let begun = Instant::now();
                day.more(10 * WORKERS);
                let ended = Instant::now();
                (sql.watermark() == stands).then_some((begun, ended))
            })
        };
        let standstills: Vec<_> = (0..runs).map(standstill).collect();
        proxy.delay(Duration::ZERO);
        day.more(20);
        standstills
    });
    for (begun, ended) in standstills {
        let is_within = |sale: &&Operation| begun <= sale.between.0 && sale.between.1 <= ended;
        let is_sold = |sale: &&Operation| {
            matches!(sale.kind, Kind::Sale { .. })
                && sale.told.as_ref().is_some_and(|reply| reply.status == 201)
        };
        // Begun and answered while the store did not move: none of them can have waited for it.
        let sold = shop.log.iter().flatten().filter(is_within).filter(is_sold).count();
        assert!(sold > WORKERS, "{sold} sales by {WORKERS} buyers");
    }
    prove("slow-line", (runs, proxy.fired(Fault::Delayed)), server, shop);
}

#[test]
fn what_is_sold_while_a_line_stalls_is_stored_behind_what_was_under_way() {
    let (server, proxy, _cluster, _) = with_proxy(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let runs = setting("PURSER_OUTAGE_CYCLES", 1);
    shop.trade_throughout(1, |day| {
        for _ in 0..runs {
            day.more(20);
            let stalled = proxy.fired(Fault::Stalled);
            proxy.stall();
            let before = proxy.commits();
            day.more(100);
            eventually("a message waits", || (proxy.fired(Fault::Stalled) > stalled).then_some(()));
            notices_the_outage(&server);
            assert!(proxy.commits() <= before + 1, "more than what was under way got through");
            proxy.pass();
            eventually("the store is back", || (server.health()["store"]["reachable"] == true).then_some(()));
        }
    });
    prove("stalled-line", (runs, proxy.fired(Fault::Stalled)), server, shop);
}
