//! `/returns`: goods come back, money goes back, in one step.

use super::app::Web;
use super::body::{Body, Input, Object};
use super::extract::{Admin, Terms, uuid};
use super::lines::{LineDto, blame_lines, parse_lines};
use super::reply::{self, Answer};
use super::validate::Checks;
use crate::domain::order::{GoodsReturn, ReturnLine};
use crate::domain::{OrderId, Outcome};
use crate::engine::ReturnRequest;
use actix_web::http::StatusCode;
use actix_web::post;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(take_back);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReturnDto {
    user_id: i64,
    /// Bounds the return, product by product, by what this order has left: units, and what was paid for them.
    order_id: Option<String>,
    #[schema(value_type = Vec<LineDto>)]
    items: Vec<Object<LineDto>>,
    reason: Option<String>,
}

impl Input for ReturnDto {
    type Domain = ReturnRequest;
    const LARGE: bool = true;

    fn parse(self, checks: &mut Checks) -> Option<ReturnRequest> {
        let user_id = checks.user_id("user_id", self.user_id);
        let order_id = checks.optional(self.order_id, |checks, text| {
            let id = uuid(&text).map(OrderId::new);
            if id.is_none() {
                checks.add("order_id", "must be the id of an order");
            }
            id
        });
        let lines = parse_lines(checks, self.items);
        let reason = checks.optional(self.reason, |checks, text| checks.text("reason", &text));
        Some(ReturnRequest { user_id: user_id?, order_id: order_id?, lines: lines?.0, reason: reason? })
    }
}

#[derive(Serialize, ToSchema)]
struct ReturnView<'a> {
    id: Uuid,
    user_id: u64,
    order_id: Option<Uuid>,
    total_amount: i64,
    reason: Option<&'a str>,
    /// The user's balance right after the return.
    balance: i64,
    items: Vec<ReturnLineView>,
}

#[derive(Serialize, ToSchema)]
struct ReturnLineView {
    product_id: u64,
    quantity: u32,
    unit_price: i64,
}

impl<'a> ReturnView<'a> {
    fn of(goods: &'a GoodsReturn, balance: i64) -> Self {
        let line = |line: &ReturnLine| ReturnLineView {
            product_id: line.product_id.get(),
            quantity: line.quantity.get(),
            unit_price: line.unit_price.minor(),
        };
        Self {
            id: goods.id.get(),
            user_id: goods.user_id.get(),
            order_id: goods.order_id.map(OrderId::get),
            total_amount: goods.total.minor(),
            reason: goods.reason.as_ref().map(super::super::domain::text::Text::as_str),
            balance,
            items: goods.lines.iter().map(line).collect(),
        }
    }
}

/// Takes goods back.
#[utoipa::path(tag = "orders", request_body = ReturnDto, responses((status = 201, body = ReturnView)),
    security(("bearer" = [])))]
#[post("/returns")]
async fn take_back(web: Web, admin: Admin, terms: Terms, body: Body<ReturnDto>) -> Answer {
    let lines = body.0.lines.clone();
    let returned = web.engine().take_back(terms.by(&admin.0), body.0).await;
    let reply = returned.map_err(|error| blame_lines(error, &lines))?;
    match &reply.outcome {
        Outcome::Returned { goods, balance } => {
            reply::mutation(StatusCode::CREATED, &reply, &ReturnView::of(goods, *balance))
        }
        other => Err(reply::misfit(other)),
    }
}
