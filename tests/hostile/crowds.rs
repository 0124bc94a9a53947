//! A crowd before one product, and a crowd that says nothing: whoever wants something else is served as before. How much longer
//! that takes is told, not judged: it depends on the machine. What the crowd costs by itself is told by the same crowd with a
//! product for each of them.

use crate::proof;
use crate::support::api::{Item, User};
use crate::support::http::Connection;
use crate::support::journal::keeping_its_journal;
use crate::support::server::{Server, Setup};
use crate::support::{eventually, setting};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Ten times as many as there is room for at one product.
const CROWD: usize = 80;
const ROOM: &str = "8";
/// Others, who come one after the other on so many connections.
const OTHERS: usize = 4;

/// Buys one of each of these, which nobody has asked for since the start. What each took, shortest first.
fn each_once(buyer: &User, items: &[Item]) -> Vec<Duration> {
    let next = AtomicUsize::new(0);
    let buy = || {
        let mut took = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begun = Instant::now();
            buyer.buy(*item, 1).expect(201);
            took.push(begun.elapsed());
        }
        took
    };
    let mut took = std::thread::scope(|scope| {
        let others: Vec<_> = (0..OTHERS).map(|_| scope.spawn(buy)).collect();
        let took = others.into_iter().flat_map(|other| other.join().expect("each is served"));
        took.collect::<Vec<_>>()
    });
    took.sort_unstable();
    took
}

/// Microseconds within which 99 of 100 were served.
fn p99(took: &[Duration]) -> u128 {
    took[took.len() * 99 / 100].as_micros()
}

/// Sends the crowd home, also after a failure.
struct Closing<'a>(&'a AtomicBool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Buys until the crowd is sent home. It has machines of its own: here, it gives way on the processors to the server and the others.
fn crowd(buyer: &User, item: Item, is_over: &AtomicBool, sold: &AtomicUsize, refused: &AtomicUsize) {
    rustix::process::nice(19).expect("a thread may always give way");
    while !is_over.load(Ordering::Relaxed) {
        let reply = buyer.buy(item, 1);
        match (reply.status, reply.json()["code"].as_str()) {
            (201, _) => sold.fetch_add(1, Ordering::Relaxed),
            (503, Some("overloaded")) => refused.fetch_add(1, Ordering::Relaxed),
            _ => panic!("{} {}", reply.to, reply.text()),
        };
    }
}

/// What each who bought of these took while the crowd bought, each of them his own of those: and how many were sold to the
/// crowd, and how many refused.
fn beside_crowd(
    others: (&User, &[Item]),
    buyers: &[User],
    crowded: &[Item],
) -> (Vec<Duration>, usize, usize) {
    let (is_over, sold, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let took = std::thread::scope(|scope| {
        let _closing = Closing(&is_over);
        for (buyer, item) in buyers.iter().zip(crowded.iter().cycle()) {
            scope.spawn(|| crowd(buyer, *item, &is_over, &sold, &refused));
        }
        // One product has no room for all of them, many have.
        let is_there = || match crowded {
            [_] => refused.load(Ordering::Relaxed) > 0,
            _ => sold.load(Ordering::Relaxed) >= CROWD,
        };
        eventually("the crowd is there", || is_there().then_some(()));
        each_once(others.0, others.1)
    });
    (took, sold.into_inner(), refused.into_inner())
}

/// Connections that begin a request and do not end it.
fn silent(server: &Server, item: Item, buyer: &User) -> Vec<Connection> {
    let head = format!(
        "POST /api/v1/items/{}/purchase HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\nContent-Length: 14\r\n",
        item.id,
        buyer.token().expect("a token")
    );
    let open = |index: usize| {
        let mut connection = server.connect();
        let body = if index.is_multiple_of(2) { "Content-Type: application/json\r\n\r\n{" } else { "" };
        connection.write((head.clone() + body).as_bytes()).expect("the server reads");
        connection
    };
    (0..200).map(open).collect()
}

#[test]
fn neither_a_crowd_before_one_product_nor_a_silent_one_keeps_others_from_theirs() {
    let count = setting("PURSER_HOSTILE_COLD", 200);
    let setup = keeping_its_journal(Setup::new()).env("PURSER__ADMISSION__OPERATIONS_PER_OWNER_MAX", ROOM);
    let mut server = setup.start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000_000_000));
    let many: Vec<_> = (0..CROWD).map(|_| admin.item("Lamp", 1, 1_000_000_000)).collect();
    let hot = admin.item("Lamp", 1, 1_000_000_000);
    let buyers: Vec<_> = (0..CROWD).map(|_| server.buyer(1_000_000_000)).collect();
    let cold: Vec<_> = (0..4 * count).map(|_| admin.item("Lamp", 1, 1)).collect();
    server.drains();
    // Nobody is in memory any more.
    server.kill9();
    server.restart();
    let mut cold = cold.chunks(count);
    let mut others = || (&buyer, cold.next().expect("four parts"));
    let (_, items) = others();
    let alone = each_once(&buyer, items);
    let (with_spread, spread_sold, spread_refused) = beside_crowd(others(), &buyers, &many);
    let (with_crowd, sold, refused) = beside_crowd(others(), &buyers, &[hot]);
    let silent = silent(&server, hot, &buyer);
    let (_, items) = others();
    let with_silence = each_once(&buyer, items);
    drop(silent);
    assert_eq!(server.stock(hot), 1_000_000_000 - sold as u64, "sold to the crowd");
    assert_eq!(spread_refused, 0, "there is room for one at each product");
    server.drains();
    server.expect_clean_audit();
    let [alone, with_spread, with_crowd, with_silence] =
        [&alone, &with_spread, &with_crowd, &with_silence].map(|took| p99(took));
    println!(
        "P99 of others in µs: alone {alone}, beside {CROWD} at as many products {with_spread}, beside {CROWD} at one {with_crowd} \
         ({spread_sold} sold; {sold} sold, {refused} refused), beside silence {with_silence}"
    );
    let acks = sold + spread_sold + 4 * count;
    proof("crowds", [4 * count, refused, acks], [800, CROWD, 800 + CROWD]);
}
