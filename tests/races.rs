//! Two operations at once, for every pair that can meet: the end is always one that some serial order would have had.

mod support;

#[path = "races/audits.rs"]
mod audits;
#[path = "races/money.rs"]
mod money;
#[path = "races/names.rs"]
mod names;
#[path = "races/orders.rs"]
mod orders;
#[path = "races/sessions.rs"]
mod sessions;
#[path = "races/stock.rs"]
mod stock;

use support::http::Reply;
use support::server::Server;
use support::store::on_each_store;

/// Plays a race many times on each store, and lets the auditor have the last word.
fn many_rounds(round: impl Fn(&Server)) {
    let rounds = support::setting("PURSER_RACE_ROUNDS", 25);
    on_each_store(|server| {
        for _ in 0..rounds {
            round(server);
        }
        server.expect_clean_audit();
    });
}

/// What a reply told: its status and, for a problem, the code.
fn told(reply: &Reply) -> (u16, String) {
    let code =
        if reply.status < 400 { String::new() } else { reply.json()["code"].to_string().replace('"', "") };
    (reply.status, code)
}

/// An expected reply.
fn tells(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
