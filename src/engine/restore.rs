//! What a start reads from the store into memory, page by page: messages that are not done, and what waits for a decision.

use super::card_codes::CardCodes;
use super::data_dir::DataDir;
use super::options::EngineOptions;
use super::start_error::StartError;
use super::store_runtime::run;
use crate::domain::Seq;
use crate::domain::message::MessageKind;
use crate::domain::redemption::{Redemption, RedemptionStatus};
use crate::messages::Board;
use crate::owners::pending::Pending;
use crate::redemption::Pools;
use crate::store::{Page, RedemptionFilter, Row, Snapshot, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Rows read at once, and lines of the orders among them.
const PAGE_ROWS: u32 = 5_000;
const PAGE_LINES: usize = 20_000;

/// Puts all messages that are not done on the board; says how many of each kind were done.
pub(super) async fn messages(
    runtime: &Handle,
    store: &Arc<dyn Store>,
    board: &Arc<Board>,
) -> Result<BTreeMap<MessageKind, u64>, StartError> {
    let read = |store: Arc<dyn Store>, after| async move { store.open_messages(after, PAGE_ROWS).await };
    each(runtime, store, read, |message, place| {
        board.restore(message, place);
        true
    })
    .await?;
    let store = store.clone();
    Ok(run(runtime, async move { store.succeeded_messages().await }).await??.value)
}

/// What waits for a decision, as much as there is room for.
pub(super) async fn pending(runtime: &Handle, store: &Arc<dyn Store>) -> Result<Pending, StartError> {
    let pending = Pending::default();
    let read =
        |store: Arc<dyn Store>, after| async move { store.pending_withdrawals(after, PAGE_ROWS).await };
    each(runtime, store, read, |withdrawal, _| pending.add_withdrawal(withdrawal)).await?;
    let read = |store: Arc<dyn Store>, after| async move {
        store.pending_orders(after, PAGE_ROWS, PAGE_LINES).await
    };
    each(runtime, store, read, |order, _| pending.add_order(Arc::new(order))).await?;
    Ok(pending)
}

/// What names and seals cards' codes. Refuses a secret under which codes that were used would not be known any more.
pub(super) async fn card_codes(
    runtime: &Handle,
    store: &Arc<dyn Store>,
    options: &EngineOptions,
    directory: &DataDir,
) -> Result<CardCodes, StartError> {
    let newest = {
        let (store, page) = (store.clone(), Page { limit: 1, before: None });
        run(runtime, async move { store.redemptions(RedemptionFilter::default(), page).await }).await??.value
    };
    let newest = newest.first().map(|row| &row.value.code_name);
    let secret = match &options.card_secret {
        Some(secret) => secret.clone(),
        None => directory.card_secret(newest.is_some())?,
    };
    let codes = CardCodes::new(&secret).ok_or(StartError::Seals)?;
    if newest.is_some_and(|name| !codes.has_named(name)) {
        return Err(StartError::CardSecret);
    }
    Ok(codes)
}

/// Accounts that are free and cards that wait, and the cards that were under way when the engine stopped.
pub(super) async fn cards(
    runtime: &Handle,
    store: &Arc<dyn Store>,
) -> Result<(Pools, Vec<Arc<Redemption>>), StartError> {
    let (mut pools, mut under_way) = (Pools::default(), Vec::new());
    let read = |store: Arc<dyn Store>, after| async move { store.free_accounts(after, PAGE_ROWS).await };
    each(runtime, store, read, |view, _| {
        pools.account(&view);
        true
    })
    .await?;
    let read = |store: Arc<dyn Store>, after| async move { store.open_redemptions(after, PAGE_ROWS).await };
    each(runtime, store, read, |card, place| {
        let card = Arc::new(card);
        match card.status {
            RedemptionStatus::Queued => pools.card(card, place.get()),
            _ => under_way.push(card),
        }
        true
    })
    .await?;
    Ok((pools, under_way))
}

/// Hands over row by row, each with its place, until there is no more or the taker has no room.
async fn each<T: Send + 'static, F>(
    runtime: &Handle,
    store: &Arc<dyn Store>,
    read: impl Fn(Arc<dyn Store>, u64) -> F,
    mut take: impl FnMut(T, Seq) -> bool,
) -> Result<(), StartError>
where
    F: Future<Output = Result<Snapshot<Vec<Row<T>>>, StoreError>> + Send + 'static,
{
    let mut after = 0;
    loop {
        let page = run(runtime, read(store.clone(), after)).await??.value;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.cursor;
        for row in page {
            if !take(row.value, Seq::new(row.cursor)) {
                return Ok(());
            }
        }
    }
}
