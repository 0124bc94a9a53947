//! An engine in which nothing happens at the same time, for simulations: owners, write-behind and housekeeping are tasks of the
//! calling thread, the journal moves by hand, and disk, store, clock and ids come from outside. With a runtime whose time
//! is paused and sources of chance that follow one seed, a run is the same each time.

use super::options::EngineOptions;
use super::start_error::StartError;
use super::{Engine, boot};
use crate::clock::Clock;
use crate::journal::disk::Disk;
use crate::journal::hands::Hands;
use crate::store::Store;
use std::sync::Arc;

impl Engine {
    /// As [`Self::start_with`], on the calling thread, which runs an actix system. Of the directory in the options only the lock
    /// and what the options leave out is used.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_simulated(
        options: EngineOptions,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
        store: Arc<dyn Store>,
    ) -> Result<(Self, Hands), StartError> {
        boot::start_here(options, clock, disk, store).await
    }
}
