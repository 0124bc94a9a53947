//! The pools of all countries, and which of them may have a match.

use super::pool::{Card, Match, Pool, worth};
use crate::domain::account::AccountView;
use crate::domain::country::Country;
use crate::domain::redemption::Redemption;
use crate::domain::{AccountId, RedemptionId};
use foldhash::quality::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub struct Pools {
    of: HashMap<Country, Pool, RandomState>,
    /// Those that changed since they had no match.
    changed: BTreeSet<Country>,
    /// Where the last match was: countries take turns.
    last: Option<Country>,
    /// Cards that wait, each with its place among all.
    waiting: HashMap<RedemptionId, (Arc<Redemption>, u64), RandomState>,
}

/// A card, its place, and the account that it is to be exchanged on.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub card: Arc<Redemption>,
    pub place: u64,
    pub account_id: AccountId,
}

impl Pools {
    fn pool(&mut self, country: Country) -> &mut Pool {
        self.changed.insert(country);
        self.of.entry(country).or_default()
    }

    /// The account as it stands now.
    pub fn account(&mut self, view: &AccountView) {
        self.pool(view.account.country).account(view);
    }

    /// A card that waits.
    pub fn card(&mut self, card: Arc<Redemption>, place: u64) {
        let waits = Card { place, redemption_id: card.id, face_value: worth(card.face_value) };
        self.pool(card.country).card(waits);
        self.waiting.insert(card.id, (card, place));
    }

    /// A card that waits no more.
    pub fn forget(&mut self, id: RedemptionId) {
        if let Some((card, _)) = self.waiting.remove(&id) {
            self.pool(card.country).forget(id);
        }
    }

    /// What came of a match is known.
    pub fn answered(&mut self, country: Country, id: AccountId) {
        self.pool(country).answered(id);
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Accounts that are free, over all countries.
    pub fn free(&self) -> usize {
        self.of.values().map(Pool::free).sum()
    }

    /// The country behind the last one, of those that may have a match.
    fn turn(&self) -> Option<Country> {
        let behind = self.last.and_then(|last| self.changed.range((Excluded(last), Unbounded)).next());
        behind.or_else(|| self.changed.first()).copied()
    }

    /// The next card that goes to an account. Both are taken out.
    pub fn choose(&mut self) -> Option<Chosen> {
        while let Some(country) = self.turn() {
            self.last = Some(country);
            if let Some(Match { card, account_id }) = self.of.get_mut(&country).and_then(Pool::match_up) {
                let (card, place) = self.waiting.remove(&card.redemption_id)?;
                return Some(Chosen { card, place, account_id });
            }
            self.changed.remove(&country);
        }
        None
    }
}
