//! `/items/{id}/purchase`: one product, one quantity, the price of the moment. The hot path.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Caller, PathId, Terms};
use super::problem::Problem;
use super::reply::{self, Answer};
use super::validate::Checks;
use crate::domain::outcome::Purchased;
use crate::domain::{Outcome, ProductId, Quantity, Rejection};
use crate::engine::{EngineError, PurchaseRequest};
use actix_web::http::StatusCode;
use actix_web::post;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PurchaseDto {
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
}

impl Input for PurchaseDto {
    type Domain = Quantity;

    fn parse(self, checks: &mut Checks) -> Option<Quantity> {
        checks.quantity("quantity", self.quantity)
    }
}

#[derive(Serialize, ToSchema)]
struct PurchasedView {
    order_id: Uuid,
    status: &'static str,
    item_id: u64,
    quantity: u32,
    unit_price: i64,
    total_amount: i64,
    remaining_stock: i64,
    balance: i64,
}

impl PurchasedView {
    fn of(purchased: &Purchased) -> Self {
        Self {
            order_id: purchased.order_id.get(),
            status: "processed",
            item_id: purchased.product_id.get(),
            quantity: purchased.quantity,
            unit_price: purchased.unit_price.minor(),
            total_amount: purchased.total.minor(),
            remaining_stock: purchased.remaining_stock,
            balance: purchased.balance,
        }
    }
}

/// The metrics' word for how a purchase or an order ended.
pub fn result_word<T>(result: &Result<T, EngineError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(EngineError::Rejected { rejection, .. }) => rejection.code(),
        Err(EngineError::NotExecuted(busy)) => Problem::from(*busy).code(),
        Err(EngineError::Unknown) => "outcome_unknown",
        Err(EngineError::Internal) => "internal",
    }
}

/// Buys one item at its current price.
#[utoipa::path(tag = "items", params(("id" = u64, Path)), request_body = PurchaseDto,
    responses((status = 201, body = PurchasedView)), security(("bearer" = [])))]
#[post("/items/{id}/purchase")]
pub async fn purchase(
    web: Web,
    caller: Caller,
    id: PathId<ProductId>,
    terms: Terms,
    body: Body<PurchaseDto>,
) -> Answer {
    let started = Instant::now();
    let request = PurchaseRequest { user_id: caller.user_id, product_id: id.0, quantity: body.0 };
    let bought = web.engine().purchase(terms.by(&caller), request).await;
    web.count_purchase(result_word(&bought), started.elapsed());
    let reply = match bought {
        // Here the product is the address, not a field.
        Err(EngineError::Rejected { rejection: rejection @ Rejection::UnknownProduct { .. }, .. }) => {
            return Err(Problem::not_found(rejection.to_string()));
        }
        bought => bought?,
    };
    match &reply.outcome {
        Outcome::Purchased(purchased) => {
            reply::mutation(StatusCode::CREATED, &reply, &PurchasedView::of(purchased))
        }
        other => Err(reply::misfit(other)),
    }
}
