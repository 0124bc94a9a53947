//! Servers that are stopped while they sell: whatever was acknowledged is there afterwards, exactly once.

mod support;

#[cfg(feature = "canaries")]
#[path = "crash/canaries.rs"]
mod canaries;
#[path = "crash/check.rs"]
mod check;
#[path = "crash/every_sync.rs"]
mod every_sync;
#[path = "crash/history.rs"]
mod history;
#[path = "crash/load.rs"]
mod load;
#[path = "crash/messages.rs"]
mod messages;
#[cfg(feature = "canaries")]
#[path = "crash/moments_of_a_change.rs"]
mod moments_of_a_change;
#[cfg(feature = "canaries")]
#[path = "crash/moments_of_owners.rs"]
mod moments_of_owners;
#[path = "crash/second_opinion.rs"]
mod second_opinion;

use load::Shop;
use support::journal::lasting;
use support::server::Server;
use support::store::{durable_stores, on_each_durable_store};
use support::{Dice, setting};

/// Buyers who trade at the same time.
const WORKERS: usize = 6;

/// Lets everybody trade, and stops the server by `stop` after some acknowledgements.
fn trade_until(
    server: &mut Server,
    shop: &mut Shop,
    cycle: usize,
    acknowledged: usize,
    stop: impl FnOnce(&mut Server),
) {
    shop.trade_while(cycle, |day| {
        day.more(acknowledged);
        stop(server);
    });
}

#[test]
fn every_acknowledged_operation_survives_kill_9_under_load_exactly_once() {
    let cycles = setting("PURSER_CRASH_CYCLES", 10);
    for store in durable_stores() {
        let name = store.name;
        eprintln!("on {name}");
        let server = &mut lasting().store(store).start();
        let mut shop = Shop::open(server, WORKERS);
        let mut dice = Dice::new(setting("PURSER_CRASH_SEED", 7) as u64);
        for cycle in 1..=cycles {
            let acknowledged = usize::try_from(20 + dice.roll(300)).expect("a small number");
            eprintln!("cycle {cycle}: kill -9 after {acknowledged} acknowledgements");
            trade_until(server, &mut shop, cycle, acknowledged, Server::kill9);
            if cycle % 3 == 0 {
                server.restart_and_kill9();
            }
            server.restart();
            shop.ask_again();
            check::everything_once(server, &shop);
        }
        server.kill9();
        let figures = history::explains(server, &shop, 20 * cycles);
        let kills = cycles + cycles / 3;
        println!("proof: tier=T2 what=kill-9-{name} runs={kills} faults={kills} acks={}", figures.done);
    }
}

#[test]
fn a_clean_stop_under_load_loses_nothing_and_exits_0() {
    on_each_durable_store(|server| {
        let mut shop = Shop::open(server, WORKERS);
        for cycle in 1..=3 {
            trade_until(server, &mut shop, cycle, 150, |server| assert_eq!(server.sigterm(), Some(0)));
            server.restart();
            shop.ask_again();
            check::everything_once(server, &shop);
        }
    });
}

#[test]
fn what_is_told_before_a_crash_is_told_again_after_it() {
    on_each_durable_store(|server| {
        let mut shop = Shop::open(server, WORKERS);
        trade_until(server, &mut shop, 1, 200, Server::kill9);
        server.restart();
        shop.ask_again();
        let before = check::seen(server, &shop);
        for _ in 0..2 {
            server.kill9();
            server.restart();
            assert_eq!(check::seen(server, &shop), before, "a restart changed what is seen");
        }
        assert_eq!(server.sigterm(), Some(0));
        server.restart();
        assert_eq!(check::seen(server, &shop), before, "a clean restart changed what is seen");
        server.expect_clean_audit();
    });
}
