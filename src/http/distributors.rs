//! `/distributors`, `/levels` and `/upgrades`: who stands on which level, and why.

use super::app::Web;
use super::body::{Body, Input, Object};
use super::extract::{Admin, Caller, MinSeq, PathId, Terms};
use super::problem::Problem;
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339, rfc3339_option};
use super::validate::Checks;
use crate::domain::distributor::{Standing, Upgrade};
use crate::domain::level::{Level, Levels, Rank};
use crate::domain::record::Batch;
use crate::domain::{Outcome, Timestamp, UserId};
use crate::engine::{CHECKED_MAX, DistributorState};
use actix_web::http::StatusCode;
use actix_web::{get, post, put};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(show_distributor)
        .service(list_upgrades)
        .service(show_levels)
        .service(set_levels)
        .service(batch_check);
}

#[derive(Serialize, ToSchema)]
struct StandingView<'a> {
    rank: Rank,
    name: &'a str,
}

impl<'a> StandingView<'a> {
    fn of(standing: &'a Standing) -> Self {
        Self { rank: standing.rank, name: standing.name.as_str() }
    }
}

#[derive(Serialize, ToSchema)]
struct DistributorView<'a> {
    user_id: u64,
    level: StandingView<'a>,
    /// All completed withdrawals.
    withdrawn_total: i64,
    #[serde(serialize_with = "rfc3339_option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    upgraded_at: Option<Timestamp>,
}

impl<'a> DistributorView<'a> {
    fn of(state: &'a DistributorState) -> Self {
        let view = &state.view;
        Self {
            user_id: view.user_id.get(),
            level: StandingView { rank: view.rank, name: state.level.as_str() },
            withdrawn_total: view.withdrawn_total,
            upgraded_at: view.upgraded_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct UpgradeView<'a> {
    from: StandingView<'a>,
    to: StandingView<'a>,
    /// The completed withdrawal that led to the check; null for a check in a batch.
    withdrawal_id: Option<Uuid>,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl<'a> UpgradeView<'a> {
    fn of((upgrade, at): &'a (Upgrade, Timestamp)) -> Self {
        Self {
            from: StandingView::of(&upgrade.from),
            to: StandingView::of(&upgrade.to),
            withdrawal_id: upgrade.withdrawal_id.map(|id| id.get()),
            created_at: *at,
        }
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LevelDto {
    rank: i64,
    name: String,
    /// Reached when the total of completed withdrawals is this or more.
    threshold: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LevelsDto {
    /// 1-100 levels, ranks 0, 1, 2 … with ascending thresholds.
    #[schema(value_type = Vec<LevelDto>)]
    levels: Vec<Object<LevelDto>>,
}

impl Input for LevelsDto {
    type Domain = Levels;

    fn parse(self, checks: &mut Checks) -> Option<Levels> {
        if !(1..=Levels::MAX).contains(&self.levels.len()) {
            checks.add("levels", format!("must be from 1 to {} levels", Levels::MAX));
            return None;
        }
        let mut levels: Vec<Level> = Vec::with_capacity(self.levels.len());
        let mut sound = true;
        for (place, Object(level)) in self.levels.into_iter().enumerate() {
            if i64::try_from(place) != Ok(level.rank) {
                checks.add(format!("levels.{place}.rank"), format!("must be {place}: ranks go 0, 1, 2 …"));
                sound = false;
            }
            let name = checks.name(format!("levels.{place}.name"), &level.name);
            let threshold = checks.money(format!("levels.{place}.threshold"), level.threshold);
            let (Some(name), Some(threshold)) = (name, threshold) else {
                sound = false;
                continue;
            };
            if levels.last().is_some_and(|before| before.threshold >= threshold) {
                checks.add(format!("levels.{place}.threshold"), "must be above the one before");
                sound = false;
            }
            levels.push(Level { name, threshold });
        }
        if sound { Levels::new(levels) } else { None }
    }
}

#[derive(Serialize, ToSchema)]
struct LevelsView {
    levels: Vec<LevelDto>,
}

impl LevelsView {
    fn of(levels: &Levels) -> Self {
        let level = |(rank, level): (Rank, &Level)| LevelDto {
            rank: i64::from(rank),
            name: level.name.as_str().to_owned(),
            threshold: level.threshold.minor(),
        };
        Self { levels: levels.iter().map(level).collect() }
    }
}

/// One's own account, or anybody's for an admin; others' are not there.
fn visible(caller: &Caller, id: UserId) -> Result<(), Problem> {
    match caller.own_only() {
        Some(own) if own != id => Err(Problem::not_found("no such user")),
        _ => Ok(()),
    }
}

/// Shows a commission account.
#[utoipa::path(tag = "withdrawals", params(("id" = u64, Path)), responses((status = 200, body = DistributorView)),
    security(("bearer" = [])))]
#[get("/distributors/{id}")]
async fn show_distributor(web: Web, caller: Caller, id: PathId<UserId>, fresh: MinSeq) -> Answer {
    visible(&caller, id.0)?;
    let found = web.engine().distributor(id.0, fresh.of(Some(&caller))).await?;
    reply::read(found.as_of, &DistributorView::of(&found.value))
}

/// Lists its climbs, newest first.
#[utoipa::path(tag = "withdrawals", responses((status = 200, body = Rows<UpgradeView>)), security(("bearer" = [])),
    params(("id" = u64, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)))]
#[get("/distributors/{id}/upgrades")]
async fn list_upgrades(web: Web, caller: Caller, id: PathId<UserId>, fresh: MinSeq, query: Query) -> Answer {
    visible(&caller, id.0)?;
    let listed = web.engine().upgrades(id.0, query.page()?, fresh.of(Some(&caller))).await?;
    reply::list(&listed, UpgradeView::of)
}

/// Lists the levels by rank.
#[utoipa::path(tag = "withdrawals", responses((status = 200, body = LevelsView)))]
#[get("/levels")]
async fn show_levels(web: Web, fresh: MinSeq) -> Answer {
    let levels = web.engine().levels(fresh.of(None)).await?;
    reply::read(levels.as_of, &LevelsView::of(&levels.value))
}

/// Replaces all levels. Nobody descends by that.
#[utoipa::path(tag = "withdrawals", request_body = LevelsDto, responses((status = 200, body = LevelsView)),
    security(("bearer" = [])))]
