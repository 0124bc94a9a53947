//! What the clients of a simulated engine ask for, and what they are told.

use super::chance::Chance;
use purser::auditor::{Ask, Told};
use purser::domain::card::CardCode;
use purser::domain::country::Country;
use purser::domain::order::Pricing;
use purser::domain::outcome::Outcome;
use purser::domain::product::Change;
use purser::domain::text::Text;
use purser::domain::{
    Money, OrderId, ProductId, Quantity, RedemptionId, Rejection, StockChange, UserId, WithdrawalId,
};
use purser::engine::{
    AdjustRequest, Answer, Call, CardRequest, ChangeItemRequest, Engine, EngineError, Freshness, ItemRequest,
    LineRequest, Lines, MoveStockRequest, OrderRequest, PurchaseRequest, Read, StepRequest, TransferRequest,
    WithdrawalRequest,
};

/// What each item costs, unless it changes.
pub const PRICE: i64 = 10;

/// How large a record may be, which follows from the size of the journal's segments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Room {
    /// No lines and no cards; long texts, which fill segments.
    Small,
    /// No changes of items.
    Medium,
    Large,
}

/// Who and what there is.
#[derive(Clone, Default)]
pub struct Shop {
    pub products: Vec<ProductId>,
    pub users: Vec<UserId>,
    /// Orders that nobody has tried to cancel, with their buyers.
    pub orders: Vec<(UserId, OrderId)>,
    pub withdrawals: Vec<WithdrawalId>,
    /// On which cards are exchanged; none where none are handed in.
    pub accounts: u64,
    /// How many cards there are, and those that were handed in and that nobody has tried to take back.
    pub codes: u64,
    pub cards: Vec<(UserId, RedemptionId)>,
}

/// One request.
#[derive(Clone, Debug)]
pub enum Request {
    Purchase(UserId, ProductId, u32),
    Order(UserId, Vec<(ProductId, u32)>),
    /// The same, decided later.
    Accept(UserId, Vec<(ProductId, u32)>),
    Cancel(UserId, OrderId),
    /// With so long a text.
    Transfer(UserId, UserId, i64, usize),
    Withdraw(UserId, i64),
    EndWithdrawal(WithdrawalId, bool),
    /// The card of that number, or a batch that begins with it.
    HandIn(UserId, u64, Option<u64>),
    TakeBack(UserId, RedemptionId),
    Restock(ProductId, i64),
    Credit(UserId, i64),
    Debit(UserId, i64),
    Reprice(ProductId, i64),
    Delete(ProductId),
    Restore(ProductId),
    LookAtStock(ProductId),
    LookAtMoney(UserId),
}

/// What came of a request.
pub enum Heard {
    Told(Told),
    /// Certainly not executed.
    NotNow,
    /// Executed or not.
    Unknown,
    /// What must never be said.
    Wrong(String),
}

impl Request {
    pub fn any(chance: &mut Chance, shop: &mut Shop, room: Room) -> Self {
        let (with_lines, with_changes) = (room > Room::Small, room > Room::Medium);
        let user = chance.favourite_of(&shop.users);
        let product = chance.favourite_of(&shop.products);
        let units = 1 + u32::try_from(chance.below(3)).expect("a few");
        let line = |chance: &mut Chance| {
            (chance.one_of(&shop.products), 1 + u32::try_from(chance.below(2)).expect("a few"))
        };
        match chance.below(44) {
            0..=9 => Self::Purchase(user, product, units),
            10..=14 if with_lines => Self::Order(user, vec![line(chance), line(chance)]),
            15..=17 if with_lines => Self::Accept(user, vec![line(chance), line(chance)]),
            18..=20 if with_lines && !shop.orders.is_empty() => {
                let place = usize::try_from(chance.below(shop.orders.len() as u64)).expect("an index");
                let (buyer, order) = shop.orders.swap_remove(place);
                Self::Cancel(buyer, order)
            }
            10..=24 => {
                let text = if with_lines { 0 } else { 380 };
                Self::Transfer(user, chance.one_of(&shop.users), 1 + signed(chance.below(120)), text)
            }
            25..=26 => Self::Withdraw(user, 1 + signed(chance.below(90))),
            27 if !shop.withdrawals.is_empty() => {
                let place = usize::try_from(chance.below(shop.withdrawals.len() as u64)).expect("an index");
                Self::EndWithdrawal(shop.withdrawals.swap_remove(place), chance.percent(60))
            }
            27..=28 if with_changes => Self::Restock(product, signed(chance.below(9)) - 3),
            29 => Self::Credit(user, 1 + signed(chance.below(60))),
            30 => Self::Debit(user, 1 + signed(chance.below(60))),
            31 if with_changes => Self::Reprice(product, chance.one_of(&[PRICE, PRICE, PRICE + 1])),
            32 if with_changes => Self::Delete(product),
            33 if with_changes => Self::Restore(product),
            40..=42 if shop.accounts > 0 => {
                // Now and then one that was seen before.
                let is_new = shop.codes == 0 || chance.percent(90);
                let first = if is_new { shop.codes } else { chance.below(shop.codes) };
                let batch = chance.percent(30).then(|| 1 + chance.below(4));
                shop.codes = shop.codes.max(first + batch.unwrap_or(1));
                Self::HandIn(user, first, batch)
            }
            43 if !shop.cards.is_empty() => {
                let place = usize::try_from(chance.below(shop.cards.len() as u64)).expect("an index");
                let (holder, card) = shop.cards.swap_remove(place);
                Self::TakeBack(holder, card)
            }
            27..=28 | 31..=36 => Self::LookAtStock(product),
            _ => Self::LookAtMoney(user),
        }
    }

