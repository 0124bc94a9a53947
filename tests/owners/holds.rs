//! One product's owner, message by message. Messages of one sender arrive in the order they were sent, so nothing here
//! depends on luck.

use crate::house::in_time;
use crate::simulated_store::SimulatedStore;
use purser::clock::ManualClock;
use purser::domain::balance::Balance;
use purser::domain::product::{Change, Details, Product, ProductClaim, ProductCommand, ProductView};
use purser::domain::text::Name;
use purser::domain::{Money, Operation, ProductId, Rejection, Seq, Timestamp};
use purser::journal::disk::Disk;
use purser::journal::simulated::SimulatedDisk;
use purser::journal::{Halt, HaltReason, Journal, JournalOptions, Position, reader, recover};
use purser::messages::Board;
use purser::messages::board::Notice;
use purser::owners::ground::Limits;
use purser::owners::homes::Homes;
use purser::owners::index::{Revocations, UnstoredObjects};
use purser::owners::mailbox::{Cause, Claim, Commit, Committed, Glimpse, NotClaimed, NotCommitted, View};
use purser::owners::passivation::sweep;
use purser::owners::pending::Pending;
use purser::owners::{Ground, Hold, Pin, PinError, Supervisor};
use purser::redemption;
use purser::store::StoreReader;
use purser::store::write_behind::Status;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot::{self, Receiver};
use uuid::Uuid;

const ITEM: ProductId = ProductId::new(1);
const WAITING_FOR_LOADS: usize = 200;

pub struct Shop {
    pub ground: Arc<Ground>,
    pub store: Arc<SimulatedStore>,
    pub balances: Arc<Supervisor<Balance>>,
    /// What the dispatcher would be told.
    pub notices: UnboundedReceiver<Notice>,
    products: Arc<Supervisor<Product>>,
    clock: Arc<ManualClock>,
}

type Claimed = Receiver<Result<(Hold<Product>, Arc<Details>), NotClaimed>>;

impl Shop {
    /// Ten products with five units each, in the store.
    pub fn new(residents_max: usize) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        let survey = reader::survey(disk.as_ref()).expect("an empty disk");
        let size = 64 << 10;
        let recovered =
            recover::recover(disk.as_ref(), survey, Uuid::from_u128(1), size).expect("an empty disk");
        let halt = Arc::new(Halt::default());
        let options = JournalOptions { segment_bytes: size, keep_segments: 1 };
        let (written, _) = tokio::sync::mpsc::unbounded_channel();
        let journal =
            Journal::open(disk, options, &recovered, Seq::new(1), halt.clone(), written).expect("a journal");
        let (durable, stored) = (journal.durable().clone(), Arc::new(Position::new(Seq::ZERO, halt.clone())));
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
        let homes = Arc::new(Homes::start(1, &durable, &stored).expect("an arbiter"));
        let store = Arc::new(SimulatedStore::default());
        for id in 1..=10 {
            store.put_product(product(ProductId::new(id)));
        }
        let reader = StoreReader::new(
            store.clone(),
            stored.clone(),
            Arc::new(Status::default()),
            Duration::from_secs(5),
        );
        let (messages, notices) = Board::new();
        let limits = Limits {
            keys_per_caller: 10,
            key_retention_seconds: 60,
            operations_per_owner: 100,
            waiting_for_loads: WAITING_FOR_LOADS,
        };
        let ground = Arc::new(Ground {
            journal,
            clock: clock.clone(),
            durable,
            stored,
            store: reader,
            halt,
            unstored: UnstoredObjects::default(),
            pending: Pending::default(),
            revocations: Revocations::new(900),
            messages: Arc::new(messages),
            cards: Arc::new(redemption::Board::new().0),
            limits,
        });
        let runtime = tokio::runtime::Handle::current();
        let products = Supervisor::start(ground.clone(), homes.clone(), &runtime, residents_max);
        let balances = Supervisor::start(ground.clone(), homes, &runtime, residents_max);
        Self { ground, store, balances, notices, products, clock }
    }

    pub async fn item(&self) -> Pin<Product> {
        self.products.pin(ITEM).await.unwrap_or_else(|_| panic!("it is in the store"))
    }

    async fn reprice(&self, pin: &Pin<Product>, price: i64) -> Receiver<Result<Committed, NotCommitted>> {
        let space = self.ground.journal.reserve(2_000).await.expect("room");
        let cause = Cause { operation: Operation::ChangeItem, caller: None, key: None, space, read_at: None };
        let change = Change { price: Money::new(price), ..Change::default() };
        let command = ProductCommand::Change { change, if_revision: None };
        let (reply, answer) = oneshot::channel();
        pin.send(Commit { pin: pin.clone(), command, parties: Vec::new(), cause, reply });
        answer
    }
}

