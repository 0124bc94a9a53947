//! `/orders`: several lines bought whole or not at all, and the steps of an order's life.

use super::app::Web;
use super::body::{Body, Input, Object};
use super::extract::{Admin, Caller, MinSeq, PathId, Terms};
use super::lines::{LineDto, blame_lines, parse_lines};
use super::order_view::OrderView;
use super::problem::Problem;
use super::purchases::result_word;
use super::query::Query;
use super::reply::{self, Answer, Rows};
use super::validate::Checks;
use crate::domain::order::OrderStatus;
use crate::domain::{OrderId, Outcome, UserId};
use crate::engine::{Lines, OrderRequest, Pricing, Reply, StepRequest};
use crate::store::OrderFilter;
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(place).service(list).service(show).service(cancel).service(ship).service(deliver);
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
    lines: Lines,
    user_id: Option<UserId>,
}

impl Input for OrderDto {
    type Domain = NewOrder;
    const LARGE: bool = true;

    fn parse(self, checks: &mut Checks) -> Option<NewOrder> {
        let lines = parse_lines(checks, self.items);
        let total = checks.money("total_amount", self.total_amount);
        let user_id = checks.optional(self.user_id, |checks, id| checks.user_id("user_id", id));
        let lines = lines?;
        let sum = lines.total();
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

/// Places an order, all or nothing.
///
/// The prices are the client's claim: if one is not the item's, 409 `price_changed`. An admin's prices are taken as given
/// (point of sale, import), and `user_id` says for whom the admin buys. With `Prefer: respond-async` the order is accepted as
/// pending and decided in the background: it ends as processed, or as failed with the refusal.
#[utoipa::path(tag = "orders", request_body = OrderDto,
    responses((status = 201, body = PlacedView), (status = 202, body = PlacedView)), security(("bearer" = [])),
    params(("Prefer" = Option<String>, Header, description = "`respond-async`: accept now, decide in the background")))]
#[post("/orders")]
async fn place(web: Web, caller: Caller, terms: Terms, body: Body<OrderDto>) -> Answer {
    let NewOrder { lines, user_id } = body.0;
    let user_id = user_id.unwrap_or(caller.user_id);
    if user_id != caller.user_id && !caller.is_admin() {
        return Err(Problem::forbidden("only admins may buy for somebody else"));
    }
    let pricing = if caller.is_admin() { Pricing::AsGiven } else { Pricing::Claimed };
    let started = Instant::now();
    let request = OrderRequest { user_id, lines: lines.clone(), pricing };
    let ordered = if terms.respond_async {
        web.engine().accept_order(terms.by(&caller), request).await
    } else {
        let ordered = web.engine().order(terms.by(&caller), request).await;
        web.count_purchase(result_word(&ordered), started.elapsed());
        ordered
    };
    let reply = ordered.map_err(|error| blame_lines(error, &lines))?;
    match &reply.outcome {
        Outcome::Ordered { order_id, status, .. } => {
            let view = PlacedView {
                message: "Order created successfully",
                order_id: order_id.get(),
                status: status.word(),
                seq: reply.seq.get(),
            };
            let code =
                if *status == OrderStatus::Pending { StatusCode::ACCEPTED } else { StatusCode::CREATED };
            reply::mutation(code, &reply, &view)
        }
        other => Err(reply::misfit(other)),
    }
}

/// Lists orders, newest first: one's own, or everybody's for an admin.
///
/// A page ends early, with a `next_cursor`, rather than to have more than 5,000 lines.
#[utoipa::path(tag = "orders", responses((status = 200, body = Rows<OrderView>)), security(("bearer" = [])),
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
