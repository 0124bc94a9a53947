//! What handlers ask of a request besides its body: who calls, which object, under which conditions. Mistakes here are
//! problems before any work is done.

use super::app::Web;
use super::headers;
use super::problem::Problem;
use super::tokens::Access;
use crate::domain::user::Role;
use crate::domain::{
    AccountId, BatchId, FamilyId, LIMIT, MessageId, OrderId, ProductId, RedemptionId, Seq, UserId,
    WithdrawalId,
};
use crate::engine::{Call, Durability, Freshness};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpRequest};
use futures_util::FutureExt;
use futures_util::future::{Either, LocalBoxFuture, Ready, ready};
use std::time::Duration;
use uuid::Uuid;

/// Who is calling, proven by an access token whose session was not ended.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub user_id: UserId,
    pub role: Role,
    /// `None` with a token that an admin issued: there is no session to end.
    pub family_id: Option<FamilyId>,
}

/// A caller that may do everything.
#[derive(Clone, Copy, Debug)]
pub struct Admin(pub Caller);

/// Anyone; known only if a token was sent.
#[derive(Clone, Copy, Debug)]
pub struct Visitor(pub Option<Caller>);

impl Caller {
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Whose objects are shown: all of them only to an admin.
    pub fn own_only(&self) -> Option<UserId> {
        (!self.is_admin()).then_some(self.user_id)
    }
}

/// Nearly always ready at once; only the refusal of a revoked token waits for its revocation to be durable.
type Soon<T> = Either<Ready<Result<T, Problem>>, LocalBoxFuture<'static, Result<T, Problem>>>;

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Soon<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        identify(request)
    }
}

impl FromRequest for Admin {
    type Error = Problem;
    type Future =
        futures_util::future::Map<Soon<Caller>, fn(Result<Caller, Problem>) -> Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        identify(request).map(|caller| match caller? {
            caller if caller.is_admin() => Ok(Self(caller)),
            _ => Err(Problem::forbidden("only admins may do this")),
        })
    }
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if !request.headers().contains_key(header::AUTHORIZATION) {
            return Either::Left(ready(Ok(Self(None))));
        }
        match identify(request) {
            Either::Left(now) => Either::Left(ready(now.into_inner().map(|caller| Self(Some(caller))))),
            Either::Right(later) => {
                Either::Right(later.map(|caller| caller.map(|caller| Self(Some(caller)))).boxed_local())
            }
        }
    }
}

fn identify(request: &HttpRequest) -> Soon<Caller> {
    let verified = Web::of(request).and_then(|web| {
        let access = web.verify(bearer(request.headers())?)?;
        Ok((web, access))
    });
    let (web, Access { user_id, role, family_id, .. }) = match verified {
        Ok(verified) => verified,
        Err(problem) => return Either::Left(ready(Err(problem))),
    };
    let revocation = family_id.and_then(|family_id| web.engine().revoked_by(family_id));
    let Some(revocation) = revocation else {
        return Either::Left(ready(Ok(Caller { user_id, role, family_id })));
    };
    let engine = web.engine().clone();
    Either::Right(
        async move {
            engine.durable(revocation).await?;
            Err(Problem::token_revoked())
        }
        .boxed_local(),
    )
}

fn bearer(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let value = only(headers, &header::AUTHORIZATION)?
        .ok_or_else(|| Problem::unauthenticated("send authorization: Bearer <access token>"))?
        .as_bytes();
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Ok(token.trim_ascii()),
        _ => Err(Problem::unauthenticated("the authorization scheme must be Bearer")),
    }
}

/// The object that a path names; a malformed id names nothing and is "not found".
#[derive(Clone, Copy, Debug)]
pub struct PathId<T>(pub T);

/// An id as it stands in a path.
pub trait InPath: Sized + 'static {
    fn parse(text: &str) -> Option<Self>;
}

impl InPath for ProductId {
    fn parse(text: &str) -> Option<Self> {
        integer_id(text).map(Self::new)
    }
}

impl InPath for UserId {
    fn parse(text: &str) -> Option<Self> {
        integer_id(text).map(Self::new)
    }
}

/// Ids that are UUIDs.
macro_rules! uuids_in_paths {
    ($($id:ty),*) => {$(
        impl InPath for $id {
            fn parse(text: &str) -> Option<Self> {
                uuid(text).map(Self::new)
            }
        }
    )*};
}
uuids_in_paths!(AccountId, BatchId, MessageId, OrderId, RedemptionId, WithdrawalId);

pub fn integer_id(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id <= LIMIT.unsigned_abs())
}

