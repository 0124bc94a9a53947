//! Stories are believed as they are, and not once anything in them was changed.

use crate::judged;
use crate::story::Story;
use purser::domain::account::{Transition, TransitionReason};
use purser::domain::event::{MovementKind, Namespace};
use purser::domain::order::OrderStatus;
use purser::domain::redemption::{RedemptionStatus, RedemptionStep};
use purser::domain::withdrawal::WithdrawalStatus::{self, Completed, Pending, Rejected};
use purser::domain::{EntryKind, Event, Money, Operation, Posting, Record, Rejection, Seq, UserId};
use std::sync::Arc;

#[test]
fn stories_of_all_that_can_happen_are_believed() {
    for seed in 0..40 {
        let story = Story::busy(seed, 200);
        assert_eq!(judged(&story.records), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_journal_that_lacks_a_record_or_has_one_twice_is_not_believed() {
    let story = Story::full();
    for place in 0..story.records.len() - 1 {
        let mut lacking = story.records.clone();
        lacking.remove(place);
        assert!(judged(&lacking).is_err(), "without record {}", place + 1);
        let mut doubled = story.records.clone();
        doubled.insert(place, story.records[place].clone());
        assert!(judged(&doubled).is_err(), "record {} twice", place + 1);
    }
}

/// One more record with these events.
fn and(story: &Story, events: Vec<Event>) -> Vec<Record> {
    let mut records = story.records.clone();
    let (seq, at, operation) = (story.last().next(), story.now(), Operation::Order);
    records.push(Record { seq, at, operation, caller: None, key: None, refusal: None, events });
    records
}

/// The first event that this changes is changed.
fn with(story: &Story, mut change: impl FnMut(&mut Event) -> bool) -> Vec<Record> {
    let mut records = story.records.clone();
    let mut events = records.iter_mut().flat_map(|record| &mut record.events);
    assert!(events.any(&mut change), "there is no such event");
    records
}

/// The first thing that is found in the story's events.
fn first<T>(story: &Story, find: impl Fn(&Event) -> Option<T>) -> T {
    let mut found = story.records.iter().flat_map(|record| &record.events).filter_map(find);
    found.next().expect("there is one")
}

/// The story, but with a refusal of that user's, of one more than there is said to be.
fn refused_money(story: &Story, caller: UserId, available: i64) -> Vec<Record> {
    refused_for(story, caller, available + 1, available)
}

fn refused_for(story: &Story, caller: UserId, requested: i64, available: i64) -> Vec<Record> {
    let mut records = story.records.clone();
    let record = records.iter_mut().find(|record| record.refusal.is_some()).expect("a refusal");
    record.key.as_mut().expect("a key").caller = caller;
    let [requested, available] = [requested, available].map(|amount| Money::new(amount).expect("money"));
    let refusal = record.refusal.as_mut().expect("a refusal");
    refusal.rejection = Rejection::InsufficientBalance { requested, available };
    records
}

fn more(posting: &mut Posting, by: i64) {
    posting.delta += by;
    posting.total += by;
}

fn entry_of(kind: EntryKind, by: i64) -> impl FnMut(&mut Event) -> bool {
    move |event| match event {
        Event::EntryPosted(entry) if entry.kind == kind => {
            more(&mut entry.posting, by);
            true
        }
        _ => false,
    }
}

fn changed(story: &Story, change: impl Fn(&mut Transition) -> bool) -> Vec<Record> {
    with(story, |event| match event {
        Event::AccountChanged(transition) => change(transition),
        _ => false,
    })
}

fn stepped(story: &Story, change: impl Fn(&mut RedemptionStep) -> bool) -> Vec<Record> {
    with(story, |event| match event {
        Event::RedemptionStepped(step) => change(step),
        _ => false,
    })
}

fn order_in(story: &Story, status: OrderStatus, to: OrderStatus) -> Vec<Record> {
    let order = story.orders.values().find(|order| order.status == status).expect("one stands so");
    and(story, vec![Event::OrderAdvanced { order_id: order.id, user_id: order.user_id, status: to }])
}

#[test]
fn what_cannot_have_happened_to_stock_and_orders_is_not_believed() {
    let story = Story::full();
    let placed = first(&story, |event| match event {
        Event::OrderPlaced(order) => Some(order.clone()),
        _ => None,
    });
    let returned = first(&story, |event| match event {
        Event::GoodsReturned(goods) => Some(goods.clone()),
        _ => None,
    });
    let sale = |change: fn(&mut Posting)| {
        with(&story, |event| match event {
            Event::StockMoved(moved) if moved.kind == MovementKind::Sale => {
                change(&mut moved.posting);
                true
            }
            _ => false,
        })
    };
    expect_refused(&[
        ("one unit more is sold than was ordered", sale(|posting| more(posting, -1)), "due is"),
        ("a version is left out", sale(|posting| posting.version += 1), "is posted"),
        ("a total that does not follow", sale(|posting| posting.total += 1), "is posted"),
        ("stock falls below nothing", sale(|posting| more(posting, -1_000)), "comes to"),
        ("an order is placed twice", and(&story, vec![Event::OrderPlaced(placed.clone())]), "placed twice"),
        (
            "an order costs less than its lines",
            with(&story, |event| match event {
                Event::OrderPlaced(order) => {
                    let mut cheaper = purser::domain::order::Order::clone(order);
                    cheaper.total = Money::new(order.total.minor() - 1).expect("money");
                    *order = Arc::new(cheaper);
                    true
                }
                _ => false,
            }),
            "is made of",
        ),
        (
            "a shipped order is cancelled",
            order_in(&story, OrderStatus::Shipped, OrderStatus::Cancelled),
            "goes from",
        ),
        (
            "an order is shipped for the second time",
            order_in(&story, OrderStatus::Shipped, OrderStatus::Shipped),
            "goes from",
        ),
        (
            "a pending order is shipped",
            order_in(&story, OrderStatus::Pending, OrderStatus::Shipped),
            "goes from",
        ),
        (
            "an order is decided and nobody pays",
            order_in(&story, OrderStatus::Pending, OrderStatus::Processed),
            "due is",
        ),
        ("more comes back than was sold", and(&story, vec![Event::GoodsReturned(returned)]), "come back"),
    ]);
}

#[test]
fn what_cannot_have_happened_to_money_is_not_believed() {
    let story = Story::full();
    let withdrawal = |status: WithdrawalStatus, to: WithdrawalStatus| {
        let found = story.withdrawals.values().find(|row| row.value.status == status).expect("one stands so");
        let (withdrawal_id, user_id) = (found.value.id, found.value.user_id);
        and(&story, vec![Event::WithdrawalEnded { withdrawal_id, user_id, status: to }])
    };
    expect_refused(&[
        ("an order is paid with less than it costs", with(&story, entry_of(EntryKind::Order, 1)), "due is"),
        ("a cancelled order is paid back twice", with(&story, entry_of(EntryKind::Cancel, 10)), "due is"),
        ("a return pays more than it is worth", with(&story, entry_of(EntryKind::Return, 1)), "due is"),
        ("a transfer makes money", with(&story, entry_of(EntryKind::TransferIn, 1)), "makes 1 of nothing"),
        (
            "a withdrawal takes less than was asked for",
            with(&story, entry_of(EntryKind::Withdrawal, 1)),
            "due is",
        ),
        ("a payout to nobody's card", with(&story, entry_of(EntryKind::Payout, 1)), "due is"),
        ("a withdrawal is paid and not counted", withdrawal(Pending, Completed), "counts 0"),
        ("a withdrawal is rejected and not given back", withdrawal(Pending, Rejected), "due is"),
        ("a withdrawal is paid twice", withdrawal(Completed, Completed), "ends for"),
        ("a rejected withdrawal is paid", withdrawal(Rejected, Completed), "ends for"),
    ]);
}

#[test]
fn what_cannot_have_happened_to_messages_and_keys_is_not_believed() {
    let story = Story::full();
    let open = |is_dead| {
        let mut open = story.messages.values().filter(|row| row.value.is_dead() == is_dead);
        open.next().map(|row| row.value.message.reference())
    };
    let done = first(&story, |event| match event {
        Event::MessageDone(message) => Some(*message),
        _ => None,
    });
    let undecided = story.messages.values().find(|row| {
        matches!(row.value.message.payload, purser::domain::message::Payload::ProcessOrder { .. })
    });
    let undecided = undecided.expect("an order waits").value.message.reference();
    let key = story.records.iter().find_map(|record| record.key.clone()).expect("a key");
    let mut again = and(&story, Vec::new());
    again.last_mut().expect("a record").key = Some(key);
    let refused = |change: fn(&mut purser::domain::Refusal)| {
        let mut records = story.records.clone();
        let refusal = records.iter_mut().find_map(|record| record.refusal.as_mut());
        change(refusal.expect("a refusal"));
        records
    };
    let enough = |refusal: &mut purser::domain::Refusal| {
        if let Rejection::InsufficientStock { available, .. } = &mut refusal.rejection {
            *available = 1;
        }
    };
    // An administrator, and a user.
    let (ann, bob) = (UserId::new(1), UserId::new(2));
    let [of_ann, of_bob] = [ann, bob].map(|user| story.balance_view(user).amount);
    assert_eq!(judged(&refused_money(&story, bob, of_bob)), Ok(()), "who has too little");
    assert_eq!(judged(&refused_money(&story, ann, of_bob)), Ok(()), "for one who has too little");
    expect_refused(&[
        (
            "too little money, and there was more",
            refused_money(&story, bob, of_bob - 1),
            "not what there was",
        ),
        (
            "too little money, and there was less",
            refused_money(&story, bob, of_bob + 1),
            "not what there was",
        ),
        ("money that was enough", refused_for(&story, bob, of_bob, of_bob), "not what there was"),
        ("money of somebody else", refused_money(&story, bob, of_ann), "not what there was"),
        ("money that nobody has", refused_money(&story, ann, of_ann + of_bob + 1), "not what there was"),
        ("a message is done twice", and(&story, vec![Event::MessageDone(done)]), "after its end"),
        (
            "a living message is given up",
            and(&story, vec![Event::MessagePurged(open(false).expect("a living one"))]),
            "GivenUp",
        ),
        (
            "an order's message is done, and the order is not",
            and(&story, vec![Event::MessageDone(undecided)]),
            "not decided",
        ),
        ("a key is answered twice", again, "was answered by record"),
        ("a refusal for less than there was", refused(enough), "not what there was"),
        ("a refusal as of what came later", refused(|refusal| refusal.as_of = Seq::new(u64::MAX)), "Refusal"),
    ]);
}

#[test]
fn what_cannot_have_happened_to_cards_and_accounts_is_not_believed() {
    let story = Story::full();
    let names = first(&story, |event| match event {
        Event::NamesTaken { names, holder, .. } => Some((names.clone(), *holder)),
        _ => None,
    });
    let started = |transition: &Transition| transition.reason == TransitionReason::ExchangeStarted;
    let again = |to: RedemptionStatus| {
        let card = story.redemptions.values().find(|row| row.value.status == RedemptionStatus::Succeeded);
        let card = &card.expect("one succeeded").value;
        and(&story, vec![Event::RedemptionStepped(Box::new(RedemptionStep::to(card.id, card.user_id, to)))])
    };
    let double_lock = first(&story, |event| match event {
        Event::AccountChanged(transition) if started(transition) => Some(transition.clone()),
        _ => None,
    });
    let paid = |change: fn(&mut RedemptionStep)| {
        stepped(&story, |step| {
            let is_paid = step.paid.is_some();
            if is_paid {
                change(step);
            }
            is_paid
        })
    };
    expect_refused(&[
        (
            "a code is used twice",
            and(
                &story,
                vec![Event::NamesTaken { namespace: Namespace::Card, names: names.0, holder: names.1 }],
            ),
            "the name",
        ),
        ("a card that was paid ends again", again(RedemptionStatus::Failed), "of Card"),
        ("a card that was paid is paid again", again(RedemptionStatus::Succeeded), "of Card"),
        (
            "a fence that does not grow",
            changed(&story, |transition| match &mut transition.lock {
                Some(lock) if transition.reason == TransitionReason::ExchangeStarted => {
                    lock.fence = 0;
                    true
                }
                _ => false,
            }),
            "Started",
        ),
        (
            "an account is left locked by the card that ends",
            changed(&story, |transition| {
                let ends = transition.reason == TransitionReason::ExchangeFailed;
                if ends {
                    transition.from = transition.to;
                }
                ends
            }),
            "Failed",
        ),
        (
            "an account exchanges a second card at the same time",
            {
                let mut records = story.records.clone();
                let place = records.iter().position(|record| {
                    record
                        .events
                        .iter()
                        .any(|event| matches!(event, Event::AccountChanged(it) if *it == double_lock))
                });
                let place = place.expect("it is there");
                let mut second = records[place].clone();
                second.seq = second.seq.next();
                records.truncate(place + 1);
                records.push(second);
                records
            },
            "",
        ),
        ("another share than the plan's", paid(|step| step.payout = Money::new(1)), "the share of"),
        (
            "a payout that is not the card's",
            paid(|step| {
                if let Some(posting) = &mut step.paid {
                    more(posting, 1);
                }
            }),
            "due is",
        ),
        (
            "a card that failed keeps its code",
            {
                let mut records = story.records.clone();
                let failed = |event: &Event| matches!(event, Event::RedemptionStepped(step) if step.to == RedemptionStatus::Failed);
                let record = records.iter_mut().find(|record| record.events.iter().any(failed));
                let events = &mut record.expect("one failed").events;
                events.retain(|event| !matches!(event, Event::NamesFreed { .. }));
                records
            },
            "code freed: false",
        ),
    ]);
}

/// Each of these journals is found out, in words that tell it from the others.
#[track_caller]
fn expect_refused(journals: &[(&str, Vec<Record>, &str)]) {
    for (what, records, words) in journals {
        let said = judged(records).expect_err(what);
        assert!(said.starts_with("record ") && said.contains(words), "{what}: {said}");
    }
}
