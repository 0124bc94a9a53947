//! Makes up histories: records as the journal would hold them, and beside them what the domain makes of the
//! same events.

#[path = "account_story.rs"]
mod account_story;
#[path = "redemption_story.rs"]
pub mod redemption_story;
#[path = "withdrawal_story.rs"]
mod withdrawal_story;

use purser::domain::account::{Account, LoginStatus};
use purser::domain::balance::{Balance, BalanceView};
use purser::domain::distributor::{Distributor, Upgrade};
use purser::domain::entity::Entity;
use purser::domain::event::{Entry, Namespace, StockMove};
use purser::domain::level::Levels;
use purser::domain::message::{Message, MessageKind, OpenMessage, Payload, error_text};
use purser::domain::order::{Failure, GoodsReturn, Order, OrderLine, OrderStatus, Pricing, ReturnLine};
use purser::domain::plan::Plan;
use purser::domain::product::{Details, Product, ProductView};
use purser::domain::record::Snapshot;
use purser::domain::redemption::Redemption;
use purser::domain::session::{Session, SessionGrant, SessionView};
use purser::domain::text::{Email, Name, Sku, Text};
use purser::domain::user::{Profile, Role};
use purser::domain::withdrawal::{Withdrawal, WithdrawalStatus};
use purser::domain::{
    AccountId, BatchId, EntryKind, Event, FamilyId, KeyUse, MessageId, Money, MovementKind, Operation,
    OrderId, Outcome, Posting, ProductId, Quantity, Record, RedemptionId, Refusal, Rejection, ReturnId, Seq,
    Timestamp, UserId, WithdrawalId,
};
use purser::store::{AttemptError, Row, TransitionRow};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Whatever could go wrong between here and a database.
pub const AWKWARD: &str = "tab\t line\n return\r back\\slash \\N \\. 'quote' \"double\" ümlaut Ж 🦀 %_ $1 ?";

#[derive(Default)]
pub struct Story {
    pub records: Vec<Record>,
    pub products: BTreeMap<ProductId, Product>,
    pub balances: BTreeMap<UserId, Balance>,
    pub orders: BTreeMap<OrderId, Order>,
    pub sessions: BTreeMap<FamilyId, Session>,
    pub names: BTreeMap<(Namespace, String), u64>,
    pub outcomes: Vec<(UserId, [u8; 16], Seq, Outcome)>,
    /// Those that are not done, with the record that queued each.
    pub messages: BTreeMap<MessageId, Row<OpenMessage>>,
    /// Of those, by message and attempt.
    pub errors: Vec<AttemptError>,
    pub succeeded: BTreeMap<MessageKind, u64>,
    pub withdrawals: BTreeMap<WithdrawalId, Row<Withdrawal>>,
    pub distributors: BTreeMap<UserId, Distributor>,
    /// In the order of their records.
    pub upgrades: Vec<Row<(Upgrade, Timestamp)>>,
    pub levels: Option<Arc<Levels>>,
    /// In the order of their records.
    pub plans: Vec<Row<Plan>>,
    pub accounts: BTreeMap<AccountId, Account>,
    /// Of each account, in their order.
    pub transitions: BTreeMap<AccountId, Vec<Row<TransitionRow>>>,
    pub redemptions: BTreeMap<RedemptionId, Row<Redemption>>,
    /// Whose cards, and how many.
    pub batches: BTreeMap<BatchId, (UserId, u32)>,
    /// The record that created each order, item and user.
    pub created: HashMap<String, u64>,
    totals: HashMap<(char, u64), (i64, u64)>,
}

impl Story {
    /// A few records: two items, two users, money and an order.
    pub fn small() -> Self {
        let mut story = Self::default();
        let (item, ann) = (story.item(Some("A-1"), 100), story.user("Ann@Example.org"));
        story.credit(ann, 10_000);
        story.order(ann, &[(item, 3)]);
        story
    }

