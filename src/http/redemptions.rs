//! `/redemptions`: gift cards that users hand in, and what becomes of them.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Admin, Caller, MinSeq, PathId, Terms, Wait};
use super::headers;
use super::problem::Problem;
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339};
use super::validate::Checks;
use crate::domain::card::CardCode;
use crate::domain::redemption::{Redemption, RedemptionStatus};
use crate::domain::{BatchId, Outcome, RedemptionId, Timestamp};
use crate::engine::{CardRequest, Reply, Resolution, ResolveRequest};
use crate::store::RedemptionFilter;
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(hand_in).service(list).service(show).service(cancel).service(resolve);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardDto {
    /// 4 to 64 letters and digits; case, spaces and dashes do not matter.
    #[serde(deserialize_with = "untold")]
    #[schema(min_length = 4, pattern = "^[A-Za-z0-9 -]+$")]
    code: String,
    /// ISO 3166-1 alpha-2.
    #[schema(pattern = "^[A-Za-z]{2}$")]
    country: String,
    /// What it is said to be worth, to choose the account by.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    face_value: Option<i64>,
}

/// Of a code that is no text, an error does not repeat what it is instead.
fn untold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map_err(|_| D::Error::custom("must be a string"))
}

impl Input for CardDto {
    type Domain = CardRequest;

    fn parse(self, checks: &mut Checks) -> Option<CardRequest> {
        let code = CardCode::parse(&self.code).map_err(|wrong| checks.add("code", wrong)).ok();
        let country = checks.country("country", &self.country);
        let face_value = checks.optional(self.face_value, |checks, value| checks.amount("face_value", value));
        Some(CardRequest { code: code?, country: country?, face_value: face_value? })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResolutionDto {
    #[schema(pattern = "^(succeeded|failed)$")]
    outcome: String,
    /// What the card was worth, if it succeeded: as much as a provider may say.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    amount: Option<i64>,
}

impl Input for ResolutionDto {
    type Domain = Resolution;

    fn parse(self, checks: &mut Checks) -> Option<Resolution> {
        match (&*self.outcome, self.amount) {
            ("succeeded", Some(amount)) => checks.worth("amount", amount).map(Resolution::Taken),
            ("succeeded", None) => {
                checks.add("amount", "must say what the card was worth");
                None
            }
            ("failed", None) => Some(Resolution::Untaken),
            ("failed", Some(_)) => {
                checks.add("amount", "must not be given for a card that was not taken");
                None
            }
            _ => {
                checks.add("outcome", "must be succeeded or failed");
                None
            }
        }
    }
}

/// Why a card was not redeemed, or is in doubt.
#[derive(Serialize, ToSchema)]
struct CardFailureView<'a> {
    #[schema(pattern = "^(refused|resolved|in_doubt)$")]
    code: &'a str,
    detail: &'a str,
}

#[derive(Serialize, ToSchema)]
struct RedemptionView<'a> {
    id: Uuid,
    user_id: u64,
    batch_id: Option<Uuid>,
    country: &'a str,
    /// All that is ever shown of the code.
    code_last4: &'a str,
    face_value: Option<i64>,
    #[schema(pattern = "^(queued|locking|succeeded|failed|in_doubt|cancelled)$")]
    status: &'static str,
    account_id: Option<Uuid>,
    amount: Option<i64>,
    /// The user's share of the amount.
    payout: Option<i64>,
    failure: Option<CardFailureView<'a>>,
    /// How often the provider was asked to take the card, as far as that is written down: with a doubt and with the end.
    attempts: u32,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl<'a> RedemptionView<'a> {
    fn of(card: &'a Redemption) -> Self {
        let failure = card
            .failure
            .as_ref()
            .map(|failure| CardFailureView { code: &failure.code, detail: failure.detail.as_str() });
        Self {
            id: card.id.get(),
            user_id: card.user_id.get(),
            batch_id: card.batch_id.map(BatchId::get),
            country: card.country.as_str(),
            code_last4: &card.code_last4,
            face_value: card.face_value.map(|money| money.minor()),
            status: card.status.word(),
            account_id: card.account_id.map(|id| id.get()),
            amount: card.amount.map(|money| money.minor()),
            payout: card.payout.map(|money| money.minor()),
            failure,
            attempts: card.attempts,
            created_at: card.created_at,
            updated_at: card.updated_at,
        }
    }
}

fn answer(status: StatusCode, reply: &Reply) -> Answer {
    match &reply.outcome {
        Outcome::Redemption(card) => reply::mutation(status, reply, &RedemptionView::of(card)),
        other => Err(reply::misfit(other)),
    }
}

/// Hands in a card, to be exchanged as soon as an account is free for it.
///
/// A code that is on its way or was taken is refused: 409 `code_already_used`. One that ended untaken (failed, cancelled) may be
/// handed in again. With `Prefer: wait=N` the answer comes when the card has come to an end, or after N seconds as it then
/// stands; a retry under the same key waits again.
#[utoipa::path(tag = "redemption", request_body = CardDto, responses(
    (status = 202, body = RedemptionView, description = "It is taken in, and has not come to an end",
        headers(("Preference-Applied" = String, description = "`wait=N`, if it was waited for"))),
    (status = 200, body = RedemptionView, description = "It has come to an end within the time waited",
        headers(("Preference-Applied" = String, description = "`wait=N`")))),
    security(("bearer" = [])), params(("Prefer" = Option<String>, Header,
    description = "`wait=N`: answer with the end, if it comes within N seconds; more than 60 are taken for 60")))]
