//! Sends the planned orders and returns, many at a time, and notes what became of each.

use super::line::Kind;
use super::plan::{Document, Plan};
use super::prepare::{Cast, each};
use crate::cli::api;
use crate::cli::client::Call;
use crate::cli::failure::Failure;
use crate::cli::lanes::Lanes;
use crate::cli::problem::CallError;
use crate::cli::report::Tally;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What became of one order or return.
#[derive(Clone, Debug)]
pub enum Fate {
    Accepted,
    /// A definite refusal by an owner: sold out, no money.
    Refused {
        code: String,
        detail: String,
    },
    /// An answer that a correct replay never gets.
    Failed {
        code: String,
        detail: String,
    },
}

pub struct Submitted {
    /// In the plan's order.
    pub fates: Vec<Fate>,
    pub tally: Tally,
    pub took: Duration,
}

/// Every request carries an idempotency key and is repeated when its answer got lost, so each takes effect once.
pub fn all(lanes: &Lanes, token: &str, plan: &Plan<'_>, cast: &Cast) -> Result<Submitted, Failure> {
    let tally = Mutex::new(Tally::default());
    let begin = Instant::now();
    let fates = each(lanes, "orders and returns", &plan.documents, async |client, document| {
        let sent = Instant::now();
        let call = request(document, cast).bearer(token).key(api::new_key());
        let answer: Result<Value, CallError> = client.patiently(&call).await;
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.took(sent.elapsed());
        let (code, detail, status) = match answer {
            Ok(_) => {
                tally.succeeded += 1;
                return Ok(Fate::Accepted);
            }
            Err(CallError::Problem { status, problem, .. }) => {
                (problem.code.clone(), problem.explain(), status)
            }
            // The server is gone for good; the rest would only wait for it one by one.
            Err(other) => return Err(other.into()),
        };
        let is_refusal = matches!(status, 409 | 410);
        let counts = if is_refusal { &mut tally.refused } else { &mut tally.errors };
        *counts.entry(code.clone()).or_default() += 1;
        Ok(if is_refusal { Fate::Refused { code, detail } } else { Fate::Failed { code, detail } })
    })?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Submitted { fates, tally, took: begin.elapsed() })
}

fn request<'a>(document: &Document<'_>, cast: &Cast) -> Call<'a> {
    let user = cast.customers[document.customer].id;
    let items: Vec<Value> = document
        .lines
        .iter()
        .map(|line| {
            let product = cast.products[line.product].id;
            json!({ "product_id": product, "quantity": line.quantity, "unit_price": line.price })
        })
        .collect();
    match document.kind {
        Kind::Order => {
            let body = json!({ "user_id": user, "items": items, "total_amount": document.total });
            Call::post("/api/v1/orders", body)
        }
        Kind::Return => {
            let reason: String = format!("invoice {}", document.invoice).chars().take(2_000).collect();
            Call::post("/api/v1/returns", json!({ "user_id": user, "items": items, "reason": reason }))
        }
    }
}
