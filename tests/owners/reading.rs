//! Reads of the store: bounded in time, and never from behind what is known to be stored.

use crate::simulated_store::SimulatedStore;
use purser::domain::{ProductId, Seq};
use purser::journal::{Halt, Position};
use purser::store::write_behind::Status;
use purser::store::{StoreError, StoreReader};
use std::sync::Arc;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_millis(100);
const ANY: [ProductId; 1] = [ProductId::new(1)];

fn reader(store: &Arc<SimulatedStore>, stored: u64) -> StoreReader {
    let stored = Arc::new(Position::new(Seq::new(stored), Arc::new(Halt::default())));
    StoreReader::new(store.clone(), stored, Arc::new(Status::default()), DEADLINE)
}

async fn asks(reader: &StoreReader) -> Result<(), StoreError> {
    reader.read(|store| store.load_products(&ANY)).await.map(drop)
}

#[tokio::test]
async fn a_query_without_an_answer_ends_in_time_and_those_behind_it_do_not_wait_for_the_same() {
    let store = Arc::new(SimulatedStore::default());
    let reader = reader(&store, 0);
    store.hang();
    assert!(matches!(asks(&reader).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(asks(&reader).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.loads().len(), 1, "the second was refused without asking");
}

#[tokio::test]
async fn after_its_rest_a_store_is_tried_by_one_and_once_it_answers_by_all() {
    let store = Arc::new(SimulatedStore::default());
    let reader = reader(&store, 0);
    store.hang();
    while store.loads().len() < 2 {
        assert!(matches!(asks(&reader).await, Err(StoreError::Unavailable(_))));
        tokio::task::yield_now().await;
    }
    store.answer_again();
    while asks(&reader).await.is_err() {
        tokio::task::yield_now().await;
    }
    let both = tokio::join!(asks(&reader), asks(&reader));
    assert!(both.0.is_ok() && both.1.is_ok());
}

#[tokio::test]
async fn a_query_that_was_lost_while_others_had_answers_gives_the_store_no_rest() {
    let store = Arc::new(SimulatedStore::default());
    let reader = reader(&store, 0);
    store.hang();
    let lost = asks(&reader);
    let others = async {
        while store.loads().is_empty() {
            tokio::task::yield_now().await;
        }
        store.answer_again();
        asks(&reader).await
    };
    let (lost, other) = tokio::join!(lost, others);
    assert!(lost.is_err() && other.is_ok());
    assert!(asks(&reader).await.is_ok(), "it is back");
}

#[tokio::test]
async fn an_answer_from_before_what_is_known_to_be_stored_is_none() {
    let store = Arc::new(SimulatedStore::default());
    assert!(asks(&reader(&store, 0)).await.is_ok());
    assert!(matches!(asks(&reader(&store, 7)).await, Err(StoreError::Unavailable(_))));
}
