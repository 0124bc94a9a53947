//! Distributors and the levels they climb.

use super::call::{Call, Freshness, Listed, Read};
use super::messages::Turn;
use super::operate::{Stop, Work};
use super::orders::committed;
use super::reads::{cut, one_more};
use super::{Answer, Engine, EngineError, Inner};
use crate::domain::distributor::{DistributorCommand, DistributorView, Upgrade};
use crate::domain::level::{Level, Levels, Rank, SetLevels};
use crate::domain::message::{Message, MessageStep, Payload};
use crate::domain::record::{Batch, Snapshot};
use crate::domain::rejection::Missing;
use crate::domain::text::Name;
use crate::domain::{MessageId, Operation, Timestamp, UserId, WithdrawalId};
use crate::messages::Attempt;
use crate::owners::kinds::TheLevels;
use crate::owners::mailbox::Committed;
use crate::store::{Page, Row};
use std::sync::Arc;

/// Distributors that one batch check asks for, at most.
pub const CHECKED_MAX: u32 = 10_000;

/// A distributor with the name of the level it stands on.
#[derive(Clone, Debug)]
pub struct DistributorState {
    pub view: DistributorView,
    pub level: Name,
}

impl Engine {
    /// A user's commission account.
    ///
    /// # Errors
    /// Rejections: not found. Or the store cannot be asked.
    pub async fn distributor(
        &self,
        id: UserId,
        fresh: Freshness,
    ) -> Result<Read<DistributorState>, EngineError> {
        self.inner.distributor(id, fresh).await
    }

    /// Its climbs, the newest first, each with its moment.
    ///
    /// # Errors
    /// As [`Self::distributor`].
    pub async fn upgrades(
        &self,
        id: UserId,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<(Upgrade, Timestamp)>>, EngineError> {
        self.inner.upgrades(id, page, fresh).await
    }

    /// The levels in force.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn levels(&self, fresh: Freshness) -> Result<Read<Arc<Levels>>, EngineError> {
        self.inner.levels(fresh).await
    }

    /// Replaces all levels. Nobody descends; who would climb by the new ones does with the next check.
    ///
    /// # Errors
    /// No rejections.
    pub async fn set_levels(&self, call: Call, levels: Levels) -> Answer {
        let request: Vec<Level> = levels.iter().map(|(_, level)| level.clone()).collect();
        let run = move |work: Work, _| set(work, Arc::new(levels));
        self.inner.operate(call, Operation::SetLevels, request, run).await
    }

    /// Queues checks of up to `limit` (at most [`CHECKED_MAX`]) distributors that have withdrawn something, behind `after`, on
    /// `rank` only if given. [`Outcome::Batch`](crate::domain::Outcome::Batch) says how many, and where the next one goes on.
    /// Each is an operation of its own: a call that was cut short by a crash asks for all of them when it comes again.
    ///
    /// # Errors
    /// What stopped it before the first one.
    pub async fn batch_check(&self, call: Call, rank: Option<Rank>, after: UserId, limit: u32) -> Answer {
        let (parts, request) = (call.of_part(), (rank, after, limit));
        let run = move |work: Work, _| queue_many(work, parts, rank, after, limit);
        self.inner.operate(call, Operation::BatchCheck, request, run).await
    }
}

async fn set(mut work: Work, levels: Arc<Levels>) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.levels, TheLevels, Missing::User).await?;
    let _permit = work.admit(&owner)?;
    work.extra_bytes = levels.iter().map(|(_, level)| level.name.as_str().len() + 16).sum();
    let space = work.space().await?;
    committed(work.commit(&owner, SetLevels(levels), Vec::new(), space, None).await?)
}

async fn check(
    mut work: Work,
    turn: Turn,
    others: Vec<Turn>,
    withdrawal_id: Option<WithdrawalId>,
) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.distributors, turn.message.user_id, Missing::User).await?;
    let _permit = work.admit(&owner)?;
    // The position of the list is before the record, so that the check never knows more than the journal.
    let levels = engine.pin(&engine.levels, TheLevels, Missing::User).await?;
    let levels = engine.view(&levels, |glimpse| glimpse.entity.levels()).await?;
    work.extra_bytes = 64 * others.len();
    let space = work.space().await?;
    let finish = |turn: &Turn| turn.to(MessageStep::Finish { attempt: turn.attempt });
    let (turn, others) = (finish(&turn), others.iter().map(finish).collect());
    let command = DistributorCommand::Check { levels, turn, others, withdrawal_id };
    committed(work.commit(&owner, command, Vec::new(), space, None).await?)
}

