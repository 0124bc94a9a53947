//! An engine with the embedded store and a clock that can be watched, and what tests ask of it.

use purser::clock::{Clock, SystemClock};
use purser::domain::product::Change;
use purser::domain::text::{Email, Name, Sku, Text};
use purser::domain::user::Role;
use purser::domain::{Money, Outcome, ProductId, Quantity, Stock, Timestamp, UserId};
use purser::engine::{
    AdjustRequest, Answer, Call, ChangeItemRequest, Engine, EngineOptions, Freshness, NewItemRequest,
    NewUserRequest, PurchaseRequest,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Only a defect makes a test wait that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Products, balances, sessions, distributors and accounts may go to rest.
pub const KINDS_SWEPT: u64 = 5;

/// What must come, or the test fails.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let come = tokio::time::timeout(PATIENCE, future).await;
    come.unwrap_or_else(|_| panic!("did not happen within {PATIENCE:?}: {what}"))
}

/// The system's clock, which tells when the store's threads ask it: they do so to load a balance and to begin a sweep.
pub struct WatchedClock {
    asked: watch::Sender<u64>,
    /// Whether asking it there panics.
    broken: AtomicBool,
    /// Whether asking it where operations run panics.
    broken_for_operations: AtomicBool,
}

impl Default for WatchedClock {
    fn default() -> Self {
        let (broken, broken_for_operations) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { asked: watch::Sender::new(0), broken, broken_for_operations }
    }
}

impl WatchedClock {
    pub fn break_for_the_store(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    pub fn break_for_operations(&self) {
        self.broken_for_operations.store(true, Ordering::SeqCst);
    }

    /// Returns when the store's threads have asked so many times.
    pub async fn asked_since_the_start(&self, times: u64) {
        let mut asked = self.asked.subscribe();
        let asked = in_time("the store's threads look at the clock", asked.wait_for(|asked| *asked >= times));
        asked.await.expect("the clock is there");
    }

    /// Returns when the sweeps of every kind that have begun are over, and others have begun.
    pub async fn swept(&self) {
        // Each kind's sweep asks once, at its beginning.
        let asked = *self.asked.borrow();
        self.asked_since_the_start(asked + 2 * KINDS_SWEPT).await;
    }
}

impl Clock for WatchedClock {
    fn now(&self) -> Timestamp {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        if name == "store" {
            assert!(!self.broken.load(Ordering::SeqCst), "the clock is broken");
            self.asked.send_modify(|asked| *asked += 1);
        }
        if name == "owners" {
            assert!(!self.broken_for_operations.load(Ordering::SeqCst), "the clock is broken");
        }
        SystemClock.now()
    }
}

pub struct House {
    pub engine: Engine,
    pub clock: Arc<WatchedClock>,
    options: EngineOptions,
    directory: tempfile::TempDir,
}

impl House {
    pub async fn new(change: impl FnOnce(&mut EngineOptions)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut options = EngineOptions::embedded(directory.path());
        options.journal.segment_bytes = 4 << 20;
        change(&mut options);
        Self::open(options, directory).await
    }

    async fn open(options: EngineOptions, directory: tempfile::TempDir) -> Self {
        let clock = Arc::new(WatchedClock::default());
        let engine = Engine::start_with(options.clone(), clock.clone(), Arc::new(|_, _| {})).await;
        Self { engine: engine.expect("it starts"), clock, options, directory }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// An engine on the same directory, once this one has ended.
    pub async fn reopened(self) -> Self {
        self.reopened_with(|_| {}).await
    }

    /// As [`Self::reopened`], with other options.
    pub async fn reopened_with(self, change: impl FnOnce(&mut EngineOptions)) -> Self {
        let Self { engine, mut options, directory, .. } = self;
        change(&mut options);
        engine.shutdown().await;
        drop(engine);
        Self::open(options, directory).await
    }

    pub async fn item(&self, stock: i64) -> ProductId {
        id_of(self.create_item(None, stock).await)
    }

    pub async fn item_called(&self, sku: &str) -> ProductId {
        id_of(self.create_item(Some(sku), 5).await)
    }

    pub async fn create_item(&self, sku: Option<&str>, stock: i64) -> Answer {
        let request = NewItemRequest {
            sku: sku.map(|sku| Sku::parse(sku).expect("a sku")),
            name: Name::parse("Lamp").expect("a name"),
            description: None,
            price: Money::new(10).expect("money"),
            stock: Stock::new(stock).expect("a stock"),
        };
        self.engine.create_item(Call::default(), request).await
    }

    /// Gives an item another sku, or none.
    pub async fn call_it(
        &self,
        product_id: ProductId,
        sku: Option<&str>,
        if_revision: Option<u64>,
    ) -> Answer {
        let sku = sku.map(|sku| Sku::parse(sku).expect("a sku"));
        let change = Change { sku: Some(sku), ..Change::default() };
        self.engine.change_item(Call::default(), ChangeItemRequest { product_id, change, if_revision }).await
    }

    pub async fn buyer(&self, name: &str, amount: i64) -> UserId {
        let id = self.engine.register(new_user(name)).await.expect("registered").user.id;
        self.credit(id, amount, Call::default()).await.expect("credited");
        id
    }

    pub async fn credit(&self, user_id: UserId, amount: i64, call: Call) -> Answer {
        self.engine.credit(call, adjustment(user_id, amount, None)).await
    }

    pub async fn buy(&self, user_id: UserId, product_id: ProductId, call: Call) -> Answer {
        let quantity = Quantity::new(1).expect("a quantity");
        self.engine.purchase(call, PurchaseRequest { user_id, product_id, quantity }).await
    }

    pub async fn stock(&self, id: ProductId) -> i64 {
        self.engine.item(id, Freshness::default()).await.expect("it exists").value.stock
    }

    pub async fn amount(&self, id: UserId) -> i64 {
        self.engine.balance(id, Freshness::default()).await.expect("it exists").value.amount
    }

    pub async fn holds(&self, id: ProductId) -> i64 {
        self.engine.owner("product", &id.to_string()).await.expect("an owner").holds
    }

    /// The books balance, and the engine ends in good order.
    pub async fn close(self) {
        for check in self.engine.audit().await.expect("an audit").value {
            assert!(check.ok, "{}: {}", check.name, check.detail);
        }
        assert_eq!(self.engine.health().reason, None);
        self.engine.shutdown().await;
    }
}

/// The item that an answer tells of.
#[track_caller]
pub fn id_of(answer: Answer) -> ProductId {
    match answer.expect("an item").outcome {
        Outcome::Item(view) => view.product_id,
        other => panic!("{other:?}"),
    }
}

/// Somebody without a password.
pub fn new_user(name: &str) -> NewUserRequest {
    NewUserRequest {
        name: Name::parse(name).expect("a name"),
        email: address(name),
        password: None,
        role: Role::User,
        open_session: false,
    }
}

pub fn address(name: &str) -> Email {
    Email::parse(&format!("{name}@example.org")).expect("an email")
}

pub fn adjustment(user_id: UserId, amount: i64, description: Option<&str>) -> AdjustRequest {
    let description = description.map(|text| Text::parse(text).expect("a text"));
    AdjustRequest { user_id, amount: Money::new(amount).expect("money"), reference: None, description }
}
