//! Sentences about one balance and the orders it pays for, and a naive model that it must agree with.

use super::*;
use crate::domain::message::Payload;
use crate::domain::money::{LIMIT, Quantity};
use crate::domain::order::{OrderLine, ReturnLine};
use crate::domain::rejection::StateReason;
use crate::domain::text::{Email, Name};
use crate::domain::user::Role;
use crate::domain::{MessageId, ReturnId};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const AT: Timestamp = Timestamp::from_micros(1);

fn profile() -> Arc<Profile> {
    Arc::new(Profile {
        name: Name::parse("Ann").expect("a name"),
        email: Email::parse("ann@example.org").expect("an email"),
        password_hash: None,
        role: Role::User,
        created_at: AT,
    })
}

fn balance(amount: i64) -> Balance {
    Balance::stored(
        BalanceView { user_id: UserId::new(1), profile: profile(), amount, version: 3 },
        Cards::default(),
    )
}

fn money(minor: i64) -> Money {
    Money::new(minor).expect("money")
}

fn order(id: u128, lines: &[(u64, u32, i64)]) -> Order {
    let line = |(product, units, price): &(u64, u32, i64)| OrderLine {
        product_id: ProductId::new(*product),
        quantity: Quantity::new(*units).expect("a quantity"),
        unit_price: money(*price),
        product_name: Name::parse("Lamp").expect("a name"),
        product_price: money(*price),
    };
    let total = lines.iter().map(|(_, units, price)| i64::from(*units) * price).sum();
    Order {
        id: OrderId::new(Uuid::from_u128(id)),
        user_id: UserId::new(1),
        status: OrderStatus::Processed,
        total: money(total),
        lines: lines.iter().map(line).collect(),
        returned: Vec::new(),
        refunded: Money::ZERO,
        failure: None,
        created_at: AT,
        updated_at: AT,
    }
}

fn goods(order: Option<&Order>, lines: &[(u64, u32, i64)]) -> Arc<GoodsReturn> {
    let line = |(product, units, price): &(u64, u32, i64)| ReturnLine {
        product_id: ProductId::new(*product),
        quantity: Quantity::new(*units).expect("a quantity"),
        unit_price: money(*price),
    };
    let total = lines.iter().map(|(_, units, price)| i64::from(*units) * price).sum();
    Arc::new(GoodsReturn {
        id: ReturnId::new(Uuid::from_u128(9)),
        user_id: UserId::new(1),
        order_id: order.map(|order| order.id),
        lines: lines.iter().map(line).collect(),
        total: money(total),
        reason: None,
    })
}

fn ship(order: Arc<Order>) -> BalanceCommand {
    let payload = Payload::OrderShipped { order_id: order.id, total: order.total };
    let message =
        Message { id: MessageId::new(order.id.get()), user_id: order.user_id, payload, created_at: AT };
    BalanceCommand::Ship { order, message: Arc::new(message) }
}

/// Decides, applies what was decided to balance and order, and answers the events.
fn run(balance: &mut Balance, command: &BalanceCommand, order: Option<&mut Order>) -> Verdict<Vec<Event>> {
    let mut order = order;
    balance.decide(command, AT, false).map(|decision| {
        let mut events = decision.own.clone();
        for event in &mut events {
            let (total, version) = (balance.money.bound(), balance.version());
            if let Some(posting) = event.posting_mut() {
                (posting.total, posting.version) = (total + posting.delta, version + 1);
            }
            balance.apply(event, AT);
            if let Some(order) = order.as_deref_mut() {
                order.apply(event, AT);
            }
        }
        events.extend(decision.foreign);
        events
    })
}

