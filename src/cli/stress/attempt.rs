//! One purchase attempt and how it counts.

use super::prepare::Buyer;
use crate::cli::api;
use crate::cli::client::{Call, Client};
use crate::cli::problem::CallError;
use crate::cli::report::Tally;
use serde_json::json;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often one attempt is made again when the server says "not now, not executed".
const TRIES: u32 = 10;

/// Buys one unit and counts the outcome. A 503 is not an outcome: the attempt waits and is made again, its time
/// running on. A lost answer is never repeated, because nobody could tell whether it took effect.
pub async fn purchase(client: &Client, admin: &str, buyer: &Buyer, item: i64, tally: &Mutex<Tally>) {
    let begin = Instant::now();
    let mut retries = 0;
    let answer = loop {
        let token = buyer.token();
        let body = json!({ "quantity": 1 });
        let call = Call::post(format!("/api/v1/items/{item}/purchase"), body).bearer(&token);
        let error = match client.done(&call).await {
            Ok(()) => break Ok(()),
            Err(error) => error,
        };
        if retries == TRIES {
            break Err(error);
        }
        if error.is_code("token_expired") {
            match api::user_token(client, admin, buyer.id).await {
                Ok(fresh) => buyer.renew(fresh.access_token),
                Err(error) => break Err(error),
            }
        } else if error.try_again_after().is_some() && !error.is_code("outcome_unknown") {
            actix_rt::time::sleep(Duration::from_millis(100)).await;
        } else {
            break Err(error);
        }
        retries += 1;
    };
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.took(begin.elapsed());
    tally.retries += u64::from(retries);
    match answer {
        Ok(()) => tally.succeeded += 1,
        Err(error) => {
            let is_refusal = matches!(&error, CallError::Problem { status: 409 | 410, .. });
            let counts = if is_refusal { &mut tally.refused } else { &mut tally.errors };
            *counts.entry(error.code().to_owned()).or_default() += 1;
        }
    }
}
