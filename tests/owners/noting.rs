//! What a balance's owner makes known of its records: each once, whoever else told it of that record, and however late it comes.

use crate::holds::Shop;
use crate::house::in_time;
use purser::domain::balance::{Balance, BalanceCommand, BalanceView};
use purser::domain::message::{Message, Payload};
use purser::domain::order::{Order, OrderStatus, Pricing};
use purser::domain::product::{Change as ItemChange, ProductCommand};
use purser::domain::redemption::{RedemptionStatus, RedemptionStep};
use purser::domain::text::{Email, Name};
use purser::domain::user::{Profile, Role};
use purser::domain::{
    Event, MessageId, Money, Operation, OrderId, Record, RedemptionId, Seq, Timestamp, UserId,
};
use purser::messages::board::Change;
use purser::owners::Pin;
use purser::owners::hold::KeyGuard;
use purser::owners::mailbox::{
    AskKey, Cause, Commit, Committed, Glimpse, KeyAnswer, NotCommitted, Settle, Tidy, View,
};
use std::sync::Arc;
use tokio::sync::oneshot;
use uuid::Uuid;

const AT: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const BUYER: UserId = UserId::new(1);

async fn balance(shop: &Shop) -> Pin<Balance> {
    let profile = Profile {
        name: Name::stored("Ann".into()),
        email: Email::stored("ann@example.org".into()),
        password_hash: None,
        role: Role::User,
        created_at: AT,
    };
    shop.store.put_balance(BalanceView {
        user_id: BUYER,
        profile: Arc::new(profile),
        amount: 100,
        version: 1,
    });
    shop.balances.pin(BUYER).await.unwrap_or_else(|_| panic!("it is in the store"))
}

fn message(id: u128, payload: Payload) -> Arc<Message> {
    Arc::new(Message { id: MessageId::new(Uuid::from_u128(id)), user_id: BUYER, payload, created_at: AT })
}

/// Returns once all that was sent before is handled; the positions of the records that the owner keeps for the store.
async fn kept(pin: &Pin<Balance>) -> Vec<u64> {
    let (reply, answer) = oneshot::channel();
    let look = Box::new(move |glimpse: &mut Glimpse<'_, Balance>| {
        _ = reply.send(glimpse.desk.unstored().map(|record| record.seq.get()).collect());
    });
    pin.send(View { pin: pin.clone(), look });
    answer.await.expect("an answer")
}

async fn key(pin: &Pin<Balance>) -> KeyGuard {
    let (reply, answer) = oneshot::channel();
    pin.send(AskKey { pin: pin.clone(), fingerprint: [1; 16], request: [2; 16], reply });
    let KeyAnswer::New(key) = answer.await.expect("an answer") else { panic!("the key is new") };
    key
}

/// The position of what was committed.
async fn committed(answer: oneshot::Receiver<Result<Committed, NotCommitted>>) -> Seq {
    match answer.await.expect("an answer") {
        Ok(Committed::Recorded { record, .. }) => record.seq,
        _ => panic!("nothing forbids it"),
    }
}

#[tokio::test]
async fn what_a_user_does_elsewhere_under_a_key_is_kept_to_answer_the_key() {
    let shop = Shop::new(10);
    let (pin, item) = (balance(&shop).await, shop.item().await);
    let space = shop.ground.journal.reserve(2_000).await.expect("room");
    let (operation, caller, key) = (Operation::ChangeItem, Some(BUYER), Some(key(&pin).await));
    let cause = Cause { operation, caller, key, space, read_at: None };
    let change = ItemChange { price: Money::new(25), ..ItemChange::default() };
    let command = ProductCommand::Change { change, if_revision: None };
    let (reply, answer) = oneshot::channel();
    item.send(Commit { pin: item.clone(), command, parties: Vec::new(), cause, reply });
    let seq = committed(answer).await;
    assert_eq!(kept(&pin).await, [seq.get()]);
}

#[tokio::test]
async fn what_a_user_does_to_the_own_balance_under_a_key_is_made_known_once() {
    let mut shop = Shop::new(10);
    let pin = balance(&shop).await;
    let key = key(&pin).await;
    let order = Order {
        id: OrderId::new(Uuid::from_u128(1)),
        user_id: BUYER,
        status: OrderStatus::Pending,
        total: Money::ZERO,
        lines: Vec::new(),
        returned: Vec::new(),
        refunded: Money::ZERO,
        failure: None,
        created_at: AT,
        updated_at: AT,
    };
    let payload = Payload::ProcessOrder { order_id: order.id, pricing: Pricing::Claimed };
    let command = BalanceCommand::Accept { order: Arc::new(order), message: message(2, payload) };
    let space = shop.ground.journal.reserve(2_000).await.expect("room");
    let (operation, caller) = (Operation::Order, Some(BUYER));
    let cause = Cause { operation, caller, key: Some(key), space, read_at: None };
    let (reply, answer) = oneshot::channel();
    pin.send(Commit { pin: pin.clone(), command, parties: Vec::new(), cause, reply });
    let seq = committed(answer).await;
    assert_eq!(kept(&pin).await, [seq.get()]);
    let told = shop.notices.try_recv().map(|notice| (notice.seq, matches!(notice.change, Change::Stands(_))));
    assert_eq!(told, Ok((seq, true)));
    assert!(shop.notices.try_recv().is_err(), "it is told twice");
}

#[tokio::test]
async fn a_change_that_comes_when_the_store_has_it_and_newer_ones_is_made_known_all_the_same() {
    let shop = Shop::new(10);
    let pin = balance(&shop).await;
    let redemption_id = RedemptionId::new(Uuid::from_u128(3));
    let ended = |seq: u64, owed: Option<Arc<Message>>| {
        let step =
            RedemptionStep { owed, ..RedemptionStep::to(redemption_id, BUYER, RedemptionStatus::Succeeded) };
        let record = Record {
            seq: Seq::new(seq),
            at: AT,
            operation: Operation::EndRedemption,
            caller: None,
            key: None,
            refusal: None,
            events: vec![Event::RedemptionStepped(Box::new(step))],
        };
        pin.send(Settle { pin: pin.clone(), claim: None, record: Arc::new(record), index: 0 });
    };
    let owed = message(4, Payload::RedeemCard { redemption_id, payout: Money::ZERO });
    ended(7, None);
    assert_eq!(kept(&pin).await, [7]);
    shop.ground.stored.advance(Seq::new(7));
    pin.send(Tidy { pin: pin.clone() });
    let watch = shop.ground.cards.watch(redemption_id);
    let mut wakes = Box::pin(watch.ended.notified());
    // From here on it would be woken.
    wakes.as_mut().enable();
    ended(6, Some(owed.clone()));
    assert_eq!(kept(&pin).await, [0; 0], "the store has all of it");
    assert!(shop.ground.messages.get(owed.id).is_some(), "nobody pays what is owed");
    in_time("whoever waits for the card is woken", wakes).await;
}
