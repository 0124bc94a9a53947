//! Loads entities in batches: the next batch is whatever was asked for during the last one.

use super::homes::Home;
use super::kinds::Kind;
use super::supervisor::{PinError, Supervisor, settle_in};
use std::collections::HashMap;
use std::sync::Weak;
use tokio::sync::mpsc;

/// Entities per query.
const BATCH: usize = 512;

/// An entity that is wanted, and where.
pub struct Request<K: Kind> {
    pub id: K::Id,
    pub home: Home,
}

/// Runs until the supervisor is gone.
pub async fn run<K: Kind>(supervisor: Weak<Supervisor<K>>, mut queue: mpsc::UnboundedReceiver<Request<K>>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let Some(supervisor) = supervisor.upgrade() else { return };
        // In the order of the requests, each id once.
        let (mut homes, mut ids) = (HashMap::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for Request { id, home } in batch.drain(..) {
            if homes.insert(id, home).is_none() {
                ids.push(id);
            }
        }
        let ground = &supervisor.ground;
        match ground.store.read(|store| K::load(store, &ids, ground)).await {
            Err(error) => {
                tracing::warn!(%error, kind = K::NAME, count = ids.len(), "owners could not be loaded");
                let error = PinError::Store(error.to_string());
                for id in ids {
                    supervisor.fail(id, &error);
                }
            }
            Ok(snapshot) => {
                let mut households: Vec<(Home, Vec<_>)> = Vec::new();
                for loaded in snapshot.value {
                    let Some(home) = homes.remove(&loaded.id) else { continue };
                    match households.iter_mut().find(|(known, _)| known.number == home.number) {
                        Some((_, members)) => members.push(loaded),
                        None => households.push((home, vec![loaded])),
                    }
                }
                for (home, members) in households {
                    settle_in(&supervisor, &home, members, snapshot.watermark);
                }
                for id in ids.into_iter().filter(|id| homes.contains_key(id)) {
                    supervisor.fail(id, &PinError::NotFound);
                }
            }
        }
    }
}
