//! The same through the engine's door, with the embedded store.

use futures_util::future::join_all;
use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::domain::{Money, Outcome, ProductId, Quantity, Rejection, UserId};
use purser::engine::{
    AdjustRequest, Answer, Call, Durability, Engine, EngineError, EngineOptions, Freshness, NewItemRequest,
    NewUserRequest, PurchaseRequest,
};

struct House {
    engine: Engine,
    _directory: tempfile::TempDir,
}

impl House {
    async fn new(change: impl FnOnce(&mut EngineOptions)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut options = EngineOptions::embedded(directory.path());
        options.journal.segment_bytes = 4 << 20;
        change(&mut options);
        let engine = Engine::start(options).await.expect("it starts");
        Self { engine, _directory: directory }
    }

    async fn item(&self, stock: i64) -> ProductId {
        let name = Name::parse("Lamp").expect("a name");
        let request = NewItemRequest {
            sku: None,
            name,
            description: None,
            price: Money::new(10).expect("money"),
            stock,
        };
        match self.engine.create_item(Call::default(), request).await.expect("created").outcome {
            Outcome::Item(view) => view.product_id,
            other => panic!("{other:?}"),
        }
    }

    async fn buyer(&self, name: &str, amount: i64) -> UserId {
        let request = NewUserRequest {
            name: Name::parse(name).expect("a name"),
            email: Email::parse(&format!("{name}@example.org")).expect("an email"),
            password: None,
            role: Role::User,
            open_session: false,
        };
        let id = self.engine.register(request).await.expect("registered").user.id;
        self.credit(id, amount, Call::default()).await.expect("credited");
        id
    }

    async fn credit(&self, user_id: UserId, amount: i64, call: Call) -> Answer {
        let amount = Money::new(amount).expect("money");
        self.engine.credit(call, AdjustRequest { user_id, amount, reference: None, description: None }).await
    }

    async fn buy(&self, user_id: UserId, product_id: ProductId, call: Call) -> Answer {
        let quantity = Quantity::new(1).expect("a quantity");
        self.engine.purchase(call, PurchaseRequest { user_id, product_id, quantity }).await
    }

    async fn stock(&self, id: ProductId) -> i64 {
        self.engine.item(id, Freshness::default()).await.expect("it exists").value.stock
    }

    async fn amount(&self, id: UserId) -> i64 {
        self.engine.balance(id, Freshness::default()).await.expect("it exists").value.amount
    }

    async fn holds(&self, id: ProductId) -> i64 {
        self.engine.owner("product", &id.to_string()).await.expect("an owner").holds
    }

