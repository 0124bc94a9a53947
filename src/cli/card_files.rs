//! Gift cards from a CSV file: handed in batch by batch, and followed until all have ended. No code is ever printed: a card is
//! known by its line.

use super::api::new_key;
use super::args::ServerArgs;
use super::client::{Call, Client, blocking};
use super::csv_file::{Row, read};
use super::failure::{Exit, Failure};
use super::lanes::{interruption, progress};
use super::redemptions::{PATH, not_handed_in};
use super::report::{emit, print_json, thousands};
use super::server::running;
use crate::domain::card::CardCode;
use crate::domain::country::Country;
use crate::domain::money::AMOUNT_MAX;
use crate::domain::redemption::{CARDS_MAX, CardProblem};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::AddAssign;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Bytes of the cards sent at once: below the limit of a body, also when all codes are long.
const BATCH_BYTES: usize = 1_000_000;
/// Between two looks at how far they are.
const PAUSE: Duration = Duration::from_millis(500);

/// A sound card: its line, and what is sent of it.
struct Card {
    line: u64,
    body: Value,
    bytes: usize,
}

/// A card that was not taken in.
#[derive(Serialize)]
struct Rejected {
    line: u64,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Deserialize)]
struct HandedIn {
    batch_id: Uuid,
    total: u64,
    rejected: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    index: usize,
    code: String,
}

/// A batch that has cards.
#[derive(Serialize)]
struct Batch {
    id: Uuid,
    total: u64,
}

/// How many cards stand how.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
pub struct Figures {
    pub total: u64,
    queued: u64,
    locking: u64,
    in_doubt: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    amount: u64,
    payout: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.queued += other.queued;
        self.locking += other.locking;
        self.in_doubt += other.in_doubt;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.amount += other.amount;
        self.payout += other.payout;
    }
}

impl Figures {
    fn queued(total: u64) -> Self {
        Self { total, queued: total, ..Self::default() }
    }

    const fn open(&self) -> u64 {
        self.queued + self.locking + self.in_doubt
    }