    /// Every kind of event at least once, with awkward text and the largest numbers.
    pub fn full() -> Self {
        let mut story = Self::small();
        let (ann, bob) = (UserId::new(1), story.user("Bob@Example.org"));
        let (a, b) = (ProductId::new(1), story.item(None, purser::domain::LIMIT));
        let none_left = story.item(None, 0);
        let order = story.order(ann, &[(a, 2), (b, 1), (a, 4)]);
        story.give_back(order, &[(a, 5)]);
        story.give_back(order, &[(b, 1), (a, 1)]);
        let cancelled = story.order(ann, &[(a, 1)]);
        story.advance(cancelled, Operation::Cancel, OrderStatus::Cancelled);
        let shipped = story.order(ann, &[(a, 1)]);
        let sent = story.order(ann, &[(a, 1)]);
        story.advance(sent, Operation::Ship, OrderStatus::Shipped);
        story.advance(sent, Operation::Deliver, OrderStatus::Delivered);
        story.failed_order(bob, b);
        story.transfer(ann, bob, 500);
        story.restock(a, -3);
        story.rename(a, Some("A-2"), false);
        story.rename(a, Some("A-1"), false);
        story.rename(b, Some("A-2"), true);
        let family = story.login(bob);
        story.session(Event::SessionRotated { family_id: family, generation: 1, rotated_at: story.now() });
        story.session(Event::SessionRevoked { family_id: family, revoked_at: story.now() });
        story.login(ann);
        story.advance_told(shipped);
        let told = story.last_message();
        story.fail(told, Some(5));
        story.fail(told, None);
        story.put_back(told);
        story.fail(told, Some(6));
        let decided = story.accept(ann, &[(a, 1)]);
        story.decide(decided, false);
        let failed = story.accept(ann, &[(a, 1)]);
        story.decide(failed, true);
        story.accept(bob, &[(a, 2)]);
        story.set_levels(&[0, 100, 200, 300]);
        let paid = story.withdraw(ann, 150);
        let check = story.pay_out(paid);
        story.check(check);
        let paid = story.withdraw(ann, 250);
        let asked = story.ask_for_check(ann);
        let late = story.pay_out(paid);
        story.check(asked);
        story.check(late);
        let rejected = story.withdraw(bob, 400);
        story.reject(rejected);
        story.withdraw(bob, 100);
        let unchecked = story.ask_for_check(bob);
        story.fail(unchecked, Some(8));
        story.set_levels(&[0, 100, 300]);
        story.plan(purser::domain::LIMIT, 10_000);
        let plan = story.plan(1, 0);
        let accounts = story.open_accounts(plan, &["DE", "FR", "DE", "DE"]);
        story.set_login(accounts[0], LoginStatus::Inactive);
        story.set_login(accounts[0], LoginStatus::Active);
        story.set_login(accounts[1], LoginStatus::Inactive);
        story.complete_account(accounts[1]);
        story.complete_account(accounts[2]);
        story.cards_at_every_stage(ann, bob);
        story.refuse(bob, Rejection::InsufficientStock { product_id: none_left, requested: 2, available: 0 });
        story
    }

