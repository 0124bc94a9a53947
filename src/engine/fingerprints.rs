//! How idempotency keys and the requests under them are recognised again: by 16 bytes of an HMAC. Its key is the store's
//! own, so that a new token secret or another data directory forgets no key; what is secret in a request is hashed with
//! the token secret first, so that the store alone is of no use to somebody who guesses.

use crate::domain::Operation;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign};
use serde::Serialize;
use uuid::Uuid;

/// See the module.
pub(super) struct Fingerprints {
    stored: Key,
    secret: Key,
}

impl Fingerprints {
    pub fn new(stored: Uuid, secret: &[u8]) -> Self {
        Self { stored: Key::new(HMAC_SHA256, stored.as_bytes()), secret: Key::new(HMAC_SHA256, secret) }
    }

    /// An idempotency key's.
    pub fn of_key(&self, key: &str) -> [u8; 16] {
        truncated(&sign(&self.stored, key.as_bytes()))
    }

    /// What makes a retry the same request.
    pub fn of_request(&self, operation: Operation, request: &impl Serialize) -> [u8; 16] {
        // Requests are plain data, so their serialisation cannot fail.
        let bytes = postcard::to_allocvec(&(operation, request)).unwrap_or_default();
        truncated(&sign(&self.stored, &bytes))
    }

    /// What stands for a password within a request.
    pub fn of_password(&self, password: &str) -> [u8; 16] {
        truncated(&sign(&self.secret, password.as_bytes()))
    }
}

fn truncated(tag: &Tag) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&tag.as_ref()[..16]);
    short
}
