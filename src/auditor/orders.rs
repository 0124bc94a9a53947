//! Orders, returns and withdrawals: what each is made of, and what it may become.

use super::facts::{Fact, Id, Line, OrderState};
use super::model::Due;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Order {
    user: u64,
    state: OrderState,
    total: i64,
    units: BTreeMap<u64, i64>,
    returned: BTreeMap<u64, i64>,
    refunded: i64,
}

#[derive(Debug)]
struct Withdrawal {
    user: u64,
    amount: i64,
    is_open: bool,
}

/// See the module.
#[derive(Default, Debug)]
pub struct Orders {
    orders: BTreeMap<Id, Order>,
    withdrawals: BTreeMap<Id, Withdrawal>,
}

fn units(lines: &[Line]) -> BTreeMap<u64, i64> {
    let mut units = BTreeMap::new();
    for (product, count, _) in lines {
        *units.entry(*product).or_default() += count;
    }
    units
}

fn worth(lines: &[Line]) -> i128 {
    lines.iter().map(|(_, count, price)| i128::from(*count) * i128::from(*price)).sum()
}

impl Orders {
    pub fn take(&mut self, facts: &[Fact], due: &mut Due, whole: bool) -> Result<(), String> {
        for fact in facts {
            match fact {
                Fact::Placed { order, user, state, total, lines } => {
                    self.place(*order, *user, *state, *total, lines, due)?;
                }
                Fact::Advanced { order, user, to } => match self.orders.get_mut(order) {
                    Some(known) => known.advance(*user, *to, due)?,
                    None if whole => return Err(format!("order {order:x} was never placed")),
                    None => {}
                },
                Fact::Returned { order, user, total, lines } => {
                    self.take_back(*order, *user, *total, lines, due)?;
                }
                Fact::Asked { withdrawal, user, amount } => {
                    let asked = Withdrawal { user: *user, amount: *amount, is_open: true };
                    if *amount <= 0 || self.withdrawals.insert(*withdrawal, asked).is_some() {
                        return Err(format!("withdrawal {withdrawal:x} of {amount}"));
                    }
                    due.money(*user, -amount);
                }
                Fact::Ended { withdrawal, user, is_paid } => {
                    self.end(*withdrawal, *user, *is_paid, facts, due, whole)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn place(
        &mut self,
        id: Id,
        user: u64,
        state: OrderState,
        total: i64,
        lines: &[Line],
        due: &mut Due,
    ) -> Result<(), String> {
        if worth(lines) != i128::from(total) || lines.is_empty() || lines.iter().any(|line| line.1 <= 0) {
            return Err(format!("order {id:x} for {total} is made of {lines:?}"));
        }
        let (returned, refunded) = (BTreeMap::new(), 0);
        let mut order =
            Order { user, state: OrderState::Pending, total, units: units(lines), returned, refunded };
        if state != OrderState::Pending {
            order.advance(user, state, due)?;
        }
        match self.orders.insert(id, order) {
            Some(_) => Err(format!("order {id:x} is placed twice")),
            None => Ok(()),
        }
    }

    fn take_back(
        &mut self,
        order: Option<Id>,
        user: u64,
        total: i64,
        lines: &[Line],
        due: &mut Due,
    ) -> Result<(), String> {
        if worth(lines) != i128::from(total) {
            return Err(format!("a return for {total} is made of {lines:?}"));
        }
        let back = units(lines);
        if let Some(known) = order.and_then(|id| self.orders.get_mut(&id)) {
            let is_open =
                matches!(known.state, OrderState::Processed | OrderState::Shipped | OrderState::Delivered);
            known.refunded += total;
            let mut is_within = is_open && known.user == user && known.refunded <= known.total;
            for (product, count) in &back {
                let returned = known.returned.entry(*product).or_default();
                *returned += count;
                is_within &= known.units.get(product).is_some_and(|sold| *returned <= *sold);
            }
            if !is_within {
                return Err(format!("{lines:?} come back of {known:?}"));
            }
        }
        due.money(user, total);
        for (product, count) in &back {
            due.units(*product, *count);
        }
        Ok(())
    }

    fn end(
        &mut self,
        id: Id,
        user: u64,
        is_paid: bool,
        facts: &[Fact],
        due: &mut Due,
        whole: bool,
    ) -> Result<(), String> {
        let Some(known) = self.withdrawals.get_mut(&id) else {
            return if whole { Err(format!("withdrawal {id:x} was never asked for")) } else { Ok(()) };
        };
        if known.user != user || !std::mem::replace(&mut known.is_open, false) {
            return Err(format!("withdrawal {id:x} ends for user {user}, and is {known:?}"));
        }
        if !is_paid {
            due.money(user, known.amount);
        }
        let counted: i64 = facts
            .iter()
            .map(|fact| match fact {
                Fact::PaidOut { user: of, withdrawal, step } if (*of, *withdrawal) == (user, id) => {
                    step.delta
                }
                _ => 0,
            })
            .sum();
        let expected = if is_paid { known.amount } else { 0 };
        if counted == expected { Ok(()) } else { Err(format!("withdrawal {id:x} counts {counted}")) }
    }
}

impl Order {
    fn advance(&mut self, user: u64, to: OrderState, due: &mut Due) -> Result<(), String> {
        use OrderState::{Cancelled, Delivered, Failed, Pending, Processed, Shipped};
        let sign = match (self.state, to) {
            (Pending, Processed) => -1,
            (Processed, Cancelled) if self.returned.is_empty() => 1,
            (Pending, Failed) | (Processed, Shipped) | (Shipped, Delivered) => 0,
            (from, to) => return Err(format!("an order goes from {from:?} to {to:?}")),
        };
        if self.user != user {
            return Err(format!("an order of user {} is advanced for {user}", self.user));
        }
        self.state = to;
        if sign != 0 {
            due.money(user, sign * self.total);
            for (product, count) in &self.units {
                due.units(*product, sign * count);
            }
        }
        Ok(())
    }
}
