//! The records of the golden files of version 1. Frozen with them: a new version gets a generator of its own.

#[path = "golden_cards.rs"]
mod golden_cards;

use purser::domain::account::{
    AccountStatus, AccountView, Lock, LoginStatus, NewAccount, Transition, TransitionReason,
};
use purser::domain::country::Country;
use purser::domain::distributor::{Payout, Standing, Upgrade};
use purser::domain::event::{Entry, Namespace, StockMove};
use purser::domain::level::{Level, Levels};
use purser::domain::message::{Message, MessageKind, MessageRef, Payload};
use purser::domain::order::{Failure, GoodsReturn, Order, OrderLine, OrderStatus, Pricing, ReturnLine};
use purser::domain::plan::{BasisPoints, Plan};
use purser::domain::product::{Details, ProductView};
use purser::domain::record::{Batch, Snapshot};
use purser::domain::redemption::RedemptionStatus;
use purser::domain::rejection::{Missing, StateReason};
use purser::domain::session::SessionGrant;
use purser::domain::text::{Email, Name, Sku, Text};
use purser::domain::user::{Profile, Role};
use purser::domain::withdrawal::{Withdrawal, WithdrawalStatus};
use purser::domain::{
    AccountId, EntryKind, Event, FamilyId, KeyUse, LIMIT, MessageId, Money, MovementKind, Operation, OrderId,
    PlanId, Posting, ProductId, Quantity, Record, RedemptionId, Refusal, Rejection, ReturnId, Seq, Timestamp,
    UserId, WithdrawalId,
};
use std::sync::Arc;
use uuid::Uuid;

const fn at(n: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + n)
}

fn money(minor: i64) -> Money {
    Money::new(minor).expect("money")
}

fn text(text: &str) -> Text {
    Text::parse(text).expect("a text")
}

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0000 + n)
}

const fn posting(delta: i64, total: i64, version: u64) -> Posting {
    Posting { delta, total, version }
}

fn details(deleted: bool) -> Arc<Details> {
    Arc::new(Details {
        sku: Some(Sku::parse("SKU-1").expect("a sku")),
        name: Name::parse("Läufer 🦀").expect("a name"),
        description: deleted.then(|| text("two\nlines")),
        price: money(1_999),
        revision: 300,
        created_at: at(1),
        deleted_at: deleted.then(|| at(2)),
    })
}

fn view() -> ProductView {
    ProductView {
        product_id: ProductId::new(130),
        details: details(true),
        stock: 7,
        version: 9,
        updated_at: at(3),
    }
}

