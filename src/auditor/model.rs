//! The naive model: maps of what there is, changed by one record after the other, each of which has to follow from what was
//! there before. It decides nothing that the engine decides; it only knows what must never be.

use super::cards::Cards;
use super::facts::{Cause, Entry, Fact, Key, Refusal, Short, Space};
use super::messages::Messages;
use super::orders::Orders;
use super::totals::{Totals, is_too_dear};
use std::collections::{BTreeMap, BTreeSet};

/// For how long a key is remembered at least, in microseconds.
const KEY_LIFE: i64 = 24 * 3_600 * 1_000_000;

/// What a record's other facts make of stock and money; what moves has to be just that.
#[derive(Default, Debug)]
pub struct Due {
    stock: BTreeMap<u64, i64>,
    money: BTreeMap<u64, i64>,
}

impl Due {
    pub fn units(&mut self, product: u64, delta: i64) {
        *self.stock.entry(product).or_default() += delta;
    }

    pub fn money(&mut self, user: u64, delta: i64) {
        *self.money.entry(user).or_default() += delta;
    }
}

/// See the module.
#[derive(Debug)]
pub struct Model {
    /// The last record that was taken in.
    seq: u64,
    /// Whether it was read from its first record: then nothing can be unknown.
    is_whole: bool,
    pub stock: Totals,
    pub money: Totals,
    pub paid_out: Totals,
    pub accounts: Totals,
    orders: Orders,
    messages: Messages,
    cards: Cards,
    names: BTreeMap<(Space, String), Option<u64>>,
    administrators: BTreeSet<u64>,
    /// Where each key was answered, and when.
    keys: BTreeMap<Key, (u64, i64)>,
}

impl Model {
    /// Of a journal from its first record on.
    pub fn whole() -> Self {
        Self::behind(0)
    }

    /// Of a journal behind that position. Unless it is 0, what is not told here is taken as it comes.
    pub fn behind(seq: u64) -> Self {
        Self {
            seq,
            is_whole: seq == 0,
            stock: Totals::new("stock of product"),
            money: Totals::new("balance of user"),
            paid_out: Totals::new("payouts of user"),
            accounts: Totals::new("account"),
            orders: Orders::default(),
            messages: Messages::default(),
            cards: Cards::default(),
            names: BTreeMap::new(),
            administrators: BTreeSet::new(),
            keys: BTreeMap::new(),
        }
    }

    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// # Errors
    /// What is wrong with the record. The model is of no use after that.
    pub fn take(&mut self, entry: &Entry) -> Result<(), String> {
        self.judge(entry).map_err(|wrong| format!("record {}: {wrong}", entry.seq))
    }

    fn judge(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.seq != self.seq + 1 {
            return Err(format!("it comes behind record {}", self.seq));
        }
        self.seq = entry.seq;
        self.answer(entry)?;
        let mut due = Due::default();
        for fact in &entry.facts {
            self.total(entry.seq, fact)?;
            self.name(fact)?;
            if let Fact::Administrator { user } = fact {
                self.administrators.insert(*user);
            }
        }
        let whole = self.is_whole;
        self.orders.take(&entry.facts, &mut due, whole)?;
        self.messages.take(&entry.facts, &mut due, whole)?;
        self.cards.take(&entry.facts, &mut due, whole)?;
        balance(&entry.facts, due, whole)
    }

