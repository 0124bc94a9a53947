//! Which store a server under test writes to. Tests that touch durability or concurrency run once for each.

use super::postgres::PrivatePostgres;
use super::server::{Server, Setup};
use std::any::Any;
use std::sync::Arc;

/// A store, empty, for one server at a time.
pub struct Store {
    pub name: &'static str,
    /// `None`: the embedded default in the data directory.
    pub url: Option<String>,
    /// Keeps what stands behind the address alive as long as the store is used.
    _keeper: Option<Box<dyn Any + Send + Sync>>,
}

impl Store {
    /// The embedded SQLite store.
    pub fn embedded() -> Self {
        Self { name: "sqlite", url: None, _keeper: None }
    }

    /// A store behind an address, kept alive by `keeper`.
    pub fn at(name: &'static str, url: String, keeper: impl Any + Send + Sync) -> Self {
        Self { name, url: Some(url), _keeper: Some(Box::new(keeper)) }
    }
}

/// Every store that the tests run against, each one fresh: a file, or a database of its own in a shared cluster.
pub fn stores() -> Vec<Store> {
    in_cluster(PrivatePostgres::shared())
}

/// As [`stores`], with a Postgres that syncs what it commits.
pub fn durable_stores() -> Vec<Store> {
    in_cluster(PrivatePostgres::shared_durable())
}

fn in_cluster(cluster: Arc<PrivatePostgres>) -> Vec<Store> {
    let database = cluster.create_database();
    vec![Store::embedded(), Store::at("postgres", database, cluster)]
}

/// Runs the test on a fresh server for each store.
pub fn on_each_store(test: impl Fn(&mut Server)) {
    on_each_of(stores(), test);
}

/// As [`on_each_store`], with [`durable_stores`].
pub fn on_each_durable_store(test: impl Fn(&mut Server)) {
    on_each_of(durable_stores(), test);
}

fn on_each_of(stores: Vec<Store>, test: impl Fn(&mut Server)) {
    for store in stores {
        let name = store.name;
        let mut server = Setup::new().store(store).start();
        eprintln!("on {name}");
        test(&mut server);
    }
}
