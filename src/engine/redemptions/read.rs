//! Cards and batches as they now stand: what the store has, with what their users' owners know beyond.

use super::{find_of, missing};
use crate::domain::balance::Balance;
use crate::domain::redemption::{Redemption, RedemptionStatus, place_of};
use crate::domain::rejection::Missing;
use crate::domain::{BatchId, Event, Money, Record, RedemptionId, Seq, UserId};
use crate::engine::call::{Freshness, Listed, Read};
use crate::engine::reads::{cut, newest, one_more};
use crate::engine::{EngineError, Inner};
use crate::owners::mailbox::Glimpse;
use crate::store::{BatchCard, Page, RedemptionFilter, StoredBatch};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How many cards of a batch stand how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchFigures {
    pub id: BatchId,
    pub user_id: UserId,
    /// Cards that were taken in.
    pub total: u32,
    pub queued: u32,
    pub locking: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub in_doubt: u32,
    pub cancelled: u32,
    /// What all of them were worth so far.
    pub amount: i64,
    pub payout: i64,
}

impl Inner {
    pub(super) async fn redemption(
        &self,
        id: RedemptionId,
        of: Option<UserId>,
        fresh: Freshness,
    ) -> Result<Read<Arc<Redemption>>, EngineError> {
        self.reached(fresh.min_seq).await?;
        let found = find_of(self, id, of).await?;
        self.ground.durable.wait(found.as_of).await?;
        let as_of = found.as_of.max(fresh.min_seq.unwrap_or_default());
        Ok(Read { value: without_code(&found.card), as_of })
    }

    pub(super) async fn ended_redemption(
        &self,
        id: RedemptionId,
        fresh: Freshness,
        patience: Duration,
    ) -> Result<Read<Arc<Redemption>>, EngineError> {
        let watch = self.ground.cards.watch(id);
        let over = tokio::time::sleep(patience);
        let mut stop = self.exchange.stopping();
        tokio::pin!(over);
        let mut is_over = false;
        loop {
            let ended = watch.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let read = self.redemption(id, None, fresh).await?;
            if !read.value.status.is_open() {
                // Told with a mutation: the caller's own lists are to show it, too.
                if let Some(caller) = fresh.caller {
                    self.acknowledged.note(caller, read.as_of, self.ground.stored.get());
                }
                return Ok(read);
            }
            if is_over {
                return Ok(read);
            }
            tokio::select! {
                () = &mut ended => {}
                // Once more: it may have begun meanwhile, which nobody is woken for.
                () = &mut over => is_over = true,
                _ = stop.wait_for(|stop| *stop) => return Ok(read),
            }
        }
    }

    pub(super) async fn redemptions(
        &self,
        filter: RedemptionFilter,
        page: Page,
        fresh: Freshness,
    ) -> Result<Read<Listed<Redemption>>, EngineError> {
        let own = filter.user_id.filter(|user| fresh.caller == Some(*user));
        let Some(user_id) = own else {
            self.caught_up(fresh).await?;
            let found = self.ground.store.read(|store| store.redemptions(filter, one_more(page))).await?;
            return Ok(Read { value: cut(found.value, page), as_of: found.watermark });
        };
        let (records, as_of) = self.unstored_of(user_id, fresh).await?;
        let changed = self.changed_cards(&records).await?;
        // Rows that have changed since may fall out of the page, so that many more are asked for.
        let more = page.limit.saturating_add(u32::try_from(changed.len()).unwrap_or(u32::MAX));
        let wider = one_more(Page { limit: more, before: page.before });
        let found = self.ground.store.read(|store| store.redemptions(filter, wider)).await?;
        let stored = found.value.into_iter().filter(|row| !changed.contains_key(&row.value.id));
        let mut rows: BTreeMap<u64, Redemption> = stored.map(|row| (row.cursor, row.value)).collect();
        let wanted = |place: u64, card: &Redemption| {
            filter.status.is_none_or(|status| status == card.status)
                && filter.batch_id.is_none_or(|batch| Some(batch) == card.batch_id)
                && page.before.is_none_or(|before| place < before)
        };
        rows.extend(changed.into_values().filter(|(place, card)| wanted(*place, card)));
        Ok(Read { value: newest(rows, page), as_of })
    }