    /// The books balance, and the engine ends in good order.
    async fn close(self) {
        for check in self.engine.audit().await.expect("an audit").value {
            assert!(check.ok, "{}: {}", check.name, check.detail);
        }
        assert!(self.engine.health().reason.is_none());
        self.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_and_twenty_four_buyers_of_the_last_unit_one_gets_it() {
    let house = House::new(|_| {}).await;
    let (item, ann) = (house.item(1).await, house.buyer("ann", 1_000_000).await);
    let answers = join_all((0..1_024).map(|_| house.buy(ann, item, Call::by(ann)))).await;
    let sold = answers.iter().filter(|answer| answer.is_ok()).count();
    let sold_out = |answer: &&Answer| {
        matches!(answer, Err(EngineError::Rejected { rejection: Rejection::InsufficientStock { .. }, .. }))
    };
    assert_eq!((sold, answers.iter().filter(sold_out).count()), (1, 1_023));
    assert_eq!((house.stock(item).await, house.amount(ann).await), (0, 999_990));
    assert_eq!(house.holds(item).await, 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_one_key_are_one_purchase_with_one_answer() {
    let house = House::new(|_| {}).await;
    let (item, ann) = (house.item(100).await, house.buyer("ann", 1_000).await);
    let answers = join_all((0..50).map(|_| house.buy(ann, item, Call::by(ann).keyed("once")))).await;
    let replies: Vec<_> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
    assert_eq!(replies.iter().filter(|reply| !reply.replayed).count(), 1);
    assert!(replies.iter().all(|reply| (&reply.outcome, reply.seq) == (&replies[0].outcome, replies[0].seq)));
    assert_eq!((house.stock(item).await, house.amount(ann).await), (99, 990));
    let other = house.credit(ann, 5, Call::by(ann).keyed("once")).await;
    assert!(matches!(other, Err(EngineError::Rejected { rejection: Rejection::KeyReused, .. })), "{other:?}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_under_a_key_does_not_turn_into_a_sale_later() {
    let house = House::new(|_| {}).await;
    let (item, ann) = (house.item(5).await, house.buyer("ann", 3).await);
    let first = house.buy(ann, item, Call::by(ann).keyed("k")).await.expect_err("too little money");
    house.credit(ann, 1_000, Call::default()).await.expect("credited");
    let again = house.buy(ann, item, Call::by(ann).keyed("k")).await.expect_err("remembered");
    let (EngineError::Rejected { rejection, seq, replayed }, EngineError::Rejected { rejection: then, .. }) =
        (again, first)
    else {
        panic!("both are refusals")
    };
    assert_eq!((rejection, replayed), (then, true));
    assert!(seq.get() > 0);
    assert_eq!(house.stock(item).await, 5);
    house.buy(ann, item, Call::by(ann).keyed("another")).await.expect("sold");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_vanish_leave_whole_purchases_and_no_holds() {
    let house = House::new(|_| {}).await;
    let (item, ann) = (house.item(1_000).await, house.buyer("ann", 1_000_000).await);
    for polls in 0..200 {
        let mut call = Box::pin(house.buy(ann, item, Call::by(ann)));
        for _ in 0..polls % 4 {
            if futures_util::future::poll_immediate(&mut call).await.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
    }
    // Whatever is under way ends before an operation that comes later on the same owners.
    let bought = house.buy(ann, item, Call::by(ann)).await.expect("sold");
    house.engine.durable(bought.seq).await.expect("no halt");
    while house.holds(item).await > 0 {
        tokio::task::yield_now().await;
    }
    let engine = house.engine.clone();
    let sold = 1_000 - house.stock(item).await;
    let orders = purser::store::Page { limit: 1_000, before: None };
    let filter = purser::store::OrderFilter { user_id: Some(ann), status: None };
    let listed = engine.orders(filter, orders, Freshness { min_seq: None, caller: Some(ann) }).await;
    assert!(listed.expect("a list").value.rows.len() as i64 >= sold.min(1));
    assert!(sold >= 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_that_went_to_rest_come_back_as_they_were() {
    let house = House::new(|options| {
        options.idle_seconds = 0;
        options.sweep_seconds = 1;
    })
    .await;
    let (item, ann) = (house.item(5).await, house.buyer("ann", 100).await);
    let stored = Call { durability: Durability::Store, ..Call::by(ann).keyed("k") };
    house.buy(ann, item, stored).await.expect("sold");
    let gone = async || {
        let product = house.engine.owner("product", &item.to_string()).await;
        let balance = house.engine.owner("balance", &ann.to_string()).await;
        [product, balance].iter().flatten().all(|owner| !owner.resident)
    };
    // Looking pins an owner for a moment, so a look without a pause would keep it from going.
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while !gone().await {
        assert!(std::time::Instant::now() < deadline, "nobody went to rest");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let again = house.buy(ann, item, Call::by(ann).keyed("k")).await.expect("remembered");
    assert!(again.replayed);
    assert_eq!((house.stock(item).await, house.amount(ann).await), (4, 90));
    house.buy(ann, item, Call::by(ann)).await.expect("sold");
    assert_eq!((house.stock(item).await, house.amount(ann).await), (3, 80));
    house.close().await;
}
