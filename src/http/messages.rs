//! `/messages`: how the work in the background stands, and what administrators do with dead letters.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Admin, MinSeq, PathId, Terms};
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339, rfc3339_option};
use super::validate::Checks;
use crate::domain::message::{MessageKind, Payload};
use crate::domain::record::Batch;
use crate::domain::{MessageId, Outcome, Timestamp};
use crate::engine::{DeadLetter, KindStats, MessageStats, RETRIED_MAX};
use actix_web::http::StatusCode;
use actix_web::{delete, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tracing::info;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// Dead letters put back at once, unless the request says otherwise.
const RETRIED: u32 = 100;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(show_stats).service(list).service(show).service(retry_many).service(retry).service(purge);
}

#[derive(Serialize, ToSchema)]
struct StatsView {
    ready: u64,
    delayed: u64,
    running: u64,
    failed: u64,
    /// Since the store was made.
    succeeded_total: u64,
    /// How long the longest waiting of the ready messages has been ready.
    oldest_ready_seconds: f64,
    #[schema(value_type = Object)]
    by_kind: BTreeMap<&'static str, KindStats>,
}

impl StatsView {
    fn of(stats: &MessageStats, now: Timestamp) -> Self {
        let sum = |count: fn(&KindStats) -> u64| stats.by_kind.values().map(count).sum();
        Self {
            ready: sum(|kind| kind.ready),
            delayed: sum(|kind| kind.delayed),
            running: sum(|kind| kind.running),
            failed: sum(|kind| kind.failed),
            succeeded_total: sum(|kind| kind.succeeded_total),
            oldest_ready_seconds: stats.oldest_ready_seconds(now),
            by_kind: stats.by_kind.iter().map(|(kind, stats)| (kind.word(), *stats)).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ErrorView<'a> {
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    attempt: u32,
    error: &'a str,
}

#[derive(Serialize, ToSchema)]
struct MessageView<'a> {
    id: Uuid,
    kind: &'static str,
    /// Messages of one kind with the same key are done in order.
    key: String,
    #[schema(value_type = Object)]
    payload: Value,
    status: &'static str,
    attempts: u32,
    #[serde(serialize_with = "rfc3339_option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    errors: Vec<ErrorView<'a>>,
}

impl<'a> MessageView<'a> {
    fn of(letter: &'a DeadLetter) -> Self {
        let (open, message) = (&letter.open, &letter.open.message);
        let errors = letter.errors.iter().map(|error| ErrorView {
            at: error.at,
            attempt: error.attempt,
            error: error.error.as_str(),
        });
        Self {
            id: message.id.get(),
            kind: message.kind().word(),
            key: message.key().to_string(),
            payload: match message.payload {
                Payload::ProcessOrder { order_id, .. } => json!({"order_id": order_id}),
                Payload::UpgradeCheck { withdrawal_id } => {
                    json!({"distributor_id": message.user_id, "triggering_withdrawal_id": withdrawal_id})
                }
                Payload::RedeemCard { redemption_id, payout } => {
                    json!({"redemption_id": redemption_id, "user_id": message.user_id, "payout": payout})
                }
                Payload::OrderShipped { order_id, total } => {
                    json!({"order_id": order_id, "user_id": message.user_id, "total_amount": total})
                }
            },
            status: "failed",
            attempts: open.attempts,
            next_attempt_at: open.next_attempt_at,
            created_at: message.created_at,
            errors: errors.collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct RetriedView {
    id: Uuid,
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
struct RetriedManyView {
    retried: u32,
}

/// How many messages stand how.
#[utoipa::path(tag = "messages", responses((status = 200, body = StatsView)), security(("bearer" = [])))]
#[get("/messages/stats")]
async fn show_stats(web: Web, _admin: Admin) -> Answer {
    reply::json(StatusCode::OK, &StatsView::of(&web.engine().message_stats(), web.now()))
}

/// Lists dead letters, newest first.
#[utoipa::path(tag = "messages", responses((status = 200, body = Rows<MessageView>)), security(("bearer" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query), ("kind" = Option<String>, Query)))]
#[get("/messages/failed")]
async fn list(web: Web, admin: Admin, fresh: MinSeq, query: Query) -> Answer {
    let kind = query.word("kind", MessageKind::from_word)?;
    let letters = web.engine().dead_letters(kind, query.page()?, fresh.of(Some(&admin.0))).await?;
    reply::list(&letters, MessageView::of)
}

/// Shows a dead letter with all that went wrong.
#[utoipa::path(tag = "messages", params(("id" = Uuid, Path)), responses((status = 200, body = MessageView)),
    security(("bearer" = [])))]
#[get("/messages/failed/{id}")]
async fn show(web: Web, admin: Admin, id: PathId<MessageId>, fresh: MinSeq) -> Answer {
    let letter = web.engine().dead_letter(id.0, fresh.of(Some(&admin.0))).await?;
    reply::read(letter.as_of, &MessageView::of(&letter.value))
}

/// Puts a dead letter back: it is tried at once, and as often as a new message.
#[utoipa::path(tag = "messages", params(("id" = Uuid, Path)), responses((status = 200, body = RetriedView)),
    security(("bearer" = [])))]
#[post("/messages/failed/{id}/retry")]
async fn retry(web: Web, admin: Admin, id: PathId<MessageId>, terms: Terms) -> Answer {
    let reply = web.engine().retry_message(terms.by(&admin.0), id.0).await?;
    info!(target: "audit", admin = %admin.0.user_id, id = %id.0, "a dead letter was put back");
    reply::mutation(StatusCode::OK, &reply, &RetriedView { id: id.0.get(), status: "ready" })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetryDto {
    /// Only of this kind.
    kind: Option<String>,
    /// 1-1,000, the oldest first; 100 if missing.
    limit: Option<i64>,
}

struct Retry {
    kind: Option<MessageKind>,
    limit: u32,
}

impl Input for RetryDto {
    type Domain = Retry;
    const OPTIONAL: bool = true;

    fn parse(self, checks: &mut Checks) -> Option<Retry> {
        let kind = checks.optional(self.kind, |checks, word| {
            let kind = MessageKind::from_word(&word);
            if kind.is_none() {
                checks.add("kind", "is not a kind of message");
            }
            kind
        });
        let limit = checks.count("limit", self.limit.unwrap_or(RETRIED.into()), RETRIED_MAX);
        Some(Retry { kind: kind?, limit: limit? })
    }
}

/// Puts many dead letters back, the oldest first and a little apart.
#[utoipa::path(tag = "messages", request_body = RetryDto, responses((status = 200, body = RetriedManyView)),
    security(("bearer" = [])))]
