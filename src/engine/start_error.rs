//! Why an engine does not start: one sentence each for the operator, with what to do.

use crate::domain::Seq;
use crate::journal::ReadError;
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why an engine did not start. Each says what to do.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(
        "gift cards were handed in under another card secret, which this is not or which is gone: without it codes that were \
         used could be used again; bring back the file card-secret in the data directory, or what provider.card_secret was"
    )]
    CardSecret,
    /// The library of seals refused keys of its own length.
    #[error("cards' codes cannot be sealed on this machine")]
    Seals,
    #[error("the data directory {path} cannot be used: {error}")]
    Directory { path: PathBuf, error: io::Error },
    #[error("the data directory {path} is in use by {holder}; stop it first, or use another directory")]
    Locked { path: PathBuf, holder: String },
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error(
        "the store cannot be reached: {0}. Postgres: start it, or mend --database-url; the embedded store: look at its disk"
    )]
    Unreachable(String),
    #[error(
        "the store is held by {holder} since {since}. Stop that server; if its journal is lost for good, \
         `purser journal adopt --accept-loss` takes the store over without it"
    )]
    Held { holder: String, since: String },
    #[error(transparent)]
    Store(StoreError),
    #[error(
        "the journal holds the records {first} to {last}, but the store stands at {watermark}: they do not belong \
         together. The store was taken last by {holder}; point the server at the right data directory and database"
    )]
    Gap { first: Seq, last: Seq, watermark: Seq, holder: String },
    #[error(
        "the journal in {path} needs a segment of {needed} bytes, and {free} bytes are free there; make room, or set \
         journal.segment_bytes lower before the first start"
    )]
    NoRoom { path: PathBuf, needed: u64, free: u64 },
    #[error("others than its owner may use the secret in {0}; `chmod 600 {0}` mends that")]
    Exposed(PathBuf),
    #[error("webhook.secret cannot be used: {0}")]
    Webhook(String),
    #[error("the provider cannot be used: {0}")]
    Provider(String),
    #[error("the secret in {0} is shorter than 32 bytes; restore it from a copy")]
    Secret(PathBuf),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Held { holder, since } => Self::Held { holder, since },
            StoreError::Unavailable(text) => Self::Unreachable(text),
            other => Self::Store(other),
        }
    }
}