    /// `count` random operations, the same for the same seed.
    pub fn busy(seed: u64, count: usize) -> Self {
        let mut story = Self::full();
        let mut state = seed;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for index in 0..count {
            let (user, item) = (UserId::new(1 + next(2)), ProductId::new(1 + 2 * next(2)));
            let known: Vec<OrderId> = story.orders.keys().copied().collect();
            let order = known[next(known.len() as u64) as usize];
            let is_open = story.orders[&order].status == OrderStatus::Processed
                && story.orders[&order].returned.is_empty();
            let message = story.messages.keys().nth(next(1 + story.messages.len() as u64) as usize).copied();
            let pending = story.withdrawals.values().map(|row| row.value);
            let pending =
                pending.filter(|it| it.status == WithdrawalStatus::Pending).map(|it| it.id).next_back();
            match next(24) {
                0 => _ = story.user(&format!("user{index}@example.org")),
                1 => _ = story.item(Some(&format!("SKU-{index}")), next(50) as i64),
                2 => story.restock(item, 20),
                3 => story.rename(item, Some(&format!("NEW-{index}")), false),
                4 => story.credit(user, 5_000),
                5 if is_open => story.advance(order, Operation::Cancel, OrderStatus::Cancelled),
                6 if is_open => story.advance(order, Operation::Ship, OrderStatus::Shipped),
                7 if is_open => story.give_back(order, &[(story.orders[&order].lines[0].product_id, 1)]),
                8 if is_open => story.advance_told(order),
                9 => _ = story.accept(user, &[(item, 1)]),
                10 | 11 => {
                    let Some(id) = message else { continue };
                    let dead = story.messages[&id].value.is_dead();
                    if dead { story.put_back(id) } else { story.fail(id, (next(2) == 0).then_some(7)) }
                }
                12 | 13 => {
                    let Some(id) = message else { continue };
                    if story.messages[&id].value.is_dead() {
                        story.put_back(id);
                    }
                    match story.messages[&id].value.message.payload {
                        Payload::ProcessOrder { order_id, .. } => {
                            let failed = next(2) == 0;
                            let order = &story.orders[&order_id];
                            let (payer, product) = (order.user_id, order.lines[0].product_id);
                            story.restock(product, 2);
                            story.credit(payer, 1_000);
                            story.decide(order_id, failed);
                        }
                        Payload::OrderShipped { .. } => {
                            let purged = next(4) == 0;
                            if purged {
                                story.fail(id, None);
                            }
                            story.end(id, purged);
                        }
                        Payload::UpgradeCheck { .. } => story.check(id),
                        Payload::RedeemCard { .. } => story.pay_card(id),
                    }
                }
                14 => story.transfer(user, UserId::new(3 - user.get()), 1),
                15 | 16 => {
                    story.credit(user, 200);
                    story.withdraw(user, 1 + next(200) as i64);
                }
                17 | 18 => {
                    let Some(id) = pending else { continue };
                    match next(3) {
                        0 => story.reject(id),
                        1 => _ = story.pay_out(id),
                        _ => {
                            let check = story.pay_out(id);
                            story.check(check);
                        }
                    }
                }
                20..24 => story.busy_card(user, &mut next),
                19 if next(4) == 0 => {
                    let step = 1 + next(300) as i64;
                    story.set_levels(&[0, step, 2 * step, 3 * step, 9 * step][..2 + next(4) as usize]);
                    story.ask_for_check(user);
                }
                _ => {
                    story.restock(item, 2);
                    story.credit(user, 1_000);
                    story.order(user, &[(item, 1), (item, 1)]);
                }
            }
        }
        story
    }

    pub fn last(&self) -> Seq {
        Seq::new(self.records.len() as u64)
    }

