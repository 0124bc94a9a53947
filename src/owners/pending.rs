//! What waits for a decision, in memory so that it has not to be read from the store first: pending withdrawals and orders,
//! as many as there is room for. Each is changed by its user's balance's owner only, in the turn that commits the change, so
//! what that owner finds here stands so. What is not here may still be pending: in the store, or on that owner's desk.

use crate::domain::order::{Order, OrderStatus};
use crate::domain::withdrawal::Withdrawal;
use crate::domain::{Event, OrderId, Record, UserId, WithdrawalId};
use dashmap::DashMap;
use foldhash::quality::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Withdrawals and lines of orders that are kept; further ones are left to the store until there is room again.
const WITHDRAWALS_MAX: usize = 1_000_000;
const LINES_MAX: usize = 1_000_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Pending {
    withdrawals: DashMap<WithdrawalId, Withdrawal, RandomState>,
    orders: DashMap<OrderId, Arc<Order>, RandomState>,
    lines: AtomicUsize,
}

impl Pending {
    /// Takes note of a record, in the turn of that user's owner; what is others' is theirs to note.
    pub fn note(&self, record: &Record, of: UserId) {
        for event in &record.events {
            match event {
                Event::WithdrawalRequested(withdrawal) if withdrawal.user_id == of => {
                    self.add_withdrawal(**withdrawal);
                }
                Event::WithdrawalEnded { withdrawal_id, user_id, .. } if *user_id == of => {
                    self.withdrawals.remove(withdrawal_id);
                }
                Event::OrderPlaced(order) if order.user_id == of && order.status == OrderStatus::Pending => {
                    self.add_order(order.clone());
                }
                Event::OrderAdvanced { order_id, user_id, status: OrderStatus::Processed }
                | Event::OrderFailed { order_id, user_id, .. }
                    if *user_id == of =>
                {
                    if let Some((_, order)) = self.orders.remove(order_id) {
                        self.lines.fetch_sub(order.lines.len(), Ordering::Relaxed);
                    }
                }
                _ => {}
            }
        }
    }

    /// A withdrawal that was asked for, now or before the engine started. Says whether there was room for it.
    pub fn add_withdrawal(&self, withdrawal: Withdrawal) -> bool {
        let has_room = self.withdrawals.len() < WITHDRAWALS_MAX;
        if has_room {
            self.withdrawals.insert(withdrawal.id, withdrawal);
        }
        has_room
    }

    /// An order that was accepted, now or before the engine started. Says whether there was room for it.
    pub fn add_order(&self, order: Arc<Order>) -> bool {
        let has_room = self.lines.load(Ordering::Relaxed) + order.lines.len() <= LINES_MAX;
        if has_room {
            let lines = order.lines.len();
            if self.orders.insert(order.id, order).is_none() {
                self.lines.fetch_add(lines, Ordering::Relaxed);
            }
        }
        has_room
    }

    /// The withdrawal, if it is known here.
    pub fn withdrawal(&self, id: WithdrawalId) -> Option<Withdrawal> {
        self.withdrawals.get(&id).map(|withdrawal| *withdrawal)
    }

    /// The order, if it is known here.
    pub fn order(&self, id: OrderId) -> Option<Arc<Order>> {
        self.orders.get(&id).map(|order| order.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::OrderLine;
    use crate::domain::text::Name;
    use crate::domain::{Money, Operation, ProductId, Quantity, Seq, Timestamp};
    use uuid::Uuid;

    const BUYER: UserId = UserId::new(1);

    fn order(id: u128, lines: usize) -> Arc<Order> {
        let line = OrderLine {
            product_id: ProductId::new(1),
            quantity: Quantity::new(1).expect("one"),
            unit_price: Money::ZERO,
            product_name: Name::stored("Lamp".into()),
            product_price: Money::ZERO,
        };
        let at = Timestamp::from_micros(1);
        Arc::new(Order {
            id: OrderId::new(Uuid::from_u128(id)),
            user_id: BUYER,
            status: OrderStatus::Pending,
            total: Money::ZERO,
            lines: vec![line; lines],
            returned: Vec::new(),
            refunded: Money::ZERO,
            failure: None,
            created_at: at,
            updated_at: at,
        })
    }

    fn note(pending: &Pending, event: Event) {
        let (at, operation) = (Timestamp::from_micros(1), Operation::DecideOrder);
        let events = vec![event];
        let record = Record { seq: Seq::ZERO, at, operation, caller: None, key: None, refusal: None, events };
        pending.note(&record, BUYER);
    }

    #[test]
    fn orders_beyond_the_bound_are_left_out_until_others_were_decided() {
        let pending = Pending::default();
        let (large, small) = (order(1, LINES_MAX), order(2, 1));
        note(&pending, Event::OrderPlaced(large.clone()));
        assert!(!pending.add_order(small.clone()));
        assert_eq!((pending.order(large.id), pending.order(small.id)), (Some(large.clone()), None));
        let (order_id, user_id, status) = (large.id, BUYER, OrderStatus::Processed);
        note(&pending, Event::OrderAdvanced { order_id, user_id, status });
        // One that was left out ends, too.
        note(&pending, Event::OrderAdvanced { order_id: small.id, user_id, status });
        note(&pending, Event::OrderPlaced(small.clone()));
        assert_eq!((pending.order(large.id), pending.order(small.id)), (None, Some(small)));
        assert_eq!(pending.lines.load(Ordering::Relaxed), 1);
    }
}
