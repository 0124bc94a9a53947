//! Password hashing: Argon2id with the crate's parameters (19 MiB, 2 passes), off the event loops, behind a bound: a hash
//! costs memory and time, and a queue without end would be a lever.

use super::{Busy, EngineError};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use std::sync::{Arc, LazyLock};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Verified against when there is no such user, so that both cases cost the same. One for the process: it takes as long as a
/// sign-up, and a program may start many engines.
static NOBODYS_HASH: LazyLock<Arc<str>> =
    LazyLock::new(|| hash("a password that nobody has").unwrap_or_default().into());

/// See the module.
pub(super) struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    runtime: Handle,
}

impl Passwords {
    /// `concurrency` hashes at once, `queue` more may wait.
    pub fn new(concurrency: usize, queue: usize, runtime: Handle) -> Self {
        let concurrency = concurrency.max(1);
        // At the start: the first sign-in must not be the slow one.
        LazyLock::force(&NOBODYS_HASH);
        Self {
            running: Arc::new(Semaphore::new(concurrency)),
            waiting: Arc::new(Semaphore::new(concurrency + queue)),
            runtime,
        }
    }

    /// The PHC string of a password.
    pub async fn hash(&self, password: String) -> Result<Arc<str>, EngineError> {
        let hashed = self.work(move || hash(&password)).await?;
        hashed.map(Into::into).ok_or(EngineError::Internal)
    }

    /// Whether the password fits; without a hash (no such user, or one without a password) it never does.
    pub async fn verify(&self, password: String, hash: Option<Arc<str>>) -> Result<bool, EngineError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODYS_HASH.clone());
        let fits = self
            .work(move || {
                PasswordHash::new(&hash)
                    .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(fits && known)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let _place = self.waiting.clone().try_acquire_owned().map_err(|_| Busy::Overloaded)?;
        let _turn = self.running.clone().acquire_owned().await.map_err(|_| Busy::ShuttingDown)?;
        self.runtime.spawn_blocking(work).await.map_err(|_| EngineError::Internal)
    }
}

fn hash(password: &str) -> Option<String> {
    match Argon2::default().hash_password(password.as_bytes()) {
        Ok(hash) => Some(hash.to_string()),
        Err(error) => {
            tracing::error!(%error, "a password could not be hashed");
            None
        }
    }
}
