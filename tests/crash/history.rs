//! All that the buyers were told, as the auditor takes it, and the whole journal that has to explain it.

use crate::load::{Kind, Operation, Shop};
use crate::support::api::order_id;
use crate::support::journal::sound_journal;
use crate::support::server::Server;
use purser::auditor::history::Figures;
use purser::auditor::{Ask, Call, Told, check};
use serde_json::Value;
use std::time::Instant;
use uuid::Uuid;

/// The journal of this server, which does not run, explains all that was told. At least so many calls were answered.
#[track_caller]
pub fn explains(server: &Server, shop: &Shop, answered: usize) -> Figures {
    let figures = check(&sound_journal(server), &shop.calls()).unwrap_or_else(|wrong| panic!("{wrong}"));
    eprintln!("the journal explains it: {figures:?}");
    assert!(figures.done + figures.refused >= answered, "too little was looked at: {figures:?}");
    figures
}

impl Shop {
    fn calls(&self) -> Vec<Call> {
        let operations = || {
            self.log
                .iter()
                .zip(&self.buyers)
                .flat_map(|(log, buyer)| log.iter().map(move |operation| (buyer.id, operation)))
        };
        let Some(begun) = operations().map(|(_, operation)| operation.between.0).min() else {
            return Vec::new();
        };
        let moment = |at: Instant| u64::try_from((at - begun).as_nanos()).expect("not that long");
        let call = |(user, operation): (u64, &Operation)| Call {
            user,
            ask: self.ask(operation),
            invoked: moment(operation.between.0),
            returned: moment(operation.between.1),
            told: told(operation),
        };
        operations().map(call).collect()
    }

    fn ask(&self, operation: &Operation) -> Ask {
        match &operation.kind {
            Kind::Sale { lines } => {
                Ask::Order(lines.iter().map(|(product, units)| (*product, signed(*units))).collect())
            }
            Kind::Cancel { order_id } => Ask::Cancel(id(order_id)),
            Kind::Transfer { to, .. } => {
                let amount = operation.body["amount"].as_i64().expect("an amount");
                Ask::Transfer { to: self.buyers[*to].id, amount }
            }
        }
    }
}

fn told(operation: &Operation) -> Told {
    let Some(reply) = &operation.told else { return Told::Nothing };
    let is_again = reply.header("Idempotency-Replayed") == Some("true");
    let body = reply.json();
    match (&operation.kind, reply.status, body["code"].as_str()) {
        (Kind::Sale { .. }, 201, _) => {
            Told::Done { seq: reply.seq(), order: Some(id(&order_id(&body))), is_again }
        }
        (_, 200 | 201, _) => Told::Done { seq: reply.seq(), order: None, is_again },
        (Kind::Sale { lines }, 409, Some("insufficient_stock")) => {
            let product = body["product_id"].as_u64().expect("a product");
            let units = lines.iter().filter(|line| line.0 == product).map(|line| line.1).sum();
            Told::SoldOut { product, asked: signed(units), available: number(&body, "available"), is_again }
        }
        (Kind::Transfer { .. }, 409, Some("insufficient_balance")) => {
            let (asked, available) = (number(&operation.body, "amount"), number(&body, "available"));
            Told::Poor { asked, available, is_again }
        }
        _ => Told::Refused,
    }
}

fn signed(units: u64) -> i64 {
    units.try_into().expect("a few")
}

fn number(body: &Value, name: &str) -> i64 {
    body[name].as_i64().unwrap_or_else(|| panic!("no {name}: {body}"))
}

fn id(text: &str) -> u128 {
    text.parse::<Uuid>().expect("an id").as_u128()
}
