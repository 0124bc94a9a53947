//! `/redemptions/batches`: many gift cards at once.

use super::app::Web;
use super::body::{Body, Input, Object};
use super::extract::{Caller, MinSeq, PathId, Terms};
use super::redemptions::CardDto;
use super::reply::{self, Answer};
use super::validate::Checks;
use crate::domain::redemption::{CARDS_MAX, CardProblem};
use crate::domain::{BatchId, Outcome};
use crate::engine::{BatchFigures, CardRequest};
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// Literal addresses come before those with an id.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(hand_in_batch).service(show_batch).service(cancel_batch);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchDto {
    #[schema(value_type = Vec<CardDto>, min_items = 1, max_items = 10_000)]
    cards: Vec<Object<CardDto>>,
}

impl Input for BatchDto {
    type Domain = Vec<Option<CardRequest>>;
    const LARGE: bool = true;

    /// What is wrong with one card is told beside the others.
    fn parse(self, checks: &mut Checks) -> Option<Self::Domain> {
        if !(1..=CARDS_MAX).contains(&self.cards.len()) {
            checks.add("cards", format!("must be 1 to {CARDS_MAX} cards"));
            return None;
        }
        let card = |card: Object<CardDto>| {
            let mut own = Checks::default();
            let parsed = card.0.parse(&mut own);
            own.explain(parsed).ok()
        };
        Some(self.cards.into_iter().map(card).collect())
    }
}

/// A card that was not taken in.
#[derive(Serialize, ToSchema)]
struct RejectedView {
    /// Its place among the cards, from 0.
    index: u32,
    /// `validation_failed`: its code, country or face value is none.
    #[schema(pattern = "^(code_already_used|validation_failed)$")]
    code: &'static str,
}

#[derive(Serialize, ToSchema)]
struct AcceptedView {
    batch_id: Uuid,
    /// Cards that were taken in.
    total: u32,
    rejected: Vec<RejectedView>,
}

/// How many cards stand how.
#[derive(Serialize, ToSchema)]
struct BatchView {
    id: Uuid,
    user_id: u64,
    total: u32,
    queued: u32,
    locking: u32,
    succeeded: u32,
    failed: u32,
    in_doubt: u32,
    cancelled: u32,
    /// What those that succeeded were worth.
    amount: i64,
    payout: i64,
}

impl BatchView {
    const fn of(figures: &BatchFigures) -> Self {
        Self {
            id: figures.id.get(),
            user_id: figures.user_id.get(),
            total: figures.total,
            queued: figures.queued,
            locking: figures.locking,
            succeeded: figures.succeeded,
            failed: figures.failed,
            in_doubt: figures.in_doubt,
            cancelled: figures.cancelled,
            amount: figures.amount,
            payout: figures.payout,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct CancelledView {
    batch_id: Uuid,
    /// Cards that were cancelled by this.
    cancelled: u32,
}

/// Hands in up to 10,000 cards in one step; the body may have up to 1 MiB.
///
/// Cards that are none, or whose codes are on their way or were taken, are told in `rejected` and do not stand in the way of the
/// others. Each of the others is a redemption of its own, listed by `batch_id`.
#[utoipa::path(tag = "redemption", request_body = BatchDto, responses((status = 202, body = AcceptedView)),
    security(("bearer" = [])))]
#[post("/redemptions/batches")]
async fn hand_in_batch(web: Web, caller: Caller, terms: Terms, body: Body<BatchDto>) -> Answer {
    let reply = web.engine().hand_in_batch(terms.by(&caller), caller.user_id, body.0).await?;
    let Outcome::BatchHandedIn { batch_id, total, rejected } = &reply.outcome else {
        return Err(reply::misfit(&reply.outcome));
    };
    let told = |(index, problem): &(u32, CardProblem)| RejectedView { index: *index, code: problem.word() };
    let view = AcceptedView {
        batch_id: batch_id.get(),
        total: *total,
        rejected: rejected.iter().map(told).collect(),
    };
    reply::mutation(StatusCode::ACCEPTED, &reply, &view)
}

/// Shows how far a batch is.
#[utoipa::path(tag = "redemption", params(("id" = Uuid, Path)), responses((status = 200, body = BatchView)),
    security(("bearer" = [])))]
#[get("/redemptions/batches/{id}")]
async fn show_batch(web: Web, caller: Caller, id: PathId<BatchId>, fresh: MinSeq) -> Answer {
    let found = web.engine().batch(id.0, caller.own_only(), fresh.of(Some(&caller))).await?;
    reply::read(found.as_of, &BatchView::of(&found.value))
}

/// Takes all cards of a batch back that no account is locked for yet; they may be handed in again.
#[utoipa::path(tag = "redemption", params(("id" = Uuid, Path)), responses((status = 200, body = CancelledView)),
    security(("bearer" = [])))]
#[post("/redemptions/batches/{id}/cancel")]
async fn cancel_batch(web: Web, caller: Caller, id: PathId<BatchId>, terms: Terms) -> Answer {
    let reply = web.engine().cancel_batch(terms.by(&caller), id.0, caller.own_only()).await?;
    match reply.outcome {
        Outcome::BatchCancelled { count } => {
            let view = CancelledView { batch_id: id.0.get(), cancelled: count };
            reply::mutation(StatusCode::OK, &reply, &view)
        }
        ref other => Err(reply::misfit(other)),
    }
}
