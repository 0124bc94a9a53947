//! `/orders`: several lines bought whole or not at all, and the steps of an order's life.

use super::app::Web;
use super::body::{Body, Input, Object};
use super::extract::{Admin, Caller, MinSeq, PathId, Terms};
use super::problem::{FieldErrors, Problem};
use super::purchases::result_word;
use super::query::Query;
use super::reply::{self, Answer, rfc3339};
use super::validate::{Checks, line_path};
use crate::domain::order::{Order, OrderStatus};
use crate::domain::{Money, OrderId, Outcome, Rejection, Timestamp, UserId};
use crate::engine::{EngineError, LineRequest, OrderRequest, Pricing, Reply, StepRequest};
use crate::store::OrderFilter;
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

const LINES_MAX: usize = 1_000;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(place).service(list).service(show).service(cancel).service(ship).service(deliver);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineDto {
    product_id: i64,
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
    #[schema(minimum = 0)]
    unit_price: i64,
}

/// Lines as they are sent with orders and returns, with their sum.
pub fn parse_lines(checks: &mut Checks, lines: Vec<Object<LineDto>>) -> Option<(Vec<LineRequest>, Money)> {
    if lines.is_empty() {
        checks.add("items", "must have at least 1 line");
    } else if lines.len() > LINES_MAX {
        checks.add("items", format!("must have at most {LINES_MAX} lines"));
        return None;
    }
    let mut sum = Some(Money::ZERO);
    let mut parsed = Vec::with_capacity(lines.len());
    for (index, Object(line)) in lines.into_iter().enumerate() {
        let before = parsed.len();
        // Paths are only needed for messages; a sound line costs none.
        let mut trial = Checks::default();
        let whole = (
            trial.product_id("", line.product_id),
            trial.quantity("", line.quantity),
            trial.money("", line.unit_price),
        );
        if let (Some(product_id), Some(quantity), Some(unit_price)) = whole {
            sum = sum.and_then(|sum| sum.checked_add(unit_price.times(quantity)?));
            parsed.push(LineRequest { product_id, quantity, unit_price });
        }
        if parsed.len() == before {
            checks.product_id(&line_path(index, "product_id"), line.product_id);
            checks.quantity(&line_path(index, "quantity"), line.quantity);
            checks.money(&line_path(index, "unit_price"), line.unit_price);
        }
    }
    if sum.is_none() {
        checks.add("items", "must not be worth more than 2^53-1");
    }
    Some((parsed, sum?))
}

/// Names the lines whose product is unknown.
pub fn blame_lines(error: EngineError, lines: &[LineRequest]) -> Problem {
    let EngineError::Rejected { rejection: Rejection::UnknownProduct { product_id }, .. } = &error else {
        return error.into();
    };
    let guilty = lines.iter().enumerate().filter(|(_, line)| line.product_id == *product_id);
    let message = || vec!["does not exist".to_owned()];
    let errors: FieldErrors =
        guilty.map(|(index, _)| (line_path(index, "product_id"), message())).collect();
    if errors.is_empty() { error.into() } else { Problem::validation(errors) }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OrderDto {
    /// 1-1,000 lines.
    #[schema(value_type = Vec<LineDto>)]
    items: Vec<Object<LineDto>>,
    /// The sum over all lines.
    total_amount: i64,
    /// Admins may buy for somebody else.
    user_id: Option<i64>,
}

struct NewOrder {
    lines: Vec<LineRequest>,
    user_id: Option<UserId>,
}

impl Input for OrderDto {
    type Domain = NewOrder;
    const LARGE: bool = true;

    fn parse(self, checks: &mut Checks) -> Option<NewOrder> {
        let lines = parse_lines(checks, self.items);
        let total = checks.money("total_amount", self.total_amount);
        let user_id = checks.optional(self.user_id, |checks, id| checks.user_id("user_id", id));
        let (lines, sum) = lines?;
        if total? != sum {
            checks.add("total_amount", format!("must be the sum over all lines, {sum}"));
        }
        Some(NewOrder { lines, user_id: user_id? })
    }
}

#[derive(Serialize, ToSchema)]
struct PlacedView {
    message: &'static str,
    order_id: Uuid,
    status: &'static str,
    seq: u64,
}

#[derive(Serialize, ToSchema)]
struct OrderView<'a> {
    id: Uuid,
    user_id: u64,
    status: &'static str,
    total_amount: i64,
    shard_id: u32,
    failure: Option<FailureView<'a>>,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    items: Vec<LineView<'a>>,
}

#[derive(Serialize, ToSchema)]
struct FailureView<'a> {
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<u64>,
}

#[derive(Serialize, ToSchema)]
struct LineView<'a> {
    product_id: u64,
    quantity: u32,
    unit_price: i64,
    product: LineProductView<'a>,
}

/// The product as it stood when the order was decided.
#[derive(Serialize, ToSchema)]
struct LineProductView<'a> {
    id: u64,
    name: &'a str,
    price: i64,
}

impl<'a> OrderView<'a> {
    fn of(order: &'a Order, shards: u32) -> Self {
        let line = |line: &'a crate::domain::order::OrderLine| LineView {
            product_id: line.product_id.get(),
            quantity: line.quantity.get(),
            unit_price: line.unit_price.minor(),
            product: LineProductView {
                id: line.product_id.get(),
                name: line.product_name.as_str(),
                price: line.product_price.minor(),
            },
        };
        Self {
            id: order.id.get(),
            user_id: order.user_id.get(),
            status: order.status.word(),
            total_amount: order.total.minor(),
            shard_id: order.id.shard(shards),
            failure: order.failure.as_ref().map(|failure| FailureView {
                code: &failure.code,
                detail: &failure.detail,
                product_id: failure.product_id.map(|id| id.get()),
            }),
            created_at: order.created_at,
            updated_at: order.updated_at,
            items: order.lines.iter().map(line).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct OneOrder<'a> {
    order: OrderView<'a>,
}

#[derive(Serialize, ToSchema)]
struct SteppedView<'a> {
    order_id: Uuid,
    status: &'static str,
    order: OrderView<'a>,
}

