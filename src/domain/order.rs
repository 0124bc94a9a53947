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

/// Whose price counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Pricing {
    /// The lines' prices are claims that must match the products' own.
    Claimed,
    /// The lines' prices are taken as given: point of sale, import.
    AsGiven,
}

/// An order with all that happened to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    pub id: OrderId,
    pub user_id: UserId,
    pub status: OrderStatus,
    pub total: Money,
    pub lines: Vec<OrderLine>,
    /// What came back so far, per product.
    pub returned: Vec<Returned>,
    /// Money given back by returns so far.
    pub refunded: Money,
    pub failure: Option<Failure>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What came back of one product.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Returned {
    pub product_id: ProductId,
    pub units: i64,
    pub refunded: Money,
}

/// Why an order that was decided in the background failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub code: Arc<str>,
    pub detail: Arc<str>,
    pub product_id: Option<ProductId>,
}

impl Failure {
    /// Of a rejection.
    pub fn of(rejection: &Rejection) -> Self {
        let product_id = match rejection {
            Rejection::UnknownProduct { product_id, .. }
            | Rejection::ItemDeleted { product_id }
            | Rejection::InsufficientStock { product_id, .. }
            | Rejection::PriceChanged { product_id, .. }
            | Rejection::StockLimit { product_id } => Some(*product_id),
            _ => None,
        };
        Self { code: rejection.code().into(), detail: rejection.to_string().into(), product_id }
    }

    /// Of an order whose message an operator gave up.
    pub fn purged() -> Self {
        let detail = "an administrator gave the order up before it was decided; order again";
        Self { code: "purged".into(), detail: detail.into(), product_id: None }
    }
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

    /// Whether not all units came back.
    fn has_goods_left(&self) -> bool {
        let returned: i64 = self.returned.iter().map(|returned| returned.units).sum();
        self.units().into_values().sum::<i64>() > returned
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
            OrderStatus::Processed if self.has_goods_left() => Ok(Step::Take),
            OrderStatus::Processed => Err(self.refuse(StateReason::NothingLeftToShip)),
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
    /// its dearest, and all that is back by then refunded for no more than as many of its dearest units.
    pub fn take_back(&self, goods: &GoodsReturn) -> Result<(), Rejection> {
        let is_open =
            matches!(self.status, OrderStatus::Processed | OrderStatus::Shipped | OrderStatus::Delivered);
        let sold = Goods::of(self.lines.iter().map(|line| (line.product_id, line.quantity, line.unit_price)));
        let back =
            Goods::of(goods.lines.iter().map(|line| (line.product_id, line.quantity, line.unit_price)));
        let is_within = |(id, back): (&ProductId, &Goods)| {
            let earlier = self.returned.iter().find(|returned| returned.product_id == *id);
            sold.get(id).is_some_and(|sold| sold.has_left(back, earlier))
        };
        if is_open && back.iter().all(is_within) {
            return Ok(());
        }
        Err(self.refuse(StateReason::NothingLeftToReturn))
    }

    /// Takes in what happened to this order; events of others are ignored.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::OrderAdvanced { order_id, status, .. } if *order_id == self.id => self.status = *status,
            Event::OrderFailed { order_id, failure, .. } if *order_id == self.id => {
                self.status = OrderStatus::Failed;
                self.failure = Some(Failure::clone(failure));
            }
            Event::GoodsReturned(goods) if goods.order_id == Some(self.id) => {
                let back = goods.lines.iter().map(|line| (line.product_id, line.quantity, line.unit_price));
                for (product_id, back) in Goods::of(back) {
                    let units = back.units();
                    self.took_back(Returned {
                        product_id,
                        units,
                        refunded: back.worth(units).unwrap_or_default(),
                    });
                }
            }
            _ => return,
        }
        self.updated_at = at;
    }

    /// Adds to what came back of a product.
    pub fn took_back(&mut self, back: Returned) {
        match self.returned.iter_mut().find(|returned| returned.product_id == back.product_id) {
            Some(returned) => {
                returned.units += back.units;
                returned.refunded = returned.refunded.checked_add(back.refunded).unwrap_or(returned.refunded);
            }
            None => self.returned.push(back),
        }
        self.refunded = self.refunded.checked_add(back.refunded).unwrap_or(self.refunded);
    }

    /// The event that this pending order was decided against.
    pub fn failed(&self, failure: &Arc<Failure>) -> Event {
        Event::OrderFailed { order_id: self.id, user_id: self.user_id, failure: failure.clone() }
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

    /// Whether `back` may come back after what came `earlier`.
    fn has_left(&self, back: &Self, earlier: Option<&Returned>) -> bool {
        let (units, refunded) = earlier.map_or((0, Money::ZERO), |earlier| (earlier.units, earlier.refunded));
        let within = || {
            let most = self.worth(units + back.units())?;
            Some(refunded.checked_add(back.worth(back.units())?)? <= most)
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
