//! The gift-card provider of a simulation: a machine of its own, which no crash of the engine touches. A card goes there once under
//! one redemption, whatever the line makes of the calls, and what it took is owed.

use super::chance::Chance;
use super::line::Line;
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
pub const TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MILLIS);
const TIMEOUT_MILLIS: u64 = 200;

/// See the module.
#[derive(Clone)]
pub struct SimulatedProvider(Arc<Mutex<State>>);

struct State {
    chance: Chance,
    line: Line,
    /// What was sent under each redemption: always the same.
    sent: BTreeMap<Uuid, Sent>,
    /// What it has decided, for good.
    decided: BTreeMap<Uuid, Standing>,
    /// Codes that were taken.
    used: BTreeSet<String>,
    /// The redemption under way on each account: from the first that is heard of it until its end was told.
    on: BTreeMap<String, Uuid>,
    /// Exchanges that are on their way here, for longer than anybody waits for them.
    late: Vec<Exchange>,
    /// Whether the clock that the engine waits by goes right: else it may send again what is still on its way.
    is_clock_right: bool,
    doubts: u64,
    unanswered: u64,
    wrong: Option<String>,
}

/// What may not change from one call to the next: account, code and country.
type Sent = (String, String, String);

impl State {
    fn object(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }

    /// A card is sent, whether it arrives or not.
    fn send(&mut self, exchange: &Exchange) {
        let (id, account) = (exchange.redemption_id, exchange.account.clone());
        let sent = (account.clone(), exchange.code.expose().to_owned(), exchange.country.clone());
        if *self.sent.entry(id).or_insert_with(|| sent.clone()) != sent {
            self.object(format!("{id} is not sent as it was before"));
        }
        if *self.on.entry(account).or_insert(id) != id {
            self.object(format!("{id} is sent on an account with another card under way"));
        }
        if self.is_clock_right && self.late.iter().any(|late| late.redemption_id == id) {
            self.object(format!("{id} is sent again while it is on its way"));
        }
    }

    /// Somebody hears how it ended: the account is free for the next one.
    fn tell(&mut self, id: Uuid) {
        self.on.retain(|_, under_way| *under_way != id);
    }

    /// What was late arrives.
    fn arrive(&mut self, id: Uuid) {
        if let Some(place) = self.late.iter().position(|late| late.redemption_id == id) {
            let exchange = self.late.swap_remove(place);
            self.decide(&exchange);
        }
    }

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

impl SimulatedProvider {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            chance: Chance::new(seed),
            line: Line::default(),
            sent: BTreeMap::new(),
            decided: BTreeMap::new(),
            used: BTreeSet::new(),
            on: BTreeMap::new(),
            late: Vec::new(),
            is_clock_right: true,
            doubts: 0,
            unanswered: 0,
            wrong: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    /// A life of the engine begins. What the one before has sent arrives some time before it would have been given up, or never.
    pub fn begin(&self, line: Line, is_clock_right: bool) {
        let ids: Vec<_> = {
            let mut state = self.state();
            (state.line, state.is_clock_right) = (line, is_clock_right);
            let late = std::mem::take(&mut state.late);
            state.late = late.into_iter().filter(|_| state.chance.percent(50)).collect();
            state.late.iter().map(|late| late.redemption_id).collect()
        };
        for id in ids {
            let pause = Duration::from_millis(self.state().chance.below(TIMEOUT_MILLIS - 10));
            self.arrive_after(id, pause);
        }
    }

    fn arrive_after(&self, id: Uuid, pause: Duration) {
        let provider = self.clone();
        actix_rt::spawn(async move {
            sleep(pause).await;
            provider.state().arrive(id);
        });
    }

    /// How many calls have left the engine in doubt, how many more were not answered, and how many cards were taken.
    pub fn figures(&self) -> [u64; 3] {
        let state = self.state();
        [state.doubts, state.unanswered, state.used.len() as u64]
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
        let id = exchange.redemption_id;
        let (line, pause, dice) = {
            let mut state = self.state();
            state.send(exchange);
            let pause = Duration::from_micros(state.chance.below(4_000));
            (state.line, pause, state.chance.below(100))
        };
        let Line { away, lost_before, lost_after, hanging, .. } = line;
        if (away..away + hanging).contains(&dice) {
            let mut state = self.state();
            let after = TIMEOUT_MILLIS / 2 + state.chance.below(TIMEOUT_MILLIS / 2 - 10);
            state.late.push(exchange.clone());
            drop(state);
            self.arrive_after(id, Duration::from_millis(after));
        }
        sleep(pause).await;
        if dice < away {
            self.state().unanswered += 1;
            return Answer::NotTaken { why: "nobody is there".into(), retry_after: None };
        }
        if dice >= away + hanging + lost_before {
            let standing = self.state().decide(exchange);
            if dice >= away + hanging + lost_before + lost_after {
                sleep(pause).await;
                self.state().tell(id);
                return told(standing);
            }
        }
        self.state().doubts += 1;
        sleep((TIMEOUT / 2).saturating_sub(pause)).await;
        Answer::InDoubt { why: "no answer".into() }
    }

    async fn status(&self, redemption_id: Uuid) -> Standing {
        let (is_lost, pause) = {
            let mut state = self.state();
            let lost = state.line.away + state.line.lost_before + state.line.lost_after;
            (state.chance.percent(lost), Duration::from_micros(state.chance.below(4_000)))
        };
        sleep(pause).await;
        let mut state = self.state();
        if is_lost {
            state.unanswered += 1;
            return Standing::NoAnswer { why: "nobody is there".into() };
        }
        let standing = state.decided.get(&redemption_id).cloned();
        if standing.is_some() {
            state.tell(redemption_id);
        }
        standing.unwrap_or(Standing::Unknown)
    }
}
