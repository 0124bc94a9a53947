//! `purser redemptions …`: gift cards on a running server.

use super::api::new_key;
use super::args::ServerArgs;
use super::card_files::{self, Figures};
use super::client::{Call, blocking};
use super::failure::{Exit, Failure};
use super::lanes::spinner;
use super::problem::CallError;
use super::redemption_args::RedemptionsVerb;
use super::report::thousands;
use super::server::running;
use super::show::{many, one, print, text};
use super::stdin::first_line;
use crate::domain::card::CardCode;
use crate::domain::redemption::RedemptionStatus;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub const PATH: &str = "/api/v1/redemptions";

pub fn run(verb: RedemptionsVerb) -> Result<Exit, Failure> {
    match verb {
        RedemptionsVerb::List { status, user, batch, server } => {
            let mut call = Call::get(PATH);
            let (user, batch) = (user.map(|id| id.to_string()), batch.map(|id| id.to_string()));
            for (name, value) in [("status", status), ("user_id", user), ("batch_id", batch)] {
                if let Some(value) = value {
                    call = call.query(name, value);
                }
            }
            many(&server, &call, card_line)?;
        }
        RedemptionsVerb::Show { id, server } => one(&server, &Call::get(format!("{PATH}/{id}")), card_line)?,
        RedemptionsVerb::Cancel { id, server } => {
            one(&server, &Call::post(format!("{PATH}/{id}/cancel"), json!({})).key(new_key()), card_line)?;
        }
        RedemptionsVerb::Resolve { id, outcome, amount, server } => {
            let mut body = json!({ "outcome": outcome });
            if let Some(amount) = amount {
                body["amount"] = json!(amount);
            }
            one(&server, &Call::post(format!("{PATH}/{id}/resolve"), body).key(new_key()), card_line)?;
        }
        RedemptionsVerb::HandIn { country, face_value, wait, server } => {
            return hand_in(&country, face_value, wait, &server);
        }
        RedemptionsVerb::Batch { file, wait, server } => return card_files::hand_in(&file, wait, &server),
        RedemptionsVerb::BatchStatus { id, server } => {
            one(&server, &Call::get(format!("{PATH}/batches/{id}")), batch_line)?;
        }
        RedemptionsVerb::BatchCancel { id, server } => {
            let call = Call::post(format!("{PATH}/batches/{id}/cancel"), json!({})).key(new_key());
            one(&server, &call, |cancelled| format!("{} cards are cancelled\n", cancelled["cancelled"]))?;
        }
    }
    Ok(Exit::Clean)
}

fn hand_in(
    country: &str,
    face_value: Option<i64>,
    wait: Option<u64>,
    server: &ServerArgs,
) -> Result<Exit, Failure> {
    let code = CardCode::parse(first_line("the card's code")?.trim());
    let code = code.map_err(|wrong| Failure::usage(format!("the card's code {wrong}")))?;
    let mut body = json!({ "code": code.expose(), "country": country });
    if let Some(face_value) = face_value {
        body["face_value"] = json!(face_value);
    }
    let (url, token) = running(server)?;
    let call = Call::post(PATH, body).bearer(&token).key(new_key());
    let card: Value = match wait {
        None => blocking(&url, async |client| client.patiently(&call).await).map_err(not_handed_in)?,
        Some(seconds) => {
            let (waiting, end) = (spinner("exchanging"), Instant::now() + Duration::from_secs(seconds));
            let card = blocking(&url, async |client| {
                loop {
                    let left = end.saturating_duration_since(Instant::now());
                    // Repeated under its key it is not handed in again, and waited for again.
                    let call = call.clone().wait(left.as_secs_f64().ceil() as u64);
                    let card: Value = client.patiently(&call).await.map_err(not_handed_in)?;
                    if !is_open(&card) || Instant::now() >= end {
                        return Ok::<_, Failure>(card);
                    }
                }
            });
            waiting.finish_and_clear();
            card?
        }
    };
    print(server, &card, card_line);
    let has_succeeded = text(&card, "status") == RedemptionStatus::Succeeded.word();
    Ok(Exit::from_check(wait.is_none() || has_succeeded))
}

/// Cards are their user's; an administrator's token would make them the administrator's.
pub fn not_handed_in(error: CallError) -> Failure {
    if !matches!(error, CallError::Problem { status: 401 | 403, .. }) {
        return error.into();
    }
    Failure::new(Exit::Violation, format!("{error}; give the token of the cards' user by PURSER_TOKEN"))
}

fn is_open(card: &Value) -> bool {
    RedemptionStatus::from_word(text(card, "status")).is_some_and(RedemptionStatus::is_open)
}

fn card_line(card: &Value) -> String {
    let amount = |name: &str| card[name].as_u64().map_or_else(|| "-".to_owned(), thousands);
    let (worth, paid) = (amount("amount"), amount("payout"));
    let (id, country, last4) = (text(card, "id"), text(card, "country"), text(card, "code_last4"));
    let (status, user) = (text(card, "status"), &card["user_id"]);
    let account = card["account_id"].as_str().map_or_else(String::new, |id| format!("  on {id}"));
    let failure = &card["failure"];
    let why = match failure["code"].as_str() {
        Some(code) => format!("  {code}: {}", text(failure, "detail")),
        None => String::new(),
    };
    format!(
        "{id}  {country}  …{last4}  {status:<9}  user {user}  worth {worth:>12}  paid {paid:>12}{account}{why}\n"
    )
}

fn batch_line(batch: &Value) -> String {
    let figures: Figures = serde_json::from_value(batch.clone()).unwrap_or_default();
    format!(
        "{}  user {}  {} cards: {}\n",
        text(batch, "id"),
        batch["user_id"],
        thousands(figures.total),
        figures.line()
    )
}
