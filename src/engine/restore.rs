//! What a start reads from the store into memory, page by page: messages that are not done, and what waits for a decision.

use super::start_error::StartError;
use super::store_runtime::run;
use crate::domain::Seq;
use crate::domain::message::MessageKind;
use crate::messages::Board;
use crate::owners::pending::Pending;
use crate::store::{Row, Snapshot, Store, StoreError};
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
