//! `/redemption/accounts`: the operator's pool of provider accounts.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Admin, MinSeq, PathId, Terms};
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339};
use super::validate::Checks;
use crate::domain::account::{AccountStatus, AccountView, Lock, LoginStatus};
use crate::domain::country::Country;
use crate::domain::{AccountId, Outcome, Timestamp};
use crate::engine::{NewAccountRequest, Reply};
use crate::store::{AccountFilter, TransitionRow};
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create_account).service(list_accounts).service(show_account).service(list_transitions);
    config.service(log_account_in).service(log_account_out).service(complete_account);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountDto {
    label: String,
    /// ISO 3166-1 alpha-2.
    #[schema(min_length = 2, max_length = 2)]
    country: String,
    #[schema(value_type = Uuid)]
    plan_id: String,
}

impl Input for AccountDto {
    type Domain = NewAccountRequest;

    fn parse(self, checks: &mut Checks) -> Option<NewAccountRequest> {
        account(checks, &self.label, &self.country, &self.plan_id)
    }
}

/// The checked fields of an account that is to be.
pub fn account(checks: &mut Checks, label: &str, country: &str, plan_id: &str) -> Option<NewAccountRequest> {
    let label = checks.name("label", label);
    let country = checks.country("country", country);
    let plan_id = checks.plan_id("plan_id", plan_id);
    Some(NewAccountRequest { label: label?, country: country?, plan_id: plan_id? })
}

/// The right to exchange one card on the account.
#[derive(Serialize, ToSchema)]
struct LockView {
    redemption_id: Uuid,
    previous_status: &'static str,
    /// Grows with every lock of the account.
    fence: u64,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    deadline: Timestamp,
}

impl LockView {
    fn of(lock: &Lock) -> Self {
        Self {
            redemption_id: lock.redemption_id.get(),
            previous_status: lock.previous_status.word(),
            fence: lock.fence,
            since: lock.since,
            deadline: lock.deadline,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct AccountShown<'a> {
    id: Uuid,
    label: &'a str,
    country: &'a str,
    #[schema(pattern = "^(waiting|processing|locking|completed)$")]
    status: &'static str,
    #[schema(pattern = "^(active|inactive)$")]
    login_status: &'static str,
    plan_id: Uuid,
    /// What stands on the account at the provider.
    balance: i64,
    redeemed_total: i64,
    lock: Option<LockView>,
    version: u64,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl<'a> AccountShown<'a> {
    fn of(view: &'a AccountView) -> Self {
        Self {
            id: view.account.id.get(),
            label: view.account.label.as_str(),
            country: view.account.country.as_str(),
            status: view.status.word(),
            login_status: view.login.word(),
            plan_id: view.account.plan_id.get(),
            balance: view.redeemed_total,
            redeemed_total: view.redeemed_total,
            lock: view.lock.as_ref().map(LockView::of),
            version: view.version,
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct TransitionView {
    from: &'static str,
    to: &'static str,
    login_status: &'static str,
    reason: &'static str,
    /// The card that it was about.
    redemption_id: Option<Uuid>,
    /// What it redeemed.
    amount: i64,
    redeemed_total: i64,
    version: u64,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl TransitionView {
    fn of(row: &TransitionRow) -> Self {
        Self {
            from: row.from.word(),
            to: row.to.word(),
            login_status: row.login.word(),
            reason: row.reason.word(),
            redemption_id: row.redemption_id.map(|id| id.get()),
            amount: row.amount,
            redeemed_total: row.redeemed_total,
            version: row.version,
            created_at: row.at,
        }
    }
}

/// For the audit trail: who did what to an account.
fn note(admin: &Admin, reply: &Reply, step: &str) {
    if let (Outcome::Account(view), false) = (&reply.outcome, reply.replayed) {
        let (admin, account) = (admin.0.user_id, view.account.id);
        info!(target: "audit", %admin, %account, step, "a redemption account was stepped");
    }
}

fn answer(status: StatusCode, reply: &Reply) -> Answer {
    match &reply.outcome {
        Outcome::Account(view) => reply::mutation(status, reply, &AccountShown::of(view)),
        other => Err(reply::misfit(other)),
    }
}

/// Creates an account: waiting, and taken to be logged in.
#[utoipa::path(tag = "redemption", request_body = AccountDto, responses((status = 201, body = AccountShown)),
    security(("bearer" = [])))]
#[post("/redemption/accounts")]
async fn create_account(web: Web, admin: Admin, terms: Terms, body: Body<AccountDto>) -> Answer {
    let reply = web.engine().create_account(terms.by(&admin.0), body.0).await?;
    note(&admin, &reply, "created");
    answer(StatusCode::CREATED, &reply)
}

/// Lists the accounts, newest first.
#[utoipa::path(tag = "redemption", responses((status = 200, body = Rows<AccountShown>)), security(("bearer" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query), ("status" = Option<String>, Query),
    ("login_status" = Option<String>, Query), ("country" = Option<String>, Query)))]
#[get("/redemption/accounts")]
async fn list_accounts(web: Web, admin: Admin, fresh: MinSeq, query: Query) -> Answer {
    let filter = AccountFilter {
        status: query.word("status", AccountStatus::from_word)?,
        login: query.word("login_status", LoginStatus::from_word)?,
        country: query.word("country", Country::parse)?,
    };
    let listed = web.engine().accounts(filter, query.page()?, fresh.of(Some(&admin.0))).await?;
    reply::list(&listed, AccountShown::of)
}

/// Shows an account.
#[utoipa::path(tag = "redemption", params(("id" = Uuid, Path)), responses((status = 200, body = AccountShown)),
    security(("bearer" = [])))]
