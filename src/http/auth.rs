//! `/auth`: registration, login, and the life of a session's tokens.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Caller, MinSeq};
use super::problem::Problem;
use super::reply::{self, Answer};
use super::throttle::Who;
use super::users::UserView;
use super::validate::{Checks, PASSWORD_MAX};
use crate::domain::text::Email;
use crate::domain::user::Role;
use crate::domain::{Rejection, Seq};
use crate::engine::{EngineError, LoggedIn, NewUserRequest, OpenedSession};
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use tracing::info;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(register).service(login).service(me).service(me_posted).service(refresh).service(logout);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterDto {
    name: String,
    email: String,
    #[schema(min_length = 8, max_length = 1024)]
    password: String,
}

impl Input for RegisterDto {
    type Domain = NewUserRequest;

    fn parse(self, checks: &mut Checks) -> Option<NewUserRequest> {
        let name = checks.name("name", &self.name);
        let email = checks.email("email", &self.email);
        let password = checks.password("password", self.password);
        Some(NewUserRequest {
            name: name?,
            email: email?,
            password: Some(password?),
            role: Role::User,
            open_session: true,
        })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginDto {
    email: String,
    password: String,
}

impl Input for LoginDto {
    type Domain = (Email, String);

    fn parse(self, checks: &mut Checks) -> Option<Self::Domain> {
        let email = checks.email("email", &self.email);
        // Rules for new passwords do not apply to old ones; only the work is bounded.
        if self.password.chars().count() > PASSWORD_MAX {
            checks.add("password", format!("must be at most {PASSWORD_MAX} characters"));
        }
        Some((email?, self.password))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshDto {
    refresh_token: String,
}

impl Input for RefreshDto {
    type Domain = String;

    fn parse(self, _: &mut Checks) -> Option<String> {
        Some(self.refresh_token)
    }
}

#[derive(Serialize, ToSchema)]
struct SessionView<'a> {
    user: UserView<'a>,
    #[serde(flatten)]
    pair: PairView,
}

#[derive(Serialize, ToSchema)]
struct PairView {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    expires_in: i64,
}

impl PairView {
    fn of(web: &Web, session: &OpenedSession) -> Result<Self, Problem> {
        let (tokens, now) = (&web.shared().tokens, web.now());
        let left = session.grant.expires_at.seconds() - now.seconds();
        Ok(Self {
            access_token: tokens.access(session.family_id, &session.grant, now)?,
            refresh_token: tokens.refresh(session.family_id, session.generation),
            token_type: "Bearer",
            expires_in: tokens.access_seconds().min(left),
        })
    }
}

fn answer_session(web: &Web, status: StatusCode, logged_in: &LoggedIn) -> Answer {
    let Some(session) = &logged_in.session else {
        tracing::error!("a login or a registration opened no session");
        return Err(Problem::internal());
    };
    let view = SessionView { user: UserView::of_new(&logged_in.user), pair: PairView::of(web, session)? };
    reply::session(status, logged_in.seq, &view)
}

/// Registers a user with a balance of 0 and logs in.
#[utoipa::path(tag = "auth", request_body = RegisterDto, responses((status = 201, body = SessionView)))]
#[post("/auth/register")]
async fn register(web: Web, body: Body<RegisterDto>) -> Answer {
    let registered = web.engine().register(body.0).await?;
    info!(target: "audit", user = %registered.user.id, "a user registered");
    answer_session(&web, StatusCode::CREATED, &registered)
}

/// Opens a session.
#[utoipa::path(tag = "auth", request_body = LoginDto, responses((status = 200, body = SessionView)))]
#[post("/auth/login")]
async fn login(web: Web, request: HttpRequest, body: Body<LoginDto>) -> Answer {
    let (email, password) = body.0;
    let shared = web.shared();
    let (now, account) = (Instant::now(), email.key());
    let address = request.peer_addr().map(|peer| peer.ip());
    if let Some(address) = address {
        shared.by_address.take(Who::Address(address), now)?;
    }
    if let Err(problem) = shared.by_account.take(Who::Account(&account), now) {
        info!(target: "audit", ?address, "a login was refused: too many attempts on the account");
        return Err(problem);
    }
    let result = web.engine().log_in(email.as_str(), password).await;
    let failed =
        matches!(&result, Err(EngineError::Rejected { rejection: Rejection::InvalidCredentials, .. }));
    if failed {
        info!(target: "audit", ?address, "a login failed");
    } else {
        // Only wrong credentials use attempts up.
        shared.by_account.give_back(Who::Account(&account));
        if let Some(address) = address {
            shared.by_address.give_back(Who::Address(address));
        }
    }
    let logged_in = result?;
    info!(target: "audit", user = %logged_in.user.id, ?address, "a user logged in");
    answer_session(&web, StatusCode::OK, &logged_in)
}

async fn answer_me(web: Web, caller: Caller, fresh: MinSeq) -> Answer {
    let user = web.engine().balance(caller.user_id, fresh.of(Some(&caller))).await?;
    reply::read(user.as_of, &UserView::of(&user.value))
}

/// Shows who is logged in.
#[utoipa::path(tag = "auth", responses((status = 200, body = UserView)), security(("bearer" = [])))]
#[get("/auth/me")]
async fn me(web: Web, caller: Caller, fresh: MinSeq) -> Answer {
    answer_me(web, caller, fresh).await
}

/// Shows who is logged in.
#[utoipa::path(tag = "auth", responses((status = 200, body = UserView)), security(("bearer" = [])))]
#[post("/auth/me")]
async fn me_posted(web: Web, caller: Caller, fresh: MinSeq) -> Answer {
    answer_me(web, caller, fresh).await
}

/// Trades a refresh token for a new pair.
#[utoipa::path(tag = "auth", request_body = RefreshDto, responses((status = 200, body = PairView)))]
#[post("/auth/refresh")]
async fn refresh(web: Web, body: Body<RefreshDto>) -> Answer {
    let (family_id, generation) = web.shared().tokens.read_refresh(&body.0)?;
    let refreshed = web.engine().refresh(family_id, generation).await;
    if let Err(EngineError::Rejected { rejection: Rejection::TokenRevoked, .. }) = &refreshed {
        info!(target: "audit", %family_id, "a refresh token of an ended session was presented");
    }
    let (session, seq) = refreshed?;
    reply::session(StatusCode::OK, seq, &PairView::of(&web, &session)?)
}

/// Ends the session.
#[utoipa::path(tag = "auth", responses((status = 204)), security(("bearer" = [])))]
#[post("/auth/logout")]
async fn logout(web: Web, caller: Caller) -> Answer {
    let family_id = caller.family_id.ok_or_else(|| {
        Problem::bad_request(
            "the server's own token has no session to end; it is replaced when the server starts",
        )
    })?;
    let seq: Seq = web.engine().log_out(family_id).await?;
    info!(target: "audit", user = %caller.user_id, "a user logged out");
    let response = Ok(HttpResponse::with_body(StatusCode::NO_CONTENT, BoxBody::new(())));
    reply::with(response, super::headers::SEQ, HeaderValue::from(seq.get()))
}