    /// The time of the next record.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_001 + 1_003 * self.records.len() as i64)
    }

    fn id(&self) -> Uuid {
        Uuid::from_u128(
            0x018f_0000_0000_7000_8000_0000_0000_0000 | (u128::from(self.last().get()) + 1) << 80 | 5,
        )
    }

    pub fn product_view(&self, id: ProductId) -> ProductView {
        self.products[&id].view().expect("it was created")
    }

    pub fn balance_view(&self, id: UserId) -> BalanceView {
        self.balances[&id].view().expect("it was registered")
    }

    pub fn session_views(&self) -> Vec<SessionView> {
        self.sessions.values().filter_map(Session::view).collect()
    }

    pub fn item(&mut self, sku: Option<&str>, stock: i64) -> ProductId {
        let product_id = ProductId::new(self.products.len() as u64 + 1);
        let details = Details {
            sku: sku.map(|sku| Sku::parse(sku).expect("a sku")),
            name: Name::parse(&format!("Item {product_id} {AWKWARD}")).expect("a name"),
            description: (product_id.get().is_multiple_of(2)).then(|| Text::parse(AWKWARD).expect("a text")),
            price: Money::new(100).expect("money"),
            revision: 1,
            created_at: self.now(),
            deleted_at: None,
        };
        let mut events = taken(Namespace::Sku, sku, product_id.get());
        let posting = Posting::of(stock);
        events.push(Event::ProductCreated { product_id, details: Arc::new(details), posting });
        self.push(Operation::CreateItem, Some(UserId::new(1)), events, None);
        product_id
    }

    pub fn user(&mut self, email: &str) -> UserId {
        let user_id = UserId::new(self.balances.len() as u64 + 1);
        let email = Email::parse(email).expect("an email");
        let mut events = taken(Namespace::Email, Some(&email.key()), user_id.get());
        let profile = Profile {
            name: Name::parse(&format!("Ünal {AWKWARD}")).expect("a name"),
            email,
            password_hash: (user_id.get() % 2 == 1).then(|| "$argon2id$v=19$\\".into()),
            role: if user_id.get() == 1 { Role::Admin } else { Role::User },
            created_at: self.now(),
        };
        events.push(Event::UserRegistered { user_id, profile: Arc::new(profile) });
        self.push(Operation::Register, None, events, None);
        user_id
    }

    pub fn credit(&mut self, user: UserId, amount: i64) {
        let mut credit = entry(user, EntryKind::Increment, amount, None);
        credit.reference = Some(Text::parse(AWKWARD).expect("a text"));
        credit.description = Some(Text::parse("").expect("a text"));
        self.push(Operation::Increment, Some(user), vec![Event::EntryPosted(credit)], None);
    }

    pub fn transfer(&mut self, from: UserId, to: UserId, amount: i64) {
        let reference = Some(Text::stored(self.id().to_string()));
        let out =
            Entry { reference: reference.clone(), ..entry(from, EntryKind::TransferOut, -amount, None) };
        let into = Entry { reference, ..entry(to, EntryKind::TransferIn, amount, None) };
        self.push(
            Operation::Transfer,
            Some(from),
            vec![Event::EntryPosted(out), Event::EntryPosted(into)],
            None,
        );
    }

    pub fn order(&mut self, user: UserId, lines: &[(ProductId, u32)]) -> OrderId {
        let order = self.new_order(user, lines, OrderStatus::Processed);
        let paid = entry(user, EntryKind::Order, -order.total.minor(), Some(order.id));
        let mut events = vec![Event::OrderPlaced(Arc::new(order.clone())), Event::EntryPosted(paid)];
        events.extend(moves(order.units(), -1, MovementKind::Sale, order.id));
        self.push(Operation::Order, Some(user), events, None);
        order.id
    }

    pub fn failed_order(&mut self, user: UserId, product: ProductId) {
        let mut order = self.new_order(user, &[(product, 9)], OrderStatus::Failed);
        let (code, detail) = ("insufficient_stock".into(), AWKWARD.into());
        order.failure = Some(Failure { code, detail, product_id: Some(product) });
        self.push(Operation::Order, Some(user), vec![Event::OrderPlaced(Arc::new(order))], None);
    }

    fn new_order(&self, user_id: UserId, lines: &[(ProductId, u32)], status: OrderStatus) -> Order {
        let line = |(product_id, quantity): &(ProductId, u32)| OrderLine {
            product_id: *product_id,
            quantity: Quantity::new(*quantity).expect("a quantity"),
            unit_price: Money::new(90).expect("money"),
            product_name: Name::parse(AWKWARD).expect("a name"),
            product_price: Money::new(100).expect("money"),
        };
        let lines: Vec<OrderLine> = lines.iter().map(line).collect();
        let total = lines.iter().map(|line| 90 * i64::from(line.quantity.get())).sum();
        Order {
            id: OrderId::new(self.id()),
            user_id,
            status,
            total: Money::new(total).expect("money"),
            lines,
            returned: Vec::new(),
            refunded: Money::ZERO,
            failure: None,
            created_at: self.now(),
            updated_at: self.now(),
        }
    }

    pub fn advance(&mut self, id: OrderId, operation: Operation, status: OrderStatus) {
        let order = self.orders[&id].clone();
        let mut events = vec![Event::OrderAdvanced { order_id: id, user_id: order.user_id, status }];
        if status == OrderStatus::Cancelled {
            let refund = entry(order.user_id, EntryKind::Cancel, order.total.minor(), Some(id));
            events.push(Event::EntryPosted(refund));
            events.extend(moves(order.units(), 1, MovementKind::Cancel, id));
        }
        let shown = Snapshot::Order(Arc::new(Order { status, ..order.clone() }));
        self.push(operation, Some(order.user_id), events, Some(shown));
    }

    /// Ships an order and queues the message that tells of it.
    pub fn advance_told(&mut self, id: OrderId) {
        let order = self.orders[&id].clone();
        let status = OrderStatus::Shipped;
        let payload = Payload::OrderShipped { order_id: id, total: order.total };
        let events = vec![
            Event::OrderAdvanced { order_id: id, user_id: order.user_id, status },
            Event::MessageQueued(self.message(order.user_id, payload)),
        ];
        self.push(Operation::Ship, Some(order.user_id), events, None);
    }

    fn message(&self, user_id: UserId, payload: Payload) -> Arc<Message> {
        Arc::new(Message { id: MessageId::new(self.id()), user_id, payload, created_at: self.now() })
    }

    /// The message that was queued last.
    pub fn last_message(&self) -> MessageId {
        *self.messages.iter().max_by_key(|(_, row)| row.cursor).expect("a message").0
    }

    /// The current attempt of a message fails.
    pub fn fail(&mut self, id: MessageId, next: Option<i64>) {
        let open = &self.messages[&id].value;
        let failed = Event::MessageFailed {
            message: open.message.reference(),
            attempt: open.attempt(),
            error: error_text(AWKWARD),
            next_attempt_at: next.map(Timestamp::from_micros),
        };
        self.push(Operation::StepMessage, None, vec![failed], None);
    }

    pub fn put_back(&mut self, id: MessageId) {
        let open = &self.messages[&id].value;
        let (message, next_attempt_at) = (open.message.reference(), Timestamp::from_micros(9));
        let retried = Event::MessageRetried { message, attempts: open.attempts, next_attempt_at };
        self.push(Operation::StepMessage, Some(UserId::new(1)), vec![retried], None);
    }

    pub fn end(&mut self, id: MessageId, purged: bool) {
        let message = self.messages[&id].value.message.reference();
        let event = if purged { Event::MessagePurged(message) } else { Event::MessageDone(message) };
        self.push(Operation::StepMessage, None, vec![event], None);
    }

    /// A pending order with the message that it is decided for.
    pub fn accept(&mut self, user: UserId, lines: &[(ProductId, u32)]) -> OrderId {
        let order = Arc::new(self.new_order(user, lines, OrderStatus::Pending));
        let payload = Payload::ProcessOrder { order_id: order.id, pricing: Pricing::Claimed };
        let events =
            vec![Event::OrderPlaced(order.clone()), Event::MessageQueued(self.message(user, payload))];
        self.push(Operation::Order, Some(user), events, None);
        order.id
    }

    pub fn decide(&mut self, id: OrderId, fails: bool) {
        let order = self.orders[&id].clone();
        let of_it = |row: &&Row<OpenMessage>| matches!(row.value.message.payload, Payload::ProcessOrder { order_id, .. } if order_id == id);
        let message = self.messages.values().find(of_it).expect("its message").value.message.reference();
        let mut events = if fails {
            let (code, detail) = ("insufficient_stock".into(), AWKWARD.into());
            let failure = Failure { code, detail, product_id: Some(order.lines[0].product_id) };
            vec![order.failed(&Arc::new(failure))]
        } else {
            let paid = entry(order.user_id, EntryKind::Order, -order.total.minor(), Some(id));
            let (user_id, status) = (order.user_id, OrderStatus::Processed);
            let decided = Event::OrderAdvanced { order_id: id, user_id, status };
            let sold = moves(order.units(), -1, MovementKind::Sale, id);
            [decided, Event::EntryPosted(paid)].into_iter().chain(sold).collect()
        };
        events.push(Event::MessageDone(message));
        self.push(Operation::DecideOrder, None, events, None);
    }

    pub fn give_back(&mut self, order: OrderId, lines: &[(ProductId, u32)]) {
        let user_id = self.orders[&order].user_id;
        let unit_price = Money::new(90).expect("money");
        let line = |(product_id, quantity): &(ProductId, u32)| ReturnLine {
            product_id: *product_id,
            quantity: Quantity::new(*quantity).expect("a quantity"),
            unit_price,
        };
        let lines: Vec<ReturnLine> = lines.iter().map(line).collect();
        let total = lines.iter().map(|line| 90 * i64::from(line.quantity.get())).sum();
        let goods = GoodsReturn {
            id: ReturnId::new(self.id()),
            user_id,
            order_id: Some(order),
            lines,
            total: Money::new(total).expect("money"),
            reason: Some(Text::parse(AWKWARD).expect("a text")),
        };
        let refund = entry(user_id, EntryKind::Return, total, Some(order));
        let mut events = vec![Event::GoodsReturned(Arc::new(goods.clone())), Event::EntryPosted(refund)];
        events.extend(moves(goods.units(), 1, MovementKind::Return, order));
        self.push(Operation::Return, Some(user_id), events, None);
    }

    pub fn restock(&mut self, product_id: ProductId, delta: i64) {
        let kind = if delta > 0 { MovementKind::Restock } else { MovementKind::Adjust };
        let reason = Some(Text::parse(AWKWARD).expect("a text"));
        let posting = Posting::of(delta);
        let movement = StockMove { product_id, kind, order_id: None, reason, posting };
        let shown = Snapshot::Details(self.product_view(product_id).details);
        self.push(Operation::MoveStock, Some(UserId::new(1)), vec![Event::StockMoved(movement)], Some(shown));
    }

    /// Changes an item's sku and price, and its deletion.
    pub fn rename(&mut self, product_id: ProductId, sku: Option<&str>, delete: bool) {
        let old = Details::clone(&self.product_view(product_id).details);
        let mut events = Vec::new();
        let details = Details {
            sku: sku.map(|sku| Sku::parse(sku).expect("a sku")),
            price: Money::new(old.price.minor() + 1).expect("money"),
            revision: old.revision + 1,
            deleted_at: delete.then(|| self.now()),
            ..old.clone()
        };
        let posting = Posting::of(0);
        events.push(Event::ProductChanged { product_id, details: Arc::new(details), posting });
        events.extend(taken(Namespace::Sku, sku, product_id.get()));
        if let Some(sku) = old.sku {
            events.push(Event::NameFreed { namespace: Namespace::Sku, name: sku.as_str().into() });
        }
        self.push(Operation::ChangeItem, Some(UserId::new(1)), events, None);
    }

    pub fn login(&mut self, user_id: UserId) -> FamilyId {
        let family_id = FamilyId::new(self.id());
        let (opened_at, expires_at) = (self.now(), self.now().plus_seconds(3_600));
        let grant = SessionGrant { user_id, role: Role::User, opened_at, expires_at };
        self.session(Event::SessionOpened { family_id, grant });
        family_id
    }

    pub fn session(&mut self, event: Event) {
        self.push(Operation::Login, None, vec![event], None);
    }

    pub fn refuse(&mut self, user: UserId, rejection: Rejection) {
        let as_of = self.last();
        self.push(Operation::Order, Some(user), Vec::new(), None);
        let record = self.records.last_mut().expect("just pushed");
        record.refusal = Some(Refusal { rejection: rejection.clone(), as_of });
        let key = record.key.as_ref().expect("refusals have keys");
        let refused = Outcome::Refused(rejection);
        self.outcomes.push((user, key.fingerprint, record.seq, refused));
    }

    /// Every keyed record's key is made of its position.
    fn push(
        &mut self,
        operation: Operation,
        caller: Option<UserId>,
        mut events: Vec<Event>,
        snapshot: Option<Snapshot>,
    ) {
        let (seq, at) = (self.last().next(), self.now());
        for event in &mut events {
            self.post(event);
            self.apply(event, seq, at);
        }
        let hash = |salt: u128| Uuid::from_u128(u128::from(seq.get()) << 64 | salt).into_bytes();
        let key = caller.map(|caller| KeyUse { caller, fingerprint: hash(1), request: hash(2), snapshot });
        let record = Record { seq, at, operation, caller, key, refusal: None, events };
        if let (Some(key), Some(outcome)) = (&record.key, Outcome::of(&record, None)) {
            self.outcomes.push((key.caller, key.fingerprint, seq, outcome));
        }
        self.records.push(record);
    }

    /// What the tail does: totals and versions.
    fn post(&mut self, event: &mut Event) {
        let owner = match event {
            Event::ProductCreated { product_id, .. }
            | Event::ProductChanged { product_id, .. }
            | Event::StockMoved(StockMove { product_id, .. }) => ('p', product_id.get()),
            Event::EntryPosted(entry) => ('u', entry.user_id.get()),
            Event::PayoutCounted(payout) => ('d', payout.user_id.get()),
            Event::AccountCreated { account, .. } => ('a', account.number),
            Event::AccountChanged(transition) => ('a', self.account(transition.account_id).account.number),
            Event::RedemptionStepped(step) if step.paid.is_some() => ('u', step.user_id.get()),
            _ => return,
        };
        let total = self.totals.entry(owner).or_default();
        if let Some(posting) = event.posting_mut() {
            *total = (total.0 + posting.delta, total.1 + 1);
            (posting.total, posting.version) = *total;
        }
    }

    fn apply(&mut self, event: &Event, seq: Seq, at: Timestamp) {
        self.apply_withdrawal(event, seq.get(), at);
        self.apply_account(event, seq.get(), at);
        self.apply_redemption(event, seq, at);
        if let Some(message) = event.queued() {
            let open = OpenMessage::queued(message.clone());
            self.messages.insert(message.id, Row { cursor: seq.get(), value: open });
        }
        match event {
            Event::ProductCreated { product_id, .. }
            | Event::ProductChanged { product_id, .. }
            | Event::StockMoved(StockMove { product_id, .. }) => {
                self.created.entry(format!("item {product_id}")).or_insert(seq.get());
                self.products.entry(*product_id).or_insert_with(Product::unborn).apply(event, at);
            }
            Event::UserRegistered { user_id, .. } | Event::EntryPosted(Entry { user_id, .. }) => {
                self.created.entry(format!("user {user_id}")).or_insert(seq.get());
                self.balances.entry(*user_id).or_insert_with(Balance::unborn).apply(event, at);
            }
            Event::OrderPlaced(order) => {
                self.created.insert(format!("order {}", order.id), seq.get());
                self.orders.insert(order.id, Order::clone(order));
            }
            Event::OrderAdvanced { .. } | Event::OrderFailed { .. } | Event::GoodsReturned(_) => {
                self.orders.values_mut().for_each(|order| order.apply(event, at));
            }
            Event::SessionOpened { family_id, .. }
            | Event::SessionRotated { family_id, .. }
            | Event::SessionRevoked { family_id, .. } => {
                self.sessions.entry(*family_id).or_insert_with(Session::unborn).apply(event, at);
            }
            Event::NameTaken { namespace, name, holder } => {
                self.names.insert((*namespace, name.to_string()), *holder);
            }
            Event::NameFreed { namespace, name } => _ = self.names.remove(&(*namespace, name.to_string())),
            Event::NamesTaken { namespace, names, holder } => {
                self.names.extend(names.iter().map(|name| ((*namespace, name.to_string()), *holder)));
            }
            Event::NamesFreed { namespace, names } => {
                for name in names {
                    self.names.remove(&(*namespace, name.to_string()));
                }
            }
            Event::MessageFailed { message, attempt, error, .. } => {
                let error =
                    AttemptError { message_id: message.id, attempt: *attempt, at, error: error.clone() };
                self.errors.push(error);
                self.messages.entry(message.id).and_modify(|row| row.value.apply(event));
            }
            Event::MessageRetried { message, .. } => {
                self.messages.entry(message.id).and_modify(|row| row.value.apply(event));
            }
            Event::MessageDone(message) | Event::MessagePurged(message) => {
                if let Event::MessageDone(_) = event {
                    *self.succeeded.entry(message.kind).or_default() += 1;
                }
                self.messages.remove(&message.id);
                self.errors.retain(|error| error.message_id != message.id);
            }
            Event::MessageQueued(_)
            | Event::PayoutCounted(_)
            | Event::WithdrawalRequested(_)
            | Event::WithdrawalEnded { .. }
            | Event::DistributorUpgraded(_)
            | Event::LevelsSet(_)
            | Event::PlanCreated(_)
            | Event::AccountCreated { .. }
            | Event::AccountChanged(_)
            | Event::CardsHandedIn(_)
            | Event::RedemptionStepped(_) => {}
        }
    }
}

fn taken(namespace: Namespace, name: Option<&str>, holder: u64) -> Vec<Event> {
    name.into_iter().map(|name| Event::NameTaken { namespace, name: name.into(), holder }).collect()
}

fn entry(user_id: UserId, kind: EntryKind, delta: i64, order_id: Option<OrderId>) -> Entry {
    Entry { user_id, kind, order_id, reference: None, description: None, posting: Posting::of(delta) }
}

fn moves(
    units: BTreeMap<ProductId, i64>,
    sign: i64,
    kind: MovementKind,
    order: OrderId,
) -> impl Iterator<Item = Event> {
    units.into_iter().map(move |(product_id, units)| {
        let (order_id, reason, posting) = (Some(order), None, Posting::of(sign * units));
        Event::StockMoved(StockMove { product_id, kind, order_id, reason, posting })
    })
}
