//! A provider that is not there, is overrun, or wants no more than so much a second: cards wait, and none is lost by it.

use crate::cards::{cards, ok};
use crate::ledger::at_most_in_a_second;
use crate::rig::{sending_to, simulator};
use crate::scripted::{Answer, Asked, Scripted};
use crate::sentences::number;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use crate::support::store::stores;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[track_caller]
fn accounts(server: &Server, count: usize) {
    let admin = server.admin();
    let plan = admin.plan(1_000_000, 10_000);
    (0..count).for_each(|_| drop(admin.account(&plan)));
}

/// Nothing came of any card of the batch so far.
#[track_caller]
fn expect_waiting(figures: &Value) {
    let open: u64 = ["queued", "locking", "in_doubt"].iter().map(|status| number(figures, status)).sum();
    assert_eq!(open, number(figures, "total"), "{figures}");
}

#[test]
fn a_provider_in_trouble_is_asked_now_and_then_and_every_card_succeeds_once_it_is_back() {
    const ACCOUNTS: usize = 5;
    const FAILURES: usize = 3;
    const PAUSE: Duration = Duration::from_millis(400);
    let is_back = Arc::new(AtomicBool::new(false));
    let is_well = is_back.clone();
    let provider =
        Scripted::start(move |asked| match (is_well.load(Ordering::SeqCst), asked.is_exchange()) {
            (false, _) => Answer::Status(503),
            (true, true) => Answer::Taken(10),
            (true, false) => Answer::Unknown,
        });
    let server = provider
        .setup()
        .env("PURSER__PROVIDER__BREAKER_FAILURES", &FAILURES.to_string())
        .env("PURSER__PROVIDER__BREAKER_PAUSE_MS", &PAUSE.as_millis().to_string())
        .start();
    accounts(&server, ACCOUNTS);
    let user = server.buyer(0);
    let batch = user.handed_in_all(&cards(20));
    // So many at most are under way before the breaker knows of enough failures; then it lets probes through.
    let before = ACCOUNTS + FAILURES;
    let asked = eventually("the breaker has let probes through", || {
        let asked = provider.asked();
        (asked.len() >= before + 4).then_some(asked)
    });
    expect_waiting(&user.batch(&batch));
    for probes in asked[before..].windows(2) {
        let apart = probes[1].at - probes[0].at;
        assert!(apart >= PAUSE / 2, "asked again after {apart:?}");
    }
    is_back.store(true, Ordering::SeqCst);
    let figures = user.batch_ends(&batch);
    assert_eq!((number(&figures, "succeeded"), number(&figures, "amount")), (20, 200));
    let redemptions = user.redemptions_of(&batch);
    let attempts: u64 = redemptions.iter().map(|one| number(one, "attempts")).sum();
    assert_eq!(attempts, provider.exchanges().len() as u64, "each try to have a card taken is counted");
    assert_eq!(user.balance(), 200);
    server.expect_clean_audit();
}

#[test]
fn a_card_that_the_provider_never_takes_can_be_settled_by_hand() {
    for store in stores() {
        eprintln!("on {}", store.name);
        let provider = Scripted::start(|_| Answer::Status(503));
        let server = provider.setup().store(store).env("PURSER__PROVIDER__TIMEOUT_MS", "500").start();
        accounts(&server, 1);
        let (admin, user, code) = (server.admin(), server.buyer(0), ok(10));
        let id = user.handed_in(&code);
        let doubt = user.becomes(&id, "in_doubt");
        let why = doubt["failure"]["detail"].as_str().expect("a reason");
        assert!(why.starts_with("not taken within 500ms: the provider answered 503"), "{why}");
        server.logs_once(&[r#""level":"ERROR""#, "the provider does not take it", &id, "503"]);
        let settled = admin.settle(&id, &json!({"outcome": "failed"})).expect(200);
        assert_eq!(settled["status"], "failed");
        user.handed_in(&code);
        server.expect_clean_audit();
    }
}

#[test]
fn cards_wait_for_a_provider_that_is_not_there_yet() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
    let setup = sending_to(&format!("http://{address}"));
    let mut server = setup.env("PURSER__PROVIDER__TIMEOUT_MS", "500").start();
    accounts(&server, 2);
    let user = server.buyer(0);
    let batch = user.handed_in_all(&cards(5));
    eventually("an exchange has begun", || (number(&user.batch(&batch), "locking") > 0).then_some(()));
    expect_waiting(&user.batch(&batch));
    server.kill9();
    server.restart();
    let figures = user.batch(&batch);
    assert_eq!(number(&figures, "failed") + number(&figures, "succeeded"), 0, "{figures}");
    let answer = |asked: &Asked| if asked.is_exchange() { Answer::Taken(10) } else { Answer::Unknown };
    let _provider = Scripted::start_at(address, answer);
    let figures = user.batch_ends(&batch);
    assert_eq!((number(&figures, "succeeded"), user.balance()), (5, 50));
    server.expect_clean_audit();
}

#[test]
fn without_a_provider_cards_stay_queued_until_there_is_one() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut server = Setup::new().data_dir(data.path()).start();
    accounts(&server, 1);
    let id = server.buyer(0).handed_in(&ok(10));
    server.drains();
    assert_eq!(server.admin().redemption(&id)["status"], "queued");
    assert_eq!(server.sigterm(), Some(0));
    server.restart();
    server.logs_once(&[r#""level":"WARN""#, "there is no provider", r#""cards":1"#]);
    assert_eq!(server.sigterm(), Some(0));
    let provider = simulator(&[]);
    let server = provider.setup().data_dir(data.path()).start();
    server.admin().becomes(&id, "succeeded");
    provider.expect_taken_once(&id, 10);
    server.expect_clean_audit();
}

#[test]
fn the_provider_is_asked_no_more_often_than_it_wants() {
    const A_SECOND: usize = 2;
    let provider = simulator(&[]);
    let rate = A_SECOND.to_string();
    let server = provider.setup().env("PURSER__PROVIDER__RATE_PER_SECOND", &rate).start();
    let codes = cards(7);
    accounts(&server, codes.len());
    let user = server.buyer(0);
    let batch = user.handed_in_all(&codes);
    assert_eq!(number(&user.batch_ends(&batch), "succeeded"), 7);
    at_most_in_a_second(&provider.attempts(), A_SECOND + 1);
}
