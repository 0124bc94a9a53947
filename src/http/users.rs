//! `/users`: accounts as admins make and see them.

use super::app::Web;
use super::body::{Body, Input};
use super::extract::{Admin, MinSeq, PathId, Terms};
use super::problem::Problem;
use super::query::Query;
use super::reply::{self, Answer, Rows, rfc3339};
use super::validate::Checks;
use crate::domain::balance::BalanceView;
use crate::domain::outcome::NewUser;
use crate::domain::user::Role;
use crate::domain::{Outcome, Timestamp, UserId};
use crate::engine::NewUserRequest;
use actix_web::http::StatusCode;
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(token).service(list).service(show);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUserDto {
    name: String,
    email: String,
    /// Without one there is no login.
    #[schema(min_length = 8, max_length = 1024)]
    password: Option<String>,
    /// `user` (default) or `admin`.
    role: Option<String>,
}

impl Input for NewUserDto {
    type Domain = NewUserRequest;

    fn parse(self, checks: &mut Checks) -> Option<NewUserRequest> {
        let name = checks.name("name", &self.name);
        let email = checks.email("email", &self.email);
        let password = checks.optional(self.password, |checks, text| checks.password("password", text));
        let role = checks.optional(self.role, |checks, word| checks.role("role", &word));
        Some(NewUserRequest {
            name: name?,
            email: email?,
            password: password?,
            role: role?.unwrap_or(Role::User),
            open_session: false,
        })
    }
}

#[derive(Serialize, ToSchema)]
pub struct UserView<'a> {
    pub id: u64,
    pub name: &'a str,
    pub email: &'a str,
    pub role: &'static str,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl<'a> UserView<'a> {
    pub fn of(view: &'a BalanceView) -> Self {
        let profile = &view.profile;
        Self {
            id: view.user_id.get(),
            name: profile.name.as_str(),
            email: profile.email.as_str(),
            role: profile.role.word(),
            created_at: profile.created_at,
        }
    }

    pub fn of_new(user: &'a NewUser) -> Self {
        Self {
            id: user.id.get(),
            name: &user.name,
            email: &user.email,
            role: user.role.word(),
            created_at: user.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct TokenView {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
}

/// Creates a user.
#[utoipa::path(tag = "users", request_body = NewUserDto, responses((status = 201, body = UserView)),
    security(("bearer" = [])))]
#[post("/users")]
async fn create(web: Web, admin: Admin, terms: Terms, body: Body<NewUserDto>) -> Answer {
    let reply = web.engine().create_user(terms.by(&admin.0), body.0).await?;
    match &reply.outcome {
        Outcome::Registered(user) => reply::mutation(StatusCode::CREATED, &reply, &UserView::of_new(user)),
        other => Err(reply::misfit(other)),
    }
}

/// Issues an access token in a user's name, for support and load tests.
#[utoipa::path(tag = "users", params(("id" = u64, Path)), responses((status = 201, body = TokenView)),
    security(("bearer" = [])))]
#[post("/users/{id}/token")]
async fn token(web: Web, admin: Admin, id: PathId<UserId>) -> Answer {
    let issued = web.engine().issue_token(admin.0.user_id, id.0).await?;
    let session = issued.session.ok_or_else(Problem::internal)?;
    let tokens = &web.shared().tokens;
    let access_token = tokens.access(session.family_id, &session.grant, web.now())?;
    info!(target: "audit", admin = %admin.0.user_id, user = %id.0, "an access token was issued for a user");
    let view = TokenView { access_token, token_type: "Bearer", expires_in: tokens.access_seconds() };
    reply::session(StatusCode::CREATED, issued.seq, &view)
}

/// Lists users, newest first.
#[utoipa::path(tag = "users", responses((status = 200, body = Rows<UserView>)), security(("bearer" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query), ("q" = Option<String>, Query)))]
#[get("/users")]
async fn list(web: Web, admin: Admin, fresh: MinSeq, query: Query) -> Answer {
    let users = web.engine().users(query.text("q")?, query.page()?, fresh.of(Some(&admin.0))).await?;
    reply::list(&users, UserView::of)
}

/// Shows a user.
#[utoipa::path(tag = "users", params(("id" = u64, Path)), responses((status = 200, body = UserView)),
    security(("bearer" = [])))]
#[get("/users/{id}")]
async fn show(web: Web, admin: Admin, id: PathId<UserId>, fresh: MinSeq) -> Answer {
    let user = web.engine().balance(id.0, fresh.of(Some(&admin.0))).await?;
    reply::read(user.as_of, &UserView::of(&user.value))
}