async fn queue(mut work: Work, id: UserId) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.distributors, id, Missing::User).await?;
    let _permit = work.admit(&owner)?;
    let space = work.space().await?;
    let message = Message {
        id: MessageId::new(engine.ground.clock.new_id()),
        user_id: id,
        payload: Payload::UpgradeCheck { withdrawal_id: None },
        created_at: engine.ground.clock.now(),
    };
    let command = DistributorCommand::QueueCheck(Arc::new(message));
    committed(work.commit(&owner, command, Vec::new(), space, None).await?)
}

async fn queue_many(
    mut work: Work,
    call: Call,
    rank: Option<Rank>,
    after: UserId,
    limit: u32,
) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let limit = limit.min(CHECKED_MAX);
    // Climbs that the store does not have yet would have those looked at who have just climbed.
    let mut seq = engine.ground.durable.get();
    engine.caught_up(Freshness { min_seq: Some(seq), caller: call.caller }).await?;
    let found = engine.ground.store.read(|store| store.distributors(rank, after, limit)).await?.value;
    let (mut count, mut next_after) = (0, None);
    for id in &found {
        match engine.operate(call.clone(), Operation::QueueCheck, *id, queue).await {
            Ok(reply) => (count, next_after, seq) = (count + 1, Some(*id), reply.seq),
            Err(error) if count == 0 => return Err(error.into()),
            // What was done is told, and where to go on.
            Err(_) => break,
        }
    }
    let is_all = count as usize == found.len() && count < limit;
    let next_after = next_after.filter(|_| !is_all);
    work.sum_up(Snapshot::Batch(Batch { count, next_after }), seq).await
}

impl Inner {
    /// Looks at a distributor's level for a message and all that wait behind it.
    pub(super) async fn check_upgrade(
        self: &Arc<Self>,
        attempt: &Attempt,
        withdrawal_id: Option<WithdrawalId>,
    ) -> Result<(), EngineError> {
        let turn = Turn::of(attempt);
        let current = |message: &Arc<Message>| {
            let open = self.ground.messages.get(message.id)?.open;
            (!open.is_dead()).then(|| Turn { message: message.clone(), attempt: open.attempt() })
        };
        let others: Vec<_> = attempt.behind.iter().filter_map(current).collect();
        let id = attempt.message.id;
        let run = move |work: Work, _| check(work, turn, others, withdrawal_id);
        self.operate(Call::for_effect(), Operation::CheckUpgrade, id, run).await.map(drop)
    }

    async fn distributor(&self, id: UserId, fresh: Freshness) -> Result<Read<DistributorState>, EngineError> {
        // Every user is one, and nobody else.
        self.pin(&self.balances, id, Missing::User).await?;
        let found = self
            .look(&self.distributors, id, Missing::User, fresh, |glimpse| Some(glimpse.entity.view()))
            .await?;
        let levels = self.levels(Freshness::default()).await?;
        let level = levels.value.name(found.value.rank);
        Ok(Read {
            value: DistributorState { view: found.value, level },
            as_of: found.as_of.max(levels.as_of),
        })
    }

    async fn upgrades(
        &self,
        id: UserId,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<(Upgrade, Timestamp)>>, EngineError> {
        self.pin(&self.balances, id, Missing::User).await?;
        // What the owner says of the level now is in the list, too.
        let owner = self.pin(&self.distributors, id, Missing::User).await?;
        let min_seq = fresh.min_seq.max(Some(owner.cell.last()));
        self.caught_up(Freshness { min_seq, ..fresh }).await?;
        let snapshot = self.ground.store.read(|store| store.upgrades(id, one_more(page))).await?;
        let rows: Vec<Row<(Upgrade, Timestamp)>> = snapshot.value;
        Ok(Read { value: cut(rows, page), as_of: snapshot.watermark })
    }

    async fn levels(&self, fresh: Freshness) -> Result<Read<Arc<Levels>>, EngineError> {
        self.look(&self.levels, TheLevels, Missing::User, fresh, |glimpse| Some(glimpse.entity.levels()))
            .await
    }
}
