//! From a directory to a serving engine: lock, check the journal, open the store, check that the two belong together, make
//! the journal clean, take the store's lease, bring the store up to date, start. Whatever is not as it should be refuses to
//! start and says what to do; nothing is rewritten before both are known to be sound.

use super::options::{EngineOptions, StoreChoice};
use super::{Acknowledged, Engine, Inner, passwords::Passwords};
use crate::clock::Clock;
use crate::domain::Seq;
use crate::journal::disk::{Directory, Disk};
use crate::journal::{Halt, Journal, Position, ReadError, reader, writer};
use crate::owners::ground::Limits;
use crate::owners::homes::Homes;
use crate::owners::index::{Revocations, UnstoredObjects};
use crate::owners::passivation::{self, PassivationOptions};
use crate::owners::{Ground, Supervisor, admission::Admission};
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::replay::{ReplayError, replay};
use crate::store::sqlite::SqliteStore;
use crate::store::write_behind::{OnStored, Status, WriteBehind};
use crate::store::{Claim, Lease, Store, StoreError, StoreReader};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Why an engine did not start. Each says what to do.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("the data directory {path} cannot be used: {error}")]
    Directory { path: PathBuf, error: io::Error },
    #[error("the data directory {path} is in use by {holder}; stop it first, or use another directory")]
    Locked { path: PathBuf, holder: String },
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error("the store cannot be reached: {0}. Start it, or mend --database-url")]
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
         together. Point the server at the right data directory and database"
    )]
    Gap { first: Seq, last: Seq, watermark: Seq },
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

