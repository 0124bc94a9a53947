//! With a secret, the provider listens to nobody who does not have it.

use crate::client::{card, client_with, in_runtime};
use crate::support::simulator::{Simulator, exchange_body};
use purser::clock::{Clock, SystemClock};
use purser::domain::Money;
use purser::provider::signature::{Key, SIGNATURE, Signed, TIMESTAMP};
use purser::provider::{Answer, Provider, Standing};
use uuid::Uuid;

#[test]
fn a_call_that_is_not_signed_rightly_is_turned_away() {
    let simulator = Simulator::start(&["--secret", "shared"]);
    let body = exchange_body(Uuid::now_v7(), "OK30X1");
    let now = SystemClock.now().seconds();
    let post = |secret: &str, seconds: i64| {
        let signed = Signed { method: "POST", path: "/exchange", body: body.as_bytes() };
        let signature = Key::new(secret).expect("a secret").sign(seconds, signed);
        let headers = [(TIMESTAMP.to_owned(), seconds.to_string()), (SIGNATURE.to_owned(), signature)];
        simulator.http.send("POST", "/exchange", &headers, Some(body.as_bytes())).expect("an answer").status
    };
    assert_eq!(simulator.http.send("POST", "/exchange", &[], Some(body.as_bytes())).expect("it").status, 401);
    assert_eq!(post("another", now), 401);
    assert_eq!(post("shared", now - 3_600), 401, "long ago");
    assert!(simulator.ledger().is_empty(), "nothing reached the cards");
    assert_eq!(post("shared", now), 200);
    let status = format!("/exchange/{}", Uuid::now_v7());
    assert_eq!(simulator.http.send("GET", &status, &[], None).expect("an answer").status, 401);
}

#[test]
fn the_client_signs_its_calls() {
    let simulator = Simulator::start(&["--secret", "shared"]);
    let card = card("OK30X1");
    let amount = Money::new(30).expect("an amount");
    in_runtime(async {
        let stranger = client_with(&simulator.url(), "another");
        assert!(matches!(stranger.exchange(&card).await, Answer::InDoubt { .. }), "401 is no agreed answer");
        assert!(matches!(stranger.status(card.redemption_id).await, Standing::NoAnswer { .. }), "nor here");
        let ours = client_with(&simulator.url(), "shared");
        assert_eq!(ours.exchange(&card).await, Answer::Taken { amount });
        assert_eq!(ours.status(card.redemption_id).await, Standing::Taken { amount });
    });
}
