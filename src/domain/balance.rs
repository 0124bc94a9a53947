//! A balance: a user's money, with the user's profile and the rules of the user's orders. All that takes money off it
//! commits here, in one turn, so money needs no hold; only room for credits does.

use super::cards::{self, Cards};
use super::entity::{Decision, Entity, Verdict};
use super::event::{Entry, EntryKind, Event, MovementKind, Posting, StockMove};
use super::ids::{BatchId, OrderId, ProductId, RedemptionId, TransferId, UserId, WithdrawalId};
use super::ledger::{Ledger, has_room};
use super::message::{Message, MessageStep, MessageTurn, Payload};
use super::money::{Delta, Money};
use super::order::{Failure, GoodsReturn, Order, OrderStatus, Step};
use super::record::Snapshot;
use super::redemption::{HandedIn, Redemption, RedemptionStatus, payout_entry};
use super::rejection::{Missing, Rejection};
use super::text::Text;
use super::time::Timestamp;
use super::user::Profile;
use super::withdrawal::Withdrawal;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod withdrawals;

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
    cards: Cards,
}

/// Room for a credit of this much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room(pub Money);

/// What may be claimed of a balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BalanceClaim {
    Room(Room),
    /// A queued card, for the lock of an account.
    Card(RedemptionId),
    /// A card in doubt, to be settled by an operator, with room for its payout.
    Doubt {
        card: RedemptionId,
        room: Room,
    },
}

/// What a balance's owner commits. Orders come with their lines priced under the products' holds, steps with the order as
/// it now stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BalanceCommand {
    /// Takes the order's total and sells its units.
    Place(Arc<Order>),
    /// Accepts a pending order, to be decided for the message that comes with it.
    Accept {
        order: Arc<Order>,
        message: Arc<Message>,
    },
    /// Decides a pending order: takes its total and sells its units, or lets it fail. Its message ends with that.
    Decide {
        order: Arc<Order>,
        failure: Option<Arc<Failure>>,
        turn: MessageTurn,
    },
    /// Gives the order's total back and restocks its units.
    Cancel(Arc<Order>),
    /// `message` tells the outside.
    Ship {
        order: Arc<Order>,
        message: Arc<Message>,
    },
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
    /// Takes the amount off the balance.
    RequestWithdrawal {
        id: WithdrawalId,
        amount: Money,
    },
    /// Pays it out: the distributor counts it and looks at its level, for which `message` is.
    CompleteWithdrawal {
        withdrawal: Withdrawal,
        message: Arc<Message>,
    },
    /// Gives the amount back.
    RejectWithdrawal(Withdrawal),
    /// Takes cards in whose names are held: `taken` for each shard of the directory that has some.
    HandIn {
        cards: Arc<HandedIn>,
        taken: Vec<Vec<Arc<str>>>,
    },
    /// Cancels a card that is queued, and frees its code.
    CancelCard(Arc<Redemption>),
    /// The same of what is queued of a batch.
    CancelBatch(BatchId),
    /// Makes the payout that the message owes, and ends the message with that.
    PayCard(MessageTurn),
    /// `order` is the one that waits for the message, if one does.
    Message {
        turn: MessageTurn,
        order: Option<Arc<Order>>,
    },
}

impl Balance {
    /// A balance as it was stored.
    pub fn stored(view: BalanceView, cards: Cards) -> Self {
        Self {
            id: view.user_id,
            profile: Some(view.profile),
            money: Ledger::new(view.amount, view.version),
            room: 0,
            cards,
        }
    }

    /// Whose it is; 0 before registration.
    pub const fn id(&self) -> UserId {
        self.id
    }

    /// `None` before registration.
    pub fn view(&self) -> Option<BalanceView> {
        let (amount, version) = self.money.published();
        Some(BalanceView { user_id: self.id, profile: self.profile.clone()?, amount, version })
    }

    /// Room and cards under open holds.
    pub fn open_holds(&self) -> i64 {
        self.room + self.cards.held()
    }

