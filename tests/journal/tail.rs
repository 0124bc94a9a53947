//! The tail under many threads: positions, versions and totals.

use purser::domain::event::{Entry, StockMove};
use purser::domain::{
    EntryKind, Event, LIMIT, MovementKind, Operation, Posting, ProductId, Record, Seq, Timestamp, UserId,
};
use purser::journal::space::Space;
use purser::journal::{Cell, Halt, HaltReason, Reservation, Tail};
use std::collections::BTreeMap;
use std::sync::Arc;

const THREADS: u64 = 8;
const EACH: u64 = 400;

fn room() -> Reservation {
    let space = Arc::new(Space::new());
    space.add(1 << 20);
    crate::rig::run(Space::reserve(&space, 100)).expect("room")
}

fn record(events: Vec<Event>) -> Record {
    let (seq, at) = (Seq::ZERO, Timestamp::from_micros(0));
    Record { seq, at, operation: Operation::Purchase, caller: None, key: None, refusal: None, events }
}

fn stock(product: u64, delta: i64) -> Event {
    let (product_id, kind, posting) = (ProductId::new(product), MovementKind::Sale, Posting::of(delta));
    Event::StockMoved(StockMove { product_id, kind, order_id: None, reason: None, posting })
}

fn money(user: u64, delta: i64) -> Event {
    let (user_id, kind, posting) = (UserId::new(user), EntryKind::Order, Posting::of(delta));
    Event::EntryPosted(Entry { user_id, kind, order_id: None, reference: None, description: None, posting })
}

#[test]
fn positions_have_no_gaps_and_every_version_follows_its_predecessor() {
    let tail = Arc::new(Tail::new(Seq::new(1), Arc::default()));
    let products: Arc<Vec<Cell>> = Arc::new((0..3).map(|_| Cell::new(1_000_000, 5, Seq::ZERO)).collect());
    let users: Arc<Vec<Cell>> = Arc::new((0..3).map(|_| Cell::new(0, 0, Seq::ZERO)).collect());
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (tail, products, users) = (tail.clone(), products.clone(), users.clone());
            std::thread::spawn(move || {
                for n in 0..EACH {
                    let (product, user) = ((thread + n) % 3, n % 3);
                    let amount = (thread * 31 + n * 7) as i64 % 50 + 1;
                    let events = vec![
                        money(user, amount),
                        stock(product, -amount),
                        Event::NameFreed {
                            namespace: purser::domain::event::Namespace::Sku,
                            name: "x".into(),
                        },
                    ];
                    let cells = [&users[user as usize], &products[product as usize], &users[user as usize]];
                    let told = tail.enqueue(record(events), &cells, room());
                    assert!(told.seq <= tail.appended());
                }
            })
        })
        .collect();
    let mut taken = Vec::new();
    let mut batch = Vec::new();
    while taken.len() < (THREADS * EACH) as usize {
        tail.take(&mut batch).expect("open");
        taken.extend(batch.drain(..).map(|pending| pending.record));
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
    let mut totals: BTreeMap<(bool, u64), (i64, u64)> = BTreeMap::new();
    for (index, record) in taken.iter().enumerate() {
        assert_eq!(record.seq, Seq::new(index as u64 + 1));
        for event in &record.events {
            let (owner, begin) = match event {
                Event::StockMoved(movement) => ((true, movement.product_id.get()), (1_000_000, 5)),
                Event::EntryPosted(entry) => ((false, entry.user_id.get()), (0, 0)),
                _ => continue,
            };
            let posting = event.posting().expect("it moves a total");
            let total = totals.entry(owner).or_insert(begin);
            *total = (total.0 + posting.delta, total.1 + 1);
            assert_eq!((posting.total, posting.version), *total, "record {}", record.seq);
        }
    }
    for (index, cell) in products.iter().enumerate() {
        assert_eq!(cell.version(), totals[&(true, index as u64)].1);
    }
    assert_eq!(tail.appended(), Seq::new(THREADS * EACH));
}

#[test]
fn a_total_outside_its_range_is_never_recorded() {
    for (total, delta) in [(3, -4), (LIMIT, 1)] {
        let tail = Tail::new(Seq::new(1), Arc::default());
        let cell = Cell::new(total, 0, Seq::ZERO);
        let enqueue = || tail.enqueue(record(vec![stock(1, delta)]), &[&cell], room());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(enqueue)).is_err());
        assert_eq!((tail.appended(), cell.version()), (Seq::ZERO, 0));
    }
}

#[test]
fn a_closed_tail_is_emptied_first_and_a_halted_one_is_not() {
    let halt = Arc::new(Halt::default());
    let tail = Tail::new(Seq::new(8), halt.clone());
    tail.enqueue(record(Vec::new()), &[], room());
    tail.close();
    let mut batch = Vec::new();
    assert!(tail.take(&mut batch).is_some());
    assert_eq!(batch.drain(..).map(|pending| pending.record.seq.get()).collect::<Vec<_>>(), [8]);
    assert!(tail.take(&mut batch).is_none());
    tail.enqueue(record(Vec::new()), &[], room());
    halt.halt(HaltReason::Panic("test".into()));
    assert!(tail.take(&mut batch).is_none());
}