    /// Who asks, if it may be asked under a key.
    pub fn caller(&self) -> Option<UserId> {
        match self {
            Self::Purchase(user, ..)
            | Self::Order(user, _)
            | Self::Accept(user, _)
            | Self::Cancel(user, _)
            | Self::Transfer(user, ..)
            | Self::Withdraw(user, _)
            | Self::HandIn(user, ..)
            | Self::TakeBack(user, _) => Some(*user),
            _ => None,
        }
    }

    /// As the auditor takes it: who, and what. `None`: it only looks at what such a request leaves in the journal.
    pub fn ask(&self) -> Option<(u64, Ask)> {
        let lines = |lines: &[(ProductId, u32)]| {
            Ask::Order(lines.iter().map(|(product, units)| (product.get(), i64::from(*units))).collect())
        };
        Some(match self {
            Self::Purchase(user, product, units) => (user.get(), lines(&[(*product, *units)])),
            Self::Order(user, all) | Self::Accept(user, all) => (user.get(), lines(all)),
            Self::Cancel(user, order) => (user.get(), Ask::Cancel(order.get().as_u128())),
            Self::Transfer(from, to, amount, _) => {
                (from.get(), Ask::Transfer { to: to.get(), amount: *amount })
            }
            Self::Withdraw(user, amount) => (user.get(), Ask::Withdraw { amount: *amount }),
            Self::Restock(product, delta) => (0, Ask::Restock { product: product.get(), delta: *delta }),
            Self::Credit(user, amount) => (user.get(), Ask::Adjust { delta: *amount }),
            Self::Debit(user, amount) => (user.get(), Ask::Adjust { delta: -amount }),
            Self::LookAtStock(product) => (0, Ask::Stock(product.get())),
            Self::LookAtMoney(user) => (0, Ask::Money(user.get())),
            _ => return None,
        })
    }

