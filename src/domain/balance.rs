//! A balance: a user's money, with the user's profile and the rules of the user's orders. All that takes money off it
//! commits here, in one turn, so money needs no hold; only room for credits does.

use super::entity::{Decision, Entity, Verdict};
use super::event::{Entry, EntryKind, Event, MovementKind, Posting, StockMove};
use super::ids::{OrderId, ProductId, TransferId, UserId};
use super::ledger::{Ledger, has_room};
use super::money::{Delta, Money};
use super::order::{GoodsReturn, Order, OrderStatus, Step};
use super::record::Snapshot;
use super::rejection::{Missing, Rejection};
use super::text::Text;
use super::time::Timestamp;
use super::user::Profile;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What readers see of a balance, at one version. Versions count entries; 0 at registration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BalanceView {
    pub user_id: UserId,
    pub profile: Arc<Profile>,
    /// What can be spent.
    pub amount: i64,
    pub version: u64,
}

/// The state of one balance.
#[derive(Clone, Debug)]
pub struct Balance {
    id: UserId,
    /// None until the user is registered.
    profile: Option<Arc<Profile>>,
    money: Ledger,
    /// Credits that open holds may still bring in.
    room: i64,
}

/// Room for a credit of this much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room(pub Money);

/// What a balance's owner commits. Orders come with their lines priced under the products' holds, steps with the order as
/// it now stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BalanceCommand {
    /// Takes the order's total and sells its units.
    Place(Arc<Order>),
    /// Gives the order's total back and restocks its units.
    Cancel(Arc<Order>),
    Ship(Arc<Order>),
    Deliver(Arc<Order>),
    /// Credits the goods' worth and restocks them; within what `order` has left when there is one.
    TakeBack {
        goods: Arc<GoodsReturn>,
        order: Option<Arc<Order>>,
    },
    Increment {
        amount: Money,
        reference: Option<Text>,
        description: Option<Text>,
    },
    Decrement {
        amount: Money,
        reference: Option<Text>,
        description: Option<Text>,
    },
    Transfer {
        id: TransferId,
        to: UserId,
        amount: Money,
        description: Option<Text>,
    },
}

impl Balance {
    /// A balance as it was stored.
    pub fn stored(view: BalanceView) -> Self {
        Self {
            id: view.user_id,
            profile: Some(view.profile),
            money: Ledger::new(view.amount, view.version),
            room: 0,
        }
    }

    /// `None` before registration.
    pub fn view(&self) -> Option<BalanceView> {
        let (amount, version) = self.money.published();
        Some(BalanceView { user_id: self.id, profile: self.profile.clone()?, amount, version })
    }

    /// Room under open holds.
    pub const fn open_holds(&self) -> i64 {
        self.room
    }

    fn entry(&self, kind: EntryKind, delta: Delta) -> Entry {
        Entry {
            user_id: self.id,
            kind,
            order_id: None,
            reference: None,
            description: None,
            posting: Posting::of(delta),
        }
    }

    fn spend(&self, amount: Money) -> Result<(), Rejection> {
        let available = self.money.bound();
        if available < amount.minor() {
            let available = Money::new(available).unwrap_or(Money::ZERO);
            return Err(Rejection::InsufficientBalance { requested: amount, available });
        }
        Ok(())
    }

    /// Room for a credit: refused when there is none even if every open hold were released.
    fn receive(&self, amount: Money) -> Verdict<()> {
        let amount = amount.minor();
        if !has_room(self.money.bound(), amount) {
            return Verdict::Refused(Rejection::BalanceLimit);
        }
        if has_room(self.money.bound() + self.room, amount) { Verdict::Granted(()) } else { Verdict::Wait }
    }

    fn adjust(
        &self,
        kind: EntryKind,
        delta: Delta,
        reference: &Option<Text>,
        description: &Option<Text>,
    ) -> Decision {
        let (reference, description) = (reference.clone(), description.clone());
        Decision::one(Event::EntryPosted(Entry { reference, description, ..self.entry(kind, delta) }))
    }

    /// A decision that credits this balance needs room for it.
    fn with_room(&self, decision: Decision) -> Verdict<Decision> {
        let credit: i64 = decision.own.iter().filter_map(Event::posting).map(|posting| posting.delta).sum();
        match Money::new(credit).filter(|credit| *credit > Money::ZERO).map(|credit| self.receive(credit)) {
            None | Some(Verdict::Granted(())) => Verdict::Granted(decision),
            Some(Verdict::Refused(rejection)) => Verdict::Refused(rejection),
            Some(Verdict::Wait) => Verdict::Wait,
        }
    }

    fn place(&self, order: &Arc<Order>) -> Result<Decision, Rejection> {
        self.spend(order.total)?;
        let entry = Entry { order_id: Some(order.id), ..self.entry(EntryKind::Order, -order.total.minor()) };
        // The record will hold all of them: room for that is made once.
        let mut own = Vec::with_capacity(2 + order.lines.len());
        own.extend([Event::OrderPlaced(order.clone()), Event::EntryPosted(entry)]);
        let (sign, kind, id) = (-1, MovementKind::Sale, Some(order.id));
        let foreign = match &order.lines[..] {
            [line] => moves([(line.product_id, i64::from(line.quantity.get()))], sign, kind, id),
            _ => moves(order.units(), sign, kind, id),
        };
        Ok(Decision { own, foreign, snapshot: None })
    }

