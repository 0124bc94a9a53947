//! A redemption account: an account at the provider that gift cards are exchanged on, one at a time. A lock says which card
//! is being exchanged; only its own outcome, told by its fence, ends it.

use super::country::Country;
use super::entity::{Decision, Entity, Verdict};
use super::event::{Event, Posting, words};
use super::ids::{AccountId, PlanId, RedemptionId};
use super::ledger::Ledger;
use super::money::Money;
use super::plan::BasisPoints;
use super::record::Snapshot;
use super::rejection::{Missing, Rejection};
use super::text::{Name, Text};
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub mod exchange;

use exchange::{CardRef, Settlement};

/// `waiting` → `locking` → `processing` → `locking` → … → `completed`; a definite failure goes back to the status before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// Nothing was exchanged on it yet.
    Waiting,
    Processing,
    /// A card is being exchanged.
    Locking,
    /// Its plan's target is reached, or an operator ended it.
    Completed,
}

words!(AccountStatus {
    Waiting = "waiting",
    Processing = "processing",
    Locking = "locking",
    Completed = "completed",
});

/// Whether somebody is logged in at the provider; only such accounts are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginStatus {
    Active,
    Inactive,
}

words!(LoginStatus { Active = "active", Inactive = "inactive" });

/// Why an account changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionReason {
    Created,
    LoggedIn,
    LoggedOut,
    CompletedByOperator,
    /// A card is being exchanged.
    ExchangeStarted,
    /// Nobody knows whether the provider took the card.
    InDoubt,
    ExchangeSucceeded,
    /// With that the plan's target is reached.
    TargetReached,
    /// The provider did not take the card.
    ExchangeFailed,
    /// An answer to an exchange that was settled before; it changes nothing.
    LateAnswer,
}

words!(TransitionReason {
    Created = "created",
    LoggedIn = "logged_in",
    LoggedOut = "logged_out",
    CompletedByOperator = "completed_by_operator",
    ExchangeStarted = "exchange_started",
    InDoubt = "in_doubt",
    ExchangeSucceeded = "exchange_succeeded",
    TargetReached = "target_reached",
    ExchangeFailed = "exchange_failed",
    LateAnswer = "late_answer",
});

/// The right to exchange one card on an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lock {
    pub redemption_id: RedemptionId,
    /// What a definite failure goes back to.
    pub previous_status: AccountStatus,
    /// Grows with every lock of the account.
    pub fence: u64,
    pub since: Timestamp,
    /// When the provider's answer is no longer waited for.
    pub deadline: Timestamp,
}

/// An account as it came to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewAccount {
    pub id: AccountId,
    /// Its place among all accounts, from 1.
    pub number: u64,
    pub label: Name,
    pub country: Country,
    pub plan_id: PlanId,
    /// As the plan says.
    pub target: Money,
    pub payout: BasisPoints,
}

/// What readers see of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountView {
    pub account: Arc<NewAccount>,
    pub status: AccountStatus,
    pub login: LoginStatus,
    pub lock: Option<Lock>,
    /// Counts locks.
    pub fence: u64,
    /// When it was last locked; its creation if it never was.
    pub used_at: Timestamp,
    pub redeemed_total: i64,
    /// Counts changes, from 1.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl AccountView {
    /// An account that has just come to be: waiting, and taken to be logged in.
    pub fn created(account: Arc<NewAccount>, posting: &Posting, at: Timestamp) -> Self {
        Self {
            account,
            status: AccountStatus::Waiting,
            login: LoginStatus::Active,
            lock: None,
            fence: 0,
            used_at: at,
            redeemed_total: posting.total,
            version: posting.version,
            created_at: at,
            updated_at: at,
        }
    }

    /// The account after a transition.
    pub fn after(&self, transition: &Transition, at: Timestamp) -> Self {
        Self {
            status: transition.to,
            login: transition.login,
            lock: transition.lock,
            fence: transition.lock.map_or(self.fence, |lock| lock.fence),
            used_at: transition.lock.map_or(self.used_at, |lock| lock.since),
            redeemed_total: transition.posting.total,
            version: transition.posting.version,
            updated_at: at,
            ..self.clone()
        }
    }
}

/// One change of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Transition {
    pub account_id: AccountId,
    pub from: AccountStatus,
    pub to: AccountStatus,
    pub login: LoginStatus,
    pub reason: TransitionReason,
    /// The lock that the account has after it.
    pub lock: Option<Lock>,
    /// The card that it was about, if it was about one.
    pub redemption_id: Option<RedemptionId>,
    /// The step of what was redeemed in all.
    pub posting: Posting,
}

impl Transition {
    /// That an account came to be.
    pub const fn created(account_id: AccountId, posting: Posting) -> Self {
        Self {
            account_id,
            from: AccountStatus::Waiting,
            to: AccountStatus::Waiting,
            login: LoginStatus::Active,
            reason: TransitionReason::Created,
            lock: None,
            redemption_id: None,
            posting,
        }
    }
}

