//! The one writing connection of a store, and work that outlives whoever asked for it. A transaction must never
//! sit in a future that can be dropped half-way, so every call runs as a task of its own on the runtime that
//! opened the store; callers may live on any runtime.

use super::StoreError;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

/// Runs `work` to its end on `runtime`, also when the caller is dropped.
pub async fn detached<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let ended = runtime.spawn(work).await;
    ended.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("the call did not end: {error}"))))
}

/// The error of a call that was given up.
pub fn unanswered(patience: Duration) -> StoreError {
    StoreError::Unavailable(format!("no answer within {} s", patience.as_secs()))
}

/// Holds the connection between calls. Calls take turns.
pub struct Writer<C> {
    slot: Mutex<Option<C>>,
    runtime: Handle,
    /// After so long without an answer a call is given up and its connection with it; the database's own
    /// time-outs come first, so this is for a peer that vanished without a word.
    patience: Duration,
}

impl<C: Send + 'static> Writer<C> {
    pub fn new(conn: C, runtime: Handle, patience: Duration) -> Self {
        Self { slot: Mutex::new(Some(conn)), runtime, patience }
    }

    /// The connection, if the last call left one.
    pub fn into_inner(self) -> Option<C> {
        self.slot.into_inner()
    }

    /// Runs `work` on the connection, opening a new one if the last call ended in an error. A connection that
    /// saw an error is closed, never used again.
    pub async fn run<T: Send + 'static>(
        &self,
        open: impl Future<Output = Result<C, StoreError>> + Send + 'static,
        work: impl for<'c> FnOnce(&'c mut C) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut slot = self.slot.lock().await;
        let kept = slot.take();
        let call = self.runtime.spawn(async move {
            let mut conn = match kept {
                Some(conn) => conn,
                None => open.await?,
            };
            let result = work(&mut conn).await;
            Ok((result, conn))
        });
        let patience = self.patience;
        // Giving up drops the handle only: the task keeps its connection to itself until that fails.
        let ended = self.runtime.spawn(async move { tokio::time::timeout(patience, call).await }).await;
        match ended {
            Ok(Ok(Ok(Ok((result, conn))))) => {
                if is_clean(&result) {
                    *slot = Some(conn);
                }
                result
            }
            Ok(Ok(Ok(Err(error)))) => Err(error),
            Ok(Ok(Err(error))) | Err(error) => {
                Err(StoreError::Unavailable(format!("the call did not end: {error}")))
            }
            Ok(Err(_)) => Err(unanswered(patience)),
        }
    }
}

/// Whether the transaction ended as planned: committed, or rolled back by us.
const fn is_clean<T>(result: &Result<T, StoreError>) -> bool {
    matches!(
        result,
        Ok(_) | Err(StoreError::Fenced { .. } | StoreError::Moved { .. } | StoreError::Held { .. })
    )
}
