//! Operations stopped half-way by holding up the threads that their owners live on, while something else happens.

use crate::house::{House, address, in_time, new_user};
use crate::threads::Thread;
use futures_util::future::{BoxFuture, FutureExt, poll_immediate, ready};
use purser::domain::directory::UniqueName;
use purser::domain::event::Namespace;
use purser::domain::{Money, ProductId, Quantity, Rejection, UserId};
use purser::engine::{Answer, Call, EngineError, Freshness, LineRequest, Lines, OrderRequest, Pricing};
use purser::journal::HaltReason;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::time::Duration;

const OLD: &str = "old sku";

/// An sku in another shard of the directory than [`OLD`].
fn new_sku() -> (String, UniqueName) {
    let name = |sku: &str| UniqueName { namespace: Namespace::Sku, name: sku.into() };
    let new = |n: u32| format!("new sku {n}");
    let found =
        (0..1_000).map(new).find(|new| name(new).shard() != name(OLD).shard()).expect("there are many");
    (found.clone(), name(&found))
}

/// An address in the shard of that name.
fn neighbour(name: &UniqueName) -> String {
    let email = |user: &str| UniqueName { namespace: Namespace::Email, name: address(user).key().into() };
    let user = |n: u32| format!("neighbour{n}");
    (0..1_000).map(user).find(|user| email(user).shard() == name.shard()).expect("there are many")
}

/// Starts a call; nothing of it runs in the test's own thread.
async fn started<'a>(call: impl Future<Output = Answer> + Send + 'a) -> BoxFuture<'a, Answer> {
    let mut call = call.boxed();
    match poll_immediate(&mut call).await {
        Some(answer) => ready(answer).boxed(),
        None => call,
    }
}

