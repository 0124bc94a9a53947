//! A network that takes everything and delivers nothing, as behind a balancer whose server died: no end of the connection
//! tells of it. A call that is never answered is given up after the store's patience, or nothing would ever be stored again.

use crate::proxy::{Fault, Proxy};
use crate::sql::Sql;
use crate::support::postgres::PrivatePostgres;
use crate::support::{PATIENCE, eventually};
use purser::domain::{ProductId, Seq};
use purser::store::postgres::{PostgresOptions, PostgresStore};
use purser::store::{Batch, Claim, Store, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn impatient(patience: Duration) -> PostgresOptions {
    PostgresOptions { readers: 2, acquire_timeout: patience, patience, ..PostgresOptions::default() }
}

fn claim() -> Claim {
    let journal_id = Uuid::now_v7();
    Claim { journal_id, holder: "a test".into(), journal_is_empty: true, accept_loss: false }
}

/// What a call comes to, which has to come to something.
async fn told<T>(what: &str, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(PATIENCE, call).await;
    answer.unwrap_or_else(|_| panic!("{what} is not given up"))
}

/// What a call comes to that may fail for a while: with so little patience a machine that is busy is too slow, too.
async fn at_last<T, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let begun = Instant::now();
    loop {
        match told(what, call()).await {
            Ok(value) => return value,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{what} is not answered again: {error}"),
        }
    }
}

#[track_caller]
fn expect_unavailable<T>(what: &str, answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{what}: {:?}", answer.err());
}

#[test]
fn every_call_that_is_never_answered_is_given_up_and_the_next_goes_another_way() {
    let cluster = PrivatePostgres::create(false);
    let proxy = Proxy::before(&cluster.create_database());
    runtime().block_on(async {
        let (url, options) = (proxy.url(), || impatient(Duration::from_millis(300)));
        let store = at_last("a start", || PostgresStore::connect(&url, options())).await;
        let claim = claim();
        let lease = at_last("the lease", || store.acquire(&claim)).await;
        let batch = Batch::of(Seq::ZERO, &[]);
        for round in 1..=3 {
            proxy.swallow();
            expect_unavailable("a batch", told("a batch", store.apply(lease.epoch, &batch)).await);
            expect_unavailable("the position", told("the position", store.position()).await);
            expect_unavailable("the holder", told("the holder", store.holder()).await);
            expect_unavailable("the key", told("the key", store.fingerprint_key()).await);
            for _ in 0..4 {
                let answer = told("a read", store.load_products(&[ProductId::new(1)])).await;
                expect_unavailable("a read", answer);
            }
            assert!(proxy.fired(Fault::Swallowed) >= 4 * round, "they got through");
            proxy.pass();
            assert_eq!(at_last("the position", || store.position()).await.watermark, Seq::ZERO);
            at_last("a batch", || store.apply(lease.epoch, &batch)).await;
            let ids = [ProductId::new(1)];
            at_last("a read", || store.load_products(&ids)).await;
        }
    });
    let faults = proxy.fired(Fault::Swallowed);
    println!("proof: tier=T3 what=silent-network runs=3 faults={faults} acks=3");
}

#[test]
fn reads_that_are_never_answered_do_not_keep_their_connections() {
    let cluster = PrivatePostgres::create(false);
    let database = cluster.create_database();
    let proxy = Proxy::before(&database);
    let runtime = runtime();
    // Enough for both reads to be seen under way.
    let options = impatient(Duration::from_secs(4));
    let store = runtime.block_on(PostgresStore::connect(&proxy.url(), options)).expect("it opens");
    let store = Arc::new(store);
    let read = || {
        let store = store.clone();
        runtime.spawn(async move { told("a read", store.load_products(&[ProductId::new(1)])).await })
    };
    let (mut lock, mut sql) = (Sql::connect(&database), Sql::connect(&database));
    for _ in 0..3 {
        lock.run("BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE");
        let reads = [read(), read()];
        eventually("both are under way", || (sql.waiting() == 2).then_some(()));
        proxy.swallow();
        lock.run("COMMIT");
        for read in reads {
            expect_unavailable("a read", runtime.block_on(read).expect("no panic"));
        }
        proxy.pass();
        eventually("reads are answered again", || runtime.block_on(read()).expect("no panic").ok());
    }
    let faults = proxy.fired(Fault::Swallowed);
    assert!(faults >= 6, "{faults} answers were lost");
    println!("proof: tier=T3 what=silent-reads runs=3 faults={faults} acks=3");
}
