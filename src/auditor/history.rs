//! What clients were told, against the journal: each "done" is explained by its record, each "no" by what there was at some
//! position while it was asked, what nobody heard of is there once or not at all, and nothing is there that nobody asked for.
//! One who asks after another was answered comes behind that one in the journal.

use super::facts::{Cause, Entry, Fact, Id, OrderState};
use super::model::Model;
use super::totals::is_too_dear;
use std::collections::{BTreeMap, BTreeSet};

/// What was asked for, by one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Products and units, a purchase too.
    Order(Vec<(u64, i64)>),
    Cancel(Id),
    Transfer {
        to: u64,
        amount: i64,
    },
    /// By whomever: so many more or fewer of a product.
    Restock {
        product: u64,
        delta: i64,
    },
    /// A credit, or a debit of what the caller has.
    Adjust {
        delta: i64,
    },
    Withdraw {
        amount: i64,
    },
    /// How many there are of a product.
    Stock(u64),
    /// How much somebody has.
    Money(u64),
}

/// What came of it, as far as the client knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// The record, and the order that it placed if it placed one; `is_again`: told before, under the same key.
    Done { seq: u64, order: Option<Id>, is_again: bool },
    /// Of which product how much was there.
    SoldOut { product: u64, asked: i64, available: i64, is_again: bool },
    /// How much money was there.
    Poor { asked: i64, available: i64, is_again: bool },
    /// It stood so, as far as everything up to that record goes.
    Stood { total: i64, as_of: u64 },
    /// Another "no", which figures do not explain.
    Refused,
    /// The connection broke: it happened, or it did not.
    Nothing,
}

/// One call, with moments of one clock that all clients share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    pub user: u64,
    pub ask: Ask,
    pub invoked: u64,
    pub returned: u64,
    pub told: Told,
}

/// How much a check has looked at; one that has looked at little says little.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    pub records: u64,
    pub done: usize,
    pub refused: usize,
    pub read: usize,
    /// Nobody heard of them: so many are there, and so many are not.
    pub unheard_there: usize,
    pub unheard_not: usize,
}

/// Replays the whole journal, and looks for each call in it.
///
/// # Errors
/// The first thing that does not fit.
pub fn check(journal: &[Entry], calls: &[Call]) -> Result<Figures, String> {
    let mut model = Model::whole();
    for entry in journal {
        model.take(entry)?;
    }
    let history = History { journal, model: &model, seen: Seen::of(calls, model.seq()) };
    let mut figures = Figures { records: model.seq(), ..Figures::default() };
    let mut explained = BTreeSet::new();
    for call in calls {
        history.explain(call, &mut figures, &mut explained).map_err(|wrong| format!("{wrong}: {call:?}"))?;
    }
    history.nothing_else(calls, &explained, &mut figures)?;
    Ok(figures)
}

/// Which positions a call may have been decided at.
struct Seen {
    /// When a "done", or what was read as of a position, arrived, and the highest position told by then; ascending.
    told: Vec<(u64, u64)>,
    /// When a call that was answered began, and the lowest position of those from there on; ascending.
    begun: Vec<(u64, u64)>,
    last: u64,
}

impl Seen {
    fn of(calls: &[Call], last: u64) -> Self {
        let own = |call: &Call| match call.told {
            Told::Done { seq, is_again: false, .. } => Some((call.invoked, call.returned, seq)),
            _ => None,
        };
        let known = |call: &Call| match call.told {
            Told::Stood { as_of, .. } => Some((call.returned, as_of)),
            _ => own(call).map(|(_, returned, seq)| (returned, seq)),
        };
        let mut told: Vec<_> = calls.iter().filter_map(known).collect();
        let mut begun: Vec<_> =
            calls.iter().filter_map(own).map(|(invoked, _, seq)| (invoked, seq)).collect();
        told.sort_unstable();
        begun.sort_unstable();
        let mut highest = 0;
        for (_, seq) in &mut told {
            highest = highest.max(*seq);
            *seq = highest;
        }
        let mut lowest = u64::MAX;
        for (_, seq) in begun.iter_mut().rev() {
            lowest = lowest.min(*seq);
            *seq = lowest;
        }
        Self { told, begun, last }
    }

    /// Behind all that was told before the call, and before all that was asked for after it.
    fn between(&self, call: &Call) -> (u64, u64) {
        let told = self.told.partition_point(|(returned, _)| *returned < call.invoked);
        let begun = self.begun.partition_point(|(invoked, _)| *invoked <= call.returned);
        let from = told.checked_sub(1).map_or(0, |place| self.told[place].1);
        let to = self.begun.get(begun).map_or(self.last, |(_, seq)| seq - 1);
        (from, to)
    }
}

struct History<'a> {
    journal: &'a [Entry],
    model: &'a Model,
    seen: Seen,
}

