//! Gift cards and the accounts that they are exchanged on: one card at a time on each account, one use of each code, one
//! payout of each card.

use super::facts::{AccountState, AccountStep, CardState, CardStep, Fact, Id, Lock, Reason, Space};
use super::model::Due;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Card {
    user: u64,
    name: String,
    state: CardState,
    locked: Option<(Id, u64)>,
}

#[derive(Debug)]
struct Account {
    target: i64,
    /// Of each card, in hundredths of a percent.
    share: i64,
    state: AccountState,
    is_active: bool,
    lock: Option<Lock>,
    fence: u64,
}

/// See the module.
#[derive(Default, Debug)]
pub struct Cards {
    cards: BTreeMap<Id, Card>,
    accounts: BTreeMap<Id, Account>,
}

impl Cards {
    pub fn take(&mut self, facts: &[Fact], due: &mut Due, whole: bool) -> Result<(), String> {
        for fact in facts {
            match fact {
                Fact::AccountMade { account, target, share, .. } => {
                    let made = Account {
                        target: *target,
                        share: *share,
                        state: AccountState::Waiting,
                        is_active: true,
                        lock: None,
                        fence: 0,
                    };
                    if self.accounts.insert(*account, made).is_some() {
                        return Err(format!("account {account:x} is made twice"));
                    }
                }
                Fact::Account(change) => match self.accounts.get_mut(&change.account) {
                    Some(known) => known.change(change)?,
                    None if whole => return Err(format!("there is no account {:x}", change.account)),
                    None => {}
                },
                Fact::CardsIn { user, cards } => {
                    for (id, name) in cards {
                        let (name, state) = (name.clone(), CardState::Queued);
                        let card = Card { user: *user, name, state, locked: None };
                        if self.cards.insert(*id, card).is_some() {
                            return Err(format!("card {id:x} is handed in twice"));
                        }
                    }
                }
                Fact::Card(step) => match self.cards.get_mut(&step.card) {
                    Some(known) => {
                        let account = known.locked.or(step.locked).and_then(|(id, _)| self.accounts.get(&id));
                        known.step(step, account, facts, due)?;
                    }
                    None if whole => return Err(format!("card {:x} was never handed in", step.card)),
                    None => {}
                },
                _ => {}
            }
        }
        Ok(())
    }
}

impl Account {
    fn change(&mut self, change: &AccountStep) -> Result<(), String> {
        use AccountState::{Completed, Locking, Processing, Waiting};
        let unlocked = change.lock.is_none();
        let kept = (change.lock, change.to) == (self.lock, self.state);
        let ends = self.lock.is_some_and(|lock| change.card == Some(lock.card)) && unlocked;
        let fits = match change.reason {
            Reason::Made => false,
            Reason::LoggedIn => kept && !self.is_active && change.is_active,
            Reason::LoggedOut => kept && self.is_active && !change.is_active,
            Reason::EndedByHand => self.lock.is_none() && unlocked && change.to == Completed,
            Reason::Started => {
                let is_free =
                    self.lock.is_none() && self.is_active && matches!(self.state, Waiting | Processing);
                let is_next = |lock: Lock| {
                    lock.fence == self.fence + 1
                        && lock.before == self.state
                        && Some(lock.card) == change.card
                };
                is_free && change.to == Locking && change.lock.is_some_and(is_next)
            }
            Reason::Doubted => {
                kept && self.state == Locking && self.lock.map(|lock| lock.card) == change.card
            }
            Reason::Succeeded => ends && change.to == Processing && change.step.total < self.target,
            Reason::TargetReached => ends && change.to == Completed && change.step.total >= self.target,
            Reason::Failed => ends && self.lock.is_some_and(|lock| lock.before == change.to),
            Reason::Late => kept,
        };
        let brings = matches!(change.reason, Reason::Succeeded | Reason::TargetReached);
        let is_moved = change.step.delta > 0;
        if !fits || change.from != self.state || (is_moved && !brings) || change.step.delta < 0 {
            return Err(format!("{change:?} of {self:?}"));
        }
        self.fence = change.lock.map_or(self.fence, |lock| lock.fence);
        (self.state, self.lock, self.is_active) = (change.to, change.lock, change.is_active);
        Ok(())
    }
}

impl Card {
    /// Where it goes, and that the account and the code's name go with it in the same record.
    fn step(
        &mut self,
        step: &CardStep,
        account: Option<&Account>,
        facts: &[Fact],
        due: &mut Due,
    ) -> Result<(), String> {
        use CardState::{Cancelled, Failed, InDoubt, Locking, Queued, Succeeded};
        let change = facts.iter().find_map(|fact| match fact {
            Fact::Account(change) if change.card == Some(step.card) => Some(change),
            _ => None,
        });
        let is_at = |change: &&AccountStep| self.locked.is_some_and(|(id, _)| id == change.account);
        let is_freed = facts.iter().any(
            |fact| matches!(fact, Fact::Freed { space: Space::Card, names } if names.contains(&self.name)),
        );
        let fits = match (self.state, step.to) {
            (Queued, Cancelled) => change.is_none(),
            (Queued, Locking) => change.is_some_and(|change| {
                let lock = change.lock.map(|lock| (change.account, lock.fence));
                change.reason == Reason::Started && lock == step.locked && lock.is_some()
            }),
            (Locking | InDoubt, InDoubt) => {
                change.filter(is_at).is_some_and(|change| change.reason == Reason::Doubted)
            }
            (Locking | InDoubt, Failed) => {
                change.filter(is_at).is_some_and(|change| change.reason == Reason::Failed)
            }
            (Locking | InDoubt, Succeeded) => change.filter(is_at).is_some_and(|change| {
                let is_end = matches!(change.reason, Reason::Succeeded | Reason::TargetReached);
                is_end && step.amount == Some(change.step.delta)
            }),
            _ => false,
        };
        if !fits || self.user != step.user || is_freed != matches!(step.to, Failed | Cancelled) {
            return Err(format!("{step:?} of {self:?} with {change:?}, code freed: {is_freed}"));
        }
        (self.state, self.locked) = (step.to, step.locked.or(self.locked));
        if let (Succeeded, Some(amount)) = (step.to, step.amount) {
            let paid = step.payout.unwrap_or_default();
            let share = account.map(|account| i128::from(amount) * i128::from(account.share) / 10_000);
            if share.is_some_and(|share| share != i128::from(paid)) {
                return Err(format!("{step:?} where the share of {amount} is {share:?}"));
            }
            if !step.is_owed {
                due.money(self.user, paid);
            }
        }
        Ok(())
    }
}
