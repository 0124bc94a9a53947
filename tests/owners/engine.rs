//! The same through the engine's door, with the embedded store.

use crate::house::{House, in_time};
use crate::threads::Thread;
use futures_util::future::join_all;
use purser::domain::Rejection;
use purser::engine::{Answer, Call, Durability, EngineError, Freshness};
use purser::store::{OrderFilter, Page};

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
    let answers = join_all((0..50).map(|_| house.buy(ann, item, Call::keyed(ann, "once")))).await;
    let replies: Vec<_> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
    assert_eq!(replies.iter().filter(|reply| !reply.replayed).count(), 1);
    assert!(replies.iter().all(|reply| (&reply.outcome, reply.seq) == (&replies[0].outcome, replies[0].seq)));
    assert_eq!((house.stock(item).await, house.amount(ann).await), (99, 990));
    let other = house.credit(ann, 5, Call::keyed(ann, "once")).await;
    assert!(matches!(other, Err(EngineError::Rejected { rejection: Rejection::KeyReused, .. })), "{other:?}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_under_a_key_does_not_turn_into_a_sale_later() {
    let house = House::new(|_| {}).await;
    let (item, ann) = (house.item(5).await, house.buyer("ann", 3).await);
    let first = house.buy(ann, item, Call::keyed(ann, "k")).await.expect_err("too little money");
    house.credit(ann, 1_000, Call::default()).await.expect("credited");
    let again = house.buy(ann, item, Call::keyed(ann, "k")).await.expect_err("remembered");
    let (
        EngineError::Rejected { rejection, seq, replayed },
        EngineError::Rejected { rejection: then, seq: written, replayed: false },
    ) = (again, first)
    else {
        panic!("both are refusals, and the first is not a repetition")
    };
    assert_eq!((rejection, seq, replayed), (then, written, true));
    assert_eq!(house.stock(item).await, 5);
    house.buy(ann, item, Call::keyed(ann, "another")).await.expect("sold");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_vanish_leave_whole_purchases_and_no_holds() {
    let house = House::new(|_| {}).await;
    let (item, ann) = (house.item(1_000).await, house.buyer("ann", 1_000_000).await);
    let mut asked = 0;
    for polls in 0..200 {
        let mut call = Box::pin(house.buy(ann, item, Call::by(ann)));
        for _ in 0..polls % 4 {
            if futures_util::future::poll_immediate(&mut call).await.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        // A call is carried out once it was looked at, whoever waits for its answer.
        asked += i64::from(polls % 4 > 0);
        drop(call);
    }
    Thread::of(&house.engine).await.settle().await;
    assert_eq!(house.holds(item).await, 0);
    assert_eq!((house.stock(item).await, house.amount(ann).await), (1_000 - asked, 1_000_000 - 10 * asked));
    let every = Page { limit: 1_000, before: None };
    let filter = OrderFilter { user_id: Some(ann), status: None };
    let listed = house.engine.orders(filter, every, Freshness { min_seq: None, caller: Some(ann) }).await;
    let orders = listed.expect("a list").value.rows;
    assert!(orders.iter().all(|order| order.total.minor() == 10), "{orders:?}");
    assert_eq!(orders.len() as i64, asked);
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
    let stored = Call::keyed(ann, "k").durable_in(Durability::Store);
    house.buy(ann, item, stored).await.expect("sold");
    let gone = async || {
        let product = house.engine.owner("product", &item.to_string()).await;
        let balance = house.engine.owner("balance", &ann.to_string()).await;
        [product, balance].iter().flatten().all(|owner| !owner.resident)
    };
    // The reply may leave a moment before the last pin; a look pins, too.
    let rest = async {
        while !gone().await {
            house.clock.swept().await;
        }
    };
    in_time("both go to rest", rest).await;
    let again = house.buy(ann, item, Call::keyed(ann, "k")).await.expect("remembered");
    assert!(again.replayed);
    assert_eq!((house.stock(item).await, house.amount(ann).await), (4, 90));
    house.buy(ann, item, Call::by(ann)).await.expect("sold");
    assert_eq!((house.stock(item).await, house.amount(ann).await), (3, 80));
    house.close().await;
}