/// Hyphenated only: one object, one spelling.
pub fn uuid(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

impl<T: InPath> FromRequest for PathId<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").and_then(T::parse);
        ready(id.map(Self).ok_or_else(|| Problem::not_found("no object has this id")))
    }
}

/// The conditions of a mutation.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    key: Option<String>,
    durability: Durability,
    /// `If-Match`, as a revision; 0 is none that exists.
    pub if_revision: Option<u64>,
    /// `Prefer: respond-async` was sent.
    pub respond_async: bool,
}

impl Terms {
    pub fn by(self, caller: &Caller) -> Call {
        let call = match self.key {
            Some(key) => Call::keyed(caller.user_id, key),
            None => Call::by(caller.user_id),
        };
        call.durable_in(self.durability)
    }

    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let durability = match text(headers, &headers::DURABILITY)? {
            None | Some("journal") => Durability::Journal,
            Some("store") => Durability::Store,
            Some(_) => return Err(Problem::bad_request("purser-durability must be journal or store")),
        };
        let mut prefers = headers.get_all(headers::PREFER).filter_map(|value| value.to_str().ok());
        Ok(Self {
            key: idempotency_key(headers)?,
            durability,
            if_revision: if_match(headers)?,
            respond_async: prefers.any(|value| {
                value.split([',', ';']).any(|word| word.trim().eq_ignore_ascii_case("respond-async"))
            }),
        })
    }
}

impl FromRequest for Terms {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(request.headers()))
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let invalid = || {
        let detail = "an idempotency key is 1-255 printable ASCII characters, bare or quoted";
        Problem::new(StatusCode::BAD_REQUEST, "idempotency_key_invalid", detail)
    };
    let mut values = headers.get_all(headers::IDEMPOTENCY_KEY);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid());
    }
    let key = match value.as_bytes() {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'"') => inner,
        [b'"', ..] | [.., b'"'] => return Err(invalid()),
        bare => bare,
    };
    let printable = key.iter().all(|byte| (b' '..=b'~').contains(byte));
    if !(1..=255).contains(&key.len()) || !printable {
        return Err(invalid());
    }
    String::from_utf8(key.to_vec()).map(Some).map_err(|_| invalid())
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = text(headers, &header::IF_MATCH)?.map(str::trim) else { return Ok(None) };
    if value == "*" {
        return Ok(None);
    }
    if value.contains(',') {
        return Err(Problem::bad_request("if-match takes one revision"));
    }
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    Ok(Some(bare.parse().unwrap_or(0)))
}

/// The value of a header that says one thing; said twice, nobody knows which of the two is meant.
pub fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name);
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(Problem::bad_request(format!("{name} must be given once"))),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    match only(headers, name)? {
        None => Ok(None),
        Some(value) => {
            value.to_str().map(Some).map_err(|_| Problem::bad_request(format!("{name} must be ASCII")))
        }
    }
}

/// `Prefer: wait=N`: how long the caller would rather wait for the end than hear that there is none yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait(pub Option<Duration>);

impl Wait {
    /// Longer is not waited.
    const SECONDS_MAX: u64 = 60;

    fn read(headers: &HeaderMap) -> Self {
        let said = headers.get_all(headers::PREFER).filter_map(|value| value.to_str().ok());
        let wait = said.flat_map(|value| value.split([',', ';'])).find_map(|word| {
            let (name, seconds) = word.split_once('=')?;
            let seconds = seconds.trim().trim_matches('"').parse::<u64>().ok()?;
            name.trim().eq_ignore_ascii_case("wait").then_some(seconds.min(Self::SECONDS_MAX))
        });
        Self(wait.map(Duration::from_secs))
    }

    /// What of it was kept to.
    pub fn applied(self) -> HeaderValue {
        let seconds = self.0.unwrap_or_default().as_secs();
        HeaderValue::from_str(&format!("wait={seconds}")).unwrap_or_else(|_| HeaderValue::from_static("wait"))
    }
}

impl FromRequest for Wait {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::read(request.headers())))
    }
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default)]
pub struct MinSeq(pub Option<Seq>);

impl MinSeq {
    pub fn of(self, caller: Option<&Caller>) -> Freshness {
        Freshness { min_seq: self.0, caller: caller.map(|caller| caller.user_id) }
    }
}

impl FromRequest for MinSeq {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let value = text(request.headers(), &headers::MIN_SEQ).and_then(|value| match value {
            None => Ok(Self(None)),
            Some(value) => match value.trim().parse() {
                Ok(seq) => Ok(Self(Some(Seq::new(seq)))),
                Err(_) => Err(Problem::bad_request("purser-min-seq must be a journal position")),
            },
        });
        ready(value)
    }
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
