//! The part of a story that tells of plans and of the redemption accounts on them.

use super::{AWKWARD, Story};
use purser::domain::account::{
    Account, AccountCommand, AccountStatus, AccountView, LoginStatus, Transition, TransitionReason,
};
use purser::domain::country::Country;
use purser::domain::entity::{Entity, Verdict};
use purser::domain::event::Posting;
use purser::domain::plan::{AccountTerms, BasisPoints, Plan, PlanCommand, PlanList};
use purser::domain::text::Name;
use purser::domain::{AccountId, Event, Money, Operation, PlanId, RedemptionId, Timestamp, UserId};
use purser::store::{Row, TransitionRow};
use std::sync::Arc;
use uuid::Uuid;

impl Story {
    pub fn plan(&mut self, target: i64, payout_bps: u32) -> PlanId {
        let plan = Plan {
            id: PlanId::new(self.id()),
            name: Name::parse(&format!("To {target} {AWKWARD}")).expect("a name"),
            target: Money::new(target).expect("money"),
            payout: BasisPoints::new(payout_bps).expect("a share"),
            created_at: self.now(),
        };
        let id = plan.id;
        self.push(
            Operation::CreatePlan,
            Some(UserId::new(1)),
            vec![Event::PlanCreated(Arc::new(plan))],
            None,
        );
        id
    }

    /// Creates accounts on one plan with one record, one for each country.
    pub fn open_accounts(&mut self, plan_id: PlanId, countries: &[&str]) -> Vec<AccountId> {
        let mut list = self.plan_list();
        let terms = |country: &&str| {
            let number = list.reserve_accounts(1);
            let id = AccountId::new(Uuid::from_u128(self.id().as_u128() + u128::from(number)));
            let label = Name::parse(&format!("Account {number} {AWKWARD}")).expect("a name");
            AccountTerms { id, number, label, country: Country::parse(country).expect("a country"), plan_id }
        };
        let accounts: Vec<_> = countries.iter().map(terms).collect();
        let ids = accounts.iter().map(|account| account.id).collect();
        let command = PlanCommand::OpenAccounts { accounts, left_out: vec![7] };
        let verdict = list.decide(&command, self.now(), false);
        let Verdict::Granted(decision) = verdict else { panic!("the plan exists") };
        let events = decision.foreign;
        self.push(Operation::ImportAccounts, Some(UserId::new(1)), events, decision.snapshot);
        ids
    }

    pub fn set_login(&mut self, id: AccountId, login: LoginStatus) {
        self.step_account(id, Operation::SetLogin, &AccountCommand::SetLogin(login));
    }

    pub fn complete_account(&mut self, id: AccountId) {
        self.step_account(id, Operation::CompleteAccount, &AccountCommand::Complete);
    }

    fn step_account(&mut self, id: AccountId, operation: Operation, command: &AccountCommand) {
        let verdict = self.accounts[&id].decide(command, self.now(), false);
        let Verdict::Granted(decision) = verdict else { panic!("not now") };
        if !decision.is_void() {
            self.push(operation, Some(UserId::new(1)), decision.own, decision.snapshot);
        }
    }

    pub fn plan_list(&self) -> PlanList {
        let last = self.accounts.len() as u64;
        PlanList::stored(self.plans.iter().map(|row| row.value.clone()).collect(), last)
    }

    pub fn account(&self, id: AccountId) -> AccountView {
        self.accounts[&id].view().expect("it was created")
    }

    pub(super) fn apply_account(&mut self, event: &Event, seq: u64, at: Timestamp) {
        match event {
            Event::PlanCreated(plan) => self.plans.push(Row { cursor: seq, value: Plan::clone(plan) }),
            Event::AccountCreated { account, posting } => {
                let mut owned = Account::unborn();
                owned.apply(event, at);
                self.accounts.insert(account.id, owned);
                let waiting = AccountStatus::Waiting;
                let reason = TransitionReason::Created;
                let first = (waiting, waiting, LoginStatus::Active, reason, None);
                self.transition(account.id, first, posting, at);
            }
            Event::AccountChanged(change) => {
                let Transition { account_id, from, to, login, reason, redemption_id, posting, .. } =
                    &**change;
                self.accounts.entry(*account_id).and_modify(|account| account.apply(event, at));
                let row = (*from, *to, *login, *reason, *redemption_id);
                self.transition(*account_id, row, posting, at);
            }
            _ => {}
        }
    }

    fn transition(
        &mut self,
        id: AccountId,
        (from, to, login, reason, redemption_id): (
            AccountStatus,
            AccountStatus,
            LoginStatus,
            TransitionReason,
            Option<RedemptionId>,
        ),
        posting: &Posting,
        at: Timestamp,
    ) {
        let (amount, redeemed_total, version) = (posting.delta, posting.total, posting.version);
        let row =
            TransitionRow { from, to, login, reason, redemption_id, amount, redeemed_total, version, at };
        self.transitions.entry(id).or_default().push(Row { cursor: version, value: row });
    }
}
