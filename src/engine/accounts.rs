//! Redemption accounts and the plans that they are on: an operator's business.

use super::call::{Call, Freshness, Listed, Read};
use super::operate::{Stop, Work};
use super::orders::committed;
use super::reads::{cut, one_more};
use super::{Answer, Engine, EngineError, Inner};
use crate::domain::account::{AccountCommand, AccountView, LoginStatus};
use crate::domain::country::Country;
use crate::domain::plan::{AccountTerms, BasisPoints, Plan, PlanCommand, PlanList};
use crate::domain::rejection::Missing;
use crate::domain::text::Name;
use crate::domain::{AccountId, Money, Operation, PlanId};
use crate::owners::account_kinds::ThePlans;
use crate::owners::mailbox::{Committed, Glimpse};
use crate::owners::{Party, Unborn};
use crate::store::{AccountFilter, Page, TransitionRow};
use serde::Serialize;
use std::sync::Arc;

/// Accounts that one import creates, at most: with the longest labels they fit into a record.
pub const ACCOUNTS_MAX: usize = 1_000;
/// What an account takes in a record at most, without its label.
const ACCOUNT_BYTES: usize = 128;

/// What a plan is to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NewPlanRequest {
    pub name: Name,
    /// Above 0.
    pub target: Money,
    pub payout: BasisPoints,
}

/// What an account is to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NewAccountRequest {
    pub label: Name,
    pub country: Country,
    pub plan_id: PlanId,
}

/// Accounts read from a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ImportRequest {
    pub accounts: Vec<NewAccountRequest>,
    /// A digest of the whole file: under one key a retry is of the same file, whatever was wrong with some of it.
    pub file: [u8; 32],
}

impl Engine {
    /// Creates a plan, for good. [`Outcome::PlanCreated`](crate::domain::Outcome::PlanCreated).
    ///
    /// # Errors
    /// No rejections.
    pub async fn create_plan(&self, call: Call, request: NewPlanRequest) -> Answer {
        self.inner.operate(call, Operation::CreatePlan, request, create_plan).await
    }

    /// Plans, the newest first.
    ///
    /// # Errors
    /// When the store cannot be asked, or has not caught up in time.
    pub async fn plans(&self, page: Page, fresh: Freshness) -> Result<Read<Listed<Plan>>, EngineError> {
        self.inner.plans(page, fresh).await
    }

    /// Creates an account. [`Outcome::Account`](crate::domain::Outcome::Account).
    ///
    /// # Errors
    /// Rejections: unknown plan.
    pub async fn create_account(&self, call: Call, request: NewAccountRequest) -> Answer {
        let run = |work, request| open(work, vec![request], Vec::new());
        self.inner.operate(call, Operation::CreateAccount, request, run).await
    }

    /// Creates up to [`ACCOUNTS_MAX`] accounts in one record, but those on plans that do not exist.
    /// [`Outcome::AccountsImported`](crate::domain::Outcome::AccountsImported).
    ///
    /// # Errors
    /// No rejections.
    pub async fn import_accounts(&self, call: Call, request: ImportRequest) -> Answer {
        self.inner.operate(call, Operation::ImportAccounts, request, import).await
    }

    /// One account.
    ///
    /// # Errors
    /// Rejections: not found. Or the store cannot be asked.
    pub async fn account(&self, id: AccountId, fresh: Freshness) -> Result<Read<AccountView>, EngineError> {
        let inner = &self.inner;
        inner.look(&inner.accounts, id, Missing::Account, fresh, |glimpse| glimpse.entity.view()).await
    }

