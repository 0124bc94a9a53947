//! Loads entities in batches: the next batch is whatever was asked for during the last one.

use super::kinds::Kind;
use super::supervisor::{PinError, Supervisor, settle_in};
use crate::store::{Store, StoreError};
use actix_rt::ArbiterHandle;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;

/// Entities per query.
const BATCH: usize = 512;

/// An entity that is wanted, and where.
pub struct Request<K: Kind> {
    pub id: K::Id,
    pub home: ArbiterHandle,
}

/// Runs until the supervisor is gone.
pub async fn run<K: Kind>(
    supervisor: Weak<Supervisor<K>>,
    store: Arc<dyn Store>,
    mut queue: mpsc::UnboundedReceiver<Request<K>>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let Some(supervisor) = supervisor.upgrade() else { return };
        let mut homes: HashMap<K::Id, ArbiterHandle> =
            batch.drain(..).map(|request| (request.id, request.home)).collect();
        let ids: Vec<_> = homes.keys().copied().collect();
        // What owners let go of relied on this position; a snapshot before it would forget acknowledged changes.
        let stored = supervisor.ground.stored.get();
        let loaded = match K::load(store.as_ref(), &ids, &supervisor.ground).await {
            Ok(snapshot) if snapshot.watermark < stored => {
                let (found, known) = (snapshot.watermark, stored);
                Err(StoreError::Unavailable(format!("it is at record {found}, behind the known {known}")))
            }
            other => other,
        };
        match loaded {
            Err(error) => {
                tracing::warn!(%error, kind = K::NAME, count = ids.len(), "owners could not be loaded");
                let error = PinError::Store(error.to_string());
                for id in ids {
                    supervisor.fail(id, &error);
                }
            }
            Ok(snapshot) => {
                let mut households: Vec<(ArbiterHandle, Vec<_>)> = Vec::new();
                for loaded in snapshot.value {
                    let Some(home) = homes.remove(&loaded.id) else { continue };
                    match households.iter_mut().find(|(known, _)| same(known, &home)) {
                        Some((_, members)) => members.push(loaded),
                        None => households.push((home, vec![loaded])),
                    }
                }
                for (home, members) in households {
                    settle_in(&supervisor, &home, members, snapshot.watermark);
                }
                for id in homes.keys() {
                    supervisor.fail(*id, &PinError::NotFound);
                }
            }
        }
    }
}

/// Handles have no identity to compare but what their debug form shows; grouping only saves wake-ups, so "different" is
/// always a safe answer.
fn same(one: &ArbiterHandle, other: &ArbiterHandle) -> bool {
    std::ptr::eq(one, other)
}