#[track_caller]
fn refusal_of(answer: &Answer) -> Rejection {
    match answer {
        Err(EngineError::Rejected { rejection, .. }) => rejection.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

/// A change of an item's sku that another one came before.
struct Overtaken {
    house: House,
    item: ProductId,
    answer: Answer,
    /// Where the new name's owner lives.
    _thread: Thread,
}

/// Changes an item's sku on that condition, and takes its old sku away meanwhile: after the item was looked at, and
/// before the new name is held. The item is at revision 1 first and at 2 then.
async fn overtaken_change_of_sku(if_revision: Option<u64>) -> Overtaken {
    let house = House::new(|_| {}).await;
    let (sku, name) = new_sku();
    let item = house.item_called(OLD).await;
    let (here, there) = (Thread::of(&house.engine).await, Thread::lent_to(&house.engine).await);
    let (engine, email) = (house.engine.clone(), address(&neighbour(&name)));
    there.run(async move { engine.user_by_email(&email).await.expect("the store is there") }).await;
    let held_up = there.hold_up().await;
    let change = started(house.call_it(item, Some(&sku), if_revision)).await;
    here.settle().await;
    in_time("the other change", house.call_it(item, None, None)).await.expect("changed");
    drop(held_up);
    let answer = in_time("an answer", change).await;
    Overtaken { house, item, answer, _thread: there }
}

impl Overtaken {
    async fn revision_and_sku(&self) -> (u64, Option<String>) {
        let view = self.house.engine.item(self.item, Freshness::default()).await.expect("it exists").value;
        (view.details.revision, view.details.sku.as_ref().map(|sku| sku.as_str().to_owned()))
    }

    fn refusal(&self) -> Rejection {
        refusal_of(&self.answer)
    }
}

#[tokio::test]
async fn a_change_of_sku_for_a_revision_that_is_yet_to_come_is_refused_and_halts_nothing() {
    let overtaken = overtaken_change_of_sku(Some(2)).await;
    assert_eq!(overtaken.refusal(), Rejection::VersionConflict { revision: 1 });
    assert_eq!(overtaken.revision_and_sku().await, (2, None));
    overtaken.house.close().await;
}

#[tokio::test]
async fn a_change_of_sku_that_is_overtaken_at_its_revision_is_refused_and_holds_no_name() {
    let overtaken = overtaken_change_of_sku(Some(1)).await;
    assert_eq!(overtaken.refusal(), Rejection::VersionConflict { revision: 2 });
    assert_eq!(overtaken.revision_and_sku().await, (2, None));
    in_time("the name is free", overtaken.house.item_called(&new_sku().0)).await;
    overtaken.house.close().await;
}

#[tokio::test]
async fn a_change_of_sku_at_any_revision_that_is_overtaken_is_planned_anew() {
    let overtaken = overtaken_change_of_sku(None).await;
    assert!(overtaken.answer.is_ok(), "{:?}", overtaken.answer);
    assert_eq!(overtaken.revision_and_sku().await, (3, Some(new_sku().0)));
    let house = overtaken.house;
    in_time("the old name is free", house.item_called(OLD)).await;
    assert_eq!(refusal_of(&house.create_item(Some(&new_sku().0), 1).await), Rejection::SkuTaken);
    house.close().await;
}

/// A user whose owner lives on that thread.
async fn buyer_on(thread: &Thread, house: &House, name: &str, amount: i64) -> UserId {
    let (engine, request) = (house.engine.clone(), new_user(name));
    let id = thread.run(async move { engine.register(request).await.expect("registered").user.id }).await;
    house.credit(id, amount, Call::default()).await.expect("credited");
    id
}

#[tokio::test]
async fn a_shutdown_waits_for_a_refusal_that_is_still_to_be_written_down() {
    let house = House::new(|_| {}).await;
    let (here, there) = (Thread::of(&house.engine).await, Thread::lent_to(&house.engine).await);
    let item = house.item(0).await;
    let ann = buyer_on(&there, &house, "ann", 1_000).await;
    let keyed = || Call::keyed(ann, "once");
    // The caller's owner is asked about the key, and then stands still.
    let held_up = there.hold_up().await;
    let purchase = started(house.buy(ann, item, keyed())).await;
    here.settle().await;
    let nothing_else_goes_on = here.hold_up().await;
    drop(held_up);
    there.settle().await;
    let held_up = there.hold_up().await;
    // The item's owner refuses, and the caller's owner is to write that down.
    drop(nothing_else_goes_on);
    here.settle().await;
    let mut ending = house.engine.shutdown().boxed();
    // Without anything to wait for it ends in a fraction of that.
    let ended = tokio::time::timeout(Duration::from_millis(300), &mut ending).await;
    assert!(ended.is_err(), "it ended before the refusal was written down: {ended:?}");
    drop(held_up);
    let rejection = refusal_of(&in_time("an answer", purchase).await);
    assert!(matches!(rejection, Rejection::InsufficientStock { .. }), "{rejection:?}");
    let ended = in_time("the end", &mut ending).await;
    assert_eq!((ended.backlog_records, ended.released), (0, true));
    drop(ending);
    let house = house.reopened().await;
    let again = house.buy(ann, item, keyed()).await;
    let Err(EngineError::Rejected { rejection: told, replayed, .. }) = again else { panic!("{again:?}") };
    assert_eq!((told, replayed), (rejection, true));
    house.close().await;
}

fn order_of_one(
    house: &House,
    user_id: UserId,
    product_id: ProductId,
) -> impl Future<Output = Answer> + Send {
    let (quantity, unit_price) = (Quantity::new(1).expect("a quantity"), Money::new(10).expect("money"));
    let lines = Lines::new(vec![LineRequest { product_id, quantity, unit_price }]).expect("a line");
    let request = OrderRequest { user_id, lines, pricing: Pricing::Claimed };
    house.engine.order(Call::by(user_id), request)
}

/// Files that the journal may write to.
fn segments(house: &House) -> usize {
    let files = std::fs::read_dir(house.directory().join("journal")).expect("a directory");
    let is_segment = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".segment");
    files.filter(|file| is_segment(&file.as_ref().expect("a file").file_name())).count()
}

#[tokio::test]
async fn whoever_waits_for_room_in_the_journal_keeps_no_name_from_others() {
    // Small, so that a few hundred orders under way leave no room for another record.
    let house = House::new(|options| options.journal.segment_bytes = 192 << 10).await;
    let here = Thread::of(&house.engine).await;
    let (anns, bobs) = (Thread::lent_to(&house.engine).await, Thread::lent_to(&house.engine).await);
    let (sold, renamed) = (house.item(10_000).await, house.item(1).await);
    let (ann, bob) =
        (buyer_on(&anns, &house, "ann", 1_000_000).await, buyer_on(&bobs, &house, "bob", 1_000).await);
    let (sku, name) = new_sku();
    let prepared = async {
        while segments(&house) < 3 {
            tokio::task::yield_now().await;
        }
    };
    in_time("the journal's room", prepared).await;
    let (ann_waits, bob_waits) = (anns.hold_up().await, bobs.hold_up().await);
    let mut small = Vec::new();
    for _ in 0..4 {
        small.push(started(house.buy(bob, sold, Call::by(bob))).await);
    }
    here.settle().await;
    // Each order has room for its record and a unit, until one waits for room.
    let (mut large, mut held) = (Vec::new(), house.holds(sold).await);
    assert_eq!(held, 4);
    loop {
        large.push(started(order_of_one(&house, ann, sold)).await);
        here.settle().await;
        let now = house.holds(sold).await;
        if now == held {
            break;
        }
        held = now;
    }
    assert!(large.len() > 100, "{} orders", large.len());
    // A change of terms takes several times the room of a purchase or a new item.
    let change = started(house.call_it(renamed, Some(&sku), None)).await;
    here.settle().await;
    for _ in 0..3 {
        let nobody = house.engine.user_by_email(&address(&neighbour(&name))).await;
        assert_eq!(nobody, Ok(None));
    }
    drop(bob_waits);
    for purchase in small {
        in_time("a purchase", purchase).await.expect("sold");
    }
    in_time("an item with the sku that the change is to take", house.item_called(&sku)).await;
    drop(ann_waits);
    for order in large {
        in_time("an order", order).await.expect("sold");
    }
    assert_eq!(refusal_of(&in_time("an answer", change).await), Rejection::SkuTaken);
    house.close().await;
}

/// What another engine does to the store that it takes over.
async fn take_over(house: &House) {
    let path = house.directory().join("store.db");
    let mut sql =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.expect("the store");
    sqlx::query("UPDATE engine SET epoch = epoch + 1").execute(&mut sql).await.expect("taken over");
    sql.close().await.expect("closed");
}

#[tokio::test]
async fn after_a_halt_owners_acknowledge_nothing_and_change_nothing_that_is_shown() {
    let house = House::new(|_| {}).await;
    let (here, there) = (Thread::of(&house.engine).await, Thread::lent_to(&house.engine).await);
    let (ann, bob) = (buyer_on(&there, &house, "ann", 100).await, house.buyer("bob", 100).await);
    let item = house.item(5).await;
    let owner = async |kind, id: String| house.engine.owner(kind, &id).await.expect("an owner").last_seq;
    let owners = async || (owner("balance", ann.to_string()).await, owner("product", item.to_string()).await);
    let appended = || house.engine.health().journal.appended;
    let last = owners().await;
    let held_up = there.hold_up().await;
    // A unit is held, and the payer's owner has yet to decide.
    let purchase = started(house.buy(ann, item, Call::by(ann))).await;
    let credit = started(house.credit(ann, 50, Call::default())).await;
    here.settle().await;
    assert_eq!(house.holds(item).await, 1);
    take_over(&house).await;
    // The flush of this one tells, unless that of an earlier one did.
    let _ = house.credit(bob, 1, Call::default()).await;
    let reason = in_time("a halt", house.engine.halted()).await;
    assert!(matches!(reason, HaltReason::Fenced(_)), "{reason:?}");
    let end = appended();
    drop(held_up);
    for call in [purchase, credit] {
        assert_eq!(in_time("an answer", call).await, Err(EngineError::Unknown));
    }
    assert_eq!((appended(), owners().await), (end, last));
    let read = in_time("an answer", house.engine.balance(ann, Freshness::default())).await;
    assert_eq!(read, Err(EngineError::Unknown));
}
