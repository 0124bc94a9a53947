//! The first admin, and the token by which the other verbs reach a running server.

use super::failure::{Exit, Failure};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::domain::UserId;
use crate::domain::rejection::Rejection;
use crate::domain::text::{Email, Name};
use crate::domain::user::Role;
use crate::engine::data_dir::write_private;
use crate::engine::{Engine, EngineError, NewUserRequest};
use crate::http::tokens::Tokens;
use base64::Engine as _;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long an admin token in the data directory is good for.
const TOKEN_SECONDS: i64 = 7 * 86_400;
/// How often it is replaced, long before that.
const TOKEN_REFRESH: Duration = Duration::from_hours(24);

fn failed(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Refused, format!("{what}: {error}"))
}

/// Makes the admin on the first start; finds it on every later one.
pub async fn ensure_admin(engine: &Engine, config: &Config) -> Result<UserId, Failure> {
    let email =
        Email::parse(&config.admin.email).map_err(|error| Failure::usage(format!("admin.email {error}")))?;
    if let Some(known) =
        engine.user_by_email(&email).await.map_err(|error| failed("the admin cannot be looked up", error))?
    {
        if known.role != Role::Admin {
            return Err(Failure::usage(format!(
                "admin.email: {email} is a user without the admin role; name another"
            )));
        }
        return Ok(known.id);
    }
    let password = match config.admin.password.as_str() {
        "" => random_password(&config.data.dir)
            .map_err(|error| failed("the admin's password cannot be written", error))?,
        password => password.to_owned(),
    };
    let name = Name::parse("Administrator").map_err(Failure::usage)?;
    let request =
        NewUserRequest { name, email, password: Some(password), role: Role::Admin, open_session: false };
    match engine.register(request).await {
        Ok(admin) => Ok(admin.user.id),
        Err(EngineError::Rejected { rejection: Rejection::EmailTaken, .. }) => {
            Err(Failure::usage("admin.email is taken by a user; name another"))
        }
        Err(error) => Err(failed("the admin cannot be created", error)),
    }
}

/// Written before the admin is made, so that a crash in between leaves no admin whose password nobody knows.
fn random_password(data_dir: &Path) -> io::Result<String> {
    let mut bytes = [0; 18];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    let password = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let path = data_dir.join("admin-password");
    write_private(&path, format!("{password}\n").as_bytes())?;
    println!("admin password written to {}", path.display());
    Ok(password)
}

/// Writes the token now; the returned task replaces it daily.
pub fn keep_token(
    data_dir: &Path,
    secret: &[u8; 32],
    admin: UserId,
) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let tokens = Tokens::new(secret, TOKEN_SECONDS);
    let path = data_dir.join("admin-token");
    let write = move || {
        let token = tokens
            .detached(admin, Role::Admin, SystemClock.now())
            .map_err(|_| io::Error::other("no token"))?;
        write_private(&path, token.as_bytes())
    };
    write().map_err(|error| failed("the admin token cannot be written", error))?;
    Ok(async move {
        loop {
            tokio::time::sleep(TOKEN_REFRESH).await;
            if let Err(error) = write() {
                tracing::warn!(%error, "the admin token could not be replaced");
            }
        }
    })
}