fn profile(role: Role) -> Arc<Profile> {
    Arc::new(Profile {
        name: Name::parse("Ann").expect("a name"),
        email: Email::parse("Ann@Example.org").expect("an email"),
        password_hash: (role == Role::Admin).then(|| "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into()),
        role,
        created_at: at(4),
    })
}

fn order(status: OrderStatus) -> Arc<Order> {
    let line = |product, quantity| OrderLine {
        product_id: ProductId::new(product),
        quantity: Quantity::new(quantity).expect("a quantity"),
        unit_price: money(1_500),
        product_name: Name::parse("Lamp").expect("a name"),
        product_price: money(1_999),
    };
    let failed = status == OrderStatus::Failed;
    let failure = Failure {
        code: "insufficient_stock".into(),
        detail: "2 requested, 1 available".into(),
        product_id: Some(ProductId::new(130)),
    };
    Arc::new(Order {
        id: OrderId::new(uuid(1)),
        user_id: UserId::new(70_000),
        status,
        total: money(4_500),
        lines: vec![line(130, 2), line(2, 1)],
        returned: Vec::new(),
        refunded: Money::ZERO,
        failure: failed.then_some(failure),
        created_at: at(5),
        updated_at: at(6),
    })
}

fn goods(of_order: bool) -> Arc<GoodsReturn> {
    let (product_id, quantity) = (ProductId::new(130), Quantity::new(1).expect("a quantity"));
    Arc::new(GoodsReturn {
        id: ReturnId::new(uuid(2)),
        user_id: UserId::new(70_000),
        order_id: of_order.then(|| OrderId::new(uuid(1))),
        lines: vec![ReturnLine { product_id, quantity, unit_price: money(1_500) }],
        total: money(1_500),
        reason: of_order.then(|| text("scratched")),
    })
}

fn moved(kind: MovementKind, posting: Posting) -> Event {
    let order_id = matches!(kind, MovementKind::Sale | MovementKind::Cancel).then(|| OrderId::new(uuid(1)));
    let reason = (kind == MovementKind::Adjust).then(|| text("broken"));
    Event::StockMoved(StockMove { product_id: ProductId::new(130), kind, order_id, reason, posting })
}

fn posted(kind: EntryKind, posting: Posting) -> Event {
    let order_id = (kind == EntryKind::Order).then(|| OrderId::new(uuid(1)));
    let reference = (kind == EntryKind::TransferIn).then(|| text(&uuid(3).to_string()));
    let description = (kind == EntryKind::Increment).then(|| text(""));
    Event::EntryPosted(Entry {
        user_id: UserId::new(70_000),
        kind,
        order_id,
        reference,
        description,
        posting,
    })
}

/// One record or more of every operation, every kind of event, snapshot and refusal.
#[expect(clippy::too_many_lines, reason = "one list, read from top to bottom")]
pub fn records() -> Vec<Record> {
    let (name, family_id) = (|name: &str| Arc::<str>::from(name), FamilyId::new(uuid(4)));
    let grant =
        SessionGrant { user_id: UserId::new(70_000), role: Role::Admin, opened_at: at(7), expires_at: at(8) };
    let (user_id, product_id, order_id) = (UserId::new(70_000), ProductId::new(130), OrderId::new(uuid(1)));
    let mut all: Vec<(Operation, Vec<Event>, Option<Snapshot>)> = Vec::new();
    let mut add = |operation, events, snapshot| all.push((operation, events, snapshot));
    add(
        Operation::Purchase,
        vec![
            Event::OrderPlaced(order(OrderStatus::Processed)),
            posted(EntryKind::Order, posting(-4_500, 5_500, 2)),
            moved(MovementKind::Sale, posting(-2, 5, 3)),
        ],
        None,
    );
    add(Operation::Order, vec![Event::OrderPlaced(order(OrderStatus::Failed))], None);
    let advanced = |status| Event::OrderAdvanced { order_id, user_id, status };
    add(
        Operation::Cancel,
        vec![
            advanced(OrderStatus::Cancelled),
            posted(EntryKind::Cancel, posting(4_500, 10_000, 3)),
            moved(MovementKind::Cancel, posting(2, 7, 4)),
        ],
        Some(Snapshot::Order(order(OrderStatus::Cancelled))),
    );
    add(Operation::Ship, vec![advanced(OrderStatus::Shipped)], None);
    add(Operation::Deliver, vec![advanced(OrderStatus::Delivered)], None);
    add(Operation::Order, vec![Event::OrderPlaced(order(OrderStatus::Pending))], None);
    for of_order in [true, false] {
        add(
            Operation::Return,
            vec![
                Event::GoodsReturned(goods(of_order)),
                posted(EntryKind::Return, posting(1_500, LIMIT, u64::MAX)),
                moved(MovementKind::Return, posting(1, LIMIT, u64::MAX)),
            ],
            None,
        );
    }
    add(Operation::Increment, vec![posted(EntryKind::Increment, posting(LIMIT, LIMIT, 1))], None);
    add(Operation::Decrement, vec![posted(EntryKind::Decrement, posting(-LIMIT, 0, 2))], None);
    add(
        Operation::Transfer,
        vec![
            posted(EntryKind::TransferOut, posting(-1, 0, 127)),
            posted(EntryKind::TransferIn, posting(1, 1, 128)),
        ],
        None,
    );
    add(
        Operation::CreateItem,
        vec![
            Event::NameTaken { namespace: Namespace::Sku, name: name("SKU-1"), holder: 130 },
            Event::ProductCreated { product_id, details: details(false), posting: posting(7, 7, 1) },
            moved(MovementKind::Initial, posting(7, 7, 1)),
        ],
        None,
    );
    let changed = || Event::ProductChanged { product_id, details: details(true), posting: posting(0, 7, 2) };
    add(
        Operation::ChangeItem,
        vec![changed(), Event::NameFreed { namespace: Namespace::Sku, name: name("SKU-0") }],
        Some(Snapshot::Details(details(false))),
    );
    add(Operation::MoveStock, vec![moved(MovementKind::Restock, posting(3, 10, 5))], None);
    add(Operation::MoveStock, vec![moved(MovementKind::Adjust, posting(-3, 7, 6))], None);
    add(Operation::DeleteItem, vec![changed()], None);
    add(Operation::RestoreItem, Vec::new(), Some(Snapshot::Product(view())));
    for role in [Role::User, Role::Admin] {
        add(
            Operation::Register,
            vec![
                Event::NameTaken {
                    namespace: Namespace::Email,
                    name: name("ann@example.org"),
                    holder: 70_000,
                },
                Event::UserRegistered { user_id, profile: profile(role) },
            ],
            None,
        );
    }
    add(Operation::Login, vec![Event::SessionOpened { family_id, grant }], None);
    let rotated = Event::SessionRotated { family_id, generation: u32::MAX, rotated_at: at(9) };
    add(Operation::Refresh, vec![rotated], None);
    add(Operation::Logout, vec![Event::SessionRevoked { family_id, revoked_at: at(-10) }], None);
    messages(&mut add);
    withdrawals(&mut add);
    accounts(&mut add);
    golden_cards::cards(&mut add);
    let mut records: Vec<Record> = all
        .into_iter()
        .map(|(operation, events, snapshot)| {
            let keyed = snapshot.is_some() || operation == Operation::Purchase;
            Record {
                caller: keyed.then_some(user_id),
                key: keyed.then_some(KeyUse {
                    caller: user_id,
                    fingerprint: [0xAB; 16],
                    request: [7; 16],
                    snapshot,
                }),
                ..empty(operation, events)
            }
        })
        .collect();
    records.extend(rejections().into_iter().map(|rejection| Record {
        key: Some(KeyUse { caller: user_id, fingerprint: [1; 16], request: [2; 16], snapshot: None }),
        refusal: Some(Refusal { rejection, as_of: Seq::new(3) }),
        ..empty(Operation::Order, Vec::new())
    }));
    for (index, record) in records.iter_mut().enumerate() {
        record.seq = Seq::new(index as u64 + 1);
        record.at = at(100 + index as i64);
    }
    records
}

fn messages(add: &mut impl FnMut(Operation, Vec<Event>, Option<Snapshot>)) {
    let (user_id, order_id) = (UserId::new(70_000), OrderId::new(uuid(1)));
    let queued = |n, payload| {
        let message = Message { id: MessageId::new(uuid(n)), user_id, payload, created_at: at(10) };
        Event::MessageQueued(Arc::new(message))
    };
    let of = |n, kind| MessageRef { id: MessageId::new(uuid(n)), kind, user_id };
    let (decided, told) = (of(5, MessageKind::ProcessOrder), of(6, MessageKind::OrderShipped));
    for pricing in [Pricing::Claimed, Pricing::AsGiven] {
        let placed = Event::OrderPlaced(order(OrderStatus::Pending));
        add(Operation::Order, vec![placed, queued(5, Payload::ProcessOrder { order_id, pricing })], None);
    }
    let shipped = Event::OrderAdvanced { order_id, user_id, status: OrderStatus::Shipped };
    let total = money(LIMIT);
    add(Operation::Ship, vec![shipped, queued(6, Payload::OrderShipped { order_id, total })], None);
    let processed = Event::OrderAdvanced { order_id, user_id, status: OrderStatus::Processed };
    add(Operation::DecideOrder, vec![processed, Event::MessageDone(decided)], None);
    let failed = |code: &str, product_id| Event::OrderFailed {
        order_id,
        user_id,
        failure: Arc::new(Failure { code: code.into(), detail: "not today".into(), product_id }),
    };
    let refused = failed("insufficient_stock", Some(ProductId::new(130)));
    add(Operation::DecideOrder, vec![refused, Event::MessageDone(decided)], None);
    for next_attempt_at in [Some(at(11)), None] {
        let attempt = if next_attempt_at.is_some() { 1 } else { u32::MAX };
        let failed =
            Event::MessageFailed { message: told, attempt, error: text("no answer"), next_attempt_at };
        add(Operation::StepMessage, vec![failed], None);
    }
    let retried = Event::MessageRetried { message: told, attempts: 300, next_attempt_at: at(12) };
    add(Operation::StepMessage, vec![retried], None);
    add(Operation::StepMessage, vec![Event::MessageDone(told)], None);
    let purged = Event::MessagePurged(decided);
    add(Operation::StepMessage, vec![failed("purged", None), purged], None);
}

/// Withdrawals, the distributors that count them, and levels.
fn withdrawals(add: &mut impl FnMut(Operation, Vec<Event>, Option<Snapshot>)) {
    let user_id = UserId::new(70_000);
    let withdrawal = |status| Withdrawal {
        id: WithdrawalId::new(uuid(7)),
        user_id,
        amount: money(1_500),
        status,
        created_at: at(11),
        updated_at: at(12),
    };
    let (withdrawal_id, pending) = (WithdrawalId::new(uuid(7)), withdrawal(WithdrawalStatus::Pending));
    let ended = |status| Event::WithdrawalEnded { withdrawal_id, user_id, status };
    add(
        Operation::RequestWithdrawal,
        vec![
            Event::WithdrawalRequested(Arc::new(pending)),
            posted(EntryKind::Withdrawal, posting(-1_500, 8_500, 4)),
        ],
        None,
    );
    let check = |withdrawal_id| {
        let payload = Payload::UpgradeCheck { withdrawal_id };
        Arc::new(Message { id: MessageId::new(uuid(8)), user_id, payload, created_at: at(12) })
    };
    let (posting_of, message) = (posting(1_500, 1_500, 1), check(Some(withdrawal_id)));
    let payout = Payout { user_id, withdrawal_id, posting: posting_of, message };
    add(
        Operation::CompleteWithdrawal,
        vec![ended(WithdrawalStatus::Completed), Event::PayoutCounted(payout)],
        Some(Snapshot::Withdrawal(withdrawal(WithdrawalStatus::Completed))),
    );
    add(
        Operation::RejectWithdrawal,
        vec![
            ended(WithdrawalStatus::Rejected),
            posted(EntryKind::WithdrawalRejected, posting(1_500, 10_000, 5)),
        ],
        None,
    );
    let name_of = |name: &str| Name::parse(name).expect("a name");
    let standing = |rank, name: &str| Standing { rank, name: name_of(name) };
    let (from, to) = (standing(0, "Starter"), standing(2, "Partner"));
    let upgrade = Upgrade { user_id, from, to, withdrawal_id: Some(withdrawal_id) };
    let done = Event::MessageDone(MessageRef {
        id: MessageId::new(uuid(8)),
        kind: MessageKind::UpgradeCheck,
        user_id,
    });
    add(Operation::CheckUpgrade, vec![Event::DistributorUpgraded(Arc::new(upgrade)), done], None);
    add(Operation::QueueCheck, vec![Event::MessageQueued(check(None))], None);
    let level = |name: &str, threshold| Level { name: name_of(name), threshold: money(threshold) };
    let levels = Levels::new(vec![level("Starter", 0), level("Partner", LIMIT)]).expect("ascending");
    add(Operation::SetLevels, vec![Event::LevelsSet(Arc::new(levels))], None);
    let batch = |count, next_after| Some(Snapshot::Batch(Batch { count, next_after }));
    add(Operation::RetryMessages, Vec::new(), batch(3, None));
    add(Operation::BatchCheck, Vec::new(), batch(1_000, Some(user_id)));
}

fn accounts(add: &mut impl FnMut(Operation, Vec<Event>, Option<Snapshot>)) {
    let name_of = |name: &str| Name::parse(name).expect("a name");
    let plan = Arc::new(Plan {
        id: PlanId::new(uuid(9)),
        name: name_of("Läufer"),
        target: money(LIMIT),
        payout: BasisPoints::new(8_550).expect("a share"),
        created_at: at(13),
    });
    add(Operation::CreatePlan, vec![Event::PlanCreated(plan.clone())], None);
    let (id, country) = (AccountId::new(uuid(11)), Country::parse("DE").expect("a country"));
    let account = Arc::new(NewAccount {
        id,
        number: 300,
        label: name_of("One"),
        country,
        plan_id: plan.id,
        target: plan.target,
        payout: plan.payout,
    });
    let created = Event::AccountCreated { account: account.clone(), posting: posting(0, 0, 1) };
    add(Operation::CreateAccount, vec![created.clone()], Some(Snapshot::LeftOut(Vec::new())));
    add(Operation::ImportAccounts, vec![created], Some(Snapshot::LeftOut(vec![3, 300])));
    let lock = Lock {
        redemption_id: RedemptionId::new(uuid(10)),
        previous_status: AccountStatus::Processing,
        fence: 2,
        since: at(14),
        deadline: at(15),
    };
    let changed = |to, login, reason, lock: Option<Lock>| {
        Event::AccountChanged(Box::new(Transition {
            account_id: id,
            from: AccountStatus::Waiting,
            to,
            login,
            reason,
            lock,
            redemption_id: lock.map(|lock| lock.redemption_id),
            posting: posting(0, 0, 2),
        }))
    };
    let before = || {
        Some(Snapshot::Account(Arc::new(AccountView::created(account.clone(), &posting(0, 0, 1), at(14)))))
    };
    let (active, inactive) = (LoginStatus::Active, LoginStatus::Inactive);
    let logged_in = changed(AccountStatus::Locking, active, TransitionReason::LoggedIn, Some(lock));
    add(Operation::SetLogin, vec![logged_in], before());
    let logged_out = changed(AccountStatus::Processing, inactive, TransitionReason::LoggedOut, None);
    add(Operation::SetLogin, vec![logged_out], before());
    let ended = changed(AccountStatus::Completed, active, TransitionReason::CompletedByOperator, None);
    add(Operation::CompleteAccount, vec![ended], before());
}

const fn empty(operation: Operation, events: Vec<Event>) -> Record {
    Record { seq: Seq::ZERO, at: at(0), operation, caller: None, key: None, refusal: None, events }
}

fn rejections() -> Vec<Rejection> {
    let product_id = ProductId::new(130);
    let state = |status, reason| Rejection::InvalidState { status, reason };
    let mut rejections: Vec<Rejection> =
        [Missing::Item, Missing::Order, Missing::User, Missing::Session, Missing::Message]
            .map(Rejection::NotFound)
            .into();
    rejections.extend([
        Rejection::UnknownProduct { product_id, further: Vec::new() },
        Rejection::ItemDeleted { product_id },
        Rejection::InsufficientStock { product_id, requested: 2, available: 1 },
        Rejection::InsufficientBalance { requested: money(2), available: money(1) },
        Rejection::PriceChanged { product_id, unit_price: money(3) },
        Rejection::BalanceLimit,
        Rejection::StockLimit { product_id },
        state(OrderStatus::Shipped, StateReason::NotCancellable),
        state(OrderStatus::Pending, StateReason::NotShippable),
        state(OrderStatus::Failed, StateReason::NotDeliverable),
        state(OrderStatus::Cancelled, StateReason::NothingLeftToReturn),
        Rejection::EmailTaken,
        Rejection::SkuTaken,
        Rejection::VersionConflict { revision: 5 },
        Rejection::SelfTransfer,
        Rejection::KeyReused,
        Rejection::InvalidCredentials,
        Rejection::TokenExpired,
        Rejection::TokenRevoked,
        Rejection::NotFound(Missing::Withdrawal),
        Rejection::WithdrawalEnded { status: WithdrawalStatus::Rejected },
        state(OrderStatus::Processed, StateReason::NothingLeftToShip),
        Rejection::NotFound(Missing::Plan),
        Rejection::NotFound(Missing::Account),
        Rejection::UnknownPlan { plan_id: PlanId::new(uuid(9)) },
        Rejection::AccountLocked,
        Rejection::NotFound(Missing::Redemption),
        Rejection::CodeAlreadyUsed,
        Rejection::RedemptionState { status: RedemptionStatus::Cancelled },
        Rejection::AccountNotFree,
    ]);
    rejections
}