    /// Cards that have not come to an end.
    pub const fn cards(&self) -> &Cards {
        &self.cards
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

    fn accept(order: &Arc<Order>, message: &Arc<Message>) -> Decision {
        let own = vec![Event::OrderPlaced(order.clone()), Event::MessageQueued(message.clone())];
        Decision { own, ..Decision::default() }
    }

    /// The message ends with the order's decision, in one record. One of another attempt, or of an order that was decided
    /// before, decides nothing.
    fn decide_order(
        &self,
        order: &Arc<Order>,
        failure: Option<&Arc<Failure>>,
        turn: &MessageTurn,
    ) -> Result<Decision, Rejection> {
        let mut done = turn.decide()?;
        if done.is_void() || order.status != OrderStatus::Pending {
            return Ok(done);
        }
        let decided = match failure {
            Some(failure) => Decision::one(order.failed(failure)),
            None => self.sell(order)?,
        };
        done.own.splice(0..0, decided.own);
        done.foreign = decided.foreign;
        Ok(done)
    }

    /// Takes a pending order's total and sells its units.
    fn sell(&self, order: &Arc<Order>) -> Result<Decision, Rejection> {
        let mut placed = self.place(order)?;
        let (order_id, user_id, status) = (order.id, self.id, OrderStatus::Processed);
        placed.own[0] = Event::OrderAdvanced { order_id, user_id, status };
        Ok(placed)
    }

    /// Giving up the message of a pending order ends the order.
    fn step_message(turn: &MessageTurn, order: Option<&Arc<Order>>) -> Result<Decision, Rejection> {
        let mut decision = turn.decide()?;
        let payload = turn.open.as_ref().map(|open| open.message.payload);
        if let (MessageStep::Purge, Some(Payload::RedeemCard { .. })) = (&turn.step, payload) {
            return Err(Rejection::RedemptionState { status: RedemptionStatus::Succeeded });
        }
        let waits = |order: &&Arc<Order>| order.status == OrderStatus::Pending;
        if let (MessageStep::Purge, Some(order)) = (&turn.step, order.filter(waits)) {
            decision.own.push(order.failed(&Arc::new(Failure::purged())));
        }
        Ok(decision)
    }

    fn ship(&self, order: &Arc<Order>, message: &Arc<Message>) -> Result<Decision, Rejection> {
        let mut decision = self.step(order, order.ship(), OrderStatus::Shipped)?;
        if !decision.is_void() {
            decision.own.push(Event::MessageQueued(message.clone()));
        }
        Ok(decision)
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

    /// A message of another attempt pays nothing.
    fn pay_card(&self, turn: &MessageTurn) -> Result<Decision, Rejection> {
        let mut done = turn.decide()?;
        let payload = turn.open.as_ref().map(|open| open.message.payload);
        if let (false, Some(Payload::RedeemCard { redemption_id, payout })) = (done.is_void(), payload) {
            let entry = payout_entry(redemption_id, self.id, Posting::of(payout.minor()));
            done.own.insert(0, Event::EntryPosted(entry));
        }
        Ok(done)
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
    type Claim = BalanceClaim;
    type Grant = ();
    type Command = BalanceCommand;

    fn unborn() -> Self {
        Self { id: UserId::new(0), profile: None, money: Ledger::default(), room: 0, cards: Cards::default() }
    }

    fn claim(&mut self, claim: &BalanceClaim, _contended: bool) -> Verdict<()> {
        if self.profile.is_none() {
            return Verdict::Refused(Rejection::NotFound(Missing::User));
        }
        let Room(amount) = match claim {
            BalanceClaim::Room(room) => room,
            BalanceClaim::Card(id) => return self.cards.claim(*id),
            BalanceClaim::Doubt { card, room } => match self.cards.doubt(*card) {
                Verdict::Granted(()) => room,
                otherwise => return otherwise,
            },
        };
        let verdict = self.receive(*amount);
        if verdict == Verdict::Granted(()) {
            self.room += amount.minor();
        }
        verdict
    }

    fn release(&mut self, claim: &BalanceClaim) {
        match claim {
            BalanceClaim::Room(Room(amount)) | BalanceClaim::Doubt { room: Room(amount), .. } => {
                self.room -= amount.minor();
            }
            BalanceClaim::Card(id) => self.cards.release(*id),
        }
    }

    fn decide(&self, command: &BalanceCommand, at: Timestamp, _contended: bool) -> Verdict<Decision> {
        if self.profile.is_none() {
            return Verdict::Refused(Rejection::NotFound(Missing::User));
        }
        let decided = match command {
            BalanceCommand::Place(order) => self.place(order),
            BalanceCommand::Cancel(order) => self.cancel(order),
            BalanceCommand::Accept { order, message } => Ok(Self::accept(order, message)),
            BalanceCommand::Decide { order, failure, turn } => {
                self.decide_order(order, failure.as_ref(), turn)
            }
            BalanceCommand::RequestWithdrawal { id, amount } => self.request_withdrawal(*id, *amount, at),
            BalanceCommand::CompleteWithdrawal { withdrawal, message } => {
                self.complete_withdrawal(withdrawal, message)
            }
            BalanceCommand::RejectWithdrawal(withdrawal) => self.reject_withdrawal(withdrawal),
            BalanceCommand::HandIn { cards, taken } => Ok(cards::handed_in(cards, taken)),
            BalanceCommand::CancelCard(card) => return self.cards.cancel(card),
            BalanceCommand::CancelBatch(id) => Ok(self.cards.cancel_batch(*id)),
            BalanceCommand::PayCard(turn) => self.pay_card(turn),
            BalanceCommand::Message { turn, order } => Self::step_message(turn, order.as_ref()),
            BalanceCommand::Ship { order, message } => self.ship(order, message),
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

    fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::UserRegistered { user_id, profile } => {
                self.id = *user_id;
                self.profile = Some(profile.clone());
            }
            Event::EntryPosted(entry) => self.money.post(&entry.posting),
            Event::CardsHandedIn(_) => self.cards.apply(event, at),
            Event::RedemptionStepped(step) => {
                if let Some(posting) = &step.paid {
                    self.money.post(posting);
                }
                self.cards.apply(event, at);
            }
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
