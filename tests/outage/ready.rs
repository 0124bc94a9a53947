//! How soon a killed server serves again: with nothing to bring into the store, and with all that a store which was away has not
//! seen. What it takes is told, not judged: that depends on the machine.

use crate::support::api::{Item, User};
use crate::support::server::{Server, Setup};
use crate::support::store::durable_stores;
use crate::support::{eventually, setting};
use crate::with_postgres;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Buyers at the same time, so that they share syncs.
const BUYERS: usize = 32;

/// Starts a server that was killed. The milliseconds until it says that it is ready.
fn millis_to_ready(server: &mut Server) -> u128 {
    let begun = Instant::now();
    server.restart();
    eventually("it is ready", || {
        (server.guest().call_at("GET", "/health/ready".into()).send().status == 200).then_some(())
    });
    begun.elapsed().as_millis()
}

/// So many purchases, side by side.
fn sell(buyer: &User, item: Item, count: u64) {
    let left = AtomicU64::new(count);
    let is_left =
        || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    std::thread::scope(|scope| {
        for _ in 0..BUYERS {
            scope.spawn(|| {
                while is_left() {
                    buyer.buy(item, 1).expect(201);
                }
            });
        }
    });
}

#[test]
fn a_server_that_is_killed_with_nothing_to_store_is_ready_again() {
    for store in durable_stores() {
        let name = store.name;
        let mut server = Setup::new().store(store).start();
        let (item, buyer) = (server.admin().item("Lamp", 1, 1_000), server.buyer(1_000));
        sell(&buyer, item, 100);
        server.drains();
        let mut most = 0;
        for _ in 0..3 {
            server.kill9();
            most = millis_to_ready(&mut server).max(most);
            assert_eq!(server.stock(item), 900);
        }
        println!("proof: tier=T2 what=ready-empty-{name} runs=3 faults=3 acks=100 ready_ms={most}");
    }
}

#[test]
fn a_server_that_is_killed_with_much_to_store_is_ready_again_and_brings_it_there() {
    let count = setting("PURSER_OUTAGE_BACKLOG", 2_000) as u64;
    let (mut server, mut cluster, _) = with_postgres(Setup::new());
    let (item, buyer) = (server.admin().item("Lamp", 1, 2 * count), server.buyer(2 * count));
    buyer.buy(item, 1).expect(201);
    server.drains();
    cluster.kill9();
    sell(&buyer, item, count - 1);
    let backlog = server.backlog();
    assert!(backlog >= count - 1);
    server.kill9();
    cluster.start();
    let ready = millis_to_ready(&mut server);
    assert_eq!((server.stock(item), buyer.balance()), (count, count));
    server.drains();
    server.expect_clean_audit();
    println!("proof: tier=T3 what=ready-backlog-{backlog} runs=1 faults=2 acks={count} ready_ms={ready}");
}
