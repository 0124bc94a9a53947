//! Money: one's own balance and entries, those of others for admins, and transfers.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Admin, Caller, MinSeq, PathId, Terms};
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339};
use super::validate::Checks;
use crate::domain::outcome::PostedEntry;
use crate::domain::text::Text;
use crate::domain::{Money, Outcome, Timestamp, UserId};
use crate::engine::{AdjustRequest, Freshness, Reply, TransferRequest};
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(own).service(own_entries).service(transfer);
    config.service(show).service(entries).service(increment).service(decrement);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AdjustDto {
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    amount: i64,
    reference: Option<String>,
    description: Option<String>,
}

struct Adjustment {
    amount: Money,
    reference: Option<Text>,
    description: Option<Text>,
}

impl Adjustment {
    fn of(self, user_id: UserId) -> AdjustRequest {
        let Self { amount, reference, description } = self;
        AdjustRequest { user_id, amount, reference, description }
    }
}

impl Input for AdjustDto {
    type Domain = Adjustment;

    fn parse(self, checks: &mut Checks) -> Option<Adjustment> {
        let amount = checks.amount("amount", self.amount);
        let reference = checks.optional(self.reference, |checks, text| checks.text("reference", &text));
        let description = checks.optional(self.description, |checks, text| checks.text("description", &text));
        Some(Adjustment { amount: amount?, reference: reference?, description: description? })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferDto {
    to_user_id: i64,
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    amount: i64,
    description: Option<String>,
}

impl Input for TransferDto {
    type Domain = (UserId, Money, Option<Text>);

    fn parse(self, checks: &mut Checks) -> Option<Self::Domain> {
        let to = checks.user_id("to_user_id", self.to_user_id);
        let amount = checks.amount("amount", self.amount);
        let description = checks.optional(self.description, |checks, text| checks.text("description", &text));
        Some((to?, amount?, description?))
    }
}

#[derive(Serialize, ToSchema)]
struct BalanceView<'a> {
    user_id: u64,
    amount: i64,
    version: u64,
    currency: &'a str,
}

#[derive(Serialize, ToSchema)]
struct EntryView<'a> {
    version: u64,
    seq: u64,
    delta: i64,
    balance_after: i64,
    kind: &'static str,
    order_id: Option<Uuid>,
    reference: Option<&'a str>,
    description: Option<&'a str>,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl<'a> EntryView<'a> {
    fn of(posted: &'a PostedEntry) -> Self {
        let entry = &posted.entry;
        Self {
            version: entry.posting.version,
            seq: posted.seq.get(),
            delta: entry.posting.delta,
            balance_after: entry.posting.total,
            kind: entry.kind.word(),
            order_id: entry.order_id.map(super::super::domain::ids::OrderId::get),
            reference: entry.reference.as_ref().map(Text::as_str),
            description: entry.description.as_ref().map(Text::as_str),
            created_at: posted.at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct PostedView<'a> {
    user_id: u64,
    amount: i64,
    version: u64,
    entry: EntryView<'a>,
}

#[derive(Serialize, ToSchema)]
struct TransferView {
    id: Uuid,
    amount: i64,
    /// The sender's balance right after the transfer.
    balance: i64,
}

async fn answer_balance(web: &Web, id: UserId, fresh: Freshness) -> Answer {
    let balance = web.engine().balance(id, fresh).await?;
    let view = BalanceView {
        user_id: balance.value.user_id.get(),
        amount: balance.value.amount,
        version: balance.value.version,
        currency: &web.options().currency,
    };
    reply::read(balance.as_of, &view)
}

async fn answer_entries(web: &Web, id: UserId, fresh: Freshness, query: &Query) -> Answer {
    let listed = web.engine().entries(id, query.page()?, fresh).await?;
    reply::list(&listed, EntryView::of)
}

fn answer_posted(reply: &Reply) -> Answer {
    match &reply.outcome {
        Outcome::Posted(posted) => {
            let entry = EntryView::of(posted);
            let view = PostedView {
                user_id: posted.entry.user_id.get(),
                amount: entry.balance_after,
                version: entry.version,
                entry,
            };
            reply::mutation(StatusCode::OK, reply, &view)
        }
        other => Err(reply::misfit(other)),
    }
}

/// Shows one's own balance.
#[utoipa::path(tag = "balances", responses((status = 200, body = BalanceView)), security(("bearer" = [])))]
#[get("/balance")]
async fn own(web: Web, caller: Caller, fresh: MinSeq) -> Answer {
    answer_balance(&web, caller.user_id, fresh.of(Some(&caller))).await
}

/// Lists one's own entries, newest first.
#[utoipa::path(tag = "balances", responses((status = 200, body = Rows<EntryView>)), security(("bearer" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)))]
#[get("/balance/entries")]
async fn own_entries(web: Web, caller: Caller, fresh: MinSeq, query: Query) -> Answer {
    answer_entries(&web, caller.user_id, fresh.of(Some(&caller)), &query).await
}

/// Shows a user's balance.
#[utoipa::path(tag = "balances", params(("id" = u64, Path)), responses((status = 200, body = BalanceView)),
    security(("bearer" = [])))]