/// How far recovery is: records brought into the store, of how many.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// The data directory, locked for as long as this lives.
pub struct DataDir {
    pub path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be and locks it.
    pub fn open(path: &Path) -> Result<Self, StartError> {
        let failed = |error| StartError::Directory { path: path.to_owned(), error };
        Directory::open(path).map_err(failed)?;
        let lock_path = path.join("lock");
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
                return Err(StartError::Locked { path: path.to_owned(), holder });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        lock.set_len(0).and_then(|()| lock.write_all(holder(path).as_bytes())).map_err(failed)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The journal's directory.
    pub fn journal(&self) -> Result<Arc<dyn Disk>, StartError> {
        let path = self.path.join("journal");
        let disk = Directory::open(&path).map_err(|error| StartError::Directory { path, error })?;
        Ok(Arc::new(disk))
    }

    fn secret(&self) -> Result<Vec<u8>, StartError> {
        let path = self.path.join("secret");
        let failed = |error| StartError::Directory { path: path.clone(), error };
        if !path.exists() {
            let mut secret = [0; 32];
            aws_lc_rs::rand::fill(&mut secret).map_err(|_| failed(io::Error::other("no randomness")))?;
            write_private(&path, &secret).map_err(failed)?;
        }
        let secret = std::fs::read(&path).map_err(failed)?;
        if secret.len() < 32 { Err(StartError::Secret(path)) } else { Ok(secret) }
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Who we are, for whoever finds the door locked.
fn holder(path: &Path) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let directory = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    format!("process {} on {} with data directory {}", std::process::id(), host.trim(), directory.display())
}

/// Opens the chosen store, waiting for a Postgres that is not there yet.
pub async fn open_store(choice: &StoreChoice, data_dir: &Path) -> Result<Arc<dyn Store>, StartError> {
    match choice {
        StoreChoice::Embedded => Ok(Arc::new(SqliteStore::open(&data_dir.join("store.db")).await?)),
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
pub fn check_continuity(survey: &reader::Survey, watermark: Seq) -> Result<(), StartError> {
    let Some(first) = survey.first() else { return Ok(()) };
    let last = survey.last();
    if first > watermark.next() || watermark > last {
        return Err(StartError::Gap { first, last, watermark });
    }
    Ok(())
}

/// See [`Engine::start_with`].
pub(super) async fn start(
    options: EngineOptions,
    clock: Arc<dyn Clock>,
    progress: Progress,
) -> Result<Engine, StartError> {
    let directory = DataDir::open(&options.data_dir)?;
    let disk = directory.journal()?;
    let secret = match &options.secret {
        Some(secret) => secret.clone(),
        None => directory.secret()?,
    };
    let failed = |error| StartError::Directory { path: options.data_dir.clone(), error };
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(yield_to_the_hot_path)
        .thread_name("store")
        .enable_all()
        .build()
        .map_err(failed)?;
    let handle = runtime.handle().clone();
    let keeper = RuntimeKeeper(Mutex::new(Some(runtime)));
    let survey = {
        let disk = disk.clone();
        run_blocking(&handle, move || reader::survey(disk.as_ref())).await??
    };
    let store = {
        let (choice, path, runtime) = (options.store.clone(), options.data_dir.clone(), handle.clone());
        run_blocking(&handle, move || runtime.block_on(open_store(&choice, &path))).await??
    };
    let standing = {
        let store = store.clone();
        run(&handle, async move { store.position().await }).await?
    };
    let watermark = match standing {
        Ok(position) => position.watermark,
        Err(StoreError::Untaken) => Seq::ZERO,
        Err(error) => return Err(error.into()),
    };
    check_continuity(&survey, watermark)?;
    let recovered = {
        let (disk, survey, size) = (disk.clone(), survey.clone(), options.journal.segment_bytes);
        run_blocking(&handle, move || reader::recover(disk.as_ref(), survey, Uuid::now_v7(), size)).await??
    };
    if recovered.dropped_torn_frame {
        tracing::warn!(
            last = recovered.last.get(),
            "a torn frame at the journal's end was dropped; it was never acknowledged"
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
    check_continuity(&survey, lease.watermark)?;
    let next = recovered.last.max(lease.watermark).next();
    if recovered.last > lease.watermark {
        let (disk, store, most) = (disk.clone(), store.clone(), options.batch_records_max);
        lease = run(&handle, drain(disk, store, lease, recovered.last, most, progress)).await??;
    }
    assemble(Parts { options, clock, directory, disk, secret, keeper, store, recovered, lease, next }).await
}

struct Parts {
    options: EngineOptions,
    clock: Arc<dyn Clock>,
    directory: DataDir,
    disk: Arc<dyn Disk>,
    secret: Vec<u8>,
    keeper: RuntimeKeeper,
    store: Arc<dyn Store>,
    recovered: reader::Recovered,
    lease: Lease,
    next: Seq,
}

async fn assemble(parts: Parts) -> Result<Engine, StartError> {
    let Parts { options, clock, directory, disk, secret, keeper, store, recovered, lease, next } = parts;
    let runtime = keeper.handle();
    let failed = |error| StartError::Directory { path: options.data_dir.clone(), error };
    let halt = Arc::new(Halt::default());
    let (durable_records, durable_queue) = mpsc::unbounded_channel();
    let journal =
        Journal::open(disk.clone(), options.journal, &recovered, next, halt.clone(), durable_records)
            .map_err(failed)?;
    let stored = Arc::new(Position::new(lease.watermark, halt.clone()));
    let durable = journal.durable().clone();
    let revocations = Revocations::new(options.access_token_seconds);
    let since = clock.now().plus_seconds(-options.access_token_seconds);
    let revoked = {
        let store = store.clone();
        run(&runtime, async move { store.revoked_since(since).await }).await??
    };
    for family in &revoked.value {
        revocations.add(*family, revoked.watermark, clock.now());
    }
    let status = Arc::new(Status::default());
    let reader = StoreReader::new(store.clone(), stored.clone(), status.clone(), options.read_timeout);
    let ground = Arc::new(Ground {
        journal,
        clock,
        durable: durable.clone(),
        stored: stored.clone(),
        store: reader,
        halt: halt.clone(),
        unstored: UnstoredObjects::default(),
        revocations,
        limits: Limits {
            keys_per_caller: options.keys_per_caller_max,
            key_retention_seconds: options.key_retention_seconds,
            operations_per_owner: options.operations_per_owner_max,
            // Products and balances together leave half of all places to what is resident.
            waiting_for_loads: options.operations_max.div_ceil(4),
        },
    });
    let homes = Arc::new(Homes::start(options.arbiters, &durable, &stored).map_err(failed)?);
    let most = options.residents_max;
    let write_behind = WriteBehind {
        store: store.clone(),
        lease,
        disk: disk.clone(),
        durable: durable_queue,
        stored,
        status: status.clone(),
        halt: halt.clone(),
        batch_records_max: options.batch_records_max,
        on_stored: on_stored(ground.clone()),
    };
    let flushing = runtime.spawn(halt.guard("the write-behind", write_behind.run()));
    let inner = Arc::new(Inner {
        products: Supervisor::start(ground.clone(), homes.clone(), &runtime, most),
        balances: Supervisor::start(ground.clone(), homes.clone(), &runtime, most),
        sessions: Supervisor::start(ground.clone(), homes.clone(), &runtime, most),
        directories: Supervisor::start(ground.clone(), homes.clone(), &runtime, most),
        admission: Arc::new(Admission::new(options.operations_max)),
        acknowledged: Acknowledged::default(),
        hashing: aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret),
        passwords: Passwords::new(options.password_concurrency, options.password_queue, runtime.clone()),
        record_bytes_max: writer::record_payload_max(options.journal.segment_bytes),
        next_shard: AtomicU16::new(0),
        flushing: Mutex::new(Some(flushing)),
        epoch: lease.epoch,
        store_status: status,
        secret,
        ground,
        homes,
        store,
        disk,
        runtime,
        _keeper: keeper,
        options,
        _directory: directory,
    });
    inner.start_housekeeping();
    Ok(Engine { inner })
}

/// Runs right after a flush: indexes forget, old segments may go.
fn on_stored(ground: Arc<Ground>) -> OnStored {
    Box::new(move |records| {
        for record in records {
            ground.unstored.remove(record);
        }
        if let Some(last) = records.last() {
            ground.journal.retire(last.seq);
        }
    })
}

impl Inner {
    fn start_housekeeping(self: &Arc<Self>) {
        let sweep = PassivationOptions {
            idle_seconds: self.options.idle_seconds,
            sweep_seconds: self.options.sweep_seconds,
        };
        self.runtime.spawn(passivation::run(Arc::downgrade(&self.products), sweep));
        self.runtime.spawn(passivation::run(Arc::downgrade(&self.balances), sweep));
        self.runtime.spawn(passivation::run(Arc::downgrade(&self.sessions), sweep));
        let (store, epoch) = (self.store.clone(), self.epoch);
        let (clock, keep) = (self.ground.clock.clone(), self.options.key_retention_seconds);
        self.runtime.spawn(async move {
            let mut timer = tokio::time::interval(Duration::from_hours(1));
            loop {
                timer.tick().await;
                if let Err(error) = store.prune_keys(epoch, clock.now().plus_seconds(-keep)).await {
                    tracing::warn!(%error, "expired idempotency keys stay for now");
                }
            }
        });
        let halt = self.ground.halt.clone();
        let weak = Arc::downgrade(self);
        self.runtime.spawn(async move {
            halt.halted().await;
            if let Some(inner) = weak.upgrade() {
                inner.ground.journal.abandon();
                inner.ground.stored.abandon();
            }
        });
    }
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
    let gap = |watermark| StartError::Gap { first: behind.next(), last, watermark };
    match replay(disk, store.as_ref(), &mut lease, reader::END, batch_records_max, told).await {
        // Going on behind the journal's end would lose what lies between.
        Ok(()) if lease.watermark < last => Err(gap(lease.watermark)),
        Ok(()) => Ok(lease),
        Err(ReplayError::Journal(error)) => Err(error.into()),
        Err(ReplayError::Store(error)) => Err(error.into()),
        Err(ReplayError::Gap) => Err(gap(lease.watermark)),
    }
}

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
    fn handle(&self) -> tokio::runtime::Handle {
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

async fn run<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, StartError> {
    runtime.spawn(future).await.map_err(|error| StartError::Unreachable(error.to_string()))
}

async fn run_blocking<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    runtime.spawn_blocking(work).await.map_err(|error| StartError::Unreachable(error.to_string()))
}
