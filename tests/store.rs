//! The store's contract: every sentence here holds for SQLite and for Postgres alike.

#[path = "support/postgres.rs"]
mod private_postgres;

#[path = "store/accounts.rs"]
mod accounts;
#[path = "store/auditing.rs"]
mod auditing;
#[path = "store/fixture.rs"]
mod fixture;
#[path = "store/lease.rs"]
mod lease;
#[path = "store/outage.rs"]
mod outage;
#[path = "store/reading.rs"]
mod reading;
#[path = "store/redemptions.rs"]
mod redemptions;
#[path = "store/statements.rs"]
mod statements;
#[path = "store/story.rs"]
mod story;
#[path = "store/withdrawals.rs"]
mod withdrawals;
#[path = "store/writing.rs"]
mod writing;

/// Makes two tests of each function, one per store.
macro_rules! on_both_stores {
    ($($sentence:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(crate::fixture::Fixture::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(crate::fixture::Fixture::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both_stores;
