//! One country's accounts that are free, and the cards that wait for one. Accounts at work come before new ones; among them
//! the one with the least left to redeem that the card still fits, then the one that was used least recently. Cards come in
//! the order in which they were handed in: the first that fits gets the account that becomes free.
//! A choice takes a logarithm of the accounts, and looks at the first card of each face value: there are few of those.

use crate::domain::account::{AccountStatus, AccountView, LoginStatus};
use crate::domain::{AccountId, Money, RedemptionId, Timestamp};
use foldhash::quality::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Whose turn it is among free accounts that a card fits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rank {
    /// What is left until the plan's target.
    left: i64,
    used_at: Timestamp,
    id: AccountId,
}

type Standing = (AccountStatus, Rank);

/// A card that waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Card {
    /// In the order in which they were handed in.
    pub place: u64,
    pub redemption_id: RedemptionId,
    /// What it is said to be worth; 0 if nothing is said.
    pub face_value: i64,
}

/// A card and the account that it is to be exchanged on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Match {
    pub card: Card,
    pub account_id: AccountId,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Pool {
    processing: BTreeSet<Rank>,
    waiting: BTreeSet<Rank>,
    /// Where each free account stands.
    free: HashMap<AccountId, Standing, RandomState>,
    /// Accounts that a card was matched with, until it is known what came of that; how each stands by now.
    promised: HashMap<AccountId, Option<Standing>, RandomState>,
    /// Cards by what they are worth, each in their order.
    cards: BTreeMap<i64, BTreeSet<Card>>,
    known: HashMap<RedemptionId, Card, RandomState>,
}

impl Pool {
    /// The account as it stands now.
    pub fn account(&mut self, view: &AccountView) {
        let (id, standing) = (view.account.id, standing(view));
        self.take(id);
        match (self.promised.get_mut(&id), standing) {
            (Some(promised), _) => *promised = standing,
            (None, Some(standing)) => self.give(standing),
            (None, None) => {}
        }
    }

    /// The match of this account has come to something, or to nothing: it is chosen again if it is free.
    pub fn answered(&mut self, id: AccountId) {
        if let Some(Some(standing)) = self.promised.remove(&id) {
            self.give(standing);
        }
    }

    /// A card that was handed in.
    pub fn card(&mut self, card: Card) {
        if self.known.insert(card.redemption_id, card).is_none() {
            self.cards.entry(card.face_value).or_default().insert(card);
        }
    }

    /// A card that waits no more.
    pub fn forget(&mut self, id: RedemptionId) {
        let Some(card) = self.known.remove(&id) else { return };
        if let Some(alike) = self.cards.get_mut(&card.face_value) {
            alike.remove(&card);
            if alike.is_empty() {
                self.cards.remove(&card.face_value);
            }
        }
    }

    pub fn waiting(&self) -> usize {
        self.known.len()
    }

    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// The first card in line that a free account is good for. Both are taken out.
    pub fn match_up(&mut self) -> Option<Match> {
        let most = self.most_left()?;
        let first = self.cards.range(..=most).filter_map(|(_, alike)| alike.first()).min().copied()?;
        let account_id = self.choose(first.face_value)?;
        self.forget(first.redemption_id);
        let standing = self.take(account_id);
        self.promised.insert(account_id, standing);
        Some(Match { card: first, account_id })
    }

    /// The most that any free account has left.
    fn most_left(&self) -> Option<i64> {
        let last = |set: &BTreeSet<Rank>| set.last().map(|rank| rank.left);
        last(&self.processing).max(last(&self.waiting))
    }

    fn choose(&self, face_value: i64) -> Option<AccountId> {
        let least = Rank {
            left: face_value,
            used_at: Timestamp::from_micros(i64::MIN),
            id: AccountId::new(uuid::Uuid::nil()),
        };
        let fits = |set: &BTreeSet<Rank>| set.range(least..).next().map(|rank| rank.id);
        fits(&self.processing).or_else(|| fits(&self.waiting))
    }

    fn give(&mut self, (status, rank): Standing) {
        match status {
            AccountStatus::Processing => self.processing.insert(rank),
            _ => self.waiting.insert(rank),
        };
        self.free.insert(rank.id, (status, rank));
    }

    fn take(&mut self, id: AccountId) -> Option<Standing> {
        let (status, rank) = self.free.remove(&id)?;
        match status {
            AccountStatus::Processing => self.processing.remove(&rank),
            _ => self.waiting.remove(&rank),
        };
        Some((status, rank))
    }
}

/// Where an account is to stand among the free ones, if it is one.
fn standing(view: &AccountView) -> Option<Standing> {
    let is_open = matches!(view.status, AccountStatus::Processing | AccountStatus::Waiting);
    let left = view.account.target.minor() - view.redeemed_total;
    let is_free = is_open && view.login == LoginStatus::Active && view.lock.is_none() && left > 0;
    is_free.then(|| (view.status, Rank { left, used_at: view.used_at, id: view.account.id }))
}

/// What a card is taken to be worth where it is not said.
pub fn worth(face_value: Option<Money>) -> i64 {
    face_value.map_or(0, Money::minor)
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
