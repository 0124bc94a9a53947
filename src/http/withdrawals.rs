//! `/withdrawals`: money that users want paid out, and what administrators make of it.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Admin, Caller, MinSeq, PathId, Terms};
use super::problem::Problem;
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339};
use super::validate::Checks;
use crate::domain::withdrawal::Withdrawal;
use crate::domain::{Money, Outcome, Timestamp, WithdrawalId};
use crate::engine::{Reply, WithdrawalRequest};
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(ask).service(list).service(show).service(complete).service(reject);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WithdrawalDto {
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    amount: i64,
}

impl Input for WithdrawalDto {
    type Domain = Money;

    fn parse(self, checks: &mut Checks) -> Option<Money> {
        checks.amount("amount", self.amount)
    }
}

#[derive(Serialize, ToSchema)]
struct WithdrawalView {
    id: Uuid,
    user_id: u64,
    amount: i64,
    status: &'static str,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl WithdrawalView {
    fn of(withdrawal: &Withdrawal) -> Self {
        Self {
            id: withdrawal.id.get(),
            user_id: withdrawal.user_id.get(),
            amount: withdrawal.amount.minor(),
            status: withdrawal.status.word(),
            created_at: withdrawal.created_at,
            updated_at: withdrawal.updated_at,
        }
    }
}

fn answer(status: StatusCode, reply: &Reply) -> Answer {
    match &reply.outcome {
        Outcome::Withdrawal(withdrawal) => reply::mutation(status, reply, &WithdrawalView::of(withdrawal)),
        other => Err(reply::misfit(other)),
    }
}

/// Asks for a payout: the amount leaves the balance at once.
#[utoipa::path(tag = "withdrawals", request_body = WithdrawalDto, responses((status = 201, body = WithdrawalView)),
    security(("bearer" = [])))]
#[post("/withdrawals")]
async fn ask(web: Web, caller: Caller, terms: Terms, body: Body<WithdrawalDto>) -> Answer {
    let request = WithdrawalRequest { user_id: caller.user_id, amount: body.0 };
    answer(StatusCode::CREATED, &web.engine().request_withdrawal(terms.by(&caller), request).await?)
}

/// Lists withdrawals, newest first: one's own, or everybody's for an admin.
#[utoipa::path(tag = "withdrawals", responses((status = 200, body = Rows<WithdrawalView>)), security(("bearer" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query), ("user_id" = Option<u64>, Query)))]
#[get("/withdrawals")]
async fn list(web: Web, caller: Caller, fresh: MinSeq, query: Query) -> Answer {
    let wanted = query.user_id("user_id")?;
    let own = caller.own_only();
    if own.is_some() && wanted.is_some_and(|wanted| wanted != caller.user_id) {
        return Err(Problem::forbidden("only admins may list somebody else's withdrawals"));
    }
    let listed = web.engine().withdrawals(own.or(wanted), query.page()?, fresh.of(Some(&caller))).await?;
    reply::list(&listed, WithdrawalView::of)
}

/// Shows a withdrawal.
#[utoipa::path(tag = "withdrawals", params(("id" = Uuid, Path)), responses((status = 200, body = WithdrawalView)),
    security(("bearer" = [])))]
#[get("/withdrawals/{id}")]
async fn show(web: Web, caller: Caller, id: PathId<WithdrawalId>, fresh: MinSeq) -> Answer {
    let found = web.engine().withdrawal(id.0, caller.own_only(), fresh.of(Some(&caller))).await?;
    reply::read(found.as_of, &WithdrawalView::of(&found.value))
}

/// Records the payout. The distributor's level is looked at in the background.
#[utoipa::path(tag = "withdrawals", params(("id" = Uuid, Path)), responses((status = 200, body = WithdrawalView)),
    security(("bearer" = [])))]
#[post("/withdrawals/{id}/complete")]
async fn complete(web: Web, admin: Admin, id: PathId<WithdrawalId>, terms: Terms) -> Answer {
    answer(StatusCode::OK, &web.engine().complete_withdrawal(terms.by(&admin.0), id.0).await?)
}

/// Gives the money back.
#[utoipa::path(tag = "withdrawals", params(("id" = Uuid, Path)), responses((status = 200, body = WithdrawalView)),
    security(("bearer" = [])))]
#[post("/withdrawals/{id}/reject")]
async fn reject(web: Web, admin: Admin, id: PathId<WithdrawalId>, terms: Terms) -> Answer {
    answer(StatusCode::OK, &web.engine().reject_withdrawal(terms.by(&admin.0), id.0).await?)
}