    /// Accounts, the newest first.
    ///
    /// # Errors
    /// As [`Self::plans`].
    pub async fn accounts(
        &self,
        filter: AccountFilter,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<AccountView>>, EngineError> {
        self.inner.accounts(filter, page, fresh).await
    }

    /// All that became of an account, the newest first.
    ///
    /// # Errors
    /// Rejections: not found. Or as [`Self::plans`].
    pub async fn transitions(
        &self,
        id: AccountId,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<TransitionRow>>, EngineError> {
        self.inner.transitions(id, page, fresh).await
    }

    /// Says whether somebody is logged in at the provider; other accounts are not chosen. An exchange that runs goes on.
    /// [`Outcome::Account`](crate::domain::Outcome::Account).
    ///
    /// # Errors
    /// Rejections: not found.
    pub async fn set_login(&self, call: Call, id: AccountId, login: LoginStatus) -> Answer {
        let run = |work, (id, login)| step(work, id, AccountCommand::SetLogin(login));
        self.inner.operate(call, Operation::SetLogin, (id, login), run).await
    }

    /// Ends an account before its target is reached. [`Outcome::Account`](crate::domain::Outcome::Account).
    ///
    /// # Errors
    /// Rejections: not found, account locked.
    pub async fn complete_account(&self, call: Call, id: AccountId) -> Answer {
        let run = |work, id| step(work, id, AccountCommand::Complete);
        self.inner.operate(call, Operation::CompleteAccount, id, run).await
    }
}

async fn create_plan(mut work: Work, request: NewPlanRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.plans, ThePlans, Missing::Plan).await?;
    let _permit = work.admit(&owner)?;
    work.extra_bytes = 4 * crate::domain::text::NAME_MAX;
    let NewPlanRequest { name, target, payout } = request;
    let (id, created_at) = (PlanId::new(engine.ground.clock.new_id()), engine.ground.clock.now());
    let plan = Arc::new(Plan { id, name, target, payout, created_at });
    let space = work.space().await?;
    committed(work.commit(&owner, PlanCommand::Create(plan), Vec::new(), space, None).await?)
}

async fn import(work: Work, request: ImportRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.plans, ThePlans, Missing::Plan).await?;
    // Plans are for good, so that what is kept here is not refused there.
    let sort = move |glimpse: &mut Glimpse<'_, PlanList>| {
        let (mut kept, mut left_out) = (Vec::with_capacity(request.accounts.len()), Vec::new());
        for (request, place) in request.accounts.into_iter().zip(0..) {
            match glimpse.entity.plan(request.plan_id) {
                Some(_) => kept.push(request),
                None => left_out.push(place),
            }
        }
        (kept, left_out)
    };
    let (requests, left_out) = engine.view(&owner, sort).await?;
    open(work, requests, left_out).await
}

async fn open(
    mut work: Work,
    requests: Vec<NewAccountRequest>,
    left_out: Vec<u32>,
) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.plans, ThePlans, Missing::Plan).await?;
    let _permit = work.admit(&owner)?;
    let bytes = |request: &NewAccountRequest| ACCOUNT_BYTES + request.label.as_str().len();
    work.extra_bytes = 8 * left_out.len() + requests.iter().map(bytes).sum::<usize>();
    let mut accounts = Vec::with_capacity(requests.len());
    let mut unborn: Vec<Unborn<_>> = Vec::with_capacity(requests.len());
    let count = requests.len() as u64;
    let first = engine.view(&owner, move |glimpse| glimpse.entity.reserve_accounts(count)).await?;
    for (NewAccountRequest { label, country, plan_id }, number) in requests.into_iter().zip(first..) {
        let id = AccountId::new(engine.ground.clock.new_id());
        let account = engine.accounts.spawn_unborn(id).await;
        unborn.push(account.map_err(|error| engine.not_pinned(error, Missing::Account))?);
        accounts.push(AccountTerms { id, number, label, country, plan_id });
    }
    let space = work.space().await?;
    let parties = unborn.iter().map(|account| Box::new(account.pin()) as Box<dyn Party>).collect();
    let command = PlanCommand::OpenAccounts { accounts, left_out };
    committed(work.commit(&owner, command, parties, space, None).await?)
}

async fn step(mut work: Work, id: AccountId, command: AccountCommand) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.accounts, id, Missing::Account).await?;
    let _permit = work.admit(&owner)?;
    // Under a key, the account as it was stands in the record.
    work.extra_bytes = 8 * crate::domain::text::NAME_MAX;
    let space = work.space().await?;
    committed(work.commit(&owner, command, Vec::new(), space, None).await?)
}

impl Inner {
    async fn plans(&self, page: Page, fresh: Freshness) -> Result<Read<Listed<Plan>>, EngineError> {
        self.caught_up(fresh).await?;
        let snapshot = self.ground.store.read(|store| store.plans(one_more(page))).await?;
        Ok(Read { value: cut(snapshot.value, page), as_of: snapshot.watermark })
    }

    async fn accounts(
        &self,
        filter: AccountFilter,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<AccountView>>, EngineError> {
        self.caught_up(fresh).await?;
        let snapshot = self.ground.store.read(|store| store.accounts(filter, one_more(page))).await?;
        Ok(Read { value: cut(snapshot.value, page), as_of: snapshot.watermark })
    }

    async fn transitions(
        &self,
        id: AccountId,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<TransitionRow>>, EngineError> {
        // What the owner says of the account now is in the list, too.
        let owner = self.pin(&self.accounts, id, Missing::Account).await?;
        let min_seq = fresh.min_seq.max(Some(owner.cell.last()));
        self.caught_up(Freshness { min_seq, ..fresh }).await?;
        let snapshot = self.ground.store.read(|store| store.transitions(id, one_more(page))).await?;
        Ok(Read { value: cut(snapshot.value, page), as_of: snapshot.watermark })
    }
}
