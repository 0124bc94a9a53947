//! Lines to Postgres that are torn at any message, slow, or stall for a while.

use crate::load::Shop;
use crate::proof::prove;
use crate::proxy::Fault;
use crate::support::journal::lasting;
use crate::support::{eventually, setting};
use crate::{notices_the_outage, with_proxy};
use std::time::Duration;

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
    shop.trade_while(1, |day| {
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
    let (server, proxy, _cluster, _) = with_proxy(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    shop.trade_while(1, |day| {
        day.more(20);
        proxy.delay(Duration::from_millis(20));
        day.more(200);
        eventually("a batch gets through", || {
            let before = proxy.commits();
            day.more(1);
            (proxy.commits() > before).then_some(())
        });
        proxy.delay(Duration::ZERO);
        day.more(20);
    });
    prove("slow-line", (1, proxy.fired(Fault::Delayed)), server, shop);
}

#[test]
fn what_is_sold_while_a_line_stalls_is_stored_behind_what_was_under_way() {
    let (server, proxy, _cluster, _) = with_proxy(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let runs = setting("PURSER_OUTAGE_CYCLES", 1);
    shop.trade_while(1, |day| {
        for _ in 0..runs {
            day.more(20);
            proxy.stall();
            let before = proxy.commits();
            day.more(100);
            notices_the_outage(&server);
            assert!(proxy.commits() <= before + 1, "more than what was under way got through");
            proxy.pass();
            eventually("the store is back", || (server.health()["store"]["reachable"] == true).then_some(()));
        }
    });
    prove("stalled-line", (runs, runs), server, shop);
}
