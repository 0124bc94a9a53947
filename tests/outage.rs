//! What the server does while something that it stands on is away: its database, its disk, or room for more work.

mod support;

#[path = "outage/auditing.rs"]
mod auditing;
#[path = "outage/background.rs"]
mod background;
#[cfg(feature = "canaries")]
#[path = "outage/canaries.rs"]
mod canaries;
#[path = "crash/check.rs"]
mod check;
#[path = "outage/commits.rs"]
mod commits;
#[path = "outage/copied.rs"]
mod copied;
#[path = "outage/deadlocks.rs"]
mod deadlocks;
#[path = "outage/disk_errors.rs"]
mod disk_errors;
#[path = "crash/history.rs"]
mod history;
#[path = "outage/limits.rs"]
mod limits;
#[path = "outage/lines.rs"]
mod lines;
#[path = "crash/load.rs"]
mod load;
#[path = "outage/locks.rs"]
mod locks;
#[path = "outage/postgres_gone.rs"]
mod postgres_gone;
#[path = "outage/postgres_slow.rs"]
mod postgres_slow;
#[path = "outage/proof.rs"]
mod proof;
#[path = "outage/proxy.rs"]
mod proxy;
#[path = "outage/ready.rs"]
mod ready;
#[path = "outage/silence.rs"]
mod silence;
#[path = "outage/sql.rs"]
mod sql;
#[path = "outage/sqlstates.rs"]
mod sqlstates;
#[path = "outage/starting.rs"]
mod starting;
#[path = "outage/taken_over.rs"]
mod taken_over;
#[path = "outage/the_disk.rs"]
mod the_disk;
#[path = "outage/wire.rs"]
mod wire;

use proxy::Proxy;
use support::eventually;
use support::postgres::PrivatePostgres;
use support::server::{Server, Setup};
use support::store::Store;

/// A cluster that can be killed, and a server on a database of its own in it.
fn with_postgres(setup: Setup) -> (Server, PrivatePostgres, String) {
    let cluster = PrivatePostgres::create(true);
    let database = cluster.create_database();
    let server = setup.store(Store::at("postgres", database.clone(), ())).start();
    (server, cluster, database)
}

/// As [`with_postgres`], with a proxy between them. The address is the database's own.
fn with_proxy(setup: Setup) -> (Server, Proxy, PrivatePostgres, String) {
    let cluster = PrivatePostgres::create(true);
    let database = cluster.create_database();
    let proxy = Proxy::before(&database);
    let server = setup.store(Store::at("postgres", proxy.url(), ())).start();
    (server, proxy, cluster, database)
}

/// Waits until the server has noticed that the store is away; something must be on its way there.
fn notices_the_outage(server: &Server) {
    eventually("the outage is noticed", || (server.health()["store"]["reachable"] == false).then_some(()));
}
