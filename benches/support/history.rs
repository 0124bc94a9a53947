//! Records as the engine would have written them: users with money, products with stock, and then purchases of one unit,
//! spread over all of both. For feeding stores and journals without an engine.

use purser::clock::{Clock, SystemClock};
use purser::domain::event::{Entry, Namespace, StockMove};
use purser::domain::order::{Order, OrderLine, OrderStatus};
use purser::domain::product::Details;
use purser::domain::text::{Email, Name};
use purser::domain::user::{Profile, Role};
use purser::domain::{
    EntryKind, Event, Money, MovementKind, Operation, OrderId, Posting, ProductId, Quantity, Record, Seq,
    Timestamp, UserId,
};
use std::sync::Arc;
use uuid::Uuid;

const FUNDS: i64 = 1_000_000_000_000;
const STOCK: i64 = 1_000_000_000;
const PRICE: i64 = 1_999;

/// A history that goes on for as long as it is asked. Users have the ids `1..=users`, products `1..=products`.
pub struct History {
    pub users: u64,
    pub products: u64,
    last: u64,
    begun: i64,
    random: u64,
    name: Name,
    price: Money,
    /// Stock by product, money by user: total and version.
    stock: Vec<(i64, u64)>,
    money: Vec<(i64, u64)>,
}

impl History {
    pub fn new(users: u64, products: u64) -> Self {
        Self {
            users,
            products,
            last: 0,
            begun: SystemClock.now().micros(),
            random: 42,
            name: Name::parse("A thing of middling length").expect("a name"),
            price: Money::new(PRICE).expect("money"),
            stock: vec![(STOCK, 1); products as usize],
            money: vec![(FUNDS, 1); users as usize],
        }
    }

    /// What a user has before anything is bought.
    pub const fn funds() -> i64 {
        FUNDS
    }

    /// What there is of a product before anything is sold.
    pub const fn initial_stock() -> i64 {
        STOCK
    }

    /// The last record that was made.
    pub const fn last(&self) -> Seq {
        Seq::new(self.last)
    }

    /// The records by which all users and products come to be; to be taken first and to the end.
    pub fn opening(&mut self) -> impl Iterator<Item = Record> + '_ {
        (0..self.users + self.products).map(|number| match number.checked_sub(self.users) {
            None => self.registration(number + 1),
            Some(number) => self.creation(number + 1),
        })
    }

    fn registration(&mut self, id: u64) -> Record {
        let (user_id, at) = (UserId::new(id), Timestamp::from_micros(self.begun));
        let email = Email::parse(&format!("buyer-{id}@bench.invalid")).expect("an email address");
        let name = email.key().into();
        let profile = Profile {
            name: Name::parse(&format!("Buyer {id}")).expect("a name"),
            email,
            password_hash: None,
            role: Role::User,
            created_at: at,
        };
        let posting = Posting { delta: FUNDS, total: FUNDS, version: 1 };
        let kind = EntryKind::Increment;
        let funds = Entry { user_id, kind, order_id: None, reference: None, description: None, posting };
        let events = vec![
            Event::NameTaken { namespace: Namespace::Email, name, holder: id },
            Event::UserRegistered { user_id, profile: Arc::new(profile) },
            Event::EntryPosted(funds),
        ];
        self.record(Operation::Register, None, events)
    }

    fn creation(&mut self, id: u64) -> Record {
        let details = Details {
            sku: None,
            name: Name::parse(&format!("Item {id}")).expect("a name"),
            description: None,
            price: self.price,
            revision: 1,
            created_at: Timestamp::from_micros(self.begun),
            deleted_at: None,
        };
        let posting = Posting { delta: STOCK, total: STOCK, version: 1 };
        let created =
            Event::ProductCreated { product_id: ProductId::new(id), details: Arc::new(details), posting };
        self.record(Operation::CreateItem, None, vec![created])
    }

    /// The next purchase: one unit of some product by some user.
    pub fn purchase(&mut self) -> Record {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (product, user) = ((self.random >> 33) % self.products, (self.random >> 13) % self.users);
        let (product_id, user_id) = (ProductId::new(product + 1), UserId::new(user + 1));
        let (id, at) = (OrderId::new(Uuid::now_v7()), self.now());
        let line = OrderLine {
            product_id,
            quantity: Quantity::new(1).expect("one"),
            unit_price: self.price,
            product_name: self.name.clone(),
            product_price: self.price,
        };
        let order = Order {
            id,
            user_id,
            status: OrderStatus::Processed,
            total: self.price,
            lines: vec![line],
            returned: Vec::new(),
            refunded: Money::ZERO,
            failure: None,
            created_at: at,
            updated_at: at,
        };
        let (kind, order_id) = (EntryKind::Order, Some(id));
        let posting = step(&mut self.money[user as usize], -PRICE);
        let paid = Entry { user_id, kind, order_id, reference: None, description: None, posting };
        let posting = step(&mut self.stock[product as usize], -1);
        let sold = StockMove { product_id, kind: MovementKind::Sale, order_id, reason: None, posting };
        let events =
            vec![Event::OrderPlaced(Arc::new(order)), Event::EntryPosted(paid), Event::StockMoved(sold)];
        self.record(Operation::Purchase, Some(user_id), events)
    }

    /// A microsecond per record: a label, nothing else.
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.begun.saturating_add_unsigned(self.last))
    }

    fn record(&mut self, operation: Operation, caller: Option<UserId>, events: Vec<Event>) -> Record {
        self.last += 1;
        Record { seq: self.last(), at: self.now(), operation, caller, key: None, refusal: None, events }
    }
}

fn step(total: &mut (i64, u64), delta: i64) -> Posting {
    *total = (total.0 + delta, total.1 + 1);
    Posting { delta, total: total.0, version: total.1 }
}
