//! The business "no", as data: a closed enum whose codes are the API's. None of these changed anything.

use super::ids::{PlanId, ProductId};
use super::money::Money;
use super::order::OrderStatus;
use super::redemption::RedemptionStatus;
use super::withdrawal::WithdrawalStatus;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a name in a "not found" stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Missing {
    Item,
    Order,
    User,
    Session,
    Message,
    Withdrawal,
    Plan,
    Account,
    Redemption,
}

impl Missing {
    const fn word(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Order => "order",
            Self::User => "user",
            Self::Session => "session",
            Self::Message => "failed message",
            Self::Withdrawal => "withdrawal",
            Self::Plan => "plan",
            Self::Account => "redemption account",
            Self::Redemption => "redemption",
        }
    }
}

/// Why an operation was refused. `Display` says it to a person and what to do next.
#[derive(Clone, PartialEq, Eq, Debug, Error, Serialize, Deserialize)]
pub enum Rejection {
    #[error("no such {}", .0.word())]
    NotFound(Missing),
    /// Lines of an order name products that do not exist: this one and those.
    #[error("product {product_id} does not exist")]
    UnknownProduct {
        product_id: ProductId,
        /// Not in the layout of records: no key remembers this rejection.
        #[serde(skip)]
        further: Vec<ProductId>,
    },
    #[error("item {product_id} was deleted and cannot be sold or changed until it is restored")]
    ItemDeleted { product_id: ProductId },
    #[error("{requested} requested, {available} available")]
    InsufficientStock { product_id: ProductId, requested: i64, available: i64 },
    #[error("{requested} needed, {available} available")]
    InsufficientBalance { requested: Money, available: Money },
    #[error("the price of product {product_id} is {unit_price}; confirm it and order again")]
    PriceChanged { product_id: ProductId, unit_price: Money },
    #[error("the balance would pass its limit of 2^53-1")]
    BalanceLimit,
    #[error("the stock of product {product_id} would pass its limit of 2^53-1")]
    StockLimit { product_id: ProductId },
    #[error("not possible while the order is {}: {reason}", status.word())]
    InvalidState { status: OrderStatus, reason: StateReason },
    #[error("this email address is taken; log in, or use another one")]
    EmailTaken,
    #[error("this sku is taken by another item")]
    SkuTaken,
    #[error("the item is at revision {revision}; read it again and repeat the change")]
    VersionConflict { revision: u64 },
    #[error("a transfer to oneself moves nothing; name another receiver")]
    SelfTransfer,
    #[error("this key was used for another request; use a new key")]
    KeyReused,
    #[error("email or password is wrong")]
    InvalidCredentials,
    #[error("the token has expired; log in again")]
    TokenExpired,
    #[error("the session was ended; log in again")]
    TokenRevoked,
    #[error("the withdrawal is {} already", status.word())]
    WithdrawalEnded { status: WithdrawalStatus },
    #[error("plan {plan_id} does not exist")]
    UnknownPlan { plan_id: PlanId },
    #[error("a card is being exchanged on the account; try again once that has ended")]
    AccountLocked,
    #[error("this card was handed in already; one that the provider refused may be handed in again")]
    CodeAlreadyUsed,
    #[error("the redemption is {}", status.word())]
    RedemptionState { status: RedemptionStatus },
    #[error("the account is not free any more")]
    AccountNotFree,
}

/// Which rule a state refused by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error, Serialize, Deserialize)]
pub enum StateReason {
    #[error("only a processed order of which nothing was returned can be cancelled")]
    NotCancellable,
    #[error("only a processed order can be shipped")]
    NotShippable,
    #[error("only a shipped order can be delivered")]
    NotDeliverable,
    #[error("more than the order has left to return")]
    NothingLeftToReturn,
    #[error("all of it was returned")]
    NothingLeftToShip,
}

impl Rejection {
    /// The API's stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::UnknownProduct { .. } | Self::SelfTransfer | Self::UnknownPlan { .. } => {
                "validation_failed"
            }
            Self::ItemDeleted { .. } => "item_deleted",
            Self::InsufficientStock { .. } => "insufficient_stock",
            Self::InsufficientBalance { .. } => "insufficient_balance",
            Self::PriceChanged { .. } => "price_changed",
            Self::BalanceLimit => "balance_limit",
            Self::StockLimit { .. } => "stock_limit",
            Self::InvalidState { .. }
            | Self::WithdrawalEnded { .. }
            | Self::AccountLocked
            | Self::AccountNotFree
            | Self::RedemptionState { .. } => "invalid_state",
            Self::CodeAlreadyUsed => "code_already_used",
            Self::EmailTaken => "email_taken",
            Self::SkuTaken => "sku_taken",
            Self::VersionConflict { .. } => "version_conflict",
            Self::KeyReused => "idempotency_key_reused",
            Self::InvalidCredentials => "invalid_credentials",
            Self::TokenExpired => "token_expired",
            Self::TokenRevoked => "token_revoked",
        }
    }

    /// Whether an idempotency key remembers it: only what an owner decided about the state of the world, so that a retry
    /// cannot flip. Mistakes in the request itself and authentication are judged afresh each time.
    pub const fn is_remembered(&self) -> bool {
        match self {
            Self::ItemDeleted { .. }
            | Self::InsufficientStock { .. }
            | Self::InsufficientBalance { .. }
            | Self::PriceChanged { .. }
            | Self::BalanceLimit
            | Self::StockLimit { .. }
            | Self::InvalidState { .. }
            | Self::WithdrawalEnded { .. }
            | Self::AccountLocked
            | Self::AccountNotFree
            | Self::CodeAlreadyUsed
            | Self::RedemptionState { .. }
            | Self::EmailTaken
            | Self::SkuTaken
            | Self::VersionConflict { .. } => true,
            Self::NotFound(_)
            | Self::UnknownProduct { .. }
            | Self::SelfTransfer
            | Self::UnknownPlan { .. }
            | Self::KeyReused
            | Self::InvalidCredentials
            | Self::TokenExpired
            | Self::TokenRevoked => false,
        }
    }
}