    pub async fn send(&self, engine: &Engine, key: Option<&str>) -> (Heard, Option<Outcome>) {
        let call = match (self.caller(), key) {
            (Some(caller), Some(key)) => Call::keyed(caller, key),
            (Some(caller), None) => Call::by(caller),
            (None, _) => Call::default(),
        };
        let money = |amount: i64| Money::new(amount).expect("an amount");
        let adjust = |user_id, amount| AdjustRequest {
            user_id,
            amount: money(amount),
            reference: None,
            description: None,
        };
        match self.clone() {
            Self::Purchase(user_id, product_id, units) => {
                let quantity = Quantity::new(units).expect("a quantity");
                heard(engine.purchase(call, PurchaseRequest { user_id, product_id, quantity }).await)
            }
            Self::Order(user_id, lines) => heard(engine.order(call, order(user_id, &lines)).await),
            Self::Accept(user_id, lines) => heard(engine.accept_order(call, order(user_id, &lines)).await),
            Self::Cancel(user, order_id) => {
                heard(engine.cancel(call, StepRequest { order_id, of: Some(user) }).await)
            }
            Self::Transfer(from, to, amount, text) => {
                let description = Some(Text::parse(&"x".repeat(text)).expect("a text"));
                let request = TransferRequest { from, to, amount: money(amount), description };
                heard(engine.transfer(call, request).await)
            }
            Self::Withdraw(user_id, amount) => {
                let request = WithdrawalRequest { user_id, amount: money(amount) };
                heard(engine.request_withdrawal(call, request).await)
            }
            Self::EndWithdrawal(id, true) => heard(engine.complete_withdrawal(call, id).await),
            Self::EndWithdrawal(id, false) => heard(engine.reject_withdrawal(call, id).await),
            Self::HandIn(user, number, None) => heard(engine.hand_in(call, user, card(number)).await),
            Self::HandIn(user, first, Some(count)) => {
                let cards = (first..first + count).map(|number| Some(card(number))).collect();
                heard(engine.hand_in_batch(call, user, cards).await)
            }
            Self::TakeBack(user, id) => heard(engine.cancel_redemption(call, id, Some(user)).await),
            Self::Restock(product_id, delta) => match StockChange::new(delta) {
                Some(delta) => {
                    let request = MoveStockRequest { product_id, delta, reason: None };
                    heard(engine.add_stock(call, request).await)
                }
                None => (Heard::NotNow, None),
            },
            Self::Credit(user, amount) => heard(engine.credit(call, adjust(user, amount)).await),
            Self::Debit(user, amount) => heard(engine.debit(call, adjust(user, amount)).await),
            Self::Reprice(product_id, price) => {
                let change = Change { price: Some(money(price)), ..Change::default() };
                let request = ChangeItemRequest { product_id, change, if_revision: None };
                heard(engine.change_item(call, request).await)
            }
            Self::Delete(product_id) => {
                heard(engine.delete_item(call, ItemRequest { product_id, if_revision: None }).await)
            }
            Self::Restore(product_id) => {
                heard(engine.restore_item(call, ItemRequest { product_id, if_revision: None }).await)
            }
            Self::LookAtStock(product) => {
                stood(engine.item(product, Freshness::default()).await, |view| view.stock)
            }
            Self::LookAtMoney(user) => {
                stood(engine.balance(user, Freshness::default()).await, |view| view.amount)
            }
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("a small number")
}

/// Every other one says what it is worth.
fn card(number: u64) -> CardRequest {
    CardRequest {
        code: CardCode::parse(&format!("CARD-{number:06}")).expect("a code"),
        country: Country::parse("DE").expect("a country"),
        face_value: number.is_multiple_of(2).then(|| Money::new(25).expect("money")),
    }
}

fn order(user_id: UserId, lines: &[(ProductId, u32)]) -> OrderRequest {
    let line = |(product_id, units): &(ProductId, u32)| LineRequest {
        product_id: *product_id,
        quantity: Quantity::new(*units).expect("a quantity"),
        unit_price: Money::new(PRICE).expect("money"),
    };
    let lines = Lines::new(lines.iter().map(line).collect()).expect("lines");
    OrderRequest { user_id, lines, pricing: Pricing::Claimed }
}

fn heard(answer: Answer) -> (Heard, Option<Outcome>) {
    let reply = match answer {
        Ok(reply) => reply,
        Err(error) => return (refused(error), None),
    };
    let order = match &reply.outcome {
        Outcome::Purchased(purchased) => Some(purchased.order_id.get().as_u128()),
        Outcome::Ordered { order_id, .. } => Some(order_id.get().as_u128()),
        _ => None,
    };
    let told = Told::Done { seq: reply.seq.get(), order, is_again: reply.replayed };
    (Heard::Told(told), Some(reply.outcome))
}

fn refused(error: EngineError) -> Heard {
    match error {
        EngineError::Rejected { rejection, replayed: is_again, .. } => Heard::Told(match rejection {
            Rejection::InsufficientStock { product_id, requested: asked, available } => {
                Told::SoldOut { product: product_id.get(), asked, available, is_again }
            }
            Rejection::InsufficientBalance { requested, available } => {
                Told::Poor { asked: requested.minor(), available: available.minor(), is_again }
            }
            _ => Told::Refused,
        }),
        EngineError::NotExecuted(_) => Heard::NotNow,
        EngineError::Unknown => Heard::Unknown,
        EngineError::Internal => Heard::Wrong("an internal error".into()),
    }
}

fn stood<T>(read: Result<Read<T>, EngineError>, total: impl Fn(&T) -> i64) -> (Heard, Option<Outcome>) {
    let heard = match read {
        Ok(read) => Heard::Told(Told::Stood { total: total(&read.value), as_of: read.as_of.get() }),
        Err(error) => refused(error),
    };
    (heard, None)
}
