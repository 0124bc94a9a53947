//! The gift cards of one user that have not come to an end: part of the user's balance, which alone cancels what is queued
//! and lets an account be locked for it.

use super::directory::{DIRECTORY_SHARDS, UniqueName};
use super::entity::{Decision, Verdict};
use super::event::{Event, Namespace};
use super::ids::{BatchId, RedemptionId};
use super::record::Snapshot;
use super::redemption::{HandedIn, Redemption, RedemptionStatus, RedemptionStep};
use super::rejection::{Missing, Rejection};
use super::time::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// See the module. Most users have none, so it is made with the first.
#[derive(Clone, Debug, Default)]
pub struct Cards(Option<Box<Open>>);

#[derive(Clone, Debug, Default)]
struct Open {
    redemptions: HashMap<RedemptionId, Arc<Redemption>>,
    /// Those that an account is about to be locked for.
    held: HashSet<RedemptionId>,
}

impl Cards {
    /// Open redemptions as they were stored.
    pub fn stored(redemptions: Vec<Redemption>) -> Self {
        if redemptions.is_empty() {
            return Self::default();
        }
        let redemptions = redemptions.into_iter().map(|card| (card.id, Arc::new(card))).collect();
        Self(Some(Box::new(Open { redemptions, held: HashSet::new() })))
    }

    /// An open redemption.
    pub fn get(&self, id: RedemptionId) -> Option<&Arc<Redemption>> {
        self.0.as_ref()?.redemptions.get(&id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |open| open.redemptions.len())
    }

    /// Cards under open holds.
    pub fn held(&self) -> i64 {
        self.0.as_ref().map_or(0, |open| i64::try_from(open.held.len()).unwrap_or(i64::MAX))
    }

    /// Holds a queued card for the lock of an account: it cannot be cancelled meanwhile.
    pub fn claim(&mut self, id: RedemptionId) -> Verdict<()> {
        let Some(open) = &mut self.0 else { return Verdict::Refused(missing()) };
        match open.redemptions.get(&id).map(|card| card.status) {
            None => Verdict::Refused(missing()),
            Some(RedemptionStatus::Queued) if open.held.insert(id) => Verdict::Granted(()),
            Some(RedemptionStatus::Queued) => Verdict::Wait,
            Some(status) => Verdict::Refused(Rejection::RedemptionState { status }),
        }
    }

    pub fn release(&mut self, id: RedemptionId) {
        if let Some(open) = &mut self.0 {
            open.held.remove(&id);
        }
    }

    /// Whether it is in doubt, for whoever settles that: nothing is held, the account decides who came first.
    pub fn doubt(&self, id: RedemptionId) -> Verdict<()> {
        match self.get(id).map(|card| card.status) {
            None => Verdict::Refused(missing()),
            Some(RedemptionStatus::InDoubt) => Verdict::Granted(()),
            Some(status) => Verdict::Refused(Rejection::RedemptionState { status }),
        }
    }

    fn is_held(&self, id: RedemptionId) -> bool {
        self.0.as_ref().is_some_and(|open| open.held.contains(&id))
    }

    /// Cancels a queued card and frees its code. `found`: the redemption as it was read, for one that has ended.
    pub fn cancel(&self, found: &Arc<Redemption>) -> Verdict<Decision> {
        let card = self.get(found.id).unwrap_or(found);
        let shown =
            Some(Snapshot::Redemption(Arc::new(Redemption { code: None, ..Redemption::clone(card) })));
        match card.status {
            RedemptionStatus::Cancelled => {
                Verdict::Granted(Decision { snapshot: shown, ..Decision::default() })
            }
            RedemptionStatus::Queued if self.is_held(card.id) => Verdict::Wait,
            RedemptionStatus::Queued => Verdict::Granted(Decision {
                own: vec![cancelled(card)],
                foreign: vec![freed(card)],
                snapshot: shown,
            }),
            status => Verdict::Refused(Rejection::RedemptionState { status }),
        }
    }

    /// Cancels what of a batch is queued and not about to be started, and frees those codes: an event for each shard of the
    /// directory, whether one of them is its or not.
    pub fn cancel_batch(&self, id: BatchId) -> Decision {
        let waits = |card: &&Arc<Redemption>| {
            card.batch_id == Some(id) && card.status == RedemptionStatus::Queued && !self.is_held(card.id)
        };
        let mut cards: Vec<_> =
            self.0.iter().flat_map(|open| open.redemptions.values()).filter(waits).collect();
        if cards.is_empty() {
            return Decision::default();
        }
        cards.sort_unstable_by_key(|card| card.place);
        let mut names: [Vec<Arc<str>>; DIRECTORY_SHARDS as usize] = Default::default();
        for card in &cards {
            names[usize::from(name(&card.code_name).shard().get())].push(card.code_name.clone());
        }
        let namespace = Namespace::Card;
        Decision {
            own: cards.into_iter().map(cancelled).collect(),
            foreign: names.into_iter().map(|names| Event::NamesFreed { namespace, names }).collect(),
            snapshot: None,
        }
    }

    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::CardsHandedIn(handed_in) if !handed_in.cards.is_empty() => {
                let cards = handed_in.redemptions(at).map(|card| (card.id, Arc::new(card)));
                self.0.get_or_insert_default().redemptions.extend(cards);
            }
            Event::RedemptionStepped(step) => {
                let Some(open) = &mut self.0 else { return };
                if !step.to.is_open() {
                    open.redemptions.remove(&step.redemption_id);
                } else if let Some(card) = open.redemptions.get_mut(&step.redemption_id) {
                    Arc::make_mut(card).apply(event, at);
                }
                if open.redemptions.is_empty() && open.held.is_empty() {
                    self.0 = None;
                }
            }
            _ => {}
        }
    }
}

const fn missing() -> Rejection {
    Rejection::NotFound(Missing::Redemption)
}

fn cancelled(card: &Arc<Redemption>) -> Event {
    Event::RedemptionStepped(Box::new(RedemptionStep::to(card.id, card.user_id, RedemptionStatus::Cancelled)))
}

/// A code's name in the directory.
pub fn name(code_name: &Arc<str>) -> UniqueName {
    UniqueName { namespace: Namespace::Card, name: code_name.clone() }
}

/// Cards are handed in, and each shard of the directory that has names among theirs is told: `taken`, in the shards' order.
pub fn handed_in(cards: &Arc<HandedIn>, taken: &[Vec<Arc<str>>]) -> Decision {
    let told = |names: &Vec<Arc<str>>| Event::NamesTaken {
        namespace: Namespace::Card,
        names: names.clone(),
        holder: cards.user_id.get(),
    };
    Decision {
        own: vec![Event::CardsHandedIn(cards.clone())],
        foreign: taken.iter().map(told).collect(),
        snapshot: None,
    }
}

/// The card may be handed in again.
pub fn freed(card: &Redemption) -> Event {
    Event::NamesFreed { namespace: Namespace::Card, names: vec![card.code_name.clone()] }
}