#[post("/messages/failed/retry")]
async fn retry_many(web: Web, admin: Admin, terms: Terms, body: Body<RetryDto>) -> Answer {
    let Retry { kind, limit } = body.0;
    let reply = web.engine().retry_messages(terms.by(&admin.0), kind, limit).await?;
    let Outcome::Batch(Batch { count: retried, .. }) = reply.outcome else {
        return Err(reply::misfit(&reply.outcome));
    };
    info!(target: "audit", admin = %admin.0.user_id, retried, "dead letters were put back");
    reply::mutation(StatusCode::OK, &reply, &RetriedManyView { retried })
}

/// Gives a dead letter up: an order that waits for it ends as failed.
///
/// One of the kind `redeem_card` owes the payout of a card that was taken: 409 `invalid_state`. Retry it once there is room.
#[utoipa::path(tag = "messages", params(("id" = Uuid, Path)), responses((status = 204)), security(("bearer" = [])))]
#[delete("/messages/failed/{id}")]
async fn purge(web: Web, admin: Admin, id: PathId<MessageId>, terms: Terms) -> Answer {
    let reply = web.engine().purge_message(terms.by(&admin.0), id.0).await?;
    info!(target: "audit", admin = %admin.0.user_id, id = %id.0, "a dead letter was purged");
    reply::empty(&reply)
}