    /// `3 queued, 1 in doubt, 80 succeeded`: those that there are.
    fn by_status(&self) -> String {
        let counts = [
            (self.queued, "queued"),
            (self.locking, "locking"),
            (self.in_doubt, "in doubt"),
            (self.succeeded, "succeeded"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
        ];
        let there = counts.into_iter().filter(|(count, _)| *count > 0);
        let told: Vec<_> = there.map(|(count, status)| format!("{} {status}", thousands(count))).collect();
        if told.is_empty() { "none".into() } else { told.join(", ") }
    }

    pub fn line(&self) -> String {
        format!("{}; worth {}, paid {}", self.by_status(), thousands(self.amount), thousands(self.payout))
    }
}

/// Hands in all cards. Exit 1 when some were rejected, when it ended early (then it says where to go on), and, with `wait`,
/// unless all have succeeded.
pub fn hand_in(file: &Path, wait: bool, server: &ServerArgs) -> Result<Exit, Failure> {
    let (mut cards, mut rejected) = (Vec::new(), Vec::new());
    for row in read(file, ["code", "country", "face_value"], 2)? {
        match card(&row) {
            Ok(card) => cards.push(card),
            Err(detail) => {
                let code = CardProblem::Invalid.word().to_owned();
                rejected.push(Rejected { line: row.0, code, detail: Some(detail) });
            }
        }
    }
    let ((url, token), interrupted) = (running(server)?, interruption());
    let (batches, unsent) = send(&url, &token, &cards, &mut rejected, &interrupted);
    let followed = match (wait, &unsent) {
        (true, None) => Some(follow(&url, &token, &batches, &interrupted)),
        _ => None,
    };
    rejected.sort_unstable_by_key(|rejected| rejected.line);
    let figures = followed.as_ref().map(|(figures, _)| *figures);
    report(&batches, &rejected, figures.as_ref(), server);
    if let Some((line, failure)) = unsent {
        let advice = "may not have been handed in; run it again, no card is taken in twice";
        let message = format!("{}; from line {line} on cards {advice}", failure.message);
        return Err(Failure::new(failure.exit, message));
    }
    if let Some((_, Some(failure))) = followed {
        let message = format!("{}; the cards go on without this", failure.message);
        return Err(Failure::new(failure.exit, message));
    }
    let have_succeeded = figures.is_none_or(|figures| figures.succeeded == figures.total);
    Ok(Exit::from_check(rejected.is_empty() && have_succeeded))
}

/// What is sent of a row; or what is wrong with it, without its code.
fn card((line, fields): &Row<3>) -> Result<Card, String> {
    let [code, country, face_value] =
        fields.each_ref().map(|field| String::from_utf8_lossy(field).trim().to_owned());
    let code = CardCode::parse(&code).map_err(|wrong| format!("code: {wrong}"))?;
    let country = Country::parse(&country).ok_or("country: must be a two-letter country code")?;
    let mut body = json!({ "code": code.expose(), "country": country.as_str() });
    if !face_value.is_empty() {
        let wrong = || format!("face_value: must be an integer from 1 to {AMOUNT_MAX}");
        let value: i64 = face_value.parse().map_err(|_| wrong())?;
        if !(1..=AMOUNT_MAX).contains(&value) {
            return Err(wrong());
        }
        body["face_value"] = json!(value);
    }
    let bytes = body.to_string().len() + 1;
    Ok(Card { line: *line, body, bytes })
}

/// How many of the first cards make a batch.
fn fitting(cards: &[Card]) -> usize {
    let mut bytes = 0;
    let fits = |card: &&Card| {
        bytes += card.bytes;
        bytes <= BATCH_BYTES
    };
    cards.iter().take(CARDS_MAX).take_while(fits).count().max(1)
}

/// The batches that came to be, and from which line on cards were not sent, and why.
fn send(
    url: &str,
    token: &str,
    cards: &[Card],
    rejected: &mut Vec<Rejected>,
    interrupted: &AtomicBool,
) -> (Vec<Batch>, Option<(u64, Failure)>) {
    let (bar, mut batches, mut left) = (progress("handing in cards", cards.len()), Vec::new(), cards);
    let mut unsent = None;
    while let Some(first) = left.first() {
        if interrupted.load(Ordering::Relaxed) {
            unsent = Some((first.line, Failure::interrupted()));
            break;
        }
        let (part, rest) = left.split_at(fitting(left));
        let bodies: Vec<_> = part.iter().map(|card| &card.body).collect();
        let call =
            Call::post(format!("{PATH}/batches"), json!({ "cards": bodies })).bearer(token).key(new_key());
        let answer: HandedIn = match blocking(url, async |client| client.patiently(&call).await) {
            Ok(answer) => answer,
            Err(error) => {
                unsent = Some((first.line, not_handed_in(error)));
                break;
            }
        };
        rejected.extend(answer.rejected.into_iter().map(|Told { index, code }| {
            let line = part.get(index).map_or(0, |card| card.line);
            Rejected { line, code, detail: None }
        }));
        if answer.total > 0 {
            batches.push(Batch { id: answer.batch_id, total: answer.total });
        }
        bar.inc(part.len() as u64);
        left = rest;
    }
    bar.finish_and_clear();
    (batches, unsent)
}

/// Looks at the batches until all their cards have ended. How they stood at last, and why it was given up before.
fn follow(url: &str, token: &str, batches: &[Batch], interrupted: &AtomicBool) -> (Figures, Option<Failure>) {
    let total = batches.iter().map(|batch| batch.total).sum::<u64>();
    let bar = progress("exchanging cards", usize::try_from(total).unwrap_or(usize::MAX));
    let mut seen: Vec<Figures> = batches.iter().map(|batch| Figures::queued(batch.total)).collect();
    let sum = |seen: &[Figures]| {
        let mut sum = Figures::default();
        for figures in seen {
            sum += *figures;
        }
        sum
    };
    let failure = blocking(url, async |client| {
        loop {
            for (batch, figures) in batches.iter().zip(&mut seen).filter(|(_, figures)| figures.open() > 0) {
                match look(client, token, batch.id).await {
                    Ok(now) => *figures = now,
                    Err(failure) => return Some(failure),
                }
            }
            let now = sum(&seen);
            bar.set_message(now.by_status());
            bar.set_position(total - now.open());
            if now.open() == 0 {
                return None;
            }
            if interrupted.load(Ordering::Relaxed) {
                return Some(Failure::interrupted());
            }
            actix_rt::time::sleep(PAUSE).await;
        }
    });
    bar.finish_and_clear();
    (sum(&seen), failure)
}

async fn look(client: &Client, token: &str, id: Uuid) -> Result<Figures, Failure> {
    Ok(client.patiently(&Call::get(format!("{PATH}/batches/{id}")).bearer(token)).await?)
}

fn report(batches: &[Batch], rejected: &[Rejected], figures: Option<&Figures>, server: &ServerArgs) {
    let handed_in = batches.iter().map(|batch| batch.total).sum::<u64>();
    if server.json {
        print_json(
            &json!({ "handed_in": handed_in, "batches": batches, "rejected": rejected, "figures": figures }),
        );
        return;
    }
    for Rejected { line, code, detail } in rejected {
        let detail = detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
        emit(&format!("line {line}: {code}{detail}\n"));
    }
    for Batch { id, total } in batches {
        emit(&format!("batch {id}: {} cards\n", thousands(*total)));
    }
    let left = thousands(rejected.len() as u64);
    emit(&format!("{} cards were handed in, {left} rejected\n", thousands(handed_in)));
    if let Some(figures) = figures {
        emit(&format!("{}\n", figures.line()));
    }
}
