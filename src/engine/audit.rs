//! Proof on demand: the store recomputed from its own history, the journal checked from its first byte to its last, and
//! the positions of the two compared; and the drift report that writes a product's row again from what its owner holds.

use super::call::{Call, Read};
use super::operate::Work;
use super::orders::committed;
use super::{Busy, EngineError, Inner};
use crate::domain::product::ProductCommand;
use crate::domain::rejection::Missing;
use crate::domain::{Event, Operation, ProductId, Seq};
use crate::journal::{ReadError, reader};
use crate::owners::Kind;
use crate::owners::Supervisor;
use crate::store::{Check, StockSum};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Products per query of the drift report.
const PAGE: u32 = 1_000;

/// One product whose figures differ.
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    pub product_id: u64,
    pub owner_stock: i64,
    pub stored_stock: i64,
    pub movements_sum: i64,
    pub journal_tail: i64,
    /// Whether the stored row was written again from the owner's state.
    pub rewritten: bool,
}

/// What the drift report found.
#[derive(Clone, Debug, Serialize)]
pub struct DriftReport {
    pub checked: u64,
    pub drifted: Vec<Drift>,
}

impl Inner {
    pub(super) async fn audit(self: &Arc<Self>) -> Result<Read<Vec<Check>>, EngineError> {
        let durable = self.ground.durable.get();
        // A store that lags is waited for, one that is away as long as a read would.
        let patience = if self.store_status.is_reachable() { 6 } else { 1 };
        let caught_up = self.ground.stored.wait(durable);
        let caught_up = tokio::time::timeout(self.options.read_timeout * patience, caught_up).await;
        if !self.store_status.is_reachable() {
            return Err(Busy::StoreUnavailable.into());
        }
        let snapshot = self.store.audit().await?;
        let mut checks = vec![Check {
            name: "store has caught up".into(),
            ok: matches!(caught_up, Ok(Ok(()))) && snapshot.watermark >= durable,
            detail: format!("journal durable at {durable}, store at {}", snapshot.watermark),
        }];
        checks.extend(snapshot.value);
        checks.push(self.check_journal(durable).await);
        checks.push(self.check_holds().await);
        Ok(Read { value: checks, as_of: snapshot.watermark })
    }

    async fn check_journal(&self, durable: Seq) -> Check {
        let disk = self.disk.clone();
        let survey = self.runtime.spawn_blocking(move || reader::survey_live(disk.as_ref(), durable)).await;
        let name = "journal is whole".to_owned();
        match survey {
            Ok(Ok(survey)) => {
                let last = survey.last();
                let detail = format!(
                    "{} segments, records {} to {last}",
                    survey.segments.len(),
                    survey.first().unwrap_or_default()
                );
                Check { name, ok: last >= durable || survey.segments.is_empty(), detail }
            }
            Ok(Err(error)) => Check { name, ok: false, detail: error.to_string() },
            Err(error) => Check { name, ok: false, detail: error.to_string() },
        }
    }

    /// With no operation in progress, no hold may be open.
    async fn check_holds(&self) -> Check {
        let name = "no hold is left over".to_owned();
        let at_rest =
            || Some((self.admission.at_rest()?, self.background.at_rest()?, self.exchanging.at_rest()?));
        let before = at_rest();
        let open = self.open_holds(&self.products).await + self.open_holds(&self.balances).await;
        // A hold that was seen may have been that of an operation which has ended since.
        let at_rest = before.is_some() && before == at_rest();
        let with = if at_rest { "without an operation" } else { "with operations" };
        Check { name, ok: open == 0 || !at_rest, detail: format!("{open} open holds {with} in progress") }
    }

    async fn open_holds<K: Kind>(&self, supervisor: &Supervisor<K>) -> i64 {
        let mut open = 0;
        for pin in supervisor.some_residents(10_000) {
            open += self.view(&pin, |glimpse| glimpse.entity.holds()).await.unwrap_or(0);
        }
        open
    }