fn product(product_id: ProductId) -> ProductView {
    let created_at = Timestamp::from_micros(1);
    let details = Details {
        sku: None,
        name: Name::parse("Lamp").expect("a name"),
        description: None,
        price: Money::new(10).expect("money"),
        revision: 1,
        created_at,
        deleted_at: None,
    };
    ProductView { product_id, details: Arc::new(details), stock: 5, version: 1, updated_at: created_at }
}

fn ask(pin: &Pin<Product>, units: i64) -> Claimed {
    let (reply, answer) = oneshot::channel();
    pin.send(Claim { pin: pin.clone(), claim: ProductClaim::Units(units), read_at: None, reply });
    answer
}

/// Units under holds, once everything that was sent before has been handled.
async fn held(pin: &Pin<Product>) -> i64 {
    let (reply, answer) = oneshot::channel();
    let look =
        Box::new(move |glimpse: &mut Glimpse<'_, Product>| _ = reply.send(glimpse.entity.open_holds().0));
    pin.send(View { pin: pin.clone(), look });
    answer.await.expect("an answer")
}

async fn granted(claimed: Claimed) -> (Hold<Product>, Arc<Details>) {
    claimed.await.expect("an answer").unwrap_or_else(|error| panic!("{error:?}"))
}

fn is_waiting(claimed: &mut Claimed) -> bool {
    matches!(claimed.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}

#[tokio::test]
async fn holds_that_wait_are_granted_first_in_first_out() {
    let shop = Shop::new(100);
    let item = shop.item().await;
    let (first, _) = granted(ask(&item, 4)).await;
    let mut large = ask(&item, 3);
    // One unit is free, but somebody came before.
    let mut small = ask(&item, 1);
    let mut last = ask(&item, 2);
    assert_eq!(held(&item).await, 4);
    assert!(is_waiting(&mut large) && is_waiting(&mut small) && is_waiting(&mut last));
    drop(first);
    let (large, small) = (granted(large).await.0, granted(small).await.0);
    assert_eq!(held(&item).await, 4);
    assert!(is_waiting(&mut last));
    drop(small);
    drop(granted(last).await);
    drop(large);
    assert_eq!(held(&item).await, 0);
}

#[tokio::test]
async fn more_than_there_is_is_refused_although_others_wait() {
    let shop = Shop::new(100);
    let item = shop.item().await;
    let (_all, _) = granted(ask(&item, 5)).await;
    let mut waiting = ask(&item, 5);
    match ask(&item, 6).await.expect("an answer") {
        Err(NotClaimed::Refused(refused)) => {
            let expected = Rejection::InsufficientStock { product_id: ITEM, requested: 6, available: 5 };
            assert_eq!(refused.rejection, expected);
        }
        _ => panic!("six of five"),
    }
    assert!(is_waiting(&mut waiting));
}

#[tokio::test]
async fn a_caller_that_vanishes_leaves_no_hold_behind() {
    let shop = Shop::new(100);
    let item = shop.item().await;
    // Gone before it was asked, while it waited, and after it was granted but before it heard of it.
    drop(ask(&item, 5));
    let (hold, _) = granted(ask(&item, 5)).await;
    let gone = ask(&item, 5);
    let mut patient = ask(&item, 2);
    assert_eq!(held(&item).await, 5);
    drop(gone);
    drop(hold);
    let unheard = ask(&item, 3);
    assert_eq!(held(&item).await, 5);
    drop(unheard);
    assert_eq!(held(&item).await, 2);
    assert!(!is_waiting(&mut patient));
}

#[tokio::test]
async fn a_change_of_price_waits_for_open_holds_and_those_behind_it_for_the_change() {
    let shop = Shop::new(100);
    let item = shop.item().await;
    let (hold, terms) = granted(ask(&item, 1)).await;
    assert_eq!(terms.price.minor(), 10);
    let mut change = shop.reprice(&item, 25).await;
    let mut behind = ask(&item, 1);
    assert_eq!(held(&item).await, 1);
    assert!(matches!(change.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
    assert!(is_waiting(&mut behind));
    drop(hold);
    assert!(matches!(change.await.expect("an answer"), Ok(Committed::Recorded { .. })));
    assert_eq!(granted(behind).await.1.price.minor(), 25);
}

#[tokio::test]
async fn whoever_asks_for_a_product_that_is_being_loaded_waits_for_that_one_load() {
    let shop = Shop::new(100);
    let asking: Vec<_> = (0..WAITING_FOR_LOADS)
        .map(|_| {
            let products = shop.products.clone();
            tokio::spawn(async move { products.pin(ITEM).await.is_ok() })
        })
        .collect();
    for pinned in asking {
        assert!(pinned.await.expect("no panic"));
    }
    let loads = shop.store.loads().into_iter().flatten().filter(|id| *id == ITEM).count();
    assert_eq!((loads, shop.products.residents()), (1, 1));
}

#[tokio::test]
async fn a_store_that_hangs_keeps_only_so_many_waiting_and_none_whose_product_is_in_memory() {
    let shop = Shop::new(100);
    let resident = shop.item().await;
    shop.store.hang();
    let asking: Vec<_> = (0..WAITING_FOR_LOADS as u64)
        .map(|number| {
            let products = shop.products.clone();
            tokio::spawn(async move { products.pin(ProductId::new(2 + number % 8)).await.map(drop) })
        })
        .collect();
    while shop.store.loads().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shop.products.pin(ProductId::new(10)).await.err(), Some(PinError::Overloaded));
    assert!(shop.products.pin(ITEM).await.is_ok());
    drop(resident);
    for waiting in asking {
        waiting.abort();
    }
}

#[tokio::test]
async fn whoever_waits_for_a_load_is_told_when_the_engine_halts() {
    let shop = Shop::new(100);
    shop.store.hang();
    let asking: Vec<_> = (1..=3)
        .map(|number| {
            let products = shop.products.clone();
            tokio::spawn(async move { products.pin(ProductId::new(number)).await.err() })
        })
        .collect();
    while shop.store.loads().is_empty() {
        tokio::task::yield_now().await;
    }
    shop.ground.halt.halt(HaltReason::Panic("a test".into()));
    for waiting in asking {
        let told = in_time("an answer", waiting).await.expect("no panic");
        // Once the read has run out of time it would be the store's fault.
        assert_eq!(told, Some(PinError::Stopped));
    }
}

#[tokio::test]
async fn an_owner_goes_when_nobody_needs_it_and_comes_back_from_the_store() {
    let shop = Shop::new(100);
    let item = shop.item().await;
    shop.clock.advance_seconds(1_000);
    assert_eq!(sweep(&shop.products, 300), 0, "it is pinned");
    drop(item);
    assert_eq!(sweep(&shop.products, 2_000), 0, "it was needed a moment ago");
    assert_eq!(sweep(&shop.products, 300), 1);
    assert_eq!(shop.products.residents(), 0);
    let item = shop.item().await;
    assert_eq!(held(&item).await, 0);
    assert_eq!(shop.store.loads().len(), 2);
}

#[tokio::test]
async fn an_owner_stays_while_the_store_lacks_something_of_it() {
    let shop = Shop::new(100);
    let item = shop.item().await;
    let Ok(Committed::Recorded { record, .. }) = shop.reprice(&item, 25).await.await.expect("an answer")
    else {
        panic!("nothing is in the way")
    };
    drop(item);
    shop.clock.advance_seconds(1_000);
    // The pins of the messages go with them.
    let unpinned = async {
        while shop.products.some_residents(1).iter().any(|pin| pin.pins() > 1) {
            tokio::task::yield_now().await;
        }
    };
    in_time("the last pin goes", unpinned).await;
    assert_eq!(sweep(&shop.products, 0), 0);
    shop.ground.stored.advance(record.seq);
    assert_eq!(sweep(&shop.products, 0), 1);
    assert_eq!(shop.products.residents(), 0);
}

#[tokio::test]
async fn no_more_owners_than_allowed_are_resident() {
    let shop = Shop::new(8);
    let mut pins = Vec::new();
    for id in 1..=9 {
        pins.push(shop.products.pin(ProductId::new(id)).await.unwrap_or_else(|_| panic!("{id} fits")));
    }
    let tenth = shop.products.pin(ProductId::new(10)).await;
    assert!(matches!(tenth, Err(PinError::Overloaded)), "an eighth more is the most");
    assert_eq!(sweep(&shop.products, 1_000), 0, "all are pinned");
    pins.truncate(2);
    assert_eq!(sweep(&shop.products, 1_000), 1, "the excess goes although it is not idle");
    assert!(shop.products.pin(ProductId::new(10)).await.is_ok());
}

#[tokio::test]
async fn after_a_halt_nothing_is_granted_committed_or_shown() {
    let shop = Shop::new(100);
    let item = shop.item().await;
    let (hold, _) = granted(ask(&item, 4)).await;
    // Both wait for the open hold.
    let (waiting, change) = (ask(&item, 3), shop.reprice(&item, 25).await);
    assert_eq!(held(&item).await, 4);
    shop.ground.halt.halt(HaltReason::Panic("a test".into()));
    drop(hold);
    let (late, late_change) = (ask(&item, 1), shop.reprice(&item, 30).await);
    let (reply, look) = oneshot::channel();
    item.send(View { pin: item.clone(), look: Box::new(|_| _ = reply.send(())) });
    assert!(look.await.is_err(), "shown");
    assert!(late.await.is_err(), "granted");
    assert!(late_change.await.is_err(), "committed");
    assert_eq!((shop.ground.journal.appended(), item.cell.version()), (Seq::ZERO, 1));
    // Those that waited wait for ever: nobody is told what was never made durable.
    let (mut waiting, mut change) = (waiting, change);
    assert!(is_waiting(&mut waiting));
    assert!(matches!(change.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
}
