//! A card is taken once, whoever asks how often.

use crate::support::simulator::Simulator;
use crate::support::{all_at_once, race};
use serde_json::json;
use uuid::Uuid;

#[test]
fn a_repeated_exchange_is_told_its_first_result() {
    let simulator = Simulator::start(&[]);
    for code in ["OK30X1", "INVALID1"] {
        let id = Uuid::now_v7();
        let first = simulator.exchange(id, code).expect("an answer");
        // Whatever card it names this time.
        for again in [code, "OK99X9"] {
            let second = simulator.exchange(id, again).expect("an answer");
            assert_eq!((second.status, second.json()), (first.status, first.json()), "{code}");
        }
    }
    let statuses = ["taken", "repeated", "repeated", "refused", "repeated", "repeated"];
    assert_eq!(simulator.statuses(), statuses);
    assert_eq!(
        simulator.exchange(Uuid::now_v7(), "OK99X9").expect("an answer").status,
        200,
        "untaken so far"
    );
}

#[test]
fn a_card_that_is_taken_is_refused_to_another_redemption() {
    let simulator = Simulator::start(&[]);
    for code in ["OK30X1", "DROPA30X1"] {
        let _dropped = simulator.exchange(Uuid::now_v7(), code);
        let reply = simulator.exchange(Uuid::now_v7(), &code.to_lowercase()).expect("an answer");
        assert_eq!((reply.status, &reply.json()["status"]), (422, &json!("refused")), "{code}");
        assert!(reply.text().contains("used"), "{}", reply.text());
    }
    assert_eq!(simulator.statuses(), ["taken", "refused", "taken", "refused"]);
}

#[test]
fn an_exchange_that_is_repeated_while_it_runs_takes_once() {
    let simulator = Simulator::start(&["--latency-ms", "100"]);
    for code in ["SLOW200X30X1", "OK30X1"] {
        let id = Uuid::now_v7();
        let replies = all_at_once(8, |_| simulator.exchange(id, code).expect("an answer"));
        let answer = json!({"status": "taken", "amount": 30});
        assert!(replies.iter().all(|reply| reply.status == 200 && reply.json() == answer), "{replies:?}");
    }
    let statuses = simulator.statuses();
    assert_eq!(statuses.iter().filter(|status| *status == "taken").count(), 2, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| *status == "repeated").count(), 14, "{statuses:?}");
}

#[test]
fn of_two_redemptions_at_once_one_takes_the_card() {
    let simulator = Simulator::start(&["--latency-ms", "100"]);
    let exchange = || simulator.exchange(Uuid::now_v7(), "OK30X1").expect("an answer").status;
    let (one, other) = race(exchange, exchange);
    assert_eq!((one.min(other), one.max(other)), (200, 422));
}