#[get("/redemption/accounts/{id}")]
async fn show_account(web: Web, admin: Admin, id: PathId<AccountId>, fresh: MinSeq) -> Answer {
    let found = web.engine().account(id.0, fresh.of(Some(&admin.0))).await?;
    reply::read(found.as_of, &AccountShown::of(&found.value))
}

/// Lists all that became of an account, newest first.
#[utoipa::path(tag = "redemption", responses((status = 200, body = Rows<TransitionView>)), security(("bearer" = [])),
    params(("id" = Uuid, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)))]
#[get("/redemption/accounts/{id}/transitions")]
async fn list_transitions(
    web: Web,
    admin: Admin,
    id: PathId<AccountId>,
    fresh: MinSeq,
    query: Query,
) -> Answer {
    let listed = web.engine().transitions(id.0, query.page()?, fresh.of(Some(&admin.0))).await?;
    reply::list(&listed, TransitionView::of)
}

/// Says that somebody is logged in at the provider: the account may be chosen.
#[utoipa::path(tag = "redemption", params(("id" = Uuid, Path)), responses((status = 200, body = AccountShown)),
    security(("bearer" = [])))]
#[post("/redemption/accounts/{id}/login")]
async fn log_account_in(web: Web, admin: Admin, id: PathId<AccountId>, terms: Terms) -> Answer {
    let reply = web.engine().set_login(terms.by(&admin.0), id.0, LoginStatus::Active).await?;
    note(&admin, &reply, "logged in");
    answer(StatusCode::OK, &reply)
}

/// Says that nobody is logged in at the provider: the account is not chosen. An exchange that runs goes on.
#[utoipa::path(tag = "redemption", params(("id" = Uuid, Path)), responses((status = 200, body = AccountShown)),
    security(("bearer" = [])))]
#[post("/redemption/accounts/{id}/logout")]
async fn log_account_out(web: Web, admin: Admin, id: PathId<AccountId>, terms: Terms) -> Answer {
    let reply = web.engine().set_login(terms.by(&admin.0), id.0, LoginStatus::Inactive).await?;
    note(&admin, &reply, "logged out");
    answer(StatusCode::OK, &reply)
}

/// Ends an account before its plan's target is reached.
#[utoipa::path(tag = "redemption", params(("id" = Uuid, Path)), responses((status = 200, body = AccountShown)),
    security(("bearer" = [])))]
#[post("/redemption/accounts/{id}/complete")]
async fn complete_account(web: Web, admin: Admin, id: PathId<AccountId>, terms: Terms) -> Answer {
    let reply = web.engine().complete_account(terms.by(&admin.0), id.0).await?;
    note(&admin, &reply, "completed");
    answer(StatusCode::OK, &reply)
}