#[put("/levels")]
async fn set_levels(web: Web, admin: Admin, terms: Terms, body: Body<LevelsDto>) -> Answer {
    let reply = web.engine().set_levels(terms.by(&admin.0), body.0).await?;
    info!(target: "audit", admin = %admin.0.user_id, "the levels were replaced");
    match &reply.outcome {
        Outcome::LevelsSet(levels) => reply::mutation(StatusCode::OK, &reply, &LevelsView::of(levels)),
        other => Err(reply::misfit(other)),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchCheckDto {
    /// Only distributors on this rank.
    level: Option<i64>,
    /// 1-10,000.
    limit: i64,
    /// Where a batch before ended: its `next_after`.
    after: Option<i64>,
}

struct Wanted {
    rank: Option<Rank>,
    limit: u32,
    after: UserId,
}

impl Input for BatchCheckDto {
    type Domain = Wanted;

    fn parse(self, checks: &mut Checks) -> Option<Wanted> {
        let rank = checks.optional(self.level, |checks, level| {
            let rank = Rank::try_from(level).ok().filter(|rank| (*rank as usize) < Levels::MAX);
            if rank.is_none() {
                checks.add("level", "must be a rank from 0");
            }
            rank
        });
        let after = checks.optional(self.after, |checks, id| checks.user_id("after", id));
        let limit = checks.count("limit", self.limit, CHECKED_MAX);
        Some(Wanted { rank: rank?, limit: limit?, after: after?.unwrap_or(UserId::new(0)) })
    }
}

#[derive(Serialize, ToSchema)]
struct CheckedView {
    /// Checks that were queued.
    checked: u32,
    /// `after` of the next batch; null when this was the last.
    next_after: Option<u64>,
}

/// Queues checks of many distributors that have withdrawn something.
#[utoipa::path(tag = "withdrawals", request_body = BatchCheckDto, responses((status = 202, body = CheckedView)),
    security(("bearer" = [])))]
#[post("/upgrades/batch-check")]
async fn batch_check(web: Web, admin: Admin, terms: Terms, body: Body<BatchCheckDto>) -> Answer {
    let Wanted { rank, limit, after } = body.0;
    let reply = web.engine().batch_check(terms.by(&admin.0), rank, after, limit).await?;
    let Outcome::Batch(Batch { count: checked, next_after }) = reply.outcome else {
        return Err(reply::misfit(&reply.outcome));
    };
    info!(target: "audit", admin = %admin.0.user_id, checked, "a batch of upgrade checks was queued");
    let view = CheckedView { checked, next_after: next_after.map(|id| id.get()) };
    reply::mutation(StatusCode::ACCEPTED, &reply, &view)
}