impl History<'_> {
    fn explain(
        &self,
        call: &Call,
        figures: &mut Figures,
        explained: &mut BTreeSet<u64>,
    ) -> Result<(), String> {
        let (from, to) = self.seen.between(call);
        match &call.told {
            Told::Done { seq, order, is_again } => {
                let entry =
                    seq.checked_sub(1).and_then(|place| self.journal.get(usize::try_from(place).ok()?));
                let entry = entry.ok_or("told of a record that is not there")?;
                if !does(entry, call, *order) {
                    return Err(format!("told of a record that does something else: {entry:?}"));
                }
                // A repetition tells of a record that may be older than the call.
                if *seq > to || (!is_again && *seq <= from) {
                    return Err(format!("record {seq} is not between {from} and {to}"));
                }
                if !is_again && !explained.insert(*seq) {
                    return Err(format!("record {seq} was told twice"));
                }
                explained.insert(*seq);
                figures.done += 1;
            }
            Told::SoldOut { product, asked, available, is_again } => {
                let from = if *is_again { 0 } else { from };
                let is_so = |there: i64| there == *available && there < *asked;
                if !self.model.stock.was((*product).into(), from, to, is_so) {
                    return Err(format!("never so between {from} and {to}"));
                }
                figures.refused += 1;
            }
            Told::Poor { asked, available, is_again } => {
                let from = if *is_again { 0 } else { from };
                let is_so = |there: i64| there == *available && is_too_dear(*asked, there);
                if !self.model.money.was(call.user.into(), from, to, is_so) {
                    return Err(format!("never so between {from} and {to}"));
                }
                figures.refused += 1;
            }
            Told::Stood { total, as_of } => {
                self.stood(&call.ask, *total, (from, to), *as_of)?;
                figures.read += 1;
            }
            Told::Refused => figures.refused += 1,
            Told::Nothing => {}
        }
        Ok(())
    }

    /// What was read was so while it was asked for, and not before the position that came with it.
    fn stood(&self, ask: &Ask, total: i64, (from, to): (u64, u64), as_of: u64) -> Result<(), String> {
        let is_so = |there: i64| there == total;
        let was = |from: u64| match ask {
            Ask::Stock(product) => self.model.stock.was((*product).into(), from, to, is_so),
            Ask::Money(user) => self.model.money.was((*user).into(), from, to, is_so),
            _ => false,
        };
        if as_of > self.seen.last {
            return Err(format!("read as of record {as_of}, which is not there"));
        }
        if was(from.max(as_of)) { Ok(()) } else { Err(format!("never so between {from} and {to}")) }
    }

    /// Orders, transfers and withdrawals of these users that no "done" explains are those that nobody heard of.
    fn nothing_else(
        &self,
        calls: &[Call],
        explained: &BTreeSet<u64>,
        figures: &mut Figures,
    ) -> Result<(), String> {
        let users: BTreeSet<u64> = calls.iter().map(|call| call.user).collect();
        let mut unheard: BTreeMap<(u64, String), usize> = BTreeMap::new();
        for call in calls.iter().filter(|call| call.told == Told::Nothing) {
            *unheard.entry((call.user, format!("{:?}", call.ask))).or_default() += 1;
        }
        let all: usize = unheard.values().sum();
        for entry in self.journal.iter().filter(|entry| !explained.contains(&entry.seq)) {
            let Some((user, ask)) = asked(entry).filter(|(user, _)| users.contains(user)) else { continue };
            match unheard.get_mut(&(user, format!("{ask:?}"))) {
                Some(left) if *left > 0 => *left -= 1,
                _ => return Err(format!("nobody asked for record {}: {entry:?}", entry.seq)),
            }
            figures.unheard_there += 1;
        }
        figures.unheard_not = all - figures.unheard_there;
        Ok(())
    }
}

/// What somebody must have asked for, for this record to be there; of restocks and adjustments that is not asked.
fn asked(entry: &Entry) -> Option<(u64, Ask)> {
    let mut out = None;
    let mut moved = Vec::new();
    for fact in &entry.facts {
        match fact {
            Fact::Placed { user, lines, .. } => {
                let lines = lines.iter().map(|(product, units, _)| (*product, *units)).collect();
                out = Some((*user, Ask::Order(lines)));
            }
            Fact::Advanced { order, user, to: OrderState::Cancelled } => {
                out = Some((*user, Ask::Cancel(*order)));
            }
            Fact::Money { user, step, cause: Cause::Transfer } => {
                moved.push((*user, step.delta));
            }
            Fact::Asked { user, amount, .. } => out = Some((*user, Ask::Withdraw { amount: *amount })),
            _ => {}
        }
    }
    if let [(one, first), (other, _)] = moved[..] {
        let (from, to, amount) = if first < 0 { (one, other, -first) } else { (other, one, first) };
        out = Some((from, Ask::Transfer { to, amount }));
    }
    out
}

/// Whether the record is what the call was told of.
fn does(entry: &Entry, call: &Call, order: Option<Id>) -> bool {
    let is_placed = |wanted: Id| {
        entry.facts.iter().any(|fact| matches!(fact, Fact::Placed { order, .. } if *order == wanted))
    };
    let has = |wanted: &dyn Fn(&Fact) -> bool| entry.facts.iter().any(wanted);
    match call.ask {
        Ask::Restock { product: wanted, delta } => has(
            &|fact| matches!(fact, Fact::Stock { product, step, cause: Cause::Free } if *product == wanted && step.delta == delta),
        ),
        Ask::Adjust { delta } => has(
            &|fact| matches!(fact, Fact::Money { user, step, cause: Cause::Free } if *user == call.user && step.delta == delta),
        ),
        _ => {
            asked(entry).is_some_and(|(user, ask)| user == call.user && ask == call.ask)
                && order.is_none_or(is_placed)
        }
    }
}
