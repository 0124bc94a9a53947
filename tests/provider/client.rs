//! The engine's client: what it takes for definite, and what it leaves in doubt.

use crate::support::http::Target;
use crate::support::receiver::{Answer as Told, Receiver};
use crate::support::simulator::Simulator;
use purser::clock::SystemClock;
use purser::domain::Money;
use purser::domain::card::CardCode;
use purser::provider::{Answer, Exchange, HttpProvider, Provider, ProviderOptions, Standing};
use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Longer than anything takes that is answered.
const TIMEOUT: Duration = Duration::from_mins(1);

pub fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(work)
}

fn options(url: &str, secret: &str, timeout: Duration) -> ProviderOptions {
    ProviderOptions { url: url.into(), secret: secret.into(), timeout, ca_file: None }
}

fn waiting(url: &str, timeout: Duration) -> HttpProvider {
    HttpProvider::new(&options(url, "", timeout), Arc::new(SystemClock)).expect("a client")
}

pub fn client_with(url: &str, secret: &str) -> HttpProvider {
    HttpProvider::new(&options(url, secret, TIMEOUT), Arc::new(SystemClock)).expect("a client")
}

fn client(simulator: &Simulator) -> HttpProvider {
    client_with(&simulator.url(), "")
}

pub fn card(code: &str) -> Exchange {
    let code = CardCode::parse(code).expect("a code");
    Exchange { redemption_id: Uuid::now_v7(), account: "a".into(), code, country: "DE".into() }
}

fn money(minor: i64) -> Money {
    Money::new(minor).expect("an amount")
}

#[track_caller]
fn expect_in_doubt(answer: &Answer, words: &str) {
    let Answer::InDoubt { why } = answer else { panic!("{answer:?} should be in doubt") };
    assert!(why.contains(words), "{why} should say {words}");
}

#[test]
fn what_the_provider_says_definitely_is_definite() {
    let simulator = Simulator::start(&[]);
    in_runtime(async {
        let client = client(&simulator);
        let good = card("OK1999X1");
        assert_eq!(client.status(good.redemption_id).await, Standing::Unknown);
        assert_eq!(client.exchange(&good).await, Answer::Taken { amount: money(1999) });
        assert_eq!(client.exchange(&good).await, Answer::Taken { amount: money(1999) }, "the first result");
        assert_eq!(client.status(good.redemption_id).await, Standing::Taken { amount: money(1999) });

        let bad = card("USED1");
        let answer = client.exchange(&bad).await;
        let Answer::Refused { reason } = answer else { panic!("{answer:?}") };
        assert!(reason.as_str().contains("used"), "{reason}");
        assert!(matches!(client.status(bad.redemption_id).await, Standing::Refused { .. }));
    });
    assert_eq!(simulator.statuses(), ["taken", "repeated", "refused"]);
}

