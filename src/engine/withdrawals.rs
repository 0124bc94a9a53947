//! Withdrawals: asked for by users, completed or rejected by administrators.

use super::call::{Call, Freshness, Listed, Read};
use super::operate::{Stop, Work};
use super::orders::committed;
use super::reads::newest;
use super::{Answer, Engine, EngineError, Inner};
use crate::domain::balance::{Balance, BalanceCommand, Room};
use crate::domain::message::{Message, Payload};
use crate::domain::order::Step;
use crate::domain::rejection::Missing;
use crate::domain::withdrawal::Withdrawal;
use crate::domain::{Event, MessageId, Money, Operation, Rejection, Seq, UserId, WithdrawalId};
use crate::owners::mailbox::{Committed, Glimpse};
use crate::owners::{Party, Pin};
use crate::store::{Page, Row};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An amount that a user wants paid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct WithdrawalRequest {
    pub user_id: UserId,
    pub amount: Money,
}

impl Engine {
    /// Takes the amount off the balance, to be paid out. [`Outcome::Withdrawal`](crate::domain::Outcome::Withdrawal).
    ///
    /// # Errors
    /// Rejections: not found, insufficient balance.
    pub async fn request_withdrawal(&self, call: Call, request: WithdrawalRequest) -> Answer {
        self.inner.operate(call, Operation::RequestWithdrawal, request, ask).await
    }

    /// Records the payout and, in the same record, asks for a check of the distributor's level. It never waits for that.
    ///
    /// # Errors
    /// Rejections: not found, withdrawal ended (rejected before), balance limit (of what the distributor withdrew in all).
    pub async fn complete_withdrawal(&self, call: Call, id: WithdrawalId) -> Answer {
        self.inner.operate(call, Operation::CompleteWithdrawal, id, complete).await
    }

    /// Gives the money back.
    ///
    /// # Errors
    /// Rejections: not found, withdrawal ended (completed before), balance limit.
    pub async fn reject_withdrawal(&self, call: Call, id: WithdrawalId) -> Answer {
        self.inner.operate(call, Operation::RejectWithdrawal, id, reject).await
    }

    /// One withdrawal, only if it belongs to the user in `of`.
    ///
    /// # Errors
    /// Rejections: not found. Or the store cannot be asked.
    pub async fn withdrawal(
        &self,
        id: WithdrawalId,
        of: Option<UserId>,
        fresh: Freshness,
    ) -> Result<Read<Withdrawal>, EngineError> {
        self.inner.withdrawal(id, of, fresh).await
    }

    /// A user's withdrawals, or everybody's, the newest first.
    ///
    /// # Errors
    /// When the store cannot be asked, or has not caught up in time.
    pub async fn withdrawals(
        &self,
        user_id: Option<UserId>,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<Withdrawal>>, EngineError> {
        self.inner.withdrawals(user_id, page, fresh).await
    }
}

async fn ask(mut work: Work, request: WithdrawalRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.balances, request.user_id, Missing::User).await?;
    let _permit = work.admit(&owner)?;
    let space = work.space().await?;
    let (id, amount) = (WithdrawalId::new(engine.ground.clock.new_id()), request.amount);
    let command = BalanceCommand::RequestWithdrawal { id, amount };
    committed(work.commit(&owner, command, Vec::new(), space, None).await?)
}

/// A withdrawal, and as of when.
struct Found {
    withdrawal: Withdrawal,
    owner: Pin<Balance>,
    /// `None`: it was pending a moment ago; whether it still is, its owner's turn says.
    read_at: Option<Seq>,
}

async fn find(engine: &Inner, id: WithdrawalId) -> Result<Found, EngineError> {
    loop {
        if let Some(withdrawal) = engine.ground.pending.withdrawal(id) {
            let owner = engine.pin(&engine.balances, withdrawal.user_id, Missing::User).await?;
            return Ok(Found { withdrawal, owner, read_at: None });
        }
        let (withdrawal, owner, read_at) = recall(engine, id).await?;
        let look = move |glimpse: &mut Glimpse<'_, Balance>| {
            let fresh = read_at >= glimpse.let_go;
            fresh.then(|| (glimpse.desk.withdrawal(&withdrawal, read_at), glimpse.as_of))
        };
        if let Some((withdrawal, as_of)) = engine.view(&owner, look).await? {
            return Ok(Found { withdrawal, owner, read_at: Some(as_of) });
        }
    }
}

