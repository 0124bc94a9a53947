//! What the simulator knows: which redemptions have ended how, which cards are gone, and what was asked of it.

use super::ledger::{Entry, Inquiry, Status};
use super::rules::{Hitch, Rule, USED};
use crate::clock::{Clock, SystemClock};
use crate::domain::card::CardCode;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// An exchange as it is asked for.
#[derive(Deserialize)]
pub struct Asked {
    pub redemption_id: Uuid,
    account: String,
    code: String,
    country: String,
}

/// How a redemption ended, for good.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Outcome {
    Taken { amount: u64 },
    Refused { reason: &'static str },
}

/// How an attempt ended.
#[derive(Clone, Copy)]
struct End {
    /// The redemption's; without one the next attempt is another first.
    outcome: Option<Outcome>,
    status: Status,
    hitch: Option<Hitch>,
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    Outcome(Outcome),
    TooMany,
    Broken,
    /// Nothing: the connection is closed.
    Dropped,
}

impl End {
    fn reply(self) -> Reply {
        match (self.hitch, self.outcome) {
            (Some(Hitch::TooMany), _) => Reply::TooMany,
            (None, Some(outcome)) => Reply::Outcome(outcome),
            (Some(Hitch::DropBefore | Hitch::DropAfter), _) => Reply::Dropped,
            (Some(Hitch::Broken) | None, _) => Reply::Broken,
        }
    }
}

impl Reply {
    /// `None`: no answer.
    pub fn http_status(self) -> Option<u16> {
        match self {
            Self::Outcome(Outcome::Taken { .. }) => Some(200),
            Self::Outcome(Outcome::Refused { .. }) => Some(422),
            Self::TooMany => Some(429),
            Self::Broken => Some(500),
            Self::Dropped => None,
        }
    }
}

/// A redemption's outcome. Locked while an attempt runs: a second one waits, and so does who asks for the status, as nobody
/// can say yet how it will end.
type Redemption = Arc<tokio::sync::Mutex<Option<Outcome>>>;

#[derive(Default)]
struct Known {
    redemptions: HashMap<Uuid, Redemption>,
    taken: HashSet<String>,
    /// Codes that had the hitch they ask for.
    hitched: HashSet<String>,
    ledger: Vec<Entry>,
    inquiries: Vec<Inquiry>,
}

/// See the module.
pub struct Cards {
    latency: Duration,
    clock: SystemClock,
    known: Mutex<Known>,
}

impl Cards {
    pub fn new(latency_ms: u64) -> Self {
        let latency = Duration::from_millis(latency_ms);
        Self { latency, clock: SystemClock, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One attempt. Must run to its end even if nobody waits for it any more.
    pub async fn exchange(&self, asked: Asked) -> Reply {
        // What is no code is entered, and refused, as it came.
        let code = CardCode::parse(&asked.code).map_or(asked.code, |code| code.expose().to_owned());
        let id = asked.redemption_id;
        let (redemption, index) = {
            let known = &mut *self.known();
            known.ledger.push(Entry {
                redemption_id: id,
                account: asked.account,
                code: code.clone(),
                country: asked.country,
                amount: None,
                status: Status::Running,
                http_status: None,
                started_at: Some(self.clock.now()),
                ended_at: None,
            });
            (known.redemptions.entry(id).or_default().clone(), known.ledger.len() - 1)
        };
        let mut first = redemption.lock().await;
        let end = match *first {
            Some(outcome) => End { outcome: Some(outcome), status: Status::Repeated, hitch: None },
            None => self.attempt(code).await,
        };
        *first = end.outcome;
        self.enter(index, end);
        end.reply()
    }

    async fn attempt(&self, code: String) -> End {
        let rule = Rule::of(&code);
        let delay = if let Rule::Take { delay, .. } = rule { delay } else { Duration::ZERO };
        let delay = self.latency.saturating_add(delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.known().decide(code, rule)
    }

    fn enter(&self, index: usize, end: End) {
        let now = self.clock.now();
        if let Some(entry) = self.known().ledger.get_mut(index) {
            entry.ended_at = Some(now);
            entry.status = end.status;
            entry.http_status = end.reply().http_status();
            entry.amount = match end.outcome {
                Some(Outcome::Taken { amount }) if end.status == Status::Taken => Some(amount),
                _ => None,
            };
        }
    }

    /// How a redemption ended; `None` if nothing was taken or refused for it.
    pub async fn outcome(&self, redemption_id: Uuid) -> Option<Outcome> {
        let redemption = self.known().redemptions.entry(redemption_id).or_default().clone();
        let known = redemption.lock().await;
        let outcome = *known;
        let answer = match outcome {
            Some(Outcome::Taken { .. }) => "taken",
            Some(Outcome::Refused { .. }) => "refused",
            None => "unknown",
        };
        // Noted before another attempt may begin.
        let answered_at = Some(self.clock.now());
        self.known().inquiries.push(Inquiry { redemption_id, answer, answered_at });
        outcome
    }

    pub fn inquiries(&self) -> Vec<Inquiry> {
        self.known().inquiries.clone()
    }

    pub fn ledger(&self) -> Vec<Entry> {
        self.known().ledger.clone()
    }
}

impl Known {
    /// Decides at an attempt's end: of two with one card, the one that ends first takes it.
    fn decide(&mut self, code: String, rule: Rule) -> End {
        let refused = |reason| {
            let outcome = Some(Outcome::Refused { reason });
            End { outcome, status: Status::Refused, hitch: None }
        };
        let (amount, hitch) = match rule {
            Rule::Refuse(reason) => return refused(reason),
            Rule::Take { .. } if self.taken.contains(&code) => return refused(USED),
            Rule::Take { amount, hitch, .. } => (amount, hitch),
        };
        let hitch = hitch.filter(|_| self.hitched.insert(code.clone()));
        let untaken = match hitch {
            None | Some(Hitch::DropAfter) => None,
            Some(Hitch::DropBefore) => Some(Status::DroppedBefore),
            Some(Hitch::TooMany) => Some(Status::TooMany),
            Some(Hitch::Broken) => Some(Status::Broken),
        };
        if let Some(status) = untaken {
            return End { outcome: None, status, hitch };
        }
        self.taken.insert(code);
        End { outcome: Some(Outcome::Taken { amount }), status: Status::Taken, hitch }
    }
}
