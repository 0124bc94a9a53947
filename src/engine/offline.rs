//! Work on a stopped server's directory and store: reading the journal, auditing, adopting a store.

use super::boot::{STORE_FILE, check_continuity, open_store};
use super::data_dir::DataDir;
use super::options::{EngineOptions, StoreChoice};
use super::start_error::StartError;
use crate::auditor::facts::{Entry, Fact};
use crate::auditor::{self, Model};
use crate::domain::{AccountId, ProductId, Record, Seq, Timestamp, UserId};
use crate::journal::{reader, recover::recover};
use crate::store::{Check, Claim, Store, StoreError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// Why there was nothing to look at, or no way to.
#[derive(Debug, Error)]
pub enum OfflineError {
    #[error("there is no data directory {0}; name the server's by --data-dir")]
    Missing(PathBuf),
    #[error(
        "there is no store in {0}; name the server's directory by --data-dir, or its database by --database-url"
    )]
    NoStore(PathBuf),
    #[error(transparent)]
    Start(StartError),
}

impl<E: Into<StartError>> From<E> for OfflineError {
    fn from(error: E) -> Self {
        Self::Start(error.into())
    }
}

/// Looking at a directory must not make one: a misspelt name would be found clean.
fn existing(path: &Path) -> Result<DataDir, OfflineError> {
    if !path.join("journal").is_dir() {
        return Err(OfflineError::Missing(path.to_owned()));
    }
    Ok(DataDir::open(path)?)
}

fn runtime(options: &EngineOptions) -> Result<Runtime, StartError> {
    let failed = |error| StartError::Directory { path: options.data_dir.clone(), error };
    Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)
}

/// Checks the whole journal and hands its records on.
///
/// # Errors
/// When there is no such directory, it is in use, or the journal damaged.
pub fn read_journal(
    options: &EngineOptions,
    from: Seq,
    mut each: impl FnMut(Record),
) -> Result<reader::Survey, OfflineError> {
    let directory = existing(&options.data_dir)?;
    let disk = directory.journal()?;
    Ok(reader::read(disk.as_ref(), from, |record, _| {
        each(record);
        Ok(())
    })?)
}

/// Takes over a store that another journal holds: what that journal had not stored is lost. This directory's journal must
/// be empty. Answers the record that it continues after.
///
/// # Errors
/// When there is no such directory, this journal has records of its own, or the store cannot be reached.
pub fn adopt(options: &EngineOptions) -> Result<Seq, OfflineError> {
    // A database of its own may be adopted into a new, empty directory, an embedded one lies in its own.
    match &options.store {
        StoreChoice::Embedded if !options.data_dir.join(STORE_FILE).is_file() => {
            return Err(OfflineError::NoStore(options.data_dir.clone()));
        }
        StoreChoice::Postgres { .. } if !options.data_dir.is_dir() => {
            return Err(OfflineError::Missing(options.data_dir.clone()));
        }
        _ => {}
    }
    let directory = DataDir::open(&options.data_dir)?;
    let disk = directory.journal()?;
    let survey = reader::survey(disk.as_ref())?;
    let runtime = runtime(options)?;
    let store = runtime.block_on(open_store(&options.store, &options.data_dir))?;
    match runtime.block_on(store.position()) {
        Ok(position) => runtime.block_on(check_continuity(&survey, position.watermark, store.as_ref()))?,
        Err(StoreError::Untaken) => {}
        Err(error) => return Err(error.into()),
    }
    // This makes the new journal's identity durable before the store is told of it.
    let size = options.journal.segment_bytes;
    let recovered =
        recover(disk.as_ref(), survey, Uuid::now_v7(), size).map_err(|error| directory.unprepared(error))?;
    let claim = Claim {
        journal_id: recovered.journal_id,
        holder: format!("adopted into {}", options.data_dir.display()),
        journal_is_empty: recovered.last == Seq::ZERO,
        accept_loss: true,
    };
    Ok(runtime.block_on(store.acquire(&claim))?.watermark)
}

