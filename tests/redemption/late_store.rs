//! Exchanges that the store hears of later than the user: the journal alone has them, and its audit says whether they fit.

use crate::cards::cards;
use crate::scripted::{Answer, Scripted};
use crate::sentences::number;
use crate::sql::Sql;
use crate::support::eventually;
use crate::support::postgres::PrivatePostgres;
use crate::support::server::{Server, purser, run};
use crate::support::store::Store;
use serde_json::Value;

/// The audit of a stopped server, with its exit code.
#[track_caller]
fn audit(server: &Server, database: &str) -> (Option<i32>, Value) {
    let mut command = purser();
    command.args(["audit", "--json", "--database-url", database]).arg("--data-dir").arg(server.data_dir());
    let ended = run(command);
    let report: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let checks = report["checks"].as_array().expect("checks");
    let tail = checks.iter().find(|check| check["name"] == "journal's tail continues the store");
    (ended.code, tail.unwrap_or_else(|| panic!("the tail was not looked at: {report:#}")).clone())
}

#[test]
fn payouts_that_only_the_journal_has_are_audited_and_come_into_the_store_at_the_next_start() {
    const CARDS: u64 = 3;
    let mut cluster = PrivatePostgres::create(false);
    let database = cluster.create_database();
    let provider = Scripted::start(|_| Answer::Held);
    let store = Store::at("postgres", database.clone(), ());
    let mut server = provider.setup().store(store).start();
    let (admin, user) = (server.admin(), server.buyer(7));
    let plan = admin.plan(1_000_000, 5_000);
    let accounts: Vec<_> = (0..CARDS).map(|_| admin.account(&plan)).collect();
    let batch = user.handed_in_all(&cards(CARDS));
    eventually("all are at the provider", || (provider.held() as u64 == CARDS).then_some(()));
    server.drains();
    cluster.kill9();
    provider.release(100);
    eventually("all are paid", || (user.balance() == 7 + 50 * CARDS).then_some(()));
    server.kill9();
    cluster.start();
    let (code, tail) = audit(&server, &database);
    assert_eq!((code, &tail["ok"]), (Some(0), &true.into()), "{tail}");
    let detail = tail["detail"].as_str().expect("a detail");
    // Each end posts on the account and on the balance.
    assert!(detail.ends_with(&format!(" {} steps", 2 * CARDS)), "{detail}");
    let mut sql = Sql::connect(&database);
    sql.run("UPDATE accounts SET redeemed_total = redeemed_total + 1");
    let (code, tail) = audit(&server, &database);
    assert_eq!((code, &tail["ok"]), (Some(1), &false.into()), "{tail}");
    sql.run("UPDATE accounts SET redeemed_total = redeemed_total - 1");
    server.restart();
    server.drains();
    let figures = user.batch(&batch);
    assert_eq!((number(&figures, "succeeded"), number(&figures, "payout")), (CARDS, 50 * CARDS));
    for account in &accounts {
        assert_eq!(number(&server.admin().account_view(account), "redeemed_total"), 100);
    }
    server.expect_clean_audit();
}
