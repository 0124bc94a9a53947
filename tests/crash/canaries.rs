//! The checks of real servers can fail, too: with a deliberate bug in the binary they find it. The same servers without one pass.

use crate::load::Shop;
use crate::support::canaries::{CANARY, expect_found};
use crate::support::journal::lasting;
use crate::support::server::Server;
use crate::{WORKERS, check, history, trade_until};
use purser::canary::Canary;

/// A few days that end by kill -9, and one that does not, with all checks after each.
fn live(canary: &str, run: usize) {
    let mut server = lasting().env(CANARY, canary).start();
    let mut shop = Shop::open(&server, WORKERS);
    for day in 1..=3 {
        trade_until(&mut server, &mut shop, 10 * run + day, 150, Server::kill9);
        server.restart();
        shop.ask_again();
        check::everything_once(&server, &shop);
    }
    shop.trade_while(10 * run, |day| day.more(150));
    check::everything_once(&server, &shop);
    server.kill9();
    history::explains(&server, &shop, 100);
}

#[test]
fn bugs_of_the_binary_are_found_by_killing_it() {
    live("", 1);
    for canary in [
        Canary::StockEdge,
        Canary::HoldLeaked,
        Canary::KeyNotWritten,
        Canary::KeysNotLoaded,
        Canary::ReplyBeforeDurable,
    ] {
        expect_found(canary, live);
    }
}
