//! What a balance's owner makes known of its records. Those under a key of its own user come to it twice, and others may come
//! in between.

use crate::holds::Shop;
use purser::domain::balance::{Balance, BalanceView};
use purser::domain::cards::Cards;
use purser::domain::message::{Message, Payload};
use purser::domain::order::{Order, OrderStatus, Pricing};
use purser::domain::text::{Email, Name};
use purser::domain::user::{Profile, Role};
use purser::domain::{Event, MessageId, Money, Operation, OrderId, Record, Seq, Timestamp, UserId};
use purser::owners::Kind;
use purser::owners::desk::BalanceDesk;
use std::sync::Arc;
use uuid::Uuid;

const AT: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const BUYER: UserId = UserId::new(1);

fn balance() -> Balance {
    let profile = Profile {
        name: Name::stored("Ann".into()),
        email: Email::stored("ann@example.org".into()),
        password_hash: None,
        role: Role::User,
        created_at: AT,
    };
    let view = BalanceView { user_id: BUYER, profile: Arc::new(profile), amount: 100, version: 1 };
    Balance::stored(view, Cards::default())
}

fn record(seq: u64, operation: Operation, events: Vec<Event>) -> Arc<Record> {
    let seq = Seq::new(seq);
    Arc::new(Record { seq, at: AT, operation, caller: Some(BUYER), key: None, refusal: None, events })
}

#[tokio::test]
async fn an_order_that_was_decided_does_not_come_back_when_its_acceptance_comes_again() {
    let ground = Shop::new(10).ground;
    let (order_id, message_id) = (OrderId::new(Uuid::from_u128(1)), MessageId::new(Uuid::from_u128(2)));
    let order = Order {
        id: order_id,
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
    let payload = Payload::ProcessOrder { order_id, pricing: Pricing::Claimed };
    let message = Arc::new(Message { id: message_id, user_id: BUYER, payload, created_at: AT });
    let queued = Event::MessageQueued(message.clone());
    let accepted = record(5, Operation::Order, vec![Event::OrderPlaced(Arc::new(order)), queued]);
    let processed = Event::OrderAdvanced { order_id, user_id: BUYER, status: OrderStatus::Processed };
    let done = Event::MessageDone(message.reference());
    let decided = record(6, Operation::DecideOrder, vec![processed, done]);
    let is_known = || (ground.pending.order(order_id).is_some(), ground.messages.get(message_id).is_some());
    for stored in [Seq::ZERO, Seq::new(6)] {
        let (mut balance, mut desk) = (balance(), BalanceDesk::default());
        balance.remember(&mut desk, &accepted, &ground);
        assert_eq!(is_known(), (true, true));
        balance.remember(&mut desk, &decided, &ground);
        balance.forget(&mut desk, stored);
        balance.remember(&mut desk, &accepted, &ground);
        assert_eq!(is_known(), (false, false), "with the store at {stored:?}");
    }
}
