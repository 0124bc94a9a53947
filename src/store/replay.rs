//! Brings a store up to a position of the journal from its segments: one that lags behind at the start, and one that was
//! rewound while the engine ran.

use super::batch::ROWS_MAX;
use super::{Batch, Lease, Store, StoreError};
use crate::domain::{Record, Seq};
use crate::journal::disk::Disk;
use crate::journal::{ReadError, reader};
use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;

/// Why a store was not brought all the way. It has whole batches up to the lease's watermark.
#[derive(Debug, Error)]
pub enum ReplayError {
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing was written.
    #[error("the journal does not hold the record that follows the store's last one")]
    Gap,
}

/// Applies what the journal holds behind `lease.watermark`, up to `to`, in batches of at most `batch_records_max`. The
/// watermark moves with each batch, of which `told` hears. With [`reader::END`] the journal is checked to its end; with
/// any other `to`, which must be durable, it may be written meanwhile.
///
/// # Errors
/// [`ReplayError`] tells a journal that cannot be read from a store that failed and from records that are gone.
pub async fn replay(
    disk: Arc<dyn Disk>,
    store: &dyn Store,
    lease: &mut Lease,
    to: Seq,
    batch_records_max: usize,
    mut told: impl FnMut(Seq),
) -> Result<(), ReplayError> {
    let from = lease.watermark.next();
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        // A simulation: nothing happens at the same time as anything else.
        let mut chunks = Vec::new();
        let read = read(disk.as_ref(), from, to, batch_records_max, &mut |chunk| {
            chunks.push(chunk);
            Ok(())
        });
        for chunk in chunks {
            write(store, lease, &chunk, &mut told).await?;
        }
        return read;
    }
    // One chunk is read while another is written; a backlog of any length takes the memory of a few.
    let (chunks, mut queue) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || {
        read(disk.as_ref(), from, to, batch_records_max, &mut |chunk| {
            let gone = |_| ReadError::Io(io::Error::other("the store does not take the backlog"));
            chunks.blocking_send(chunk).map_err(gone)
        })
    });
    let mut failure = None;
    while let Some(chunk) = queue.recv().await {
        if let Err(error) = write(store, lease, &chunk, &mut told).await {
            failure = Some(error);
            break;
        }
    }
    // Ends a reader that waits to be relieved of its chunk.
    drop(queue);
    let read = reading.await.unwrap_or_else(|error| Err(ReadError::Io(io::Error::other(error)).into()));
    match failure {
        // That the reader was cut short is no failure of the journal.
        Some(error) => Err(error.into()),
        None => read,
    }
}

async fn write(
    store: &dyn Store,
    lease: &mut Lease,
    chunk: &[Record],
    told: &mut impl FnMut(Seq),
) -> Result<(), StoreError> {
    let batch = Batch::of(lease.watermark, chunk);
    store.apply(lease.epoch, &batch).await?;
    lease.watermark = batch.to;
    told(batch.to);
    Ok(())
}

/// Hands over the records from `from` to `to` in chunks, until nobody takes them any more.
fn read(
    disk: &dyn Disk,
    from: Seq,
    to: Seq,
    most: usize,
    take: &mut dyn FnMut(Vec<Record>) -> Result<(), ReadError>,
) -> Result<(), ReplayError> {
    let mut chunk: Vec<Record> = Vec::new();
    let (mut next, mut rows) = (from, 0);
    let mut gap = false;
    let mut send = |chunk: &mut Vec<Record>| take(std::mem::take(chunk));
    let ended = reader::read_until(disk, from, to, |record| {
        gap = record.seq != next;
        if gap {
            return Err(ReadError::Io(io::Error::other("the journal begins later")));
        }
        next = record.seq.next();
        let more = record.rows();
        if rows + more > ROWS_MAX && !chunk.is_empty() {
            rows = 0;
            send(&mut chunk)?;
        }
        rows += more;
        chunk.push(record);
        if chunk.len() < most {
            return Ok(());
        }
        rows = 0;
        send(&mut chunk)
    });
    if gap {
        return Err(ReplayError::Gap);
    }
    ended?;
    if next == from {
        return Err(ReplayError::Gap);
    }
    if !chunk.is_empty() {
        send(&mut chunk)?;
    }
    Ok(())
}
