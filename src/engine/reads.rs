//! Reading: one entity from its owner, lists from the store. A caller's own lists merge what the store does not have yet;
//! all others wait for it.

use super::call::{Freshness, Listed, Read};
use super::orders::find;
use super::{Busy, EngineError, Inner};
use crate::canary::Canary;
use crate::domain::balance::BalanceView;
use crate::domain::order::Order;
use crate::domain::outcome::{Movement, PostedEntry};
use crate::domain::product::ProductView;
use crate::domain::rejection::Missing;
use crate::domain::{Event, OrderId, ProductId, Record, Rejection, Seq, UserId};
use crate::owners::Kind;
use crate::owners::Supervisor;
use crate::owners::mailbox::Glimpse;
use crate::store::{ItemFilter, OrderFilter, Page, Row};
use std::collections::btree_map::{self, BTreeMap};
use std::sync::Arc;

/// Lines of the orders on one page; it ends early rather than to have more.
const LINES_PER_PAGE: usize = 5_000;

type Page2<T> = Result<Read<Listed<T>>, EngineError>;

impl Inner {
    /// One entity's state, durable when it leaves.
    pub(super) async fn look<K: Kind, T: Send + 'static>(
        &self,
        supervisor: &Supervisor<K>,
        id: K::Id,
        missing: Missing,
        fresh: Freshness,
        look: impl FnOnce(&mut Glimpse<'_, K>) -> Option<T> + Send + 'static,
    ) -> Result<Read<T>, EngineError> {
        self.reached(fresh.min_seq).await?;
        // Owners are never behind the journal: what was durable before is reflected, whoever wrote it.
        let reflected = self.ground.durable.get();
        let pin = self.pin(supervisor, id, missing).await?;
        let (value, as_of) = self.view(&pin, move |glimpse| (look(glimpse), glimpse.as_of)).await?;
        if !Canary::ReadBeforeDurable.sings() {
            self.ground.durable.wait(as_of).await?;
        }
        let value = value.ok_or(EngineError::Rejected {
            rejection: Rejection::NotFound(missing),
            seq: as_of,
            replayed: false,
        })?;
        Ok(Read { value, as_of: as_of.max(reflected) })
    }

    /// A position that was never handed out cannot be waited for.
    fn handed_out(&self, seq: Seq) -> Result<(), EngineError> {
        if seq > self.ground.journal.appended() { Err(Busy::ReadTimeout.into()) } else { Ok(()) }
    }

    /// Waits (bounded) until the position is durable.
    pub(super) async fn reached(&self, min_seq: Option<Seq>) -> Result<(), EngineError> {
        let Some(seq) = min_seq.filter(|seq| *seq > self.ground.durable.get()) else { return Ok(()) };
        self.handed_out(seq)?;
        match tokio::time::timeout(self.options.read_timeout, self.ground.durable.wait(seq)).await {
            Ok(reached) => Ok(reached?),
            Err(_) => Err(Busy::ReadTimeout.into()),
        }
    }

    /// Waits (bounded) until the store has what the caller asks for and what the caller was told.
    pub(super) async fn caught_up(&self, fresh: Freshness) -> Result<(), EngineError> {
        let own = fresh.caller.map_or(Seq::ZERO, |caller| self.acknowledged.last(caller));
        let wanted = own.max(fresh.min_seq.unwrap_or_default());
        if wanted <= self.ground.stored.get() {
            return Ok(());
        }
        self.handed_out(wanted)?;
        match tokio::time::timeout(self.options.read_timeout, self.ground.stored.wait(wanted)).await {
            Ok(reached) => Ok(reached?),
            Err(_) => Err(Busy::ReadTimeout.into()),
        }
    }

    pub(super) async fn item(
        &self,
        id: ProductId,
        fresh: Freshness,
    ) -> Result<Read<ProductView>, EngineError> {
        self.look(&self.products, id, Missing::Item, fresh, |glimpse| glimpse.entity.view()).await
    }

    pub(super) async fn balance(
        &self,
        id: UserId,
        fresh: Freshness,
    ) -> Result<Read<BalanceView>, EngineError> {
        self.look(&self.balances, id, Missing::User, fresh, |glimpse| glimpse.entity.view()).await
    }

