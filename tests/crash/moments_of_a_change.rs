//! A server that dies, or whose code panics, at each moment of a change by name: between a hold and its decision, before and after
//! the sync, between the rows and the commit, after a segment's removal. The binary has these moments with the feature `canaries`.

use crate::load::{Day, Shop};
use crate::support::journal::lasting;
use crate::support::server::Server;
use crate::support::store::{Store, durable_stores};
use crate::support::{Dice, eventually, eventually_within, setting};
use crate::{WORKERS, check, history};
use serde_json::json;
use std::time::Duration;

/// What the binary reads of the environment: how it ends, at which visit of which moment.
pub const FAIL_AT: &str = "FAIL_AT";

/// The exit code of a server whose engine halted.
pub const HALTED: i32 = 4;

/// How often trading may come by before one of them is the last.
type Moments<const N: usize> = [(&'static str, u64); N];

const OF_THE_ENGINE: Moments<10> = [
    ("turn product", 400),
    ("turn balance", 400),
    ("key reserved", 100),
    ("held product", 100),
    ("held balance", 200),
    ("decided", 200),
    ("frame written", 100),
    ("frame synced", 100),
    ("published", 100),
    ("batch known", 15),
];

const OF_THE_STORE: Moments<4> =
    [("batch begun", 15), ("watermark moved", 15), ("rows written", 15), ("batch committed", 15)];

/// An edge that panics here answers for itself.
const TOLD: Moments<1> = [("told", 200)];

/// Whether a server was ended by its failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Itself,
    Not,
}

/// The server ends by itself, with this code.
#[track_caller]
fn expect_end(server: &mut Server, code: Option<i32>) -> Ends {
    assert_eq!(server.ends(), code);
    Ends::Itself
}

/// Starts a server that fails so at the given visit of this moment, and trades with it. The first visits may be the start's own.
fn trade_with(
    server: &mut Server,
    shop: &mut Shop,
    cycle: usize,
    how: &str,
    meanwhile: impl FnOnce(&mut Server, &Day) -> Ends,
) -> Ends {
    eprintln!("{how}");
    server.set_env(FAIL_AT, how);
    let ends = if server.restart_under(&[]) {
        shop.trade_while(cycle, |day| meanwhile(server, day))
    } else {
        Ends::Itself
    };
    server.set_env(FAIL_AT, "");
    ends
}

fn starts_again(server: &mut Server, shop: &mut Shop) {
    server.restart();
    shop.ask_again();
    check::everything_once(server, shop);
}

/// One server after the other that fails so, each at another of these moments; `ends` sees to its end.
fn at_each_moment(
    what: &str,
    action: &str,
    store: Store,
    moments: &[(&str, u64)],
    ends: impl Fn(&mut Server, &Day) -> Ends,
) {
    let (rounds, name) = (setting("PURSER_CRASH_MOMENTS", 1), store.name);
    eprintln!("on {name}");
    let mut server = lasting().store(store).start();
    let mut shop = Shop::open(&server, WORKERS);
    let mut dice = Dice::new(setting("PURSER_CRASH_SEED", 7) as u64);
    let mut cycle = 0;
    for _ in 0..rounds {
        for (moment, most) in moments {
            cycle += 1;
            // Nothing is left for the next start, which comes to moments of the store, too.
            server.drains();
            server.kill9();
            let how = format!("{action} {} {moment}", 1 + dice.roll(*most));
            if trade_with(&mut server, &mut shop, cycle, &how, &ends) == Ends::Not {
                server.drains();
                server.kill9();
            }
            starts_again(&mut server, &mut shop);
        }
    }
    server.kill9();
    let figures = history::explains(&server, &shop, 10 * cycle);
    println!("proof: tier=T2 what={what}-{name} runs={cycle} faults={cycle} acks={}", figures.done);
}

#[test]
fn a_death_at_any_moment_of_a_change_loses_nothing_and_does_nothing_twice() {
    let moments = [&TOLD[..], &OF_THE_ENGINE, &OF_THE_STORE].concat();
    for store in durable_stores() {
        at_each_moment("death", "abort", store, &moments, |server, _| expect_end(server, None));
    }
}

#[test]
fn a_panic_at_any_moment_of_a_change_ends_the_server_and_loses_nothing() {
    for store in durable_stores() {
        at_each_moment("panic", "panic", store, &OF_THE_ENGINE, |server, _| expect_end(server, Some(HALTED)));
    }
}

#[test]
fn a_panic_in_a_call_of_the_store_is_a_call_that_failed() {
    for store in durable_stores() {
        at_each_moment("panic-in-the-store", "panic", store, &OF_THE_STORE, |server, day| {
            day.more(50);
            eventually("the call panics", || server.output().contains("as a test wants it").then_some(()));
            day.more(50);
            Ends::Not
        });
    }
}

#[test]
fn a_death_after_the_removal_of_a_segment_leaves_a_journal_that_starts() {
    // The longest that there is, in the longest characters.
    let long = "\u{1d11e}".repeat(2_000);
    for store in durable_stores() {
        let name = store.name;
        let mut server = lasting().store(store).env("PURSER__JOURNAL__KEEP_SEGMENTS", "0").start();
        let (mut shop, admin) = (Shop::open(&server, WORKERS), server.admin());
        for cycle in 1..=3 {
            server.kill9();
            trade_with(&mut server, &mut shop, cycle, "abort 1 segment removed", |server, _| {
                let lamp = json!({"name": "Lamp", "description": long, "price": 1, "stock": 1});
                let is_gone = || admin.call("POST", "/items").json(&lamp).try_send().is_err().then_some(());
                eventually_within(Duration::from_mins(5), "a segment is removed", is_gone);
                expect_end(server, None)
            });
            starts_again(&mut server, &mut shop);
        }
        server.drains();
        server.expect_clean_audit();
        let acks = shop.log.iter().flatten().filter(|operation| operation.told.is_some()).count();
        assert!(acks > 100, "only {acks} were told");
        println!("proof: tier=T2 what=abort-at-removal-{name} runs=3 faults=3 acks={acks}");
    }
}
