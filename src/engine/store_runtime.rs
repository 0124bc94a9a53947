//! The runtime that all work on the store runs on, beside the owners' threads; in a simulation, the one that everything runs on.

use super::start_error::StartError;
use std::io;
use std::sync::{Mutex, MutexGuard};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

/// Acknowledging comes first, storing second: under full load the store's threads (and those that they start) leave most of
/// the processor to the owners, and the backlog, which is bounded, grows meanwhile.
fn yield_to_the_hot_path() {
    const NICE: i32 = 10;
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, "the store's threads keep the usual priority");
    }
}

/// Keeps the store's runtime; may be dropped anywhere.
pub(super) struct RuntimeKeeper {
    handle: Handle,
    /// `None` when it is the caller's.
    own: Mutex<Option<Runtime>>,
}

impl RuntimeKeeper {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(yield_to_the_hot_path)
            .thread_name("store")
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), own: Mutex::new(Some(runtime)) })
    }

    /// The runtime of the calling thread, for everything.
    pub(super) fn here() -> Self {
        Self { handle: Handle::current(), own: Mutex::new(None) }
    }

    /// Whether everything happens on the thread that started the engine.
    pub(super) fn is_here(&self) -> bool {
        self.lock().is_none()
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Runtime>> {
        self.own.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for RuntimeKeeper {
    fn drop(&mut self) {
        let own = self.lock().take();
        if let Some(runtime) = own {
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

/// As [`run`], what may block; in a simulation it is done on the spot.
pub(super) async fn run_blocking<T: Send + 'static>(
    runtime: &Handle,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    runtime.spawn_blocking(work).await.map_err(|error| StartError::Unreachable(error.to_string()))
}
