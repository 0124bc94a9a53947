//! The gift-card provider of a simulation: a machine of its own, which no crash of the engine touches. A card goes there once under
//! one redemption, whatever the line makes of the calls, and what it took is owed.

use super::chance::Chance;
use super::store::Line;
use async_trait::async_trait;
use purser::domain::redemption::RedemptionStatus;
use purser::domain::text::Text;
use purser::domain::{Event, Money, Record};
use purser::provider::{Answer, Exchange, Provider, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// For one call, after which it is in doubt.
pub const TIMEOUT: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Clone)]
pub struct SimulatedProvider(Arc<Mutex<State>>);

struct State {
    chance: Chance,
    line: Line,
    /// What it has decided, for good.
    decided: BTreeMap<Uuid, Standing>,
    /// Codes that were taken.
    used: BTreeSet<String>,
    /// Accounts on which a card is being exchanged.
    busy: BTreeSet<String>,
    /// Exchanges that take effect after nobody waits for them any more, unless they never arrive.
    late: Vec<Exchange>,
    doubts: u64,
    wrong: Option<String>,
}

impl State {
    /// The same for the same redemption, however often it is asked.
    fn decide(&mut self, exchange: &Exchange) -> Standing {
        if let Some(standing) = self.decided.get(&exchange.redemption_id) {
            return standing.clone();
        }
        let code = exchange.code.expose().to_owned();
        let worth = code.bytes().fold(0, |sum, byte| (31 * sum + i64::from(byte)) % 97);
        let refused = |reason| Standing::Refused { reason: Text::parse(reason).expect("a text") };
        let standing = if worth % 5 == 0 {
            refused("no such card")
        } else if self.used.insert(code) {
            Standing::Taken { amount: Money::new(worth).expect("an amount") }
        } else {
            refused("used before")
        };
        self.decided.insert(exchange.redemption_id, standing.clone());
        standing
    }
}

/// An exchange that is under way on its account, until it ends or the engine dies.
struct Busy<'a>(&'a SimulatedProvider, String);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state().busy.remove(&self.1);
    }
}

impl SimulatedProvider {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            chance: Chance::new(seed),
            line: Line::default(),
            decided: BTreeMap::new(),
            used: BTreeSet::new(),
            busy: BTreeSet::new(),
            late: Vec::new(),
            doubts: 0,
            wrong: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    /// A life of the engine begins. What the one before has sent arrives now, or never.
    pub fn begin(&self, line: Line) {
        let mut state = self.state();
        state.line = line;
        for exchange in std::mem::take(&mut state.late) {
            if state.chance.percent(50) {
                state.decide(&exchange);
            }
        }
    }

    /// How many calls have left the engine in doubt, and how many cards were taken.
    pub fn figures(&self) -> (u64, u64) {
        let state = self.state();
        (state.doubts, state.used.len() as u64)
    }

    /// Whether what the journal says of cards is what became of them here, now that all have come to an end.
    pub fn compare(&self, journal: &[Record]) -> Result<(), String> {
        let state = self.state();
        if let Some(wrong) = &state.wrong {
            return Err(wrong.clone());
        }
        let (mut open, mut paid) = (BTreeSet::new(), BTreeSet::new());
        for event in journal.iter().flat_map(|record| &record.events) {
            match event {
                Event::CardsHandedIn(cards) => open.extend(cards.cards.iter().map(|card| card.id.get())),
                Event::RedemptionStepped(step) if !step.to.is_open() => {
                    let id = step.redemption_id.get();
                    if !open.remove(&id) {
                        return Err(format!("{id} ends, and is not open"));
                    }
                    let fits = match (step.to, state.decided.get(&id)) {
                        (RedemptionStatus::Succeeded, Some(Standing::Taken { amount })) => {
                            paid.insert(id);
                            step.amount == Some(*amount)
                        }
                        (RedemptionStatus::Failed, Some(Standing::Refused { .. }))
                        | (RedemptionStatus::Cancelled, None) => true,
                        _ => false,
                    };
                    if !fits {
                        return Err(format!("the provider says {:?} of {step:?}", state.decided.get(&id)));
                    }
                }
                _ => {}
            }
        }
        if !open.is_empty() {
            return Err(format!("cards that have come to no end: {open:?}"));
        }
        let taken = |(id, standing): (&Uuid, &Standing)| {
            (matches!(standing, Standing::Taken { .. }) && !paid.contains(id)).then_some(*id)
        };
        match state.decided.iter().find_map(taken) {
            Some(id) => Err(format!("{id} was taken, and is not paid")),
            None => Ok(()),
        }
    }
}

fn told(standing: Standing) -> Answer {
    match standing {
        Standing::Taken { amount } => Answer::Taken { amount },
        Standing::Refused { reason } => Answer::Refused { reason },
        Standing::Unknown | Standing::NoAnswer { .. } => unreachable!("it has decided"),
    }
}

#[async_trait(?Send)]
impl Provider for SimulatedProvider {
    async fn exchange(&self, exchange: &Exchange) -> Answer {
        let account = exchange.account.clone();
        let (line, pause, dice) = {
            let mut state = self.state();
            if !state.busy.insert(account.clone()) {
                state.wrong = Some(format!("two exchanges at once on {account}"));
            }
            let pause = Duration::from_micros(state.chance.below(4_000));
            (state.line, pause, state.chance.below(100))
        };
        let _busy = Busy(self, account);
        sleep(pause).await;
        let Line { away, lost_before, lost_after, hanging } = line;
        if dice < away {
            return Answer::NotTaken { why: "nobody is there".into(), retry_after: None };
        }
        if dice < away + lost_before {
            self.state().doubts += 1;
        } else if dice < away + lost_before + lost_after {
            let mut state = self.state();
            state.doubts += 1;
            state.decide(exchange);
        } else if dice < away + lost_before + lost_after + hanging {
            {
                let mut state = self.state();
                state.doubts += 1;
                state.late.push(exchange.clone());
            }
            sleep(TIMEOUT / 2).await;
            let mut state = self.state();
            state.late.retain(|late| late.redemption_id != exchange.redemption_id);
            state.decide(exchange);
        } else {
            let standing = self.state().decide(exchange);
            sleep(pause).await;
            return told(standing);
        }
        sleep(TIMEOUT / 2).await;
        Answer::InDoubt { why: "no answer".into() }
    }

    async fn status(&self, redemption_id: Uuid) -> Standing {
        let (is_lost, pause) = {
            let mut state = self.state();
            let lost = state.line.away + state.line.lost_before + state.line.lost_after;
            (state.chance.percent(lost), Duration::from_micros(state.chance.below(4_000)))
        };
        sleep(pause).await;
        if is_lost {
            return Standing::NoAnswer { why: "nobody is there".into() };
        }
        self.state().decided.get(&redemption_id).cloned().unwrap_or(Standing::Unknown)
    }
}