    pub(super) async fn order_by_id(
        &self,
        id: OrderId,
        of: Option<UserId>,
        fresh: Freshness,
    ) -> Result<Read<Order>, EngineError> {
        self.reached(fresh.min_seq).await?;
        loop {
            let found = find(self, id).await?;
            let Some(found) = found.filter(|found| of.is_none_or(|user| user == found.order.user_id)) else {
                return Err(self.edge_rejection(Rejection::NotFound(Missing::Order)));
            };
            let (order, read_at) = (found.order, found.read_at);
            let look = move |glimpse: &mut Glimpse<'_, crate::domain::balance::Balance>| {
                let fresh = read_at >= glimpse.let_go;
                fresh.then(|| (glimpse.desk.overlaid(&order, read_at), glimpse.as_of))
            };
            if let Some((order, as_of)) = self.view(&found.owner, look).await? {
                self.ground.durable.wait(as_of).await?;
                let as_of = as_of.max(fresh.min_seq.unwrap_or_default());
                return Ok(Read { value: order, as_of });
            }
        }
    }

    pub(super) async fn items(&self, filter: ItemFilter, page: Page, fresh: Freshness) -> Page2<ProductView> {
        self.caught_up(fresh).await?;
        let snapshot = self.ground.store.read(|store| store.items(&filter, one_more(page))).await?;
        Ok(Read { value: cut(snapshot.value, page), as_of: snapshot.watermark })
    }

    pub(super) async fn movements(&self, id: ProductId, page: Page, fresh: Freshness) -> Page2<Movement> {
        self.caught_up(fresh).await?;
        let snapshot = self.ground.store.read(|store| store.movements(id, one_more(page))).await?;
        if snapshot.value.is_empty() {
            self.pin(&self.products, id, Missing::Item).await?;
        }
        Ok(Read { value: cut(snapshot.value, page), as_of: snapshot.watermark })
    }

    pub(super) async fn users(
        &self,
        query: Option<String>,
        page: Page,
        fresh: Freshness,
    ) -> Page2<BalanceView> {
        self.caught_up(fresh).await?;
        let snapshot = self.ground.store.read(|store| store.users(query.as_deref(), one_more(page))).await?;
        Ok(Read { value: cut(snapshot.value, page), as_of: snapshot.watermark })
    }

    pub(super) async fn entries(&self, id: UserId, page: Page, fresh: Freshness) -> Page2<PostedEntry> {
        let (records, as_of) = self.unstored_of(id, fresh).await?;
        let snapshot = self.ground.store.read(|store| store.entries(id, one_more(page))).await?;
        let mut rows: BTreeMap<u64, PostedEntry> =
            snapshot.value.into_iter().map(|row| (row.cursor, row.value)).collect();
        for record in &records {
            for event in &record.events {
                if let Some(entry) = event.entry()
                    && entry.user_id == id
                    && page.before.is_none_or(|before| entry.posting.version < before)
                {
                    let posted = PostedEntry { entry: entry.into_owned(), seq: record.seq, at: record.at };
                    rows.insert(posted.entry.posting.version, posted);
                }
            }
        }
        Ok(Read { value: newest(rows, page), as_of: as_of.max(snapshot.watermark) })
    }

    pub(super) async fn orders(&self, filter: OrderFilter, page: Page, fresh: Freshness) -> Page2<Order> {
        let own = filter.user_id.filter(|user| fresh.caller == Some(*user));
        let Some(user_id) = own else {
            self.caught_up(fresh).await?;
            let snapshot =
                self.ground.store.read(|store| store.orders(filter, one_more(page), LINES_PER_PAGE)).await?;
            let rows = snapshot.value.into_iter().map(|row| (row.cursor, row.value)).collect();
            return Ok(Read { value: newest_orders(rows, page), as_of: snapshot.watermark });
        };
        let (records, as_of) = self.unstored_of(user_id, fresh).await?;
        let changed = self.changed_orders(&records).await?;
        // Rows that have changed since may fall out of the page, so that many more are asked for.
        let more = page.limit.saturating_add(u32::try_from(changed.len()).unwrap_or(u32::MAX));
        let wider = Page { limit: more, before: page.before };
        let lines = LINES_PER_PAGE + changed.values().map(|(_, order)| order.lines.len()).sum::<usize>();
        let snapshot = self.ground.store.read(|store| store.orders(filter, one_more(wider), lines)).await?;
        let stored = snapshot.value.into_iter().filter(|row| !changed.contains_key(&row.value.id));
        let mut rows: BTreeMap<u64, Order> = stored.map(|row| (row.cursor, row.value)).collect();
        for (cursor, order) in changed.into_values() {
            let wanted = filter.status.is_none_or(|status| status == order.status)
                && page.before.is_none_or(|before| cursor < before);
            if wanted {
                rows.insert(cursor, order);
            }
        }
        // The store may know more, but of the orders laid over its rows only this is sure.
        Ok(Read { value: newest_orders(rows, page), as_of })
    }

    /// The records of a user that the store may not have, durable, and the position that they are complete for.
    pub(super) async fn unstored_of(
        &self,
        id: UserId,
        fresh: Freshness,
    ) -> Result<(Vec<Arc<Record>>, Seq), EngineError> {
        self.reached(fresh.min_seq).await?;
        // Owners are never behind the journal, so all of this is in what they show.
        let durable = self.ground.durable.get();
        let owner = self.pin(&self.balances, id, Missing::User).await?;
        let look = |glimpse: &mut Glimpse<'_, crate::domain::balance::Balance>| {
            (glimpse.desk.unstored().cloned().collect::<Vec<_>>(), glimpse.as_of)
        };
        let (records, as_of) = self.view(&owner, look).await?;
        self.ground.durable.wait(as_of).await?;
        Ok((records, as_of.max(durable)))
    }

    /// Orders that these records placed or changed, as they stand now, with the record that placed them.
    async fn changed_orders(
        &self,
        records: &[Arc<Record>],
    ) -> Result<BTreeMap<OrderId, (u64, Order)>, EngineError> {
        let mut changed: BTreeMap<OrderId, (u64, Order)> = BTreeMap::new();
        let mut read_at: BTreeMap<OrderId, Seq> = BTreeMap::new();
        for record in records {
            for event in &record.events {
                let Some((id, _)) = event.order() else { continue };
                if let Event::OrderPlaced(order) = event {
                    changed.insert(id, (record.seq.get(), Order::clone(order)));
                    continue;
                }
                if let btree_map::Entry::Vacant(place) = changed.entry(id) {
                    let snapshot = self.ground.store.read(|store| store.order(id)).await?;
                    if let Some(row) = snapshot.value {
                        place.insert((row.cursor, row.value));
                        read_at.insert(id, snapshot.watermark);
                    }
                }
                let known = read_at.get(&id).is_some_and(|read_at| record.seq <= *read_at);
                if let Some((_, order)) = changed.get_mut(&id)
                    && !known
                {
                    order.apply(event, record.at);
                }
            }
        }
        Ok(changed)
    }
}