    fn total(&mut self, seq: u64, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Stock { product, step, .. } => self.stock.take(seq, (*product).into(), *step),
            Fact::Money { user, step, .. } => self.money.take(seq, (*user).into(), *step),
            Fact::PaidOut { user, step, .. } => self.paid_out.take(seq, (*user).into(), *step),
            Fact::AccountMade { account, step, .. } => self.accounts.take(seq, *account, *step),
            Fact::Account(change) => self.accounts.take(seq, change.account, change.step),
            _ => Ok(()),
        }
    }

    fn name(&mut self, fact: &Fact) -> Result<(), String> {
        let (space, names, holder) = match fact {
            Fact::Taken { space, names, holder } => (*space, names, Some(*holder)),
            Fact::Freed { space, names } => (*space, names, None),
            _ => return Ok(()),
        };
        for name in names {
            let before = self.names.insert((space, name.clone()), holder);
            let fits = match before {
                None => !self.is_whole || holder.is_some(),
                Some(before) => before.is_some() != holder.is_some(),
            };
            if !fits {
                return Err(format!("the name {space:?} {name} goes from {before:?} to {holder:?}"));
            }
        }
        Ok(())
    }

    /// A key is answered once, and a "no" under it is what its position says.
    fn answer(&mut self, entry: &Entry) -> Result<(), String> {
        let Some(key) = entry.key else {
            return match &entry.refusal {
                Some(refusal) => Err(format!("{refusal:?} without a key")),
                None => Ok(()),
            };
        };
        if let Some((seq, at)) = self.keys.insert(key, (entry.seq, entry.at))
            && entry.at - at < KEY_LIFE
        {
            return Err(format!("its key was answered by record {seq} before"));
        }
        let Some(refusal) = &entry.refusal else { return Ok(()) };
        if !entry.facts.is_empty() || refusal.as_of >= entry.seq {
            return Err(format!("{refusal:?} with {:?}", entry.facts));
        }
        if self.is_whole { self.short(key.caller, refusal) } else { Ok(()) }
    }

    /// A refusal's figures are those of its position, and too small; of an administrator's they are somebody's.
    fn short(&self, caller: u64, refusal: &Refusal) -> Result<(), String> {
        let is_so = match refusal.short {
            None => true,
            Some(Short::Stock { product, asked, available }) => {
                available < asked && self.stock.at(product.into(), refusal.as_of) == available
            }
            Some(Short::Money { asked, available }) => {
                let is_own = self.money.at(caller.into(), refusal.as_of) == available;
                let may_be_anybodys = self.administrators.contains(&caller);
                is_too_dear(asked, available)
                    && (is_own || may_be_anybodys && self.money.any_at(available, refusal.as_of))
            }
        };
        if is_so { Ok(()) } else { Err(format!("not what there was, or enough: {refusal:?}")) }
    }

    /// Who answered a key.
    pub fn answered(&self, key: &Key) -> Option<u64> {
        self.keys.get(key).map(|(seq, _)| *seq)
    }
}

/// What moved is what was due, and transfers only move.
fn balance(facts: &[Fact], due: Due, whole: bool) -> Result<(), String> {
    let (mut moved, mut transferred) = (Due::default(), 0_i128);
    for fact in facts {
        match fact {
            Fact::Stock { product, step, cause: Cause::Follows } => moved.units(*product, step.delta),
            Fact::Money { user, step, cause: Cause::Follows } => moved.money(*user, step.delta),
            Fact::Money { step, cause: Cause::Transfer, .. } => transferred += i128::from(step.delta),
            _ => {}
        }
    }
    if transferred != 0 {
        return Err(format!("a transfer makes {transferred} of nothing"));
    }
    let differs = |moved: &BTreeMap<u64, i64>, due: &BTreeMap<u64, i64>| {
        let ids = moved.keys().chain(due.keys());
        ids.copied().find(|id| moved.get(id).unwrap_or(&0) != due.get(id).unwrap_or(&0))
    };
    // What an unknown order is made of is unknown, too.
    if !whole {
        return Ok(());
    }
    if let Some(product) = differs(&moved.stock, &due.stock) {
        return Err(format!("product {product} moves by {:?}, due is {:?}", moved.stock, due.stock));
    }
    match differs(&moved.money, &due.money) {
        Some(user) => Err(format!("user {user} is moved by {:?}, due is {:?}", moved.money, due.money)),
        None => Ok(()),
    }
}