fn refused<T: std::fmt::Debug>(verdict: Verdict<T>) -> Rejection {
    match verdict {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn granted<T: std::fmt::Debug>(verdict: Verdict<T>) -> T {
    match verdict {
        Verdict::Granted(value) => value,
        other => panic!("{other:?}"),
    }
}

/// Units moved per product.
fn moved(events: &[Event]) -> BTreeMap<u64, i64> {
    let movements = events.iter().filter_map(|event| match event {
        Event::StockMoved(movement) => Some((movement.product_id.get(), movement.posting.delta)),
        _ => None,
    });
    let all: Vec<_> = movements.collect();
    let sums: BTreeMap<u64, i64> = all.iter().copied().collect();
    assert_eq!(sums.len(), all.len(), "one movement a product: {all:?}");
    sums
}

fn amount(balance: &Balance) -> i64 {
    balance.view().expect("registered").amount
}

fn room(minor: i64) -> BalanceClaim {
    BalanceClaim::Room(Room(money(minor)))
}

#[test]
fn an_order_takes_its_total_once_and_each_products_units_in_one_movement() {
    let mut balance = balance(100);
    let placed = Arc::new(order(1, &[(5, 2, 10), (3, 1, 7), (5, 1, 10)]));
    let events = granted(run(&mut balance, &BalanceCommand::Place(placed), None));
    assert_eq!(moved(&events), BTreeMap::from([(3, -1), (5, -3)]));
    assert_eq!(amount(&balance), 63);
}

#[test]
fn an_order_beyond_the_balance_is_refused_and_changes_nothing() {
    let mut balance = balance(9);
    let placed = Arc::new(order(1, &[(5, 1, 10)]));
    let rejection = refused(run(&mut balance, &BalanceCommand::Place(placed), None));
    assert_eq!(rejection, Rejection::InsufficientBalance { requested: money(10), available: money(9) });
    assert_eq!(amount(&balance), 9);
}

#[test]
fn a_cancelled_order_is_paid_back_whole_and_only_once() {
    let (mut balance, mut placed) = (balance(100), order(1, &[(5, 2, 10), (5, 1, 10)]));
    granted(run(&mut balance, &BalanceCommand::Place(Arc::new(placed.clone())), None));
    let cancel = BalanceCommand::Cancel(Arc::new(placed.clone()));
    let events = granted(run(&mut balance, &cancel, Some(&mut placed)));
    assert_eq!(moved(&events), BTreeMap::from([(5, 3)]));
    assert_eq!((amount(&balance), placed.status), (100, OrderStatus::Cancelled));
    let again = BalanceCommand::Cancel(Arc::new(placed.clone()));
    assert_eq!(granted(run(&mut balance, &again, Some(&mut placed))), []);
    assert_eq!(amount(&balance), 100);
}

#[test]
fn an_orders_steps_come_one_after_the_other_and_repeat_without_effect() {
    use OrderStatus::{Cancelled, Delivered, Failed, Pending, Processed, Shipped};
    type Rule = (
        &'static str,
        fn(&Order) -> Result<Step, Rejection>,
        &'static [OrderStatus],
        OrderStatus,
        StateReason,
    );
    let rules: [Rule; 3] = [
        ("cancel", Order::cancel, &[Processed], Cancelled, StateReason::NotCancellable),
        ("ship", Order::ship, &[Processed], Shipped, StateReason::NotShippable),
        ("deliver", Order::deliver, &[Shipped], Delivered, StateReason::NotDeliverable),
    ];
    for (name, step, from, done, reason) in rules {
        for status in [Pending, Processed, Shipped, Delivered, Failed, Cancelled] {
            let order = Order { status, ..order(1, &[(5, 1, 10)]) };
            let expected = match status {
                _ if from.contains(&status) => Ok(Step::Take),
                _ if status == done => Ok(Step::Done),
                _ => Err(Rejection::InvalidState { status, reason }),
            };
            assert_eq!(step(&order), expected, "{name} when {status:?}");
        }
    }
}

#[test]
fn an_order_of_which_something_came_back_cannot_be_cancelled() {
    let (mut balance, mut placed) = (balance(100), order(1, &[(5, 2, 10)]));
    let back = goods(Some(&placed), &[(5, 1, 10)]);
    let command = BalanceCommand::TakeBack { goods: back, order: Some(Arc::new(placed.clone())) };
    granted(run(&mut balance, &command, Some(&mut placed)));
    assert!(matches!(
        placed.cancel(),
        Err(Rejection::InvalidState { reason: StateReason::NotCancellable, .. })
    ));
}

#[test]
fn goods_are_taken_back_only_from_an_order_that_went_through() {
    for (status, is_open) in [
        (OrderStatus::Pending, false),
        (OrderStatus::Processed, true),
        (OrderStatus::Shipped, true),
        (OrderStatus::Delivered, true),
        (OrderStatus::Failed, false),
        (OrderStatus::Cancelled, false),
    ] {
        let order = Order { status, ..order(1, &[(5, 1, 10)]) };
        assert_eq!(order.take_back(&goods(Some(&order), &[(5, 1, 10)])).is_ok(), is_open, "{status:?}");
    }
}

#[test]
fn neither_more_units_nor_more_money_come_back_than_went_out() {
    let order = order(1, &[(5, 2, 10), (6, 1, 3), (5, 1, 10)]);
    for (lines, is_within) in [
        (&[(5, 3, 10)][..], true),
        (&[(5, 2, 10), (5, 1, 10)], true),
        (&[(5, 4, 1)], false),
        (&[(5, 2, 1), (5, 2, 1)], false),
        (&[(6, 1, 3)], true),
        (&[(6, 1, 4)], false),
        (&[(5, 1, 11)], false),
        (&[(5, 3, 10), (6, 1, 3)], true),
        (&[(5, 2, 10), (6, 1, 4)], false),
        (&[(7, 1, 1)], false),
    ] {
        assert_eq!(order.take_back(&goods(Some(&order), lines)).is_ok(), is_within, "{lines:?}");
    }
}

#[test]
fn units_of_several_prices_come_back_in_any_order_for_no_more_than_was_paid() {
    type Back = (&'static [(u64, u32, i64)], bool);
    let runs: [&[Back]; 5] = [
        &[(&[(5, 1, 4)], true), (&[(5, 1, 11)], false), (&[(5, 1, 10)], true), (&[(5, 1, 10)], true)],
        &[(&[(5, 2, 10)], true), (&[(5, 1, 5)], false), (&[(5, 1, 4)], true)],
        &[(&[(5, 1, 10), (5, 1, 4)], true), (&[(5, 1, 10)], true)],
        // What came back cheaply leaves more for the rest, up to its price.
        &[(&[(5, 1, 1)], true), (&[(5, 2, 10)], true)],
        // What another product was refunded for is not taken for this one's.
        &[(&[(6, 1, 9)], true), (&[(5, 1, 4)], true), (&[(5, 1, 10)], true), (&[(5, 1, 10)], true)],
    ];
    for returns in runs {
        let (mut balance, mut order) =
            (balance(0), order(1, &[(5, 1, 10), (5, 1, 4), (6, 1, 9), (5, 1, 10)]));
        for (lines, is_within) in returns {
            let goods = goods(Some(&order), lines);
            let command = BalanceCommand::TakeBack { goods, order: Some(Arc::new(order.clone())) };
            let verdict = run(&mut balance, &command, Some(&mut order));
            assert_eq!(matches!(verdict, Verdict::Granted(_)), *is_within, "{lines:?} of {returns:?}");
        }
    }
}

#[test]
fn goods_without_an_order_are_paid_as_they_come() {
    let mut balance = balance(0);
    let command = BalanceCommand::TakeBack { goods: goods(None, &[(5, 2, 10), (5, 1, 4)]), order: None };
    let events = granted(run(&mut balance, &command, None));
    assert_eq!((amount(&balance), moved(&events)), (24, BTreeMap::from([(5, 3)])));
}

#[test]
fn a_transfer_moves_the_same_amount_out_and_in_under_one_reference() {
    let mut balance = balance(50);
    let (id, to) = (TransferId::new(Uuid::from_u128(4)), UserId::new(2));
    let command = BalanceCommand::Transfer { id, to, amount: money(50), description: None };
    let events = granted(run(&mut balance, &command, None));
    let [Event::EntryPosted(out), Event::EntryPosted(into)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((out.posting.delta, into.posting.delta), (-50, 50));
    assert_eq!((out.user_id, into.user_id), (UserId::new(1), to));
    assert_eq!(out.reference, into.reference);
    let oneself = BalanceCommand::Transfer { id, to: UserId::new(1), amount: money(0), description: None };
    assert_eq!(refused(run(&mut balance, &oneself, None)), Rejection::SelfTransfer);
}

#[test]
fn a_credit_without_room_is_refused_and_with_room_under_holds_it_waits() {
    let mut balance = balance(LIMIT - 10);
    let credit =
        |minor| BalanceCommand::Increment { amount: money(minor), reference: None, description: None };
    assert_eq!(refused(run(&mut balance, &credit(11), None)), Rejection::BalanceLimit);
    assert_eq!(refused(balance.claim(&room(11), false)), Rejection::BalanceLimit);
    granted(balance.claim(&room(6), false));
    assert_eq!(run(&mut balance, &credit(5), None), Verdict::Wait);
    assert_eq!(balance.claim(&room(5), false), Verdict::Wait);
    granted(run(&mut balance, &credit(4), None));
    balance.release(&room(6));
    granted(run(&mut balance, &credit(6), None));
    assert_eq!((amount(&balance), balance.open_holds()), (LIMIT, 0));
}

#[test]
fn a_balance_that_does_not_exist_yet_is_not_found() {
    let mut balance = Balance::unborn();
    let missing = Rejection::NotFound(Missing::User);
    let credit = BalanceCommand::Increment { amount: money(1), reference: None, description: None };
    assert_eq!(refused(run(&mut balance, &credit, None)), missing);
    assert_eq!(refused(balance.claim(&room(1), false)), missing);
    balance.apply(&Event::UserRegistered { user_id: UserId::new(1), profile: profile() }, AT);
    granted(run(&mut balance, &credit, None));
    assert_eq!((amount(&balance), balance.version()), (1, 1));
}

/// What happens to a balance and its orders.
#[derive(Clone, Debug)]
enum Act {
    Credit(i64),
    Debit(i64),
    Place(Vec<(u64, u32, i64)>),
    Step(usize, u8),
    Back(usize, u64, u32, i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let lines = prop::collection::vec((1u64..4, 1u32..4, 1i64..6), 1..4);
    let act = prop_oneof![
        (1i64..60).prop_map(Act::Credit),
        (1i64..60).prop_map(Act::Debit),
        lines.prop_map(Act::Place),
        (any::<usize>(), 0u8..3).prop_map(|(order, step)| Act::Step(order, step)),
        (any::<usize>(), 1u64..4, 1u32..4, 0i64..7)
            .prop_map(|(order, product, units, price)| Act::Back(order, product, units, price)),
    ];
    prop::collection::vec(act, 1..60)
}

/// Whether these units are left, and were all sold for as much or more.
fn is_plain(order: &Order, product: u64, units: u32, price: i64) -> bool {
    let id = ProductId::new(product);
    let sold: Vec<_> = order.lines.iter().filter(|line| line.product_id == id).collect();
    let back = order.returned.iter().find(|back| back.product_id == id).map_or(0, |back| back.units);
    let left = sold.iter().map(|line| i64::from(line.quantity.get())).sum::<i64>() - back;
    let is_open =
        !matches!(order.status, OrderStatus::Cancelled | OrderStatus::Failed | OrderStatus::Pending);
    is_open && i64::from(units) <= left && sold.iter().all(|line| line.unit_price.minor() >= price)
}

proptest! {
    #[test]
    fn money_and_units_are_neither_made_nor_lost(acts in acts()) {
        let mut balance = balance(50);
        let mut orders: Vec<Order> = Vec::new();
        // On paper: money in the hand, and units out of the shop.
        let (mut hand, mut out) = (50i64, BTreeMap::<u64, i64>::new());
        let mut refunds = BTreeMap::<(usize, ProductId), i64>::new();
        for (index, act) in acts.into_iter().enumerate() {
            let (command, pick) = match &act {
                Act::Credit(minor) =>
                    (BalanceCommand::Increment { amount: money(*minor), reference: None, description: None }, None),
                Act::Debit(minor) =>
                    (BalanceCommand::Decrement { amount: money(*minor), reference: None, description: None }, None),
                Act::Place(lines) => (BalanceCommand::Place(Arc::new(order(index as u128, lines))), None),
                Act::Step(..) | Act::Back(..) if orders.is_empty() => continue,
                Act::Step(pick, step) => {
                    let pick = pick % orders.len();
                    let order = Arc::new(orders[pick].clone());
                    let command = match step {
                        0 => BalanceCommand::Cancel(order),
                        1 => ship(order),
                        _ => BalanceCommand::Deliver(order),
                    };
                    (command, Some(pick))
                }
                Act::Back(pick, product, units, price) => {
                    let pick = pick % orders.len();
                    let goods = goods(Some(&orders[pick]), &[(*product, *units, *price)]);
                    (BalanceCommand::TakeBack { goods, order: Some(Arc::new(orders[pick].clone())) }, Some(pick))
                }
            };
            let before = amount(&balance);
            let verdict = run(&mut balance, &command, pick.map(|pick| &mut orders[pick]));
            match verdict {
                Verdict::Granted(events) => {
                    for (product, units) in moved(&events) {
                        *out.entry(product).or_default() -= units;
                    }
                    for event in &events {
                        if let Event::EntryPosted(entry) = event {
                            hand += entry.posting.delta;
                            prop_assert_eq!(entry.posting.total, hand);
                        }
                        if let Event::OrderPlaced(order) = event {
                            orders.push(Order::clone(order));
                        }
                        if let (Event::GoodsReturned(goods), Some(pick)) = (event, pick) {
                            let line = &goods.lines[0];
                            let refund = refunds.entry((pick, line.product_id)).or_default();
                            *refund += goods.total.minor();
                            let paid = orders[pick].lines.iter().filter(|sold| sold.product_id == line.product_id);
                            let paid: Vec<_> = paid.map(|sold| (sold.unit_price, sold.quantity)).collect();
                            let worth = paid.iter().map(|(price, units)| price.minor() * i64::from(units.get()));
                            prop_assert!(*refund <= worth.sum(), "more refunded than paid for a product");
                            prop_assert!(paid.iter().any(|(price, _)| *price >= line.unit_price));
                        }
                    }
                }
                Verdict::Refused(Rejection::InsufficientBalance { requested, available }) => {
                    prop_assert_eq!(available.minor(), before);
                    prop_assert!(requested.minor() > before, "refused although there is enough");
                }
                Verdict::Refused(Rejection::InvalidState { .. }) => {
                    prop_assert!(pick.is_some());
                    if let (Act::Back(_, product, units, price), Some(pick)) = (&act, pick) {
                        prop_assert!(!is_plain(&orders[pick], *product, *units, *price), "{:?} was refused", act);
                    }
                }
                other => prop_assert!(false, "{:?}", other),
            }
            prop_assert_eq!(amount(&balance), hand);
            prop_assert!(hand >= 0);
            // What is out of the shop is what open orders hold, less what came back.
            let mut open = BTreeMap::<u64, i64>::new();
            for order in orders.iter().filter(|order| order.status != OrderStatus::Cancelled) {
                for (product, units) in order.units() {
                    let back = order.returned.iter().find(|back| back.product_id == product).map_or(0, |back| back.units);
                    prop_assert!(back <= units && order.refunded <= order.total);
                    *open.entry(product.get()).or_default() += units - back;
                }
            }
            out.retain(|_, units| *units != 0);
            open.retain(|_, units| *units != 0);
            prop_assert_eq!(&out, &open);
        }
    }
}
