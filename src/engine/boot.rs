//! From a directory to a serving engine: lock, check the journal, open the store, check that the two belong together, make
//! the journal clean, take the store's lease, bring the store up to date, start. Whatever is not as it should be refuses to
//! start and says what to do; nothing is rewritten before both are known to be sound.

use super::Engine;
use super::assembly::{Parts, assemble};
use super::data_dir::{DataDir, holder};
use super::options::{EngineOptions, StoreChoice};
use super::start_error::StartError;
use super::store_runtime::{RuntimeKeeper, run, run_blocking};
use crate::clock::Clock;
use crate::domain::Seq;
use crate::journal::disk::Disk;
use crate::journal::hands::Hands;
use crate::journal::reader;
use crate::journal::recover::recover;
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::replay::{ReplayError, replay};
use crate::store::sqlite::SqliteStore;
use crate::store::{Claim, Lease, Store, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far recovery is: records brought into the store, of how many.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// The embedded store, in the data directory.
pub const STORE_FILE: &str = "store.db";

/// Opens the chosen store, waiting for a Postgres that is not there yet.
pub async fn open_store(choice: &StoreChoice, data_dir: &Path) -> Result<Arc<dyn Store>, StartError> {
    match choice {
        StoreChoice::Embedded => Ok(Arc::new(SqliteStore::open(&data_dir.join(STORE_FILE)).await?)),
        StoreChoice::Postgres { url, readers, connect_timeout } => {
            let begun = Instant::now();
            loop {
                let options = PostgresOptions { readers: *readers, ..PostgresOptions::default() };
                match PostgresStore::connect(url, options).await {
                    Ok(store) => return Ok(Arc::new(store)),
                    Err(StoreError::Unavailable(error)) if begun.elapsed() < *connect_timeout => {
                        let left = connect_timeout.saturating_sub(begun.elapsed()).as_secs();
                        tracing::warn!(%error, "waiting up to {left} s more for the database");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// Journal and store belong together when the journal continues the store or reaches back to it.
pub async fn check_continuity(
    survey: &reader::Survey,
    watermark: Seq,
    store: &dyn Store,
) -> Result<(), StartError> {
    let Some(first) = survey.first() else { return Ok(()) };
    let last = survey.last();
    if first > watermark.next() || watermark > last {
        return Err(gap(first, last, watermark, store).await);
    }
    Ok(())
}

async fn gap(first: Seq, last: Seq, watermark: Seq, store: &dyn Store) -> StartError {
    let holder = store.holder().await.unwrap_or_else(|_| "nobody".into());
    StartError::Gap { first, last, watermark, holder }
}

/// What an engine is started on.
pub(super) struct Foundation {
    pub options: EngineOptions,
    pub clock: Arc<dyn Clock>,
    pub disk: Arc<dyn Disk>,
    pub secret: Vec<u8>,
    pub store: Arc<dyn Store>,
    pub keeper: RuntimeKeeper,
    /// The last to go: nobody else may begin before the store is closed.
    pub directory: DataDir,
}

/// See [`Engine::start_with`].
pub(super) async fn start(
    options: EngineOptions,
    clock: Arc<dyn Clock>,
    progress: Progress,
) -> Result<Engine, StartError> {
    let directory = DataDir::open(&options.data_dir)?;
    let (disk, secret) = (directory.journal()?, secret_of(&options, &directory)?);
    let failed = |error| StartError::Directory { path: options.data_dir.clone(), error };
    let keeper = RuntimeKeeper::start().map_err(failed)?;
    let handle = keeper.handle();
    let survey = {
        let disk = disk.clone();
        run_blocking(&handle, move || reader::survey(disk.as_ref())).await??
    };
    let store = {
        let (choice, path, runtime) = (options.store.clone(), options.data_dir.clone(), handle.clone());
        run_blocking(&handle, move || runtime.block_on(open_store(&choice, &path))).await??
    };
    let foundation = Foundation { options, clock, disk, secret, store, keeper, directory };
    Ok(start_on(foundation, survey, progress).await?.0)
}

/// See [`Engine::start_simulated`].
pub(super) async fn start_here(
    options: EngineOptions,
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
    store: Arc<dyn Store>,
) -> Result<(Engine, Hands), StartError> {
    let directory = DataDir::open(&options.data_dir)?;
    let (survey, secret) = (reader::survey(disk.as_ref())?, secret_of(&options, &directory)?);
    let keeper = RuntimeKeeper::here();
    let foundation = Foundation { options, clock, disk, secret, store, keeper, directory };
    match start_on(foundation, survey, Arc::new(|_, _| {})).await? {
        (engine, Some(hands)) => Ok((engine, hands)),
        (_, None) => unreachable!("a journal that is here is moved by hand"),
    }
}

fn secret_of(options: &EngineOptions, directory: &DataDir) -> Result<Vec<u8>, StartError> {
    match &options.secret {
        Some(secret) => Ok(secret.clone()),
        None => directory.secret(),
    }
}

/// The start once the journal was found sound and the store is there.
async fn start_on(
    foundation: Foundation,
    survey: reader::Survey,
    progress: Progress,
) -> Result<(Engine, Option<Hands>), StartError> {
    let Foundation { options, directory, disk, store, keeper, .. } = &foundation;
    let handle = keeper.handle();
    let standing = {
        let store = store.clone();
        run(&handle, async move { store.position().await }).await?
    };
    let watermark = match standing {
        Ok(position) => position.watermark,
        Err(StoreError::Untaken) => Seq::ZERO,
        Err(error) => return Err(error.into()),
    };
    check_continuity(&survey, watermark, store.as_ref()).await?;
    let recovered = {
        let (disk, survey, size) = (disk.clone(), survey.clone(), options.journal.segment_bytes);
        let journal_id = foundation.clock.new_id();
        let recovered =
            run_blocking(&handle, move || recover(disk.as_ref(), survey, journal_id, size)).await?;
        recovered.map_err(|error| directory.unprepared(error))?
    };
    if recovered.dropped_torn_frame {
        tracing::warn!(
            last = recovered.last.get(),
            "a torn frame at the journal's end was dropped; nobody was told of it, unless the disk has lost what it had synced"
        );
    }
    let claim = Claim {
        journal_id: recovered.journal_id,
        holder: holder(&options.data_dir),
        journal_is_empty: recovered.last == Seq::ZERO,
        accept_loss: false,
    };
    let mut lease = {
        let store = store.clone();
        run(&handle, async move { store.acquire(&claim).await }).await??
    };
    // Only now nobody else can move it.
    check_continuity(&survey, lease.watermark, store.as_ref()).await?;
    let next = recovered.last.max(lease.watermark).next();
    if recovered.last > lease.watermark {
        let (disk, store, most) = (disk.clone(), store.clone(), options.batch_records_max);
        lease = run(&handle, drain(disk, store, lease, recovered.last, most, progress)).await??;
    }
    assemble(Parts { foundation, recovered, lease, next }).await
}

/// Brings the store up to the journal's end.
async fn drain(
    disk: Arc<dyn Disk>,
    store: Arc<dyn Store>,
    mut lease: Lease,
    last: Seq,
    batch_records_max: usize,
    progress: Progress,
) -> Result<Lease, StartError> {
    let behind = lease.watermark;
    let total = last.get() - behind.get();
    let told = |stored: Seq| progress(stored.get() - behind.get(), total);
    match replay(disk, store.as_ref(), &mut lease, reader::END, batch_records_max, told).await {
        // Going on behind the journal's end would lose what lies between.
        Ok(()) if lease.watermark < last => {
            Err(gap(behind.next(), last, lease.watermark, store.as_ref()).await)
        }
        Ok(()) => Ok(lease),
        Err(ReplayError::Journal(error)) => Err(error.into()),
        Err(ReplayError::Store(error)) => Err(error.into()),
        Err(ReplayError::Gap) => Err(gap(behind.next(), last, lease.watermark, store.as_ref()).await),
    }
}