fn answer_step(web: &Web, reply: &Reply) -> Answer {
    match &reply.outcome {
        Outcome::OrderStepped(order) => {
            let view = OrderView::of(order, web.options().order_shards);
            let view = SteppedView { order_id: view.id, status: view.status, order: view };
            reply::mutation(StatusCode::OK, reply, &view)
        }
        other => Err(reply::misfit(other)),
    }
}

/// Places an order.
#[utoipa::path(tag = "orders", request_body = OrderDto, responses((status = 201, body = PlacedView)),
    security(("bearer" = [])))]
#[post("/orders")]
async fn place(web: Web, caller: Caller, terms: Terms, body: Body<OrderDto>) -> Answer {
    if terms.respond_async {
        return Err(Problem::bad_request("prefer: respond-async is not supported; orders are decided at once"));
    }
    let NewOrder { lines, user_id } = body.0;
    let user_id = user_id.unwrap_or(caller.user_id);
    if user_id != caller.user_id && !caller.is_admin() {
        return Err(Problem::forbidden("only admins may buy for somebody else"));
    }
    let pricing = if caller.is_admin() { Pricing::AsGiven } else { Pricing::Claimed };
    let started = Instant::now();
    let request = OrderRequest { user_id, lines: lines.clone(), pricing };
    let ordered = web.engine().order(terms.by(&caller), request).await;
    web.count_purchase(result_word(&ordered), started.elapsed());
    let reply = ordered.map_err(|error| blame_lines(error, &lines))?;
    match &reply.outcome {
        Outcome::Ordered { order_id, status, .. } => {
            let view = PlacedView {
                message: "Order created successfully",
                order_id: order_id.get(),
                status: status.word(),
                seq: reply.seq.get(),
            };
            reply::mutation(StatusCode::CREATED, &reply, &view)
        }
        other => Err(reply::misfit(other)),
    }
}

/// Lists orders, newest first: one's own, or everybody's for an admin.
#[utoipa::path(tag = "orders", responses((status = 200, body = [OrderView])), security(("bearer" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query),
        ("status" = Option<String>, Query), ("user_id" = Option<u64>, Query)))]
#[get("/orders")]
async fn list(web: Web, caller: Caller, fresh: MinSeq, query: Query) -> Answer {
    let wanted = query.user_id("user_id")?;
    let own = caller.own_only();
    if own.is_some() && wanted.is_some_and(|wanted| wanted != caller.user_id) {
        return Err(Problem::forbidden("only admins may list somebody else's orders"));
    }
    let status = query.word("status", OrderStatus::from_word)?;
    let filter = OrderFilter { user_id: own.or(wanted), status };
    let orders = web.engine().orders(filter, query.page()?, fresh.of(Some(&caller))).await?;
    let shards = web.options().order_shards;
    reply::list(&orders, |order| OrderView::of(order, shards))
}

/// Shows an order.
#[utoipa::path(tag = "orders", params(("id" = Uuid, Path)), responses((status = 200, body = OneOrder)),
    security(("bearer" = [])))]
#[get("/orders/{id}")]
async fn show(web: Web, caller: Caller, id: PathId<OrderId>, fresh: MinSeq) -> Answer {
    let order = web.engine().order_by_id(id.0, caller.own_only(), fresh.of(Some(&caller))).await?;
    let view = OneOrder { order: OrderView::of(&order.value, web.options().order_shards) };
    reply::read(order.as_of, &view)
}

/// Cancels an order: money back, goods back.
#[utoipa::path(tag = "orders", params(("id" = Uuid, Path)), responses((status = 200, body = SteppedView)),
    security(("bearer" = [])))]
#[post("/orders/{id}/cancel")]
async fn cancel(web: Web, caller: Caller, id: PathId<OrderId>, terms: Terms) -> Answer {
    let request = StepRequest { order_id: id.0, of: caller.own_only() };
    let reply = web.engine().cancel(terms.by(&caller), request).await?;
    answer_step(&web, &reply)
}

/// Marks an order as shipped.
#[utoipa::path(tag = "orders", params(("id" = Uuid, Path)), responses((status = 200, body = SteppedView)),
    security(("bearer" = [])))]
#[post("/orders/{id}/ship")]
async fn ship(web: Web, admin: Admin, id: PathId<OrderId>, terms: Terms) -> Answer {
    let request = StepRequest { order_id: id.0, of: None };
    let reply = web.engine().ship(terms.by(&admin.0), request).await?;
    answer_step(&web, &reply)
}

/// Marks an order as delivered.
#[utoipa::path(tag = "orders", params(("id" = Uuid, Path)), responses((status = 200, body = SteppedView)),
    security(("bearer" = [])))]
#[post("/orders/{id}/deliver")]
async fn deliver(web: Web, admin: Admin, id: PathId<OrderId>, terms: Terms) -> Answer {
    let request = StepRequest { order_id: id.0, of: None };
    let reply = web.engine().deliver(terms.by(&admin.0), request).await?;
    answer_step(&web, &reply)
}