    pub(super) async fn sync_stock(
        self: &Arc<Self>,
        id: Option<ProductId>,
    ) -> Result<Read<DriftReport>, EngineError> {
        let mut report = DriftReport { checked: 0, drifted: Vec::new() };
        let mut as_of = Seq::ZERO;
        let mut after = id.map_or(ProductId::new(0), |id| ProductId::new(id.get().saturating_sub(1)));
        loop {
            let limit = if id.is_some() { 1 } else { PAGE };
            let snapshot = self.ground.store.read(|store| store.stock_sums(after, limit)).await?;
            let mut sums = snapshot.value;
            sums.retain(|sum| id.is_none_or(|id| id == sum.product_id));
            if let Some(product_id) = id.filter(|_| sums.is_empty()) {
                // Not stored yet, if it exists at all: everything about it stands in the journal's tail.
                sums.push(StockSum { product_id, stock: 0, version: 0, moved: 0 });
            }
            let Some(last) = sums.last().map(|sum| sum.product_id) else { break };
            as_of = as_of.max(self.compare(&sums, snapshot.watermark, &mut report).await?);
            if id.is_some() {
                break;
            }
            after = last;
        }
        Ok(Read { value: report, as_of })
    }

    async fn compare(
        self: &Arc<Self>,
        sums: &[StockSum],
        watermark: Seq,
        report: &mut DriftReport,
    ) -> Result<Seq, EngineError> {
        let mut seen = Vec::with_capacity(sums.len());
        let mut newest = watermark;
        for sum in sums {
            let pin = self.pin(&self.products, sum.product_id, Missing::Item).await?;
            let (view, as_of) = self.view(&pin, |glimpse| (glimpse.entity.view(), glimpse.as_of)).await?;
            newest = newest.max(as_of);
            seen.push((sum, view.map_or(0, |view| view.stock), as_of));
        }
        self.ground.durable.wait(newest).await?;
        let tail = self.movements_between(watermark, newest).await?;
        for (sum, owner_stock, as_of) in seen {
            report.checked += 1;
            let moved = tail.get(&sum.product_id).into_iter().flatten();
            let journal_tail = moved.filter(|(seq, _)| *seq <= as_of).map(|(_, delta)| delta).sum::<i64>();
            if sum.stock == sum.moved && owner_stock == sum.moved + journal_tail {
                continue;
            }
            report.drifted.push(Drift {
                product_id: sum.product_id.get(),
                owner_stock,
                stored_stock: sum.stock,
                movements_sum: sum.moved,
                journal_tail,
                rewritten: self.rewrite(sum.product_id).await.is_ok(),
            });
        }
        Ok(newest)
    }

    /// The journal's stock movements after `from`, up to `to`.
    async fn movements_between(
        &self,
        from: Seq,
        to: Seq,
    ) -> Result<HashMap<ProductId, Vec<(Seq, i64)>>, EngineError> {
        if from >= to {
            return Ok(HashMap::new());
        }
        let disk = self.disk.clone();
        let read = self.runtime.spawn_blocking(move || {
            let mut moved: HashMap<ProductId, Vec<(Seq, i64)>> = HashMap::new();
            let survey = reader::read_live(disk.as_ref(), from.next(), to, |record| {
                for event in &record.events {
                    let product = match event {
                        Event::StockMoved(movement) => Some(movement.product_id),
                        Event::ProductCreated { product_id, .. } => Some(*product_id),
                        _ => None,
                    };
                    if let (Some(id), Some(posting)) = (product, event.posting()) {
                        moved.entry(id).or_default().push((record.seq, posting.delta));
                    }
                }
            })?;
            Ok::<_, ReadError>(survey.first().is_some_and(|first| first <= from.next()).then_some(moved))
        });
        match read.await {
            Ok(Ok(Some(moved))) => Ok(moved),
            // Stored and removed since the store was read; another try sees it there.
            Ok(Ok(None)) => Err(Busy::ReadTimeout.into()),
            Ok(Err(error)) => {
                tracing::error!(%error, "the journal's tail could not be read");
                Err(EngineError::Internal)
            }
            Err(_) => Err(EngineError::Internal),
        }
    }

    /// Writes a product's row again, through the journal and write-behind like any change: what was sold stays sold.
    async fn rewrite(self: &Arc<Self>, id: ProductId) -> Result<Seq, EngineError> {
        let rewrite = move |mut work: Work, (): ()| async move {
            let engine = work.engine.clone();
            let product = engine.pin(&engine.products, id, Missing::Item).await?;
            let space = work.space().await?;
            committed(work.commit(&product, ProductCommand::Rewrite, Vec::new(), space, None).await?)
        };
        Ok(self.operate(Call::default(), Operation::ChangeItem, (), rewrite).await?.seq)
    }
}