    /// Cards that these records took in or changed, as they stand now, with their places.
    async fn changed_cards(
        &self,
        records: &[Arc<Record>],
    ) -> Result<HashMap<RedemptionId, (u64, Redemption)>, EngineError> {
        // Each with the record up to which it is told.
        let mut changed: HashMap<RedemptionId, (u64, Redemption, Seq)> = HashMap::new();
        let mut stepped = Vec::new();
        for record in records {
            for event in &record.events {
                match event {
                    Event::CardsHandedIn(cards) => {
                        let cards = cards.redemptions(record.at);
                        let placed = |card: Redemption| (place_of(record.seq, card.place), card, record.seq);
                        changed.extend(cards.map(|card| (card.id, placed(card))));
                    }
                    Event::RedemptionStepped(step) if !changed.contains_key(&step.redemption_id) => {
                        stepped.push(step.redemption_id);
                    }
                    _ => {}
                }
            }
        }
        if !stepped.is_empty() {
            let found = self.ground.store.read(|store| store.redemptions_by_id(&stepped)).await?;
            let read_at = found.watermark;
            changed
                .extend(found.value.into_iter().map(|row| (row.value.id, (row.cursor, row.value, read_at))));
        }
        for record in records {
            for event in &record.events {
                if let Event::RedemptionStepped(step) = event
                    && let Some((_, card, told)) = changed.get_mut(&step.redemption_id)
                    && record.seq > *told
                {
                    card.apply(event, record.at);
                }
            }
        }
        Ok(changed.into_iter().map(|(id, (place, card, _))| (id, (place, card))).collect())
    }

    pub(super) async fn batch(
        &self,
        id: BatchId,
        of: Option<UserId>,
        fresh: Freshness,
    ) -> Result<Read<BatchFigures>, EngineError> {
        self.reached(fresh.min_seq).await?;
        loop {
            // In this order: once it is not to be found here any more, it is in the store.
            let unstored = self.ground.unstored.owner_of(id.get());
            let found = self.ground.store.read(|store| store.redemption_batch(id)).await?;
            let read_at = found.watermark;
            let user_id = found.value.as_ref().map(|batch| batch.user_id).or(unstored);
            let user_id = user_id.filter(|user| of.is_none_or(|of| of == *user));
            let user_id = user_id.ok_or_else(|| missing(self))?;
            let owner = self.pin(&self.balances, user_id, Missing::User).await?;
            let look = move |glimpse: &mut Glimpse<'_, Balance>| {
                let newer = glimpse.desk.unstored().filter(|record| record.seq > read_at).cloned();
                (read_at >= glimpse.let_go).then(|| (newer.collect::<Vec<_>>(), glimpse.as_of))
            };
            let Some((records, as_of)) = self.view(&owner, look).await? else { continue };
            let Some(batch) = overlaid(found.value, id, &records) else { continue };
            self.ground.durable.wait(as_of).await?;
            let as_of = as_of.max(fresh.min_seq.unwrap_or_default());
            return Ok(Read { value: figures(id, &batch), as_of });
        }
    }
}

/// Whose a batch is, and how many cards it has; only if it belongs to the user in `of`.
pub async fn find_batch(
    engine: &Inner,
    id: BatchId,
    of: Option<UserId>,
) -> Result<(UserId, u32), EngineError> {
    let found = engine.batch(id, of, Freshness::default()).await?.value;
    Ok((found.user_id, found.total))
}

/// A batch with what these records make of it.
fn overlaid(stored: Option<StoredBatch>, id: BatchId, records: &[Arc<Record>]) -> Option<StoredBatch> {
    let mut batch = stored;
    for event in records.iter().flat_map(|record| &record.events) {
        match event {
            Event::CardsHandedIn(handed_in) if handed_in.batch_id == Some(id) => {
                let queued = BatchCard { status: RedemptionStatus::Queued, amount: None, payout: None };
                let cards: HashMap<_, _> = handed_in.cards.iter().map(|card| (card.id, queued)).collect();
                // A batch has fewer than 2^32 cards.
                batch = Some(StoredBatch { user_id: handed_in.user_id, total: cards.len() as u32, cards });
            }
            Event::RedemptionStepped(step) => {
                let cards = batch.as_mut().map(|batch| &mut batch.cards);
                if let Some(card) = cards.and_then(|cards| cards.get_mut(&step.redemption_id)) {
                    let (status, amount, payout) = (step.to, step.amount, step.payout);
                    *card = BatchCard { status, amount, payout };
                }
            }
            _ => {}
        }
    }
    batch
}

fn figures(id: BatchId, batch: &StoredBatch) -> BatchFigures {
    let count = |status| {
        let cards = batch.cards.values().filter(|card| card.status == status);
        // As its total.
        cards.count() as u32
    };
    let sum = |of: fn(&BatchCard) -> Option<Money>| -> i64 {
        batch.cards.values().filter_map(of).map(Money::minor).fold(0, i64::saturating_add)
    };
    BatchFigures {
        id,
        user_id: batch.user_id,
        total: batch.total,
        queued: count(RedemptionStatus::Queued),
        locking: count(RedemptionStatus::Locking),
        succeeded: count(RedemptionStatus::Succeeded),
        failed: count(RedemptionStatus::Failed),
        in_doubt: count(RedemptionStatus::InDoubt),
        cancelled: count(RedemptionStatus::Cancelled),
        amount: sum(|card| card.amount),
        payout: sum(|card| card.payout),
    }
}

fn without_code(card: &Arc<Redemption>) -> Arc<Redemption> {
    if card.code.is_none() {
        return card.clone();
    }
    Arc::new(Redemption { code: None, ..Redemption::clone(card) })
}
