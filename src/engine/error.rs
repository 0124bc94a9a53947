//! Why an engine call did not succeed, told apart by what the caller may do next. Only `http` turns these into status codes.

use crate::domain::{Rejection, Seq};
use thiserror::Error;

/// A call without success.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EngineError {
    /// The business said no; nothing changed. `seq` is the position that the refusal rests on (or, with an idempotency
    /// key, the position it was remembered at) and is durable.
    #[error("{rejection}")]
    Rejected { rejection: Rejection, seq: Seq, replayed: bool },
    /// Certainly not executed; trying again later is safe.
    #[error("{0}")]
    NotExecuted(Busy),
    /// The disk failed under us: the record may or may not have survived. After the restart, retrying with the same
    /// idempotency key tells.
    #[error("the outcome is unknown until the restart; retry with the same key")]
    Unknown,
    /// A defect; nothing changed.
    #[error("internal error")]
    Internal,
}

/// Why nothing was executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Busy {
    #[error("too many operations are in progress; retry in a moment")]
    Overloaded,
    #[error(
        "this caller has {most} unexpired idempotency keys, the most there may be; the oldest expires in {seconds} s: \
         retry then, or without a key"
    )]
    OutOfKeys { most: usize, seconds: u64 },
    #[error("{most} cards of one user wait at most; hand in more once some of them have ended")]
    TooManyCards { most: usize },
    #[error("too many records wait for the store; retry when it has caught up")]
    BacklogFull,
    #[error("the journal's disk is full; retry when there is space again")]
    StorageFull,
    #[error("the store cannot be reached and the state needed is not in memory; retry later")]
    StoreUnavailable,
    #[error("the server is shutting down; retry against its successor")]
    ShuttingDown,
    #[error("the store did not catch up with the requested position in time; retry")]
    ReadTimeout,
}

impl From<Busy> for EngineError {
    fn from(busy: Busy) -> Self {
        Self::NotExecuted(busy)
    }
}

impl From<crate::journal::Halted> for EngineError {
    fn from(_: crate::journal::Halted) -> Self {
        Self::Unknown
    }
}

impl From<crate::journal::SpaceRefusal> for EngineError {
    fn from(refusal: crate::journal::SpaceRefusal) -> Self {
        match refusal {
            crate::journal::SpaceRefusal::Full => Busy::StorageFull.into(),
            crate::journal::SpaceRefusal::Closed => Busy::ShuttingDown.into(),
        }
    }
}

impl From<crate::store::StoreError> for EngineError {
    fn from(error: crate::store::StoreError) -> Self {
        tracing::warn!(%error, "a read from the store failed");
        Busy::StoreUnavailable.into()
    }
}
