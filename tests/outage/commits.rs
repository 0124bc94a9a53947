//! Commits whose outcome the server cannot know. Whatever it is, the server reads back what the store has and goes on from
//! there; taken for done or for failed without looking, each of these would lose a batch or write it twice.

use crate::load::Shop;
use crate::proof::prove;
use crate::proxy::Fault;
use crate::sql::Sql;
use crate::support::journal::lasting;
use crate::support::server::Setup;
use crate::support::{eventually, setting};
use crate::with_proxy;

const WORKERS: usize = 4;

fn cycles() -> usize {
    setting("PURSER_OUTAGE_CYCLES", 6)
}

/// Every second time the store stays away until the server has sold more without it.
#[track_caller]
pub fn at_many_commits(setup: Setup, what: &str, fault: Fault) {
    let (server, proxy, _cluster, _) = with_proxy(setup);
    let mut shop = Shop::open(&server, WORKERS);
    shop.trade_throughout(1, |day| {
        for cycle in 1..=cycles() {
            let stays_away = cycle % 2 == 0;
            if stays_away {
                proxy.next_commit_and_refuse(fault);
            } else {
                proxy.next_commit(fault);
            }
            eventually("a batch comes to its COMMIT", || (proxy.fired(fault) == cycle).then_some(()));
            if stays_away {
                day.more(20);
                eventually("the server asks", || (proxy.fired(Fault::Refused) >= cycle / 2).then_some(()));
                proxy.pass();
            }
            day.more(5);
        }
    });
    prove(what, (cycles(), proxy.fired(fault)), server, shop);
}

#[test]
fn a_batch_whose_commit_never_reached_postgres_is_written_again() {
    at_many_commits(lasting(), "commit-lost", Fault::CommitLost);
}

#[test]
fn a_batch_whose_commit_was_done_and_never_answered_is_not_written_again() {
    at_many_commits(lasting(), "answer-lost", Fault::AnswerLost);
}

#[test]
fn a_commit_that_arrives_when_its_batch_is_tried_again_already_counts_once() {
    let (server, proxy, _cluster, database) = with_proxy(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    let mut sql = Sql::connect(&database);
    shop.trade_throughout(1, |day| {
        for cycle in 1..=cycles() {
            proxy.next_commit(Fault::CommitLate);
            // Who looked saw the store where it was before; the row that tells holds up whoever writes.
            eventually("the batch is tried again", || (sql.waiting() > 0).then_some(()));
            day.more(20);
            proxy.arrives();
            eventually("the first try is done", || (proxy.fired(Fault::CommitLate) == cycle).then_some(()));
            day.more(5);
        }
    });
    prove("commit-late", (cycles(), proxy.fired(Fault::CommitLate)), server, shop);
}

#[test]
fn a_server_killed_in_doubt_of_its_batch_goes_on_from_what_postgres_has() {
    let (mut server, proxy, _cluster, _) = with_proxy(lasting());
    let mut shop = Shop::open(&server, WORKERS);
    for cycle in 1..=cycles() {
        let fault = if cycle % 2 == 0 { Fault::CommitLost } else { Fault::AnswerLost };
        let before = proxy.fired(fault);
        shop.trade_while(cycle, |day| {
            day.more(10);
            proxy.next_commit_and_refuse(fault);
            eventually("a batch comes to its COMMIT", || (proxy.fired(fault) > before).then_some(()));
            day.more(10);
            server.kill9();
        });
        proxy.pass();
        server.restart();
        shop.ask_again();
    }
    let faults = proxy.fired(Fault::CommitLost) + proxy.fired(Fault::AnswerLost);
    prove("killed-in-doubt", (cycles(), faults), server, shop);
}
