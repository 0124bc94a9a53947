//! `/redemption/plans`: what accounts are to redeem, and what users are paid of it.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Admin, MinSeq, Terms};
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339};
use super::validate::Checks;
use crate::domain::plan::Plan;
use crate::domain::{Outcome, Timestamp};
use crate::engine::NewPlanRequest;
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create_plan).service(list_plans);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanDto {
    name: String,
    /// An account that has redeemed this much is completed.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    target_amount: i64,
    /// The user's share of each card, in hundredths of a percent.
    #[schema(minimum = 0, maximum = 10_000)]
    payout_bps: i64,
}

impl Input for PlanDto {
    type Domain = NewPlanRequest;

    fn parse(self, checks: &mut Checks) -> Option<NewPlanRequest> {
        let name = checks.name("name", &self.name);
        let target = checks.amount("target_amount", self.target_amount);
        let payout = checks.basis_points("payout_bps", self.payout_bps);
        Some(NewPlanRequest { name: name?, target: target?, payout: payout? })
    }
}

#[derive(Serialize, ToSchema)]
struct PlanView<'a> {
    id: Uuid,
    name: &'a str,
    target_amount: i64,
    payout_bps: u32,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl<'a> PlanView<'a> {
    fn of(plan: &'a Plan) -> Self {
        Self {
            id: plan.id.get(),
            name: plan.name.as_str(),
            target_amount: plan.target.minor(),
            payout_bps: plan.payout.get(),
            created_at: plan.created_at,
        }
    }
}

/// Creates a plan, for good.
#[utoipa::path(tag = "redemption", request_body = PlanDto, responses((status = 201, body = PlanView)),
    security(("bearer" = [])))]
#[post("/redemption/plans")]
async fn create_plan(web: Web, admin: Admin, terms: Terms, body: Body<PlanDto>) -> Answer {
    let reply = web.engine().create_plan(terms.by(&admin.0), body.0).await?;
    match &reply.outcome {
        Outcome::PlanCreated(plan) => {
            if !reply.replayed {
                info!(target: "audit", admin = %admin.0.user_id, plan = %plan.id, "a plan was created");
            }
            reply::mutation(StatusCode::CREATED, &reply, &PlanView::of(plan))
        }
        other => Err(reply::misfit(other)),
    }
}

/// Lists the plans, newest first.
#[utoipa::path(tag = "redemption", responses((status = 200, body = Rows<PlanView>)), security(("bearer" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)))]
#[get("/redemption/plans")]
async fn list_plans(web: Web, admin: Admin, fresh: MinSeq, query: Query) -> Answer {
    let listed = web.engine().plans(query.page()?, fresh.of(Some(&admin.0))).await?;
    reply::list(&listed, PlanView::of)
}
