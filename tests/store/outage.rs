//! A Postgres that goes away and comes back.

use crate::fixture::{claim, kind};
use crate::private_postgres::PrivatePostgres;
use crate::story::Story;
use purser::domain::{ProductId, Seq};
use purser::store::postgres::{PostgresOptions, PostgresStore};
use purser::store::{Batch, Store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_unavailable_and_then_goes_on_where_it_was() {
    let mut server = PrivatePostgres::create(true);
    let store = PostgresStore::connect(&server.url(), PostgresOptions::default()).await.expect("it opens");
    let story = Story::small();
    let lease = store.acquire(&claim()).await.expect("a free store");
    store.apply(lease.epoch, &Batch::of(Seq::ZERO, &story.records[..2])).await.expect("written");
    let rest = Batch::of(Seq::new(2), &story.records[2..]);
    for stop in [PrivatePostgres::kill9, |server: &mut PrivatePostgres| server.stop(true)] {
        stop(&mut server);
        assert_eq!(kind(&store.apply(lease.epoch, &rest).await), "unavailable");
        assert_eq!(kind(&store.position().await), "unavailable");
        assert_eq!(kind(&store.load_products(&[ProductId::new(1)]).await), "unavailable");
        server.start();
        assert_eq!(store.position().await.expect("it is back").watermark, Seq::new(2));
    }
    store.apply(lease.epoch, &rest).await.expect("the writer connects again");
    let products = store.load_products(&[ProductId::new(1)]).await.expect("so do the readers");
    assert_eq!(
        (products.watermark, products.value),
        (story.last(), vec![story.product_view(ProductId::new(1))])
    );
    store.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_opens_over_the_unix_socket_too() {
    let server = tokio::task::spawn_blocking(PrivatePostgres::shared).await.expect("a private Postgres");
    let store = PostgresStore::connect(&server.socket_url(), PostgresOptions::default()).await;
    store.expect("it opens").close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_held_by_somebody_else_is_unavailable_not_for_ever() {
    use sqlx::Connection;
    let start = || {
        let server = PrivatePostgres::shared();
        let url = server.create_database();
        (server, url)
    };
    let (_server, url) = tokio::task::spawn_blocking(start).await.expect("a private Postgres");
    let options =
        PostgresOptions { lock_timeout: std::time::Duration::from_millis(100), ..Default::default() };
    let store = PostgresStore::connect(&url, options).await.expect("it opens");
    let lease = store.acquire(&claim()).await.expect("a free store");
    let mut somebody = sqlx::PgConnection::connect(&url).await.expect("a back door");
    sqlx::raw_sql("BEGIN; SELECT 1 FROM engine FOR UPDATE").execute(&mut somebody).await.expect("locked");
    let batch = Batch::of(Seq::ZERO, &[]);
    assert_eq!(kind(&store.apply(lease.epoch, &batch).await), "unavailable");
    sqlx::raw_sql("ROLLBACK").execute(&mut somebody).await.expect("unlocked");
    store.apply(lease.epoch, &batch).await.expect("nobody holds it any more");
}