#[test]
fn a_card_that_the_provider_did_not_take_is_not_taken() {
    let simulator = Simulator::start(&[]);
    let receiver = Receiver::start(|_| Told::Status(503));
    in_runtime(async {
        let busy = card("R42930X1");
        let answer = client(&simulator).exchange(&busy).await;
        let Answer::NotTaken { why, retry_after } = answer else { panic!("{answer:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(1)));
        assert!(why.contains("429"), "{why}");
        assert_eq!(client(&simulator).status(busy.redemption_id).await, Standing::Unknown);
        assert_eq!(simulator.statuses(), ["not_taken_429"], "the client tries nothing twice by itself");
        assert_eq!(client(&simulator).exchange(&busy).await, Answer::Taken { amount: money(30) });

        let answer = client_with(&receiver.url(), "").exchange(&card("OK30X1")).await;
        assert!(matches!(&answer, Answer::NotTaken { why, .. } if why.contains("503")), "{answer:?}");
    });
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn a_card_that_was_not_sent_is_not_taken() {
    // Nobody listens where somebody did a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = Target::new(listener.local_addr().expect("its address"));
    drop(listener);
    let plain = Simulator::start(&[]);
    let nowhere = format!("http://{}", nobody.get());
    let unencrypted = format!("https://{}", plain.address());
    in_runtime(async {
        for url in [nowhere.as_str(), "http://nowhere.invalid", &unencrypted] {
            let client = client_with(url, "");
            let answer = client.exchange(&card("OK30X1")).await;
            assert!(matches!(&answer, Answer::NotTaken { retry_after: None, .. }), "{url}: {answer:?}");
            let standing = client.status(Uuid::now_v7()).await;
            assert!(matches!(&standing, Standing::NoAnswer { .. }), "{url}: {standing:?}");
        }
    });
    assert!(plain.ledger().is_empty());
}

#[test]
fn a_connection_that_is_lost_leaves_the_card_in_doubt() {
    let simulator = Simulator::start(&[]);
    in_runtime(async {
        let client = client(&simulator);
        // The second goes over a connection that served before, too.
        for _ in 0..2 {
            let before = card(&format!("DROPB30X{}", Uuid::now_v7().simple()));
            expect_in_doubt(&client.exchange(&before).await, "");
            assert_eq!(client.status(before.redemption_id).await, Standing::Unknown);
            assert_eq!(client.exchange(&before).await, Answer::Taken { amount: money(30) });

            let after = card(&format!("DROPA40X{}", Uuid::now_v7().simple()));
            expect_in_doubt(&client.exchange(&after).await, "");
            assert_eq!(client.status(after.redemption_id).await, Standing::Taken { amount: money(40) });
        }
    });
    let once = ["dropped_before", "taken", "taken"];
    assert_eq!(simulator.statuses(), [once, once].concat());
}

#[test]
fn an_answer_that_is_not_agreed_leaves_the_card_in_doubt() {
    let simulator = Simulator::start(&[]);
    in_runtime(async {
        let client = client(&simulator);
        expect_in_doubt(&client.exchange(&card("E50030X1")).await, "500");
        for amount in ["0", "9007199254740992", "18446744073709551615"] {
            let odd = card(&format!("OK{amount}X1"));
            expect_in_doubt(&client.exchange(&odd).await, "");
            let standing = client.status(odd.redemption_id).await;
            assert!(matches!(standing, Standing::NoAnswer { .. }), "{amount}: {standing:?}");
        }
        let most = card("OK9007199254740991X1");
        assert_eq!(client.exchange(&most).await, Answer::Taken { amount: money(9_007_199_254_740_991) });
    });
    let bare = |status| Receiver::start(move |_| Told::Status(status));
    for status in [200, 201, 204, 404, 409, 422, 502] {
        let receiver = bare(status);
        let client = || client_with(&receiver.url(), "");
        in_runtime(async {
            expect_in_doubt(&client().exchange(&card("OK30X1")).await, &status.to_string());
        });
    }
    let redirecting = Receiver::start(|_| Told::Redirect);
    in_runtime(async {
        expect_in_doubt(&client_with(&redirecting.url(), "").exchange(&card("OK30X1")).await, "307");
    });
    assert_eq!(redirecting.received().len(), 1, "a redirect is not followed");
}

#[test]
fn an_answer_that_does_not_come_in_time_leaves_the_card_in_doubt() {
    let simulator = Simulator::start(&[]);
    in_runtime(async {
        let hasty = waiting(&simulator.url(), Duration::from_secs(2));
        let slow = card("SLOW5000X30X1");
        expect_in_doubt(&hasty.exchange(&slow).await, "");
        // It goes on there, and nothing can be said of it until it ends.
        assert!(matches!(hasty.status(slow.redemption_id).await, Standing::NoAnswer { .. }));
        // What hangs holds up nobody else.
        assert_eq!(hasty.exchange(&card("OK10X1")).await, Answer::Taken { amount: money(10) });
        let patient = client(&simulator);
        assert_eq!(patient.status(slow.redemption_id).await, Standing::Taken { amount: money(30) });
    });
}

#[test]
fn a_hundred_and_fifty_calls_at_once_do_not_wait_for_each_other() {
    let simulator = Simulator::start(&["--latency-ms", "2000"]);
    in_runtime(async {
        let client = client(&simulator);
        let cards: Vec<_> = (0..150).map(|number| card(&format!("OK5X{number:04}"))).collect();
        let answers = cards.iter().map(|card| client.exchange(card));
        for answer in futures_util::future::join_all(answers).await {
            assert_eq!(answer, Answer::Taken { amount: money(5) });
        }
    });
    let ledger = simulator.ledger();
    let text = |entry: &serde_json::Value, field: &str| entry[field].as_str().expect("a time").to_owned();
    let last_start = ledger.iter().map(|entry| text(entry, "started_at")).max();
    let first_end = ledger.iter().map(|entry| text(entry, "ended_at")).min();
    assert!(last_start < first_end, "all ran at once: {last_start:?} {first_end:?}");
}

#[test]
fn a_call_says_all_that_the_protocol_asks_for() {
    let receiver = Receiver::start(|_| Told::Status(500));
    let card = card("OK30-X12 34");
    let said = in_runtime(client_with(&receiver.url(), "").exchange(&card));
    let received = &receiver.received()[0];
    assert_eq!(received.headers["idempotency-key"], card.redemption_id.to_string());
    assert_eq!(received.headers["content-type"], "application/json");
    assert!(!received.headers.contains_key("purser-signature"), "there is no secret");
    let expected = serde_json::json!({
        "redemption_id": card.redemption_id, "account": "a", "code": "OK30X1234", "country": "DE",
    });
    assert_eq!(received.json(), expected);
    for shown in [format!("{said:?}"), format!("{card:?}")] {
        assert!(!shown.contains("OK30X1234"), "the code is shown: {shown}");
    }
}

#[test]
fn what_the_provider_says_of_a_card_is_kept_without_its_code() {
    let said = r#"{"status":"refused","reason":"card ok30-x1234 is unknown"}"#;
    let receiver = Receiver::start(move |_| Told::Json(422, said));
    let answer = in_runtime(client_with(&receiver.url(), "").exchange(&card("OK30X1234")));
    let Answer::Refused { reason } = answer else { panic!("{answer:?}") };
    assert_eq!(reason.as_str(), "card …1234 is unknown");
}

#[test]
fn an_address_that_cannot_be_called_is_refused_at_once() {
    let check = |url: &str| options(url, "", TIMEOUT).check();
    for good in ["http://localhost:1", "https://cards.example/v1/", "http://[::1]:80"] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in ["", "localhost:1", "/exchange", "ftp://cards", "http://", "http://a?b=c", "http://a/#b"] {
        assert!(check(bad).is_err(), "{bad}");
    }
}