/// The state of one account.
#[derive(Clone, Debug)]
pub struct Account {
    /// None until it is created.
    terms: Option<Arc<NewAccount>>,
    status: AccountStatus,
    login: LoginStatus,
    lock: Option<Lock>,
    fence: u64,
    used_at: Timestamp,
    redeemed: Ledger,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What an account's owner commits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccountCommand {
    /// An exchange that runs goes on.
    SetLogin(LoginStatus),
    /// Ends it before its target is reached; not while a card is being exchanged.
    Complete,
    /// Locks it for a card; the intent to exchange that one here.
    Lock {
        card: CardRef,
        deadline: Timestamp,
    },
    /// The provider may have taken the card: it stays locked.
    Doubt {
        card: CardRef,
        fence: u64,
        attempts: u32,
        why: Text,
    },
    Settle(Settlement),
}

impl Account {
    pub fn stored(view: AccountView) -> Self {
        Self {
            status: view.status,
            login: view.login,
            lock: view.lock,
            fence: view.fence,
            used_at: view.used_at,
            redeemed: Ledger::new(view.redeemed_total, view.version),
            created_at: view.created_at,
            updated_at: view.updated_at,
            terms: Some(view.account),
        }
    }

    /// `None` before it is created.
    pub fn view(&self) -> Option<AccountView> {
        let (redeemed_total, version) = self.redeemed.published();
        Some(AccountView {
            account: self.terms.clone()?,
            status: self.status,
            login: self.login,
            lock: self.lock,
            fence: self.fence,
            used_at: self.used_at,
            redeemed_total,
            version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }

    /// A transition that leaves the account as it is, to be changed where it does not.
    fn transition(&self, account: &NewAccount, reason: TransitionReason) -> Transition {
        Transition {
            account_id: account.id,
            from: self.status,
            to: self.status,
            login: self.login,
            reason,
            lock: self.lock,
            redemption_id: None,
            posting: Posting::of(0),
        }
    }

    /// Shows the account as it was: the reply applies the transition to it.
    fn changed(&self, transition: Transition) -> Decision {
        Decision { own: vec![Event::AccountChanged(Box::new(transition))], ..self.unchanged() }
    }

    fn unchanged(&self) -> Decision {
        let shown = self.view().map(|view| Snapshot::Account(Arc::new(view)));
        Decision { snapshot: shown, ..Decision::default() }
    }

    fn set_login(&self, account: &NewAccount, login: LoginStatus) -> Decision {
        let reason = match login {
            LoginStatus::Active => TransitionReason::LoggedIn,
            LoginStatus::Inactive => TransitionReason::LoggedOut,
        };
        if login == self.login {
            return self.unchanged();
        }
        self.changed(Transition { login, ..self.transition(account, reason) })
    }

    fn complete(&self, account: &NewAccount) -> Result<Decision, Rejection> {
        if self.lock.is_some() {
            return Err(Rejection::AccountLocked);
        }
        if self.status == AccountStatus::Completed {
            return Ok(self.unchanged());
        }
        let transition = self.transition(account, TransitionReason::CompletedByOperator);
        Ok(self.changed(Transition { to: AccountStatus::Completed, ..transition }))
    }
}

impl Entity for Account {
    type Claim = std::convert::Infallible;
    type Grant = ();
    type Command = AccountCommand;

    fn unborn() -> Self {
        let never = Timestamp::from_micros(0);
        Self {
            terms: None,
            status: AccountStatus::Waiting,
            login: LoginStatus::Active,
            lock: None,
            fence: 0,
            used_at: never,
            redeemed: Ledger::default(),
            created_at: never,
            updated_at: never,
        }
    }

    fn claim(&mut self, claim: &Self::Claim, _contended: bool) -> Verdict<()> {
        match *claim {}
    }

    fn release(&mut self, claim: &Self::Claim) {
        match *claim {}
    }

    fn decide(&self, command: &AccountCommand, at: Timestamp, _contended: bool) -> Verdict<Decision> {
        let Some(account) = &self.terms else {
            return Verdict::Refused(Rejection::NotFound(Missing::Account));
        };
        let decided = match command {
            AccountCommand::SetLogin(login) => Ok(self.set_login(account, *login)),
            AccountCommand::Complete => self.complete(account),
            AccountCommand::Lock { card, deadline } => self.lock_for(account, card, *deadline, at),
            AccountCommand::Doubt { card, fence, attempts, why } => {
                Ok(self.doubt(account, card, *fence, *attempts, why))
            }
            AccountCommand::Settle(settlement) => self.settle(account, settlement),
        };
        match decided {
            Ok(decision) => Verdict::Granted(decision),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::AccountCreated { account, posting } => {
                self.terms = Some(account.clone());
                self.redeemed.post(posting);
                (self.created_at, self.updated_at, self.used_at) = (at, at, at);
            }
            Event::AccountChanged(transition) => {
                (self.status, self.login) = (transition.to, transition.login);
                self.lock = transition.lock;
                if let Some(lock) = transition.lock {
                    (self.fence, self.used_at) = (lock.fence, lock.since);
                }
                self.redeemed.post(&transition.posting);
                self.updated_at = at;
            }
            _ => {}
        }
    }

    fn version(&self) -> u64 {
        self.redeemed.version()
    }

    fn is_level(&self) -> bool {
        self.redeemed.is_level()
    }
}

#[cfg(test)]
#[path = "account/tests.rs"]
mod tests;
