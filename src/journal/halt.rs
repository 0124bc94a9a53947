//! The end of the line: set once, first reason wins, nothing is acknowledged afterwards. The process exits with code 4
//! and recovers from disk at its next start.

use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use thiserror::Error;
use tokio::sync::Notify;

/// Why the engine stopped for good.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HaltReason {
    #[error("writing the journal failed: {0}")]
    Write(String),
    #[error("fdatasync of the journal failed: {0}")]
    Sync(String),
    #[error("the store was taken over by {0}")]
    Fenced(String),
    #[error("the store was rewound to record {0}, further back than the journal reaches")]
    Rewound(u64),
    #[error("a part of the engine panicked: {0}")]
    Panic(String),
}

impl HaltReason {
    /// What its operator does next.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Write(_) | Self::Sync(_) | Self::Panic(_) => "restart to recover from disk",
            Self::Fenced(_) => {
                "do not start this one again: what it has and the store lacks is in its journal"
            }
            Self::Rewound(_) => "restore a later state of the store; a start says from which record on",
        }
    }
}

/// The waiter's share of a halt: whether its record survived is unknown until restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the engine halted; after the restart, retry with the same key to learn the outcome")]
pub struct Halted;

/// A once-only, awaitable stop.
#[derive(Debug, Default)]
pub struct Halt {
    reason: OnceLock<HaltReason>,
    /// Wakes in the order of the waiting, so that a run can be repeated.
    bell: Notify,
}

impl Halt {
    /// Stops the engine. Later reasons are logged and otherwise ignored.
    pub fn halt(&self, reason: HaltReason) {
        tracing::error!(%reason, next_step = reason.next_step(), "the engine halts");
        let _ = self.reason.set(reason);
        self.bell.notify_waiters();
    }

    /// Runs a part of the engine that must not die quietly: a panic in it halts.
    pub async fn guard(self: Arc<Self>, part: &'static str, run: impl Future<Output = ()>) {
        if AssertUnwindSafe(run).catch_unwind().await.is_err() {
            self.halt(HaltReason::Panic(part.into()));
        }
    }

    /// `None` while the engine runs.
    pub fn reason(&self) -> Option<&HaltReason> {
        self.reason.get()
    }

    pub fn is_halted(&self) -> bool {
        self.reason.get().is_some()
    }

    /// Returns when the engine halts.
    pub async fn halted(&self) -> HaltReason {
        loop {
            let mut rung = std::pin::pin!(self.bell.notified());
            // Registered before the look, so that no halt can fall between.
            rung.as_mut().enable();
            if let Some(reason) = self.reason() {
                return reason.clone();
            }
            rung.await;
        }
    }
}