/// One row more than wanted tells whether there is a next page.
pub(super) const fn one_more(page: Page) -> Page {
    Page { limit: page.limit.saturating_add(1), before: page.before }
}

pub(super) fn cut<T>(rows: Vec<Row<T>>, page: Page) -> Listed<T> {
    newest(rows.into_iter().map(|row| (row.cursor, row.value)).collect(), page)
}

/// As [`newest`], with a bound on the lines: a hundred orders may have a hundred thousand.
fn newest_orders(rows: BTreeMap<u64, Order>, page: Page) -> Listed<Order> {
    let mut lines = 0;
    let fits = |order: &&Order| {
        lines += order.lines.len();
        lines <= LINES_PER_PAGE
    };
    // An order has fewer lines, so a page has at least one.
    let fitting = rows.values().rev().take_while(fits).count();
    let limit = page.limit.min(u32::try_from(fitting).unwrap_or(u32::MAX)).max(1);
    newest(rows, Page { limit, ..page })
}

/// The newest rows of a page, and where the next one begins.
pub(super) fn newest<T>(rows: BTreeMap<u64, T>, page: Page) -> Listed<T> {
    let limit = page.limit as usize;
    let more = rows.len() > limit;
    let mut next = None;
    let mut kept = Vec::with_capacity(limit.min(rows.len()));
    for (cursor, value) in rows.into_iter().rev().take(limit) {
        next = Some(cursor);
        kept.push(value);
    }
    Listed { rows: kept, next: next.filter(|_| more) }
}