/// A withdrawal that is not kept in memory, because it has ended or there was no room: as its owner or the store last knew it.
async fn recall(engine: &Inner, id: WithdrawalId) -> Result<(Withdrawal, Pin<Balance>, Seq), EngineError> {
    if let Some(user_id) = engine.ground.unstored.owner_of(id.get()) {
        let owner = engine.pin(&engine.balances, user_id, Missing::User).await?;
        let asked = engine.view(&owner, move |glimpse| glimpse.desk.asked(id)).await?;
        if let Some((withdrawal, read_at)) = asked {
            return Ok((withdrawal, owner, read_at));
        }
    }
    let snapshot = engine.ground.store.read(|store| store.withdrawal(id)).await?;
    let missing = || engine.edge_rejection(Rejection::NotFound(Missing::Withdrawal));
    let withdrawal = snapshot.value.map(|row| row.value).ok_or_else(missing)?;
    let owner = engine.pin(&engine.balances, withdrawal.user_id, Missing::User).await?;
    Ok((withdrawal, owner, snapshot.watermark))
}

async fn complete(mut work: Work, id: WithdrawalId) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    loop {
        let Found { withdrawal, owner, read_at } = find(&engine, id).await?;
        let distributor = engine.pin(&engine.distributors, withdrawal.user_id, Missing::User).await?;
        let _permits = (work.admit(&owner)?, work.admit(&distributor)?);
        let space = work.space().await?;
        let mut parties: Vec<Box<dyn Party>> = Vec::new();
        if withdrawal.complete() == Ok(Step::Take) {
            let Some((room, ())) = work.claim(&distributor, Room(withdrawal.amount), None).await? else {
                return Err(EngineError::Internal.into());
            };
            parties.push(Box::new(room));
        }
        let message = Message {
            id: MessageId::new(engine.ground.clock.new_id()),
            user_id: withdrawal.user_id,
            payload: Payload::UpgradeCheck { withdrawal_id: Some(id) },
            created_at: engine.ground.clock.now(),
        };
        let command = BalanceCommand::CompleteWithdrawal { withdrawal, message: Arc::new(message) };
        if let Some(committed) = work.commit(&owner, command, parties, space, read_at).await? {
            return Ok(committed);
        }
    }
}

async fn reject(mut work: Work, id: WithdrawalId) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    loop {
        let Found { withdrawal, owner, read_at } = find(&engine, id).await?;
        let _permit = work.admit(&owner)?;
        let space = work.space().await?;
        let command = BalanceCommand::RejectWithdrawal(withdrawal);
        if let Some(committed) = work.commit(&owner, command, Vec::new(), space, read_at).await? {
            return Ok(committed);
        }
    }
}

impl Inner {
    async fn withdrawal(
        &self,
        id: WithdrawalId,
        of: Option<UserId>,
        fresh: Freshness,
    ) -> Result<Read<Withdrawal>, EngineError> {
        self.reached(fresh.min_seq).await?;
        loop {
            let Found { withdrawal, owner, read_at } = find(self, id).await?;
            if of.is_some_and(|user| user != withdrawal.user_id) {
                return Err(self.edge_rejection(Rejection::NotFound(Missing::Withdrawal)));
            }
            let ground = self.ground.clone();
            let pending = move |glimpse: &mut Glimpse<'_, Balance>| {
                ground.pending.withdrawal(id).map(|withdrawal| (withdrawal, glimpse.as_of))
            };
            let found = match read_at {
                Some(as_of) => Some((withdrawal, as_of)),
                None => self.view(&owner, pending).await?,
            };
            if let Some((value, as_of)) = found {
                self.ground.durable.wait(as_of).await?;
                return Ok(Read { value, as_of: as_of.max(fresh.min_seq.unwrap_or_default()) });
            }
        }
    }

    /// A caller's own list merges what the store does not have yet; every other one waits for it.
    async fn withdrawals(
        &self,
        user_id: Option<UserId>,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<Withdrawal>>, EngineError> {
        let (records, as_of) = if let Some(own) = user_id.filter(|user| fresh.caller == Some(*user)) {
            let (records, as_of) = self.unstored_of(own, fresh).await?;
            (records, Some(as_of))
        } else {
            self.caught_up(fresh).await?;
            (Vec::new(), None)
        };
        let wanted = super::reads::one_more(page);
        let snapshot = self.ground.store.read(|store| store.withdrawals(user_id, wanted)).await?;
        let row = |row: Row<Withdrawal>| (row.cursor, row.value);
        let mut rows: BTreeMap<u64, Withdrawal> = snapshot.value.into_iter().map(row).collect();
        for record in records.iter().filter(|record| record.seq > snapshot.watermark) {
            for event in &record.events {
                if let Event::WithdrawalRequested(withdrawal) = event
                    && user_id == Some(withdrawal.user_id)
                    && page.before.is_none_or(|before| record.seq.get() < before)
                {
                    rows.insert(record.seq.get(), **withdrawal);
                }
                for withdrawal in rows.values_mut() {
                    withdrawal.apply(event, record.at);
                }
            }
        }
        Ok(Read { value: newest(rows, page), as_of: as_of.unwrap_or(snapshot.watermark) })
    }
}
