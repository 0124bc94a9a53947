//! The runtime that all work on the store runs on, beside the owners' threads.

use super::start_error::StartError;
use std::io;
use std::sync::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// Acknowledging comes first, storing second: under full load the store's threads (and those that they start) leave most of
/// the processor to the owners, and the backlog, which is bounded, grows meanwhile.
fn yield_to_the_hot_path() {
    const NICE: i32 = 10;
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, "the store's threads keep the usual priority");
    }
}

/// Keeps the store's runtime; may be dropped anywhere.
pub(super) struct RuntimeKeeper(Mutex<Option<Runtime>>);

impl RuntimeKeeper {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(yield_to_the_hot_path)
            .thread_name("store")
            .enable_all()
            .build()?;
        Ok(Self(Mutex::new(Some(runtime))))
    }

    pub(super) fn handle(&self) -> Handle {
        let runtime = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match runtime.as_ref() {
            Some(runtime) => runtime.handle().clone(),
            None => unreachable!("the runtime is taken only when the keeper is dropped"),
        }
    }
}

impl Drop for RuntimeKeeper {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a future to its end there, also when the caller is dropped.
pub(super) async fn run<T: Send + 'static>(
    runtime: &Handle,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, StartError> {
    runtime.spawn(future).await.map_err(|error| StartError::Unreachable(error.to_string()))
}

/// As [`run`], what may block.
pub(super) async fn run_blocking<T: Send + 'static>(
    runtime: &Handle,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    runtime.spawn_blocking(work).await.map_err(|error| StartError::Unreachable(error.to_string()))
}
