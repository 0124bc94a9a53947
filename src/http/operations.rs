//! What operators ask: health, metrics, documentation, owners, audit.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::Admin;
use super::operation_views::{AuditView, HealthView, LiveView, OwnerView, OwnersView, SyncedView};
use super::problem::Problem;
use super::query::Query;
use super::reply::{self, Answer};
use super::validate::Checks;
use crate::domain::ProductId;
use ::metrics::gauge;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::Deserialize;
use serde_json::json;
use tracing::info;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Below `/api/v1`.
pub fn api_routes(config: &mut ServiceConfig<'_>) {
    config.service(owners).service(owner).service(audit).service(sync_stock);
}

/// At the root.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(live).service(ready).service(metrics).service(document);
}

/// The bundled Swagger UI, without a trailing slash too.
pub fn swagger_ui() -> impl actix_web::dev::HttpServiceFactory {
    let ui = SwaggerUi::new("/docs/{file:.*}").config(Config::from("/api/openapi.json"));
    let slash = actix_web::web::redirect("/docs", "/docs/").see_other();
    (slash, ui)
}

/// Whether the process runs.
#[utoipa::path(tag = "operations", responses((status = 200, body = LiveView)))]
#[get("/health/live")]
async fn live() -> Answer {
    reply::json(StatusCode::OK, &LiveView { status: "ok" })
}

/// Whether it takes requests: recovered, not halted, not draining.
#[utoipa::path(tag = "operations", responses((status = 200, body = HealthView)))]
#[get("/health/ready")]
async fn ready(web: Web) -> Answer {
    let health = web.engine().health();
    let view = HealthView::of(&health);
    if health.ready {
        return reply::json(StatusCode::OK, &view);
    }
    let detail = health.reason.clone().unwrap_or_else(|| format!("the engine is {}", health.state));
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", detail).retry_after(5);
    problem = problem.with("ready", false).with("state", health.state);
    problem = problem.with("journal", json!(view.journal)).with("store", json!(view.store));
    Err(problem.with("backlog", json!(view.backlog)))
}

/// Prometheus text.
#[utoipa::path(tag = "operations", responses((status = 200, body = String, content_type = "text/plain")))]
#[get("/metrics")]
async fn metrics(web: Web) -> HttpResponse {
    web.engine().refresh_metrics();
    let shared = web.shared();
    gauge!("purser_http_connections").set(shared.connections.count() as f64);
    gauge!("purser_http_replies_bytes").set(shared.outgoing.bytes() as f64);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(shared.metrics.render())
}

/// This API as OpenAPI.
#[utoipa::path(tag = "operations", responses((status = 200, body = Object)))]
#[get("/api/openapi.json")]
async fn document(web: Web) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(web.shared().document.clone())
}

/// Lists owners in memory: mailbox depth, holds, last position.
#[utoipa::path(tag = "operations", responses((status = 200, body = OwnersView)), security(("bearer" = [])),
    params(("kind" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
#[get("/admin/owners")]
async fn owners(web: Web, _admin: Admin, query: Query) -> Answer {
    let kind = query.text("kind")?;
    let limit = usize::try_from(query.limit()?).unwrap_or_default();
    let states = web.engine().owners(kind.as_deref(), limit).await;
    let states = states.ok_or_else(|| {
        Problem::bad_request("kind must be product, balance, session, directory, distributor or levels")
    })?;
    reply::json(StatusCode::OK, &OwnersView::of(&states))
}

/// Shows an owner, in memory or not.
#[utoipa::path(tag = "operations", responses((status = 200, body = OwnerView)), security(("bearer" = [])),
    params(("kind" = String, Path), ("id" = String, Path)))]
#[get("/admin/owners/{kind}/{id}")]
async fn owner(web: Web, _admin: Admin, request: HttpRequest) -> Answer {
    let (kind, id) = (request.match_info().query("kind"), request.match_info().query("id"));
    let state = web.engine().owner(kind, id).await;
    let state = state.ok_or_else(|| Problem::not_found("no such owner"))?;
    reply::json(StatusCode::OK, &OwnerView::of(&state))
}

/// Recomputes stock, money, orders and journal, and compares.
#[utoipa::path(tag = "operations", responses((status = 200, body = AuditView)), security(("bearer" = [])))]
#[get("/admin/audit")]
async fn audit(web: Web, admin: Admin) -> Answer {
    info!(target: "audit", admin = %admin.0.user_id, "an audit was asked for");
    let checks = web.engine().audit().await?;
    reply::read(checks.as_of, &AuditView::of(&checks.value))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SyncStockDto {
    /// Only this item.
    item_id: Option<i64>,
}

impl Input for SyncStockDto {
    type Domain = Option<ProductId>;
    const OPTIONAL: bool = true;

    fn parse(self, checks: &mut Checks) -> Option<Self::Domain> {
        checks.optional(self.item_id, |checks, id| checks.product_id("item_id", id))
    }
}

/// Compares owners, stored rows and movements, and rewrites rows that drifted.
#[utoipa::path(tag = "operations", request_body = SyncStockDto, responses((status = 200, body = SyncedView)),
    security(("bearer" = [])))]
#[post("/admin/sync-stock")]
async fn sync_stock(web: Web, admin: Admin, body: Body<SyncStockDto>) -> Answer {
    info!(target: "audit", admin = %admin.0.user_id, item = ?body.0, "a stock comparison was asked for");
    let report = web.engine().sync_stock(body.0).await?;
    reply::read(report.as_of, &SyncedView::of(&report.value))
}
