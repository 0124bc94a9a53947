//! What a journal says, in words that know nothing of the engine: numbers, and names for what happened.

/// Any id that is a UUID.
pub type Id = u128;

/// One step of a running total, with what it claims to have led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    pub delta: i64,
    pub total: i64,
    pub version: u64,
}

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub seq: u64,
    /// When it was decided, in microseconds.
    pub at: i64,
    pub caller: Option<u64>,
    pub key: Option<Key>,
    pub refusal: Option<Refusal>,
    pub facts: Vec<Fact>,
}

/// Of whom, and of which request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub caller: u64,
    pub fingerprint: [u8; 16],
}

/// A "no" that was written down under a key, and the position that it was decided on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub as_of: u64,
    pub code: &'static str,
    /// What there was too little of, if figures say so.
    pub short: Option<Short>,
}

/// How much was asked for, and how much there was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Short {
    Stock {
        product: u64,
        asked: i64,
        available: i64,
    },
    /// Of the caller's money, or of somebody's whose money an administrator was about to take.
    Money {
        asked: i64,
        available: i64,
    },
}

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderState {
    Pending,
    Processed,
    Shipped,
    Delivered,
    Failed,
    Cancelled,
}

/// Product, units, and the price of one.
pub type Line = (u64, i64, i64);

/// What a message asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    DecideOrder(Id),
    Tell,
    Check,
    /// Of a card, so much.
    PayCard(Id, i64),
}

/// Where a card stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CardState {
    Queued,
    Locking,
    InDoubt,
    Succeeded,
    Failed,
    Cancelled,
}

/// Where an account stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountState {
    Waiting,
    Processing,
    Locking,
    Completed,
}

/// Why an account changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Never of a change.
    Made,
    LoggedIn,
    LoggedOut,
    EndedByHand,
    Started,
    Doubted,
    Succeeded,
    TargetReached,
    Failed,
    Late,
}

/// An account's lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lock {
    pub card: Id,
    pub fence: u64,
    pub before: AccountState,
}

/// A change of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountStep {
    pub account: Id,
    pub from: AccountState,
    pub to: AccountState,
    pub is_active: bool,
    pub reason: Reason,
    /// After it.
    pub lock: Option<Lock>,
    pub card: Option<Id>,
    pub step: Step,
}

/// A change of a card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CardStep {
    pub card: Id,
    pub user: u64,
    pub to: CardState,
    pub locked: Option<(Id, u64)>,
    pub amount: Option<i64>,
    pub payout: Option<i64>,
    pub is_owed: bool,
}

/// What a movement of stock or money is for. What has an order, a return, a withdrawal or a card behind it has to follow from
/// that; the rest is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// By hand: first stock, restocking, adjusting, credits and debits.
    Free,
    /// Between two balances.
    Transfer,
    /// Of something else in the same record.
    Follows,
}

/// Which names are unique.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Space {
    Email,
    Sku,
    Card,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    Stock {
        product: u64,
        step: Step,
        cause: Cause,
    },
    Money {
        user: u64,
        step: Step,
        cause: Cause,
    },
    Placed {
        order: Id,
        user: u64,
        state: OrderState,
        total: i64,
        lines: Vec<Line>,
    },
    Advanced {
        order: Id,
        user: u64,
        to: OrderState,
    },
    Returned {
        order: Option<Id>,
        user: u64,
        total: i64,
        lines: Vec<Line>,
    },
    Asked {
        withdrawal: Id,
        user: u64,
        amount: i64,
    },
    Ended {
        withdrawal: Id,
        user: u64,
        is_paid: bool,
    },
    /// What left as withdrawals in all.
    PaidOut {
        user: u64,
        withdrawal: Id,
        step: Step,
    },
    Queued {
        message: Id,
        work: Work,
    },
    Stumbled {
        message: Id,
        attempt: u32,
        is_dead: bool,
    },
    Done {
        message: Id,
    },
    PutBack {
        message: Id,
    },
    GivenUp {
        message: Id,
    },
    /// Somebody who may ask for others.
    Administrator {
        user: u64,
    },
    Taken {
        space: Space,
        names: Vec<String>,
        holder: u64,
    },
    Freed {
        space: Space,
        names: Vec<String>,
    },
    AccountMade {
        account: Id,
        target: i64,
        share: i64,
        step: Step,
    },
    Account(AccountStep),
    CardsIn {
        user: u64,
        cards: Vec<(Id, String)>,
    },
    Card(CardStep),
}

impl Fact {
    /// Whether it moves a running total.
    pub const fn is_step(&self) -> bool {
        matches!(
            self,
            Self::Stock { .. }
                | Self::Money { .. }
                | Self::PaidOut { .. }
                | Self::AccountMade { .. }
                | Self::Account(_)
        )
    }
}
