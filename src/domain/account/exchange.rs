//! What an account's owner decides about exchanges: the lock for a card, and what its outcome makes of the account. A card's
//! steps go to its user's balance, so foreign events come in the order of the guards: the balance, then the directory.

use super::{Account, AccountStatus, Lock, LoginStatus, NewAccount, Transition, TransitionReason};
use crate::domain::entity::Decision;
use crate::domain::event::{Event, Namespace, Posting};
use crate::domain::ids::{RedemptionId, UserId};
use crate::domain::ledger::has_room;
use crate::domain::message::Message;
use crate::domain::money::Money;
use crate::domain::record::Snapshot;
use crate::domain::redemption::{CardFailure, Redemption, RedemptionStatus, RedemptionStep};
use crate::domain::rejection::Rejection;
use crate::domain::text::Text;
use crate::domain::time::Timestamp;
use std::sync::Arc;

/// Which card, and whose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardRef {
    pub redemption_id: RedemptionId,
    pub user_id: UserId,
    pub code_name: Arc<str>,
}

/// How an exchange ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The card was worth this much.
    Taken(Money),
    /// The provider has not taken it.
    Untaken(Arc<CardFailure>),
}

/// What an exchange has come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settlement {
    pub card: CardRef,
    /// Of the lock that it ran under.
    pub fence: u64,
    pub ending: Ending,
    /// Pays the user's share later, for the balance has no room for it now.
    pub owed: Option<Arc<Message>>,
    /// How often the provider was asked to take the card since that was last written down.
    pub attempts: u32,
    /// Not the provider says so but an operator, who is shown what becomes of this.
    pub operator: Option<Arc<Redemption>>,
}

impl Account {
    pub(super) fn lock_for(
        &self,
        account: &NewAccount,
        card: &CardRef,
        deadline: Timestamp,
        at: Timestamp,
    ) -> Result<Decision, Rejection> {
        let is_free = self.lock.is_none() && self.login == LoginStatus::Active;
        if !is_free || self.status == AccountStatus::Completed {
            return Err(Rejection::AccountNotFree);
        }
        let fence = self.fence + 1;
        let lock = Lock {
            redemption_id: card.redemption_id,
            previous_status: self.status,
            fence,
            since: at,
            deadline,
        };
        let transition = Transition {
            to: AccountStatus::Locking,
            lock: Some(lock),
            redemption_id: Some(card.redemption_id),
            ..self.transition(account, TransitionReason::ExchangeStarted)
        };
        let locked = Some((account.id, fence));
        let step = RedemptionStep { locked, ..card.step(RedemptionStatus::Locking) };
        let decision = exchanged(transition, vec![Event::RedemptionStepped(Box::new(step))]);
        Ok(decision.showing(Snapshot::Lock(lock)))
    }

    /// The lock that this exchange runs under, if it still does.
    fn lock_of(&self, card: &CardRef, fence: u64) -> Option<Lock> {
        self.lock.filter(|lock| lock.fence == fence && lock.redemption_id == card.redemption_id)
    }

    pub(super) fn doubt(
        &self,
        account: &NewAccount,
        card: &CardRef,
        fence: u64,
        attempts: u32,
        why: &Text,
    ) -> Decision {
        if self.lock_of(card, fence).is_none() {
            return Decision::default();
        }
        let redemption_id = Some(card.redemption_id);
        let transition = Transition { redemption_id, ..self.transition(account, TransitionReason::InDoubt) };
        let failure = Some(Arc::new(CardFailure { code: "in_doubt".into(), detail: why.clone() }));
        let step = RedemptionStep { failure, attempts, ..card.step(RedemptionStatus::InDoubt) };
        exchanged(transition, vec![Event::RedemptionStepped(Box::new(step))])
    }

    /// The provider's late answer is noted and changes nothing; an operator's word on what has been settled is refused.
    pub(super) fn settle(
        &self,
        account: &NewAccount,
        settlement: &Settlement,
    ) -> Result<Decision, Rejection> {
        let Settlement { card, fence, attempts, .. } = settlement;
        let redemption_id = Some(card.redemption_id);
        let Some(lock) = self.lock_of(card, *fence) else {
            if settlement.operator.is_some() {
                return Err(Rejection::AccountNotFree);
            }
            let late = self.transition(account, TransitionReason::LateAnswer);
            return Ok(exchanged(Transition { redemption_id, ..late }, Vec::new()));
        };
        let reason = TransitionReason::ExchangeFailed;
        let unlocked = Transition { lock: None, redemption_id, ..self.transition(account, reason) };
        let step = |to| RedemptionStep { attempts: *attempts, ..card.step(to) };
        let mut decision = match &settlement.ending {
            Ending::Taken(amount) => {
                if !has_room(self.redeemed.bound(), amount.minor()) {
                    return Err(Rejection::BalanceLimit);
                }
                let total = self.redeemed.bound() + amount.minor();
                let (to, reason) = if total >= account.target.minor() {
                    (AccountStatus::Completed, TransitionReason::TargetReached)
                } else {
                    (AccountStatus::Processing, TransitionReason::ExchangeSucceeded)
                };
                let payout = account.payout.of(*amount);
                let is_paid = payout > Money::ZERO && settlement.owed.is_none();
                let step = RedemptionStep {
                    amount: Some(*amount),
                    payout: Some(payout),
                    paid: is_paid.then(|| Posting::of(payout.minor())),
                    owed: settlement.owed.clone(),
                    ..step(RedemptionStatus::Succeeded)
                };
                let posting = Posting::of(amount.minor());
                let transition = Transition { to, reason, posting, ..unlocked };
                exchanged(transition, vec![Event::RedemptionStepped(Box::new(step))])
            }
            Ending::Untaken(failure) => {
                let step =
                    RedemptionStep { failure: Some(failure.clone()), ..step(RedemptionStatus::Failed) };
                let names = vec![card.code_name.clone()];
                let freed = Event::NamesFreed { namespace: Namespace::Card, names };
                let transition = Transition { to: lock.previous_status, ..unlocked };
                exchanged(transition, vec![Event::RedemptionStepped(Box::new(step)), freed])
            }
        };
        decision.snapshot = settlement.operator.clone().map(Snapshot::Redemption);
        Ok(decision)
    }
}

fn exchanged(transition: Transition, foreign: Vec<Event>) -> Decision {
    Decision { own: vec![Event::AccountChanged(Box::new(transition))], foreign, snapshot: None }
}

impl CardRef {
    pub fn of(card: &Redemption) -> Self {
        Self { redemption_id: card.id, user_id: card.user_id, code_name: card.code_name.clone() }
    }

    const fn step(&self, to: RedemptionStatus) -> RedemptionStep {
        RedemptionStep::to(self.redemption_id, self.user_id, to)
    }
}
