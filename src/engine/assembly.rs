//! The last step of a start: everything that was opened and checked becomes a running engine.

use super::boot::Foundation;
use super::fingerprints::Fingerprints;
use super::housekeeping::on_stored;
use super::options::EngineOptions;
use super::redemptions::ComingCards;
use super::start_error::StartError;
use super::store_runtime::run;
use super::{Acknowledged, Engine, Inner, passwords::Passwords, restore};
use crate::clock::Clock;
use crate::control::Control;
use crate::domain::Seq;
use crate::journal::hands::Hands;
use crate::journal::recover::Recovered;
use crate::journal::{Halt, Journal, Position, writer};
use crate::messages::Board;
use crate::owners::ground::Limits;
use crate::owners::homes::Homes;
use crate::owners::index::{Revocations, UnstoredObjects};
use crate::owners::{Ground, Supervisor, admission::Admission};
use crate::redemption::{self, exchanger::EXCHANGES_MAX};
use crate::store::write_behind::{Status, WriteBehind};
use crate::store::{Lease, Store, StoreReader};
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// The longest life of an access token that the configuration allows.
const ACCESS_TOKEN_SECONDS_MAX: i64 = 24 * 3_600;
/// For clocks that differ: tokens are taken a little longer than they live.
const REVOCATION_MARGIN_SECONDS: i64 = 60;

/// What a start has made ready.
pub(super) struct Parts {
    pub foundation: Foundation,
    pub recovered: Recovered,
    pub lease: Lease,
    pub next: Seq,
}

/// Starts the journal's threads, the owners' and the write-behind, and whatever runs beside them.
pub(super) async fn assemble(parts: Parts) -> Result<(Engine, Option<Hands>), StartError> {
    let Parts { foundation, recovered, lease, next } = parts;
    let Foundation { options, clock, disk, secret, store, keeper, directory } = foundation;
    let runtime = keeper.handle();
    let failed = |error| StartError::Directory { path: options.data_dir.clone(), error };
    let halt = Arc::new(Halt::default());
    let (durable_records, durable_queue) = mpsc::unbounded_channel();
    let prepared =
        Journal::prepare(disk.clone(), options.journal, &recovered, next, halt.clone(), durable_records);
    let (mut journal, crew) = prepared.map_err(failed)?;
    let hands = journal.start_unless(keeper.is_here(), crew).map_err(failed)?;
    let stored = Arc::new(Position::new(lease.watermark, halt.clone()));
    let durable = journal.durable().clone();
    let revocations = revoked(&options, clock.as_ref(), &runtime, &store).await?;
    let asked = store.clone();
    let fingerprint_key = run(&runtime, async move { asked.fingerprint_key().await }).await??;
    let (board, listener) = Board::new();
    let board = Arc::new(board);
    let succeeded = restore::messages(&runtime, &store, &board).await?;
    let pending = restore::pending(&runtime, &store).await?;
    let (cards, card_listener) = redemption::Board::new();
    let card_codes = restore::card_codes(&runtime, &store, &options, &directory).await?;
    let (pools, under_way) = restore::cards(&runtime, &store).await?;
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
        pending,
        revocations,
        messages: board.clone(),
        cards: Arc::new(cards),
        limits: limits(&options),
    });
    let homes = match hands {
        Some(_) => Homes::here(&durable, &stored),
        None => Homes::start(options.arbiters, &durable, &stored).map_err(failed)?,
    };
    let homes = Arc::new(homes);
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
        distributors: Supervisor::start(ground.clone(), homes.clone(), &runtime, most),
        levels: Supervisor::start(ground.clone(), homes.clone(), &runtime, most),
        accounts: Supervisor::start(ground.clone(), homes.clone(), &runtime, most),
        plans: Supervisor::start(ground.clone(), homes.clone(), &runtime, most),
        admission: Arc::new(Admission::new(options.operations_max)),
        // Each attempt's operation, and one more that only looks whether it could be.
        background: Arc::new(Admission::new(2 * options.profiles.attempts_max())),
        exchanging: Arc::new(Admission::new(2 * EXCHANGES_MAX)),
        coming_cards: ComingCards::default(),
        acknowledged: Acknowledged::default(),
        fingerprints: Fingerprints::new(fingerprint_key, &secret),
        card_codes,
        dispatch: Arc::new(Control::default()),
        exchange: Arc::new(Control::default()),
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
    inner.start_dispatch(listener, succeeded).map_err(StartError::Webhook)?;
    inner.start_exchanges(card_listener, pools, under_way).map_err(StartError::Provider)?;
    Ok((Engine { inner }, hands))
}

const fn limits(options: &EngineOptions) -> Limits {
    Limits {
        keys_per_caller: options.keys_per_caller_max,
        key_retention_seconds: options.key_retention_seconds,
        operations_per_owner: options.operations_per_owner_max,
        // Products and balances together leave half of all places to what is resident.
        waiting_for_loads: options.operations_max.div_ceil(4),
    }
}

/// Sessions that were ended and whose access tokens may still run.
async fn revoked(
    options: &EngineOptions,
    clock: &dyn Clock,
    runtime: &Handle,
    store: &Arc<dyn Store>,
) -> Result<Revocations, StartError> {
    // Tokens may have been made under a longer life than today's.
    let kept = options.access_token_seconds.max(ACCESS_TOKEN_SECONDS_MAX) + REVOCATION_MARGIN_SECONDS;
    let revocations = Revocations::new(kept);
    let (store, since) = (store.clone(), clock.now().plus_seconds(-kept));
    let revoked = run(runtime, async move { store.revoked_since(since).await }).await??;
    for family in &revoked.value {
        revocations.add(*family, revoked.watermark, clock.now());
    }
    Ok(revocations)
}
