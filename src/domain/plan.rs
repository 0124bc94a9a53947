//! Plans: how much an account is to redeem, and which share of each card its user is paid. A plan never changes, so that
//! whoever has it knows it for good. Accounts come to be on a plan, so the owner of the list numbers them.

use super::account::NewAccount;
use super::country::Country;
use super::entity::{Decision, Entity, Verdict};
use super::event::{Event, Posting};
use super::ids::{AccountId, PlanId};
use super::money::Money;
use super::record::Snapshot;
use super::rejection::Rejection;
use super::text::Name;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A share in hundredths of a percent, `0..=10,000`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BasisPoints(u32);

impl BasisPoints {
    pub const MAX: u32 = 10_000;

    /// `None` above [`Self::MAX`].
    pub const fn new(points: u32) -> Option<Self> {
        if points <= Self::MAX { Some(Self(points)) } else { None }
    }

    pub const fn get(self) -> u32 {
        self.0
    }

    /// This share of an amount, rounded down.
    pub fn of(self, amount: Money) -> Money {
        let share = i128::from(amount.minor()) * i128::from(self.0) / i128::from(Self::MAX);
        // A share is never more than the whole.
        i64::try_from(share).ok().and_then(Money::new).unwrap_or(amount)
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub id: PlanId,
    pub name: Name,
    /// An account that has redeemed this much is completed; above 0.
    pub target: Money,
    /// What the user is paid of each card.
    pub payout: BasisPoints,
    pub created_at: Timestamp,
}

/// All plans, with their owner.
#[derive(Clone, Debug, Default)]
pub struct PlanList {
    plans: BTreeMap<PlanId, Arc<Plan>>,
    /// The highest number of an account that was handed out.
    last_account: u64,
}

/// What the owner of the list commits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlanCommand {
    Create(Arc<Plan>),
    /// Accounts come to be, each with an owner of its own. `left_out`: places of those that were asked for in vain.
    OpenAccounts {
        accounts: Vec<AccountTerms>,
        left_out: Vec<u32>,
    },
}

/// What an account is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountTerms {
    pub id: AccountId,
    /// From [`PlanList::reserve_accounts`].
    pub number: u64,
    pub label: Name,
    pub country: Country,
    pub plan_id: PlanId,
}

impl PlanList {
    /// The plans as they were stored, with the highest number of an account that is in use.
    pub fn stored(plans: Vec<Plan>, last_account: u64) -> Self {
        let plans = plans.into_iter().map(|plan| (plan.id, Arc::new(plan))).collect();
        Self { plans, last_account }
    }

    /// The first of so many free numbers of accounts; never handed out again while this process runs, nor after it: the list
    /// is not let go from memory, and loaded from a store that has caught up.
    pub fn reserve_accounts(&mut self, count: u64) -> u64 {
        self.last_account += count;
        self.last_account + 1 - count
    }

    pub fn plan(&self, id: PlanId) -> Option<Arc<Plan>> {
        self.plans.get(&id).cloned()
    }

    fn open(&self, accounts: &[AccountTerms]) -> Result<Decision, Rejection> {
        let created = |terms: &AccountTerms| {
            let AccountTerms { id, number, label, country, plan_id } = terms.clone();
            let plan = self.plan(plan_id).ok_or(Rejection::UnknownPlan { plan_id })?;
            let (target, payout) = (plan.target, plan.payout);
            let account = Arc::new(NewAccount { id, number, label, country, plan_id, target, payout });
            Ok(Event::AccountCreated { account, posting: Posting::of(0) })
        };
        let foreign = accounts.iter().map(created).collect::<Result<_, _>>()?;
        Ok(Decision { foreign, ..Decision::default() })
    }
}

impl Entity for PlanList {
    type Claim = std::convert::Infallible;
    type Grant = ();
    type Command = PlanCommand;

    fn unborn() -> Self {
        Self::default()
    }

    fn claim(&mut self, claim: &Self::Claim, _contended: bool) -> Verdict<()> {
        match *claim {}
    }

    fn release(&mut self, claim: &Self::Claim) {
        match *claim {}
    }

    fn decide(&self, command: &PlanCommand, _at: Timestamp, _contended: bool) -> Verdict<Decision> {
        match command {
            PlanCommand::Create(plan) => Verdict::Granted(Decision::one(Event::PlanCreated(plan.clone()))),
            PlanCommand::OpenAccounts { accounts, left_out } => match self.open(accounts) {
                Ok(decision) => Verdict::Granted(decision.showing(Snapshot::LeftOut(left_out.clone()))),
                Err(rejection) => Verdict::Refused(rejection),
            },
        }
    }

    fn apply(&mut self, event: &Event, _at: Timestamp) {
        if let Event::PlanCreated(plan) = event {
            self.plans.insert(plan.id, plan.clone());
        }
    }

    fn version(&self) -> u64 {
        0
    }

    fn is_level(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_never_more_than_the_whole() {
        let share = |points, minor| {
            let points = BasisPoints::new(points).expect("a share");
            points.of(Money::new(minor).expect("money")).minor()
        };
        assert_eq!((share(8_550, 999), share(1, 9_999), share(0, 500)), (854, 0, 0));
        assert_eq!(share(BasisPoints::MAX, crate::domain::LIMIT), crate::domain::LIMIT);
        assert_eq!(BasisPoints::new(BasisPoints::MAX + 1), None);
    }
}
