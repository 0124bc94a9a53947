//! `/items/{id}/stock` and `/items/{id}/movements`: how many there are, and why.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Admin, MinSeq, PathId, Terms};
use super::items::{ItemView, answer_item};
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339};
use super::validate::Checks;
use crate::domain::outcome::Movement;
use crate::domain::text::Text;
use crate::domain::{ProductId, StockChange, Timestamp};
use crate::engine::MoveStockRequest;
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(move_stock).service(movements);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MoveStockDto {
    delta: i64,
    reason: Option<String>,
}

impl Input for MoveStockDto {
    type Domain = (StockChange, Option<Text>);

    fn parse(self, checks: &mut Checks) -> Option<Self::Domain> {
        let delta = checks.delta("delta", self.delta);
        let reason = checks.optional(self.reason, |checks, text| checks.text("reason", &text));
        Some((delta?, reason?))
    }
}

#[derive(Serialize, ToSchema)]
struct MovementView<'a> {
    seq: u64,
    delta: i64,
    stock_after: i64,
    version: u64,
    kind: &'static str,
    order_id: Option<Uuid>,
    reason: Option<&'a str>,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

fn show_movement(movement: &Movement) -> MovementView<'_> {
    MovementView {
        seq: movement.seq.get(),
        delta: movement.delta,
        stock_after: movement.stock_after,
        version: movement.version,
        kind: movement.kind.word(),
        order_id: movement.order_id.map(super::super::domain::ids::OrderId::get),
        reason: movement.reason.as_deref(),
        created_at: movement.at,
    }
}

/// Moves stock in or out.
#[utoipa::path(tag = "items", params(("id" = u64, Path)), request_body = MoveStockDto,
    responses((status = 200, body = ItemView)), security(("bearer" = [])))]
#[post("/items/{id}/stock")]
async fn move_stock(
    web: Web,
    admin: Admin,
    id: PathId<ProductId>,
    terms: Terms,
    body: Body<MoveStockDto>,
) -> Answer {
    let (delta, reason) = body.0;
    let request = MoveStockRequest { product_id: id.0, delta, reason };
    let reply = web.engine().add_stock(terms.by(&admin.0), request).await?;
    answer_item(StatusCode::OK, &reply)
}

/// Lists an item's stock movements, newest first.
#[utoipa::path(tag = "items", responses((status = 200, body = Rows<MovementView>)), security(("bearer" = [])),
    params(("id" = u64, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)))]
#[get("/items/{id}/movements")]
async fn movements(web: Web, admin: Admin, id: PathId<ProductId>, fresh: MinSeq, query: Query) -> Answer {
    let listed = web.engine().movements(id.0, query.page()?, fresh.of(Some(&admin.0))).await?;
    reply::list(&listed, show_movement)
}
