//! Gift cards: handed in, cancelled and looked at by their users, settled by operators, and exchanged in between.

mod cancel;
mod exchange;
mod hand_in;
mod owed;
mod read;
mod resolve;

pub use hand_in::{CardRequest, ComingCards};
pub use read::BatchFigures;
pub use resolve::{Resolution, ResolveRequest};

use super::call::{Call, Freshness, Listed, Read};
use super::{Answer, Engine, EngineError, Inner};
use crate::domain::balance::Balance;
use crate::domain::redemption::Redemption;
use crate::domain::rejection::Missing;
use crate::domain::{BatchId, Operation, RedemptionId, Rejection, Seq, UserId};
use crate::owners::Pin;
use crate::owners::mailbox::Glimpse;
use crate::redemption::Stats;
use crate::store::{Page, RedemptionFilter};
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// Takes a card in, to be exchanged once an account is free. [`Outcome::Redemption`](crate::domain::Outcome::Redemption).
    ///
    /// # Errors
    /// Rejections: not found (the user), code already used.
    pub async fn hand_in(&self, call: Call, user_id: UserId, card: CardRequest) -> Answer {
        self.inner.hand_in(call, user_id, card).await
    }

    /// Takes up to [`CARDS_MAX`](crate::domain::redemption::CARDS_MAX) cards in, in one record, but those that are none
    /// (`None`) or were handed in before. [`Outcome::BatchHandedIn`](crate::domain::Outcome::BatchHandedIn).
    ///
    /// # Errors
    /// Rejections: not found (the user).
    pub async fn hand_in_batch(
        &self,
        call: Call,
        user_id: UserId,
        cards: Vec<Option<CardRequest>>,
    ) -> Answer {
        self.inner.hand_in_batch(call, user_id, cards).await
    }

    /// Takes a card back that no account is locked for yet. [`Outcome::Redemption`](crate::domain::Outcome::Redemption).
    ///
    /// # Errors
    /// Rejections: not found (also of another user than `of`), redemption state.
    pub async fn cancel_redemption(&self, call: Call, id: RedemptionId, of: Option<UserId>) -> Answer {
        self.inner.operate(call, Operation::CancelRedemption, (id, of), cancel::one).await
    }

    /// The same of all cards of a batch. [`Outcome::BatchCancelled`](crate::domain::Outcome::BatchCancelled).
    ///
    /// # Errors
    /// Rejections: not found (also of another user than `of`).
    pub async fn cancel_batch(&self, call: Call, id: BatchId, of: Option<UserId>) -> Answer {
        self.inner.operate(call, Operation::CancelBatch, (id, of), cancel::batch).await
    }

    /// Settles a card in doubt. [`Outcome::Redemption`](crate::domain::Outcome::Redemption).
    ///
    /// # Errors
    /// Rejections: not found, redemption state (it is not in doubt), balance limit (of what the account redeemed).
    pub async fn resolve_redemption(&self, call: Call, request: ResolveRequest) -> Answer {
        self.inner.operate(call, Operation::ResolveRedemption, request, resolve::resolve).await
    }

    /// A redemption as it now stands, without its code; with `of`, only that user's.
    ///
    /// # Errors
    /// Rejections: not found. Or the store cannot be asked.
    pub async fn redemption(
        &self,
        id: RedemptionId,
        of: Option<UserId>,
        fresh: Freshness,
    ) -> Result<Read<Arc<Redemption>>, EngineError> {
        self.inner.redemption(id, of, fresh).await
    }

    /// The same once it has come to an end, or once `patience` is over.
    ///
    /// # Errors
    /// As [`Self::redemption`].
    pub async fn ended_redemption(
        &self,
        id: RedemptionId,
        fresh: Freshness,
        patience: Duration,
    ) -> Result<Read<Arc<Redemption>>, EngineError> {
        self.inner.ended_redemption(id, fresh, patience).await
    }

    /// Redemptions, the newest first, without their codes; a caller's own with those that the store does not have yet.
    ///
    /// # Errors
    /// When the store cannot be asked, or has not caught up in time.
    pub async fn redemptions(
        &self,
        filter: RedemptionFilter,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<Redemption>>, EngineError> {
        self.inner.redemptions(filter, page, fresh).await
    }

    /// How many cards of a batch stand how; with `of`, only that user's.
    ///
    /// # Errors
    /// Rejections: not found. Or the store cannot be asked.
    pub async fn batch(
        &self,
        id: BatchId,
        of: Option<UserId>,
        fresh: Freshness,
    ) -> Result<Read<BatchFigures>, EngineError> {
        self.inner.batch(id, of, fresh).await
    }

    /// How exchanges stand, as of a moment ago.
    pub fn exchange_stats(&self) -> Stats {
        self.inner.exchange.stats()
    }
}

/// A redemption with its code, and as of when.
struct Found {
    card: Arc<Redemption>,
    owner: Pin<Balance>,
    as_of: Seq,
}

/// As its owner knows it, or the store with what the owner knows beyond.
async fn find(engine: &Inner, id: RedemptionId) -> Result<Found, EngineError> {
    loop {
        if let Some(user_id) = engine.ground.unstored.owner_of(id.get()) {
            let owner = engine.pin(&engine.balances, user_id, Missing::User).await?;
            let known = move |glimpse: &mut Glimpse<'_, Balance>| {
                let open = glimpse.entity.cards().get(id).cloned();
                let handed_in = || {
                    let (card, read_at) = glimpse.desk.handed_in(id)?;
                    Some(Arc::new(glimpse.desk.card(&card, read_at)))
                };
                (open.or_else(handed_in), glimpse.as_of)
            };
            if let (Some(card), as_of) = engine.view(&owner, known).await? {
                return Ok(Found { card, owner, as_of });
            }
        }
        let ids = [id];
        let snapshot = engine.ground.store.read(|store| store.redemptions_by_id(&ids)).await?;
        let Some(row) = snapshot.value.into_iter().next() else {
            return Err(missing(engine));
        };
        let (stored, read_at) = (row.value, snapshot.watermark);
        let owner = engine.pin(&engine.balances, stored.user_id, Missing::User).await?;
        let known = move |glimpse: &mut Glimpse<'_, Balance>| {
            let ended = || (read_at >= glimpse.let_go).then(|| Arc::new(glimpse.desk.card(&stored, read_at)));
            let card = glimpse.entity.cards().get(id).cloned().or_else(ended);
            card.map(|card| (card, glimpse.as_of))
        };
        if let Some((card, as_of)) = engine.view(&owner, known).await? {
            return Ok(Found { card, owner, as_of });
        }
    }
}

/// The same, if it belongs to the user in `of`.
async fn find_of(engine: &Inner, id: RedemptionId, of: Option<UserId>) -> Result<Found, EngineError> {
    let found = find(engine, id).await?;
    if of.is_some_and(|user| user != found.card.user_id) {
        return Err(missing(engine));
    }
    Ok(found)
}

fn missing(engine: &Inner) -> EngineError {
    engine.edge_rejection(Rejection::NotFound(Missing::Redemption))
}