    fn cancel(&self, order: &Arc<Order>) -> Result<Decision, Rejection> {
        if order.cancel()? == Step::Done {
            return Ok(Decision::default().showing(Snapshot::Order(order.clone())));
        }
        let entry = Entry { order_id: Some(order.id), ..self.entry(EntryKind::Cancel, order.total.minor()) };
        let mut decision = self.advance(order, OrderStatus::Cancelled);
        decision.own.push(Event::EntryPosted(entry));
        decision.foreign = moves(order.units(), 1, MovementKind::Cancel, Some(order.id));
        Ok(decision)
    }

    fn advance(&self, order: &Arc<Order>, status: OrderStatus) -> Decision {
        let event = Event::OrderAdvanced { order_id: order.id, user_id: self.id, status };
        let advanced = Order { status, ..Order::clone(order) };
        Decision::one(event).showing(Snapshot::Order(Arc::new(advanced)))
    }

    fn step(
        &self,
        order: &Arc<Order>,
        step: Result<Step, Rejection>,
        to: OrderStatus,
    ) -> Result<Decision, Rejection> {
        Ok(match step? {
            Step::Done => Decision::default().showing(Snapshot::Order(order.clone())),
            Step::Take => self.advance(order, to),
        })
    }

    fn take_back(&self, goods: &Arc<GoodsReturn>, order: Option<&Arc<Order>>) -> Result<Decision, Rejection> {
        if let Some(order) = order {
            order.take_back(goods)?;
        }
        let entry = Entry {
            order_id: goods.order_id,
            description: goods.reason.clone(),
            ..self.entry(EntryKind::Return, goods.total.minor())
        };
        Ok(Decision {
            own: vec![Event::GoodsReturned(goods.clone()), Event::EntryPosted(entry)],
            foreign: moves(goods.units(), 1, MovementKind::Return, goods.order_id),
            snapshot: None,
        })
    }

    fn transfer(
        &self,
        id: TransferId,
        to: UserId,
        amount: Money,
        text: Option<&Text>,
    ) -> Result<Decision, Rejection> {
        if to == self.id {
            return Err(Rejection::SelfTransfer);
        }
        self.spend(amount)?;
        let leg = |user_id, kind, delta| {
            Event::EntryPosted(Entry {
                user_id,
                reference: Some(Text::stored(id.to_string())),
                description: text.cloned(),
                ..self.entry(kind, delta)
            })
        };
        Ok(Decision {
            own: vec![leg(self.id, EntryKind::TransferOut, -amount.minor())],
            foreign: vec![leg(to, EntryKind::TransferIn, amount.minor())],
            snapshot: None,
        })
    }
}

/// One movement per product, `sign` units each. A return's reason stands in its entry, not once more per product: a
/// thousand of them would be more than a record may take.
fn moves(
    units: impl IntoIterator<Item = (ProductId, i64)>,
    sign: i64,
    kind: MovementKind,
    order_id: Option<OrderId>,
) -> Vec<Event> {
    let movement = |(product_id, units)| {
        let posting = Posting::of(sign * units);
        Event::StockMoved(StockMove { product_id, kind, order_id, reason: None, posting })
    };
    units.into_iter().map(movement).collect()
}

impl Entity for Balance {
    type Claim = Room;
    type Grant = ();
    type Command = BalanceCommand;

    fn unborn() -> Self {
        Self { id: UserId::new(0), profile: None, money: Ledger::default(), room: 0 }
    }

    fn claim(&mut self, claim: &Room, _contended: bool) -> Verdict<()> {
        if self.profile.is_none() {
            return Verdict::Refused(Rejection::NotFound(Missing::User));
        }
        let verdict = self.receive(claim.0);
        if verdict == Verdict::Granted(()) {
            self.room += claim.0.minor();
        }
        verdict
    }

    fn release(&mut self, claim: &Room) {
        self.room -= claim.0.minor();
    }

    fn decide(&self, command: &BalanceCommand, _at: Timestamp, _contended: bool) -> Verdict<Decision> {
        if self.profile.is_none() {
            return Verdict::Refused(Rejection::NotFound(Missing::User));
        }
        let decided = match command {
            BalanceCommand::Place(order) => self.place(order),
            BalanceCommand::Cancel(order) => self.cancel(order),
            BalanceCommand::Ship(order) => self.step(order, order.ship(), OrderStatus::Shipped),
            BalanceCommand::Deliver(order) => self.step(order, order.deliver(), OrderStatus::Delivered),
            BalanceCommand::TakeBack { goods, order } => self.take_back(goods, order.as_ref()),
            BalanceCommand::Increment { amount, reference, description } => {
                Ok(self.adjust(EntryKind::Increment, amount.minor(), reference, description))
            }
            BalanceCommand::Decrement { amount, reference, description } => self
                .spend(*amount)
                .map(|()| self.adjust(EntryKind::Decrement, -amount.minor(), reference, description)),
            BalanceCommand::Transfer { id, to, amount, description } => {
                self.transfer(*id, *to, *amount, description.as_ref())
            }
        };
        match decided {
            Ok(decision) => self.with_room(decision),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn apply(&mut self, event: &Event, _at: Timestamp) {
        match event {
            Event::UserRegistered { user_id, profile } => {
                self.id = *user_id;
                self.profile = Some(profile.clone());
            }
            Event::EntryPosted(entry) => self.money.post(&entry.posting),
            _ => {}
        }
    }

    fn version(&self) -> u64 {
        self.money.version()
    }

    fn is_level(&self) -> bool {
        self.money.is_level()
    }
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
