//! Access tokens (JWT, HS256, `typ: at+jwt`) and refresh tokens (computed from family and generation, never stored).
//! Both keys are derived from the one configured secret, each for its own purpose.

use super::problem::Problem;
use crate::domain::session::SessionGrant;
use crate::domain::user::Role;
use crate::domain::{FamilyId, Timestamp, UserId};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const ISSUER: &str = "purser";
const AUDIENCE: &str = "purser-api";
const TYPE: &str = "at+jwt";
/// The host's clock may have been set back by this much since a token was made. No token holds longer for it.
const LEEWAY_SECONDS: i64 = 5;
/// Longer than any token made here.
const TOKEN_MAX: usize = 1_024;
/// `sid` of a token without a session.
const NO_SESSION: Uuid = Uuid::nil();
const REFRESH_BYTES: usize = 16 + 4 + 32;

/// Makes and checks tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    header: Header,
    refresh: hmac::Key,
    access_seconds: i64,
}

/// What a verified access token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    pub user_id: UserId,
    pub role: Role,
    /// The session; `None` for the server's own token, see [`Tokens::detached`].
    pub family_id: Option<FamilyId>,
    pub not_before: i64,
    pub expires: i64,
}

impl Access {
    /// Whether the token holds at this moment.
    pub fn check_time(&self, now: Timestamp) -> Result<(), Problem> {
        if now.seconds() >= self.expires {
            return Err(Problem::token_expired());
        }
        if now.seconds() < self.not_before.saturating_sub(LEEWAY_SECONDS) {
            return Err(Problem::unauthenticated("the access token is not valid yet"));
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Written<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    sid: Uuid,
    role: Role,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Uuid,
}

/// `iss` and `aud` are compared by the library; the rest is ours to judge.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    sid: Uuid,
    role: Role,
    nbf: i64,
    exp: i64,
}

impl Tokens {
    pub fn new(secret: &[u8; 32], access_seconds: i64) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let access = hmac::sign(&master, b"purser access token v1");
        let refresh = hmac::sign(&master, b"purser refresh token v1");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // Judged against the server's own clock in `Access::check_time`.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let header = Header { typ: Some(TYPE.to_owned()), ..Header::new(Algorithm::HS256) };
        Self {
            encoding: EncodingKey::from_secret(access.as_ref()),
            decoding: DecodingKey::from_secret(access.as_ref()),
            validation,
            header,
            refresh: hmac::Key::new(hmac::HMAC_SHA256, refresh.as_ref()),
            access_seconds,
        }
    }

    /// How long an access token lives.
    pub const fn access_seconds(&self) -> i64 {
        self.access_seconds
    }

    /// An access token of a session; it does not outlive the session.
    pub fn access(
        &self,
        family_id: FamilyId,
        grant: &SessionGrant,
        now: Timestamp,
    ) -> Result<String, Problem> {
        let expires = (now.seconds() + self.access_seconds).min(grant.expires_at.seconds());
        self.sign(family_id.get(), grant.user_id, grant.role, now, expires)
    }

    /// An access token that belongs to no session: the one in the data directory, for whoever may read that.
    pub fn detached(&self, user_id: UserId, role: Role, now: Timestamp) -> Result<String, Problem> {
        let expires = now.seconds() + self.access_seconds;
        self.sign(NO_SESSION, user_id, role, now, expires)
    }

    fn sign(
        &self,
        sid: Uuid,
        user_id: UserId,
        role: Role,
        now: Timestamp,
        expires: i64,
    ) -> Result<String, Problem> {
        let claims = Written {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: user_id.to_string(),
            sid,
            role,
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: expires,
            jti: Uuid::now_v7(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.encoding).map_err(|error| {
            tracing::error!(%error, "an access token could not be signed");
            Problem::internal()
        })
    }

    /// Checks everything about an access token but the time and whether its session was ended.
    pub fn verify(&self, token: &[u8]) -> Result<Access, Problem> {
        let invalid = || Problem::unauthenticated("the access token is not valid");
        if token.len() > TOKEN_MAX {
            return Err(invalid());
        }
        let data =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).map_err(|error| {
                if matches!(error.kind(), ErrorKind::Provider(_)) {
                    tracing::error!(%error, "access tokens cannot be checked");
                }
                invalid()
            })?;
        let Claims { sub, sid, role, nbf, exp } = data.claims;
        let user_id = sub.parse::<u64>().ok().filter(|id| *id > 0).ok_or_else(invalid)?;
        if data.header.typ.as_deref() != Some(TYPE) {
            return Err(invalid());
        }
        let family_id = (sid != NO_SESSION).then(|| FamilyId::new(sid));
        Ok(Access { user_id: UserId::new(user_id), role, family_id, not_before: nbf, expires: exp })
    }

    /// The refresh token of one generation of a family.
    pub fn refresh(&self, family_id: FamilyId, generation: u32) -> String {
        let mut bytes = [0; REFRESH_BYTES];
        bytes[..16].copy_from_slice(family_id.get().as_bytes());
        bytes[16..20].copy_from_slice(&generation.to_be_bytes());
        let tag = hmac::sign(&self.refresh, &bytes[..20]);
        bytes[20..].copy_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a refresh token that was made here; whether it is still good, its session decides.
    pub fn read_refresh(&self, token: &str) -> Result<(FamilyId, u32), Problem> {
        let invalid = || Problem::unauthenticated("the refresh token is not valid");
        let mut bytes = [0; REFRESH_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) {
            Ok(REFRESH_BYTES) => {}
            _ => return Err(invalid()),
        }
        let (signed, tag) = bytes.split_at(20);
        let expected = hmac::sign(&self.refresh, signed);
        constant_time::verify_slices_are_equal(expected.as_ref(), tag).map_err(|_| invalid())?;
        let (family, generation) = signed.split_at(16);
        let family = Uuid::from_slice(family).map_err(|_| invalid())?;
        let generation = generation.try_into().map(u32::from_be_bytes).map_err(|_| invalid())?;
        Ok((FamilyId::new(family), generation))
    }
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
