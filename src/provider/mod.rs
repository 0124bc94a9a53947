//! The gift-card provider as the engine knows it: a card goes there once, and the answer says whether it was taken, was
//! not, or that nobody knows. What follows from an answer is the engine's business; nothing here is tried again.

pub mod http;
pub mod signature;

pub use http::{HttpProvider, ProviderOptions};

use crate::domain::Money;
use crate::domain::card::CardCode;
use crate::domain::text::Text;
use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;

/// One card to be exchanged on one account.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The provider's idempotency key, too: sent again under the same id, a card is taken once.
    pub redemption_id: Uuid,
    /// The operator's account at the provider.
    pub account: String,
    pub code: CardCode,
    pub country: String,
}

/// What came of an exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The card was taken, and was worth so much: 1 to [`LIMIT`](crate::domain::LIMIT).
    Taken { amount: Money },
    /// Definite: the card was not taken and will not be.
    Refused { reason: Text },
    /// The card was not taken this time: the provider says so, or was never told of it.
    NotTaken {
        why: String,
        /// The provider wants to be left alone for so long.
        retry_after: Option<Duration>,
    },
    /// The card may have been taken.
    InDoubt { why: String },
}

/// How an exchange stands, as the provider tells afterwards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    Taken {
        amount: Money,
    },
    Refused {
        reason: Text,
    },
    /// The provider has never taken or refused it.
    Unknown,
    /// Nothing was learnt.
    NoAnswer {
        why: String,
    },
}

/// Who exchanges cards. Neither call tries anything twice, and none shows a card's code in what it answers. Each ends within a
/// time of the provider's own: what takes longer is in doubt.
#[async_trait(?Send)]
pub trait Provider: 'static {
    async fn exchange(&self, exchange: &Exchange) -> Answer;

    async fn status(&self, redemption_id: Uuid) -> Standing;
}