#[post("/redemptions")]
async fn hand_in(web: Web, caller: Caller, terms: Terms, wait: Wait, body: Body<CardDto>) -> Answer {
    let reply = web.engine().hand_in(terms.by(&caller), caller.user_id, body.0).await?;
    let (Some(patience), Outcome::Redemption(card)) = (wait.0, &reply.outcome) else {
        return answer(StatusCode::ACCEPTED, &reply);
    };
    let fresh = MinSeq(Some(reply.seq)).of(Some(&caller));
    // The card is taken in whatever becomes of the look.
    let Ok(found) = web.engine().ended_redemption(card.id, fresh, patience).await else {
        return answer(StatusCode::ACCEPTED, &reply);
    };
    let status = if found.value.status.is_open() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let seen = Reply { seq: found.as_of.max(reply.seq), ..reply.clone() };
    let answer = reply::mutation(status, &seen, &RedemptionView::of(&found.value));
    reply::with(answer, headers::PREFERENCE_APPLIED, wait.applied())
}

/// Lists redemptions, newest first: one's own, or everybody's for an admin.
#[utoipa::path(tag = "redemption", responses((status = 200, body = Rows<RedemptionView>)), security(("bearer" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query), ("user_id" = Option<u64>, Query),
    ("status" = Option<String>, Query, description = "queued, locking, succeeded, failed, in_doubt or cancelled"),
    ("batch_id" = Option<Uuid>, Query)))]
#[get("/redemptions")]
async fn list(web: Web, caller: Caller, fresh: MinSeq, query: Query) -> Answer {
    let (wanted, own) = (query.user_id("user_id")?, caller.own_only());
    if own.is_some() && wanted.is_some_and(|wanted| wanted != caller.user_id) {
        return Err(Problem::forbidden("only admins may list somebody else's redemptions"));
    }
    let filter = RedemptionFilter {
        user_id: own.or(wanted),
        status: query.word("status", RedemptionStatus::from_word)?,
        batch_id: query.word("batch_id", |text| super::extract::uuid(text).map(BatchId::new))?,
    };
    let listed = web.engine().redemptions(filter, query.page()?, fresh.of(Some(&caller))).await?;
    reply::list(&listed, RedemptionView::of)
}

/// Shows a redemption.
#[utoipa::path(tag = "redemption", params(("id" = Uuid, Path)), responses((status = 200, body = RedemptionView)),
    security(("bearer" = [])))]
#[get("/redemptions/{id}")]
async fn show(web: Web, caller: Caller, id: PathId<RedemptionId>, fresh: MinSeq) -> Answer {
    let found = web.engine().redemption(id.0, caller.own_only(), fresh.of(Some(&caller))).await?;
    reply::read(found.as_of, &RedemptionView::of(&found.value))
}

/// Takes a card back that no account is locked for yet; it may be handed in again.
///
/// One that was cancelled before is answered as it is; any other, 409 `invalid_state`.
#[utoipa::path(tag = "redemption", params(("id" = Uuid, Path)), responses((status = 200, body = RedemptionView)),
    security(("bearer" = [])))]
#[post("/redemptions/{id}/cancel")]
async fn cancel(web: Web, caller: Caller, id: PathId<RedemptionId>, terms: Terms) -> Answer {
    let of = caller.own_only();
    answer(StatusCode::OK, &web.engine().cancel_redemption(terms.by(&caller), id.0, of).await?)
}

/// Settles a card in doubt, once an administrator knows what the provider did with it: with `amount` if it succeeded.
///
/// One that is not in doubt (any more): 409 `invalid_state`. What the provider says later is noted and changes nothing.
#[utoipa::path(tag = "redemption", params(("id" = Uuid, Path)), request_body = ResolutionDto,
    responses((status = 200, body = RedemptionView)), security(("bearer" = [])))]
#[post("/redemptions/{id}/resolve")]
async fn resolve(
    web: Web,
    admin: Admin,
    id: PathId<RedemptionId>,
    terms: Terms,
    body: Body<ResolutionDto>,
) -> Answer {
    let request = ResolveRequest { id: id.0, resolution: body.0 };
    let reply = web.engine().resolve_redemption(terms.by(&admin.0), request).await?;
    if !reply.replayed {
        let admin = admin.0.user_id;
        info!(target: "audit", %admin, redemption = %id.0, resolution = ?body.0, "a card in doubt was settled");
    }
    answer(StatusCode::OK, &reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::interpret;
    use actix_web::ResponseError;

    #[test]
    fn an_error_does_not_repeat_what_was_sent_as_a_code() {
        for sent in ["1234567890", "[1234567890]", "{\"1234567890\":1}", "\"12345678901234567890!\""] {
            let body = format!("{{\"code\":{sent},\"country\":\"DE\"}}");
            let problem = interpret::<CardDto>(body.as_bytes()).expect_err("no code");
            assert_eq!(problem.status_code(), StatusCode::UNPROCESSABLE_ENTITY);
            let told = String::from_utf8(problem.body("x")).expect("text");
            assert!(told.contains("\"code\":[\"must ") && !told.contains("123456"), "{told}");
        }
    }
}