/// Audits a stopped server: its store by itself, its journal by itself, and the journal's tail against the store.
///
/// # Errors
/// When there is no such directory (unless the store is a database of its own, which is then audited alone), it is in use,
/// the journal damaged, or the store not to be had.
pub fn audit(options: &EngineOptions) -> Result<Vec<Check>, OfflineError> {
    let directory = match existing(&options.data_dir) {
        // A database of its own can be looked at without the server's directory, an embedded one lies in it.
        Err(OfflineError::Missing(_)) if matches!(options.store, StoreChoice::Postgres { .. }) => None,
        found => Some(found?),
    };
    let runtime = runtime(options)?;
    let store = runtime.block_on(open_store(&options.store, &options.data_dir))?;
    let snapshot = runtime.block_on(store.audit())?;
    let Some(directory) = directory else {
        let detail = format!("there is no data directory {}", options.data_dir.display());
        let mut checks = snapshot.value;
        checks.push(Check { name: "journal was not looked at".into(), ok: true, detail });
        return Ok(checks);
    };
    let disk = directory.journal()?;
    let mut tail = Vec::new();
    let survey = reader::read(disk.as_ref(), snapshot.watermark.next(), |record, _| {
        tail.push(record);
        Ok(())
    })?;
    runtime.block_on(check_continuity(&survey, snapshot.watermark, store.as_ref()))?;
    let mut checks = snapshot.value;
    checks.push(Check {
        name: "journal is whole".into(),
        ok: true,
        detail: format!("records {} to {}", survey.first().unwrap_or_default(), survey.last()),
    });
    checks.push(runtime.block_on(check_tail(&store, snapshot.watermark, &tail))?);
    Ok(checks)
}

/// What the tail says follows from what the store has, step by step.
async fn check_tail(store: &Arc<dyn Store>, after: Seq, tail: &[Record]) -> Result<Check, StartError> {
    let name = "journal's tail continues the store".to_owned();
    let entries: Vec<_> = tail.iter().map(auditor::entry).collect();
    let mut model = Model::behind(after.get());
    begin(store, &mut model, &entries).await?;
    for entry in &entries {
        if let Err(detail) = model.take(entry) {
            return Ok(Check { name, ok: false, detail });
        }
    }
    let steps = entries.iter().flat_map(|entry| &entry.facts).filter(|fact| fact.is_step()).count();
    Ok(Check { name, ok: true, detail: format!("{} records, {steps} steps", tail.len()) })
}

/// Tells the model what the totals in these entries were before.
async fn begin(store: &Arc<dyn Store>, model: &mut Model, entries: &[Entry]) -> Result<(), StartError> {
    let (mut products, mut balances) = (BTreeSet::new(), BTreeSet::new());
    let (mut distributors, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    for fact in entries.iter().flat_map(|entry| &entry.facts) {
        match fact {
            Fact::Stock { product, .. } => drop(products.insert(ProductId::new(*product))),
            Fact::Money { user, .. } => drop(balances.insert(UserId::new(*user))),
            Fact::PaidOut { user, .. } => drop(distributors.insert(UserId::new(*user))),
            Fact::Account(step) => drop(accounts.insert(AccountId::new(Uuid::from_u128(step.account)))),
            _ => {}
        }
    }
    for view in store.load_products(&Vec::from_iter(products)).await?.value {
        model.stock.begin(view.product_id.get().into(), view.stock, view.version);
    }
    let no_keys = Timestamp::from_micros(i64::MAX);
    for stored in store.load_balances(&Vec::from_iter(balances), no_keys).await?.value {
        model.money.begin(stored.view.user_id.get().into(), stored.view.amount, stored.view.version);
    }
    for view in store.load_distributors(&Vec::from_iter(distributors)).await?.value {
        model.paid_out.begin(view.user_id.get().into(), view.withdrawn_total, view.version);
    }
    for view in store.load_accounts(&Vec::from_iter(accounts)).await?.value {
        model.accounts.begin(view.account.id.get().as_u128(), view.redeemed_total, view.version);
    }
    Ok(())
}