#[get("/users/{id}/balance")]
async fn show(web: Web, admin: Admin, id: PathId<UserId>, fresh: MinSeq) -> Answer {
    answer_balance(&web, id.0, fresh.of(Some(&admin.0))).await
}

/// Lists a user's entries, newest first.
#[utoipa::path(tag = "balances", responses((status = 200, body = Rows<EntryView>)), security(("bearer" = [])),
    params(("id" = u64, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)))]
#[get("/users/{id}/balance/entries")]
async fn entries(web: Web, admin: Admin, id: PathId<UserId>, fresh: MinSeq, query: Query) -> Answer {
    answer_entries(&web, id.0, fresh.of(Some(&admin.0)), &query).await
}

/// Credits a user's balance.
#[utoipa::path(tag = "balances", params(("id" = u64, Path)), request_body = AdjustDto,
    responses((status = 200, body = PostedView)), security(("bearer" = [])))]
#[post("/users/{id}/balance/increment")]
async fn increment(
    web: Web,
    admin: Admin,
    id: PathId<UserId>,
    terms: Terms,
    body: Body<AdjustDto>,
) -> Answer {
    let reply = web.engine().credit(terms.by(&admin.0), body.0.of(id.0)).await?;
    answer_posted(&reply)
}

/// Debits a user's balance.
#[utoipa::path(tag = "balances", params(("id" = u64, Path)), request_body = AdjustDto,
    responses((status = 200, body = PostedView)), security(("bearer" = [])))]
#[post("/users/{id}/balance/decrement")]
async fn decrement(
    web: Web,
    admin: Admin,
    id: PathId<UserId>,
    terms: Terms,
    body: Body<AdjustDto>,
) -> Answer {
    let reply = web.engine().debit(terms.by(&admin.0), body.0.of(id.0)).await?;
    answer_posted(&reply)
}

/// Sends money to another user.
#[utoipa::path(tag = "balances", request_body = TransferDto, responses((status = 201, body = TransferView)),
    security(("bearer" = [])))]
#[post("/transfers")]
async fn transfer(web: Web, caller: Caller, terms: Terms, body: Body<TransferDto>) -> Answer {
    let (to, amount, description) = body.0;
    let request = TransferRequest { from: caller.user_id, to, amount, description };
    let reply = web.engine().transfer(terms.by(&caller), request).await?;
    match &reply.outcome {
        Outcome::Transferred { id, amount, balance } => {
            let view = TransferView { id: id.get(), amount: amount.minor(), balance: *balance };
            reply::mutation(StatusCode::CREATED, &reply, &view)
        }
        other => Err(reply::misfit(other)),
    }
}
