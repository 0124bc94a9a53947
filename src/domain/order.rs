//! Orders and returns. An order is state of its buyer's balance; its lines never change once it is placed.

use super::event::{Event, words};
use super::ids::{OrderId, ProductId, ReturnId, UserId};
use super::money::{Money, Quantity};
use super::rejection::{Rejection, StateReason};
use super::text::{Name, Text};
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where an order stands: `pending` → `processed` → `shipped` → `delivered`, or `failed`, or `cancelled`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    Pending,
    Processed,
    Shipped,
    Delivered,
    Failed,
    Cancelled,
}

words!(OrderStatus {
    Pending = "pending",
    Processed = "processed",
    Shipped = "shipped",
    Delivered = "delivered",
    Failed = "failed",
    Cancelled = "cancelled",
});

/// One line of an order, with the product's name and price as they stood when it was decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderLine {
    pub product_id: ProductId,
    pub quantity: Quantity,
    /// What was paid per unit.
    pub unit_price: Money,
    pub product_name: Name,
    /// The product's own price at that moment.
    pub product_price: Money,
}

/// An order with all that happened to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    pub id: OrderId,
    pub user_id: UserId,
    pub status: OrderStatus,
    pub total: Money,
    pub lines: Vec<OrderLine>,
    /// Units returned so far, per product.
    pub returned: Vec<(ProductId, i64)>,
    /// Money given back by returns so far.
    pub refunded: Money,
    pub failure: Option<Failure>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Why an order that was decided in the background failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub code: Arc<str>,
    pub detail: Arc<str>,
    pub product_id: Option<ProductId>,
}

/// One line of a return.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnLine {
    pub product_id: ProductId,
    pub quantity: Quantity,
    pub unit_price: Money,
}

/// Goods that came back and were paid for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GoodsReturn {
    pub id: ReturnId,
    pub user_id: UserId,
    pub order_id: Option<OrderId>,
    pub lines: Vec<ReturnLine>,
    pub total: Money,
    pub reason: Option<Text>,
}

/// What a step on an order leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Take,
    /// It was taken before: answer as then, change nothing.
    Done,
}

impl Order {
    /// Units per product over all lines, in product order.
    pub fn units(&self) -> BTreeMap<ProductId, i64> {
        let mut units = BTreeMap::new();
        for line in &self.lines {
            *units.entry(line.product_id).or_insert(0) += i64::from(line.quantity.get());
        }
        units
    }

    pub fn cancel(&self) -> Result<Step, Rejection> {
        match self.status {
            OrderStatus::Cancelled => Ok(Step::Done),
            OrderStatus::Processed if self.returned.is_empty() => Ok(Step::Take),
            _ => Err(self.refuse(StateReason::NotCancellable)),
        }
    }

    pub fn ship(&self) -> Result<Step, Rejection> {
        match self.status {
            OrderStatus::Shipped => Ok(Step::Done),
            OrderStatus::Processed => Ok(Step::Take),
            _ => Err(self.refuse(StateReason::NotShippable)),
        }
    }

    pub fn deliver(&self) -> Result<Step, Rejection> {
        match self.status {
            OrderStatus::Delivered => Ok(Step::Done),
            OrderStatus::Shipped => Ok(Step::Take),
            _ => Err(self.refuse(StateReason::NotDeliverable)),
        }
    }

    /// Whether `goods` are within what is left of this order: of each product no more units than are left, none dearer than
    /// its dearest, and all that is back by then worth no more than as many of its dearest units; and no more money in all.
    pub fn take_back(&self, goods: &GoodsReturn) -> Result<(), Rejection> {
        let is_open =
            matches!(self.status, OrderStatus::Processed | OrderStatus::Shipped | OrderStatus::Delivered);
        let sold = Goods::of(self.lines.iter().map(|line| (line.product_id, line.quantity, line.unit_price)));
        let back =
            Goods::of(goods.lines.iter().map(|line| (line.product_id, line.quantity, line.unit_price)));
        let earlier: BTreeMap<_, _> = self.returned.iter().copied().collect();
        let is_within = |(id, back): (&ProductId, &Goods)| {
            let earlier = earlier.get(id).copied().unwrap_or(0);
            sold.get(id).is_some_and(|sold| sold.has_left(back, earlier, self.refunded))
        };
        let refunded = self.refunded.checked_add(goods.total);
        if is_open && back.iter().all(is_within) && refunded.is_some_and(|refunded| refunded <= self.total) {
            return Ok(());
        }
        Err(self.refuse(StateReason::NothingLeftToReturn))
    }

    /// Takes in what happened to this order; events of others are ignored.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::OrderAdvanced { order_id, status, .. } if *order_id == self.id => self.status = *status,
            Event::GoodsReturned(goods) if goods.order_id == Some(self.id) => {
                for (product_id, units) in goods.units() {
                    match self.returned.iter_mut().find(|(id, _)| *id == product_id) {
                        Some((_, back)) => *back += units,
                        None => self.returned.push((product_id, units)),
                    }
                }
                self.refunded = self.refunded.checked_add(goods.total).unwrap_or(self.refunded);
            }
            _ => return,
        }
        self.updated_at = at;
    }

    fn refuse(&self, reason: StateReason) -> Rejection {
        Rejection::InvalidState { status: self.status, reason }
    }
}

/// Units of one product with their prices, the dearest first.
struct Goods(Vec<(Money, Quantity)>);

impl Goods {
    fn of(lines: impl Iterator<Item = (ProductId, Quantity, Money)>) -> BTreeMap<ProductId, Self> {
        let mut all = BTreeMap::new();
        for (id, quantity, price) in lines {
            all.entry(id).or_insert_with(|| Self(Vec::new())).0.push((price, quantity));
        }
        for goods in all.values_mut() {
            goods.0.sort_unstable_by(|one, other| other.cmp(one));
        }
        all
    }

    fn units(&self) -> i64 {
        self.0.iter().map(|(_, quantity)| i64::from(quantity.get())).sum()
    }

    fn dearest(&self) -> Option<Money> {
        self.0.first().map(|(price, _)| *price)
    }

    /// What so many of the dearest units are worth; `None` when there are fewer, or past every limit.
    fn worth(&self, units: i64) -> Option<Money> {
        let (mut worth, mut left) = (Money::ZERO, units);
        for (price, quantity) in &self.0 {
            let taken = left.min(i64::from(quantity.get()));
            worth = worth.checked_add(Money::new(price.minor().checked_mul(taken)?)?)?;
            left -= taken;
        }
        (left == 0).then_some(worth)
    }

    /// Whether `back` may come back, after `earlier` units. What these were refunded for is not kept per product: at most
    /// all that the order `refunded`, and at most what they could have been.
    fn has_left(&self, back: &Self, earlier: i64, refunded: Money) -> bool {
        let within = || {
            let most = self.worth(earlier + back.units())?;
            let before = self.worth(earlier)?.min(refunded);
            Some(before.checked_add(back.worth(back.units())?)? <= most)
        };
        back.dearest() <= self.dearest() && within().unwrap_or(false)
    }
}

impl GoodsReturn {
    /// Units per product over all lines, in product order.
    pub fn units(&self) -> BTreeMap<ProductId, i64> {
        let mut units = BTreeMap::new();
        for line in &self.lines {
            *units.entry(line.product_id).or_insert(0) += i64::from(line.quantity.get());
        }
        units
    }
}
