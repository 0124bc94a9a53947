//! Work on a stopped server's directory and store: reading the journal, auditing, adopting a store.

use super::boot::{check_continuity, open_store};
use super::data_dir::DataDir;
use super::options::EngineOptions;
use super::start_error::StartError;
use crate::domain::{Event, ProductId, Record, Seq, UserId};
use crate::journal::{reader, recover::recover};
use crate::store::{Check, Claim, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

fn runtime(options: &EngineOptions) -> Result<Runtime, StartError> {
    let failed = |error| StartError::Directory { path: options.data_dir.clone(), error };
    Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)
}

/// Checks the whole journal and hands its records on.
///
/// # Errors
/// When the directory is in use or the journal damaged.
pub fn read_journal(
    options: &EngineOptions,
    from: Seq,
    mut each: impl FnMut(Record),
) -> Result<reader::Survey, StartError> {
    let directory = DataDir::open(&options.data_dir)?;
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
/// When this journal has records of its own, or the store cannot be reached.
pub fn adopt(options: &EngineOptions) -> Result<Seq, StartError> {
    let directory = DataDir::open(&options.data_dir)?;
    let disk = directory.journal()?;
    let survey = reader::survey(disk.as_ref())?;
    let runtime = runtime(options)?;
    let store = runtime.block_on(open_store(&options.store, &options.data_dir))?;
    // This makes the new journal's identity durable before the store is told of it.
    let size = options.journal.segment_bytes;
    let recovered = recover(disk.as_ref(), survey.clone(), Uuid::now_v7(), size)?;
    let position = runtime.block_on(store.position());
    if let Ok(position) = &position {
        check_continuity(&survey, position.watermark)?;
    }
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
/// When the directory is in use, the journal damaged, or the store not to be had.
pub fn audit(options: &EngineOptions) -> Result<Vec<Check>, StartError> {
    let directory = DataDir::open(&options.data_dir)?;
    let disk = directory.journal()?;
    let runtime = runtime(options)?;
    let store = runtime.block_on(open_store(&options.store, &options.data_dir))?;
    let snapshot = runtime.block_on(store.audit())?;
    let mut tail = Vec::new();
    let survey = reader::read(disk.as_ref(), snapshot.watermark.next(), |record, _| {
        tail.push(record);
        Ok(())
    })?;
    check_continuity(&survey, snapshot.watermark)?;
    let mut checks = snapshot.value;
    checks.push(Check {
        name: "journal is whole".into(),
        ok: true,
        detail: format!("records {} to {}", survey.first().unwrap_or_default(), survey.last()),
    });
    checks.push(runtime.block_on(check_tail(&store, &tail))?);
    Ok(checks)
}

/// Every total in the tail follows from the store's, step by step.
async fn check_tail(store: &Arc<dyn Store>, tail: &[Record]) -> Result<Check, StartError> {
    let name = "journal's tail continues the store".to_owned();
    let mut products: BTreeMap<ProductId, (i64, u64)> = BTreeMap::new();
    let mut balances: BTreeMap<UserId, (i64, u64)> = BTreeMap::new();
    for event in tail.iter().flat_map(|record| &record.events) {
        match event {
            Event::StockMoved(movement) => drop(products.insert(movement.product_id, (0, 0))),
            Event::ProductChanged { product_id, .. } => drop(products.insert(*product_id, (0, 0))),
            Event::EntryPosted(entry) => drop(balances.insert(entry.user_id, (0, 0))),
            _ => {}
        }
    }
    let ids: Vec<_> = products.keys().copied().collect();
    for view in store.load_products(&ids).await?.value {
        products.insert(view.product_id, (view.stock, view.version));
    }
    let ids: Vec<_> = balances.keys().copied().collect();
    for stored in store.load_balances(&ids, crate::domain::Timestamp::from_micros(i64::MAX)).await?.value {
        balances.insert(stored.view.user_id, (stored.view.amount, stored.view.version));
    }
    let mut steps = 0;
    for record in tail {
        for event in &record.events {
            let known = match event {
                Event::ProductCreated { product_id, .. } => products.entry(*product_id).or_default(),
                Event::ProductChanged { product_id, .. } => products.entry(*product_id).or_default(),
                Event::StockMoved(movement) => products.entry(movement.product_id).or_default(),
                Event::EntryPosted(entry) => balances.entry(entry.user_id).or_default(),
                _ => continue,
            };
            let Some(posting) = event.posting() else { continue };
            if posting.total != known.0 + posting.delta || posting.version != known.1 + 1 || posting.total < 0
            {
                let detail = format!(
                    "record {} posts {posting:?} on total {} at version {}",
                    record.seq, known.0, known.1
                );
                return Ok(Check { name, ok: false, detail });
            }
            *known = (posting.total, posting.version);
            steps += 1;
        }
    }
    Ok(Check { name, ok: true, detail: format!("{} records, {steps} steps", tail.len()) })
}
