//! The journal's second thread: prepares segments ahead of the writer, and removes those that the store no longer needs.

use super::JournalOptions;
use super::disk::{Disk, DiskFile};
use super::segment;
use super::space::Space;
use super::writer::record_bytes_max;
use crate::canary::{Canary, Moment};
use crate::domain::Seq;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use uuid::Uuid;

/// Segments prepared beyond the one that is being written.
const SPARE_SEGMENTS: u32 = 2;
/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// The bytes of a segment that can be promised: a record that does not fit at its end goes to the next one.
pub const fn usable(segment_bytes: u64) -> u64 {
    segment_bytes - segment::HEADER_BYTES as u64 - record_bytes_max(segment_bytes)
}

/// What the keeper is told.
pub enum Errand {
    /// The writer went on to this segment; `last` is the last record of the one before.
    Opened {
        segment: u32,
        last: Seq,
    },
    Retire(Seq),
    Stop,
}

/// A segment that stands ready to be written on.
pub struct Open {
    pub number: u32,
    pub size: u64,
    pub offset: u64,
    pub file: Box<dyn DiskFile>,
}

/// See the module.
pub struct Keeper {
    pub disk: Arc<dyn Disk>,
    pub options: JournalOptions,
    pub journal_id: Uuid,
    pub current: u32,
    pub prepared: u32,
    /// Full segments, with the last record of each.
    pub closed: VecDeque<(u32, Seq)>,
    pub stored: Seq,
    pub spares: Sender<Open>,
    pub space: Arc<Space>,
}

impl Keeper {
    /// Runs until it is told to stop, or nobody can send it any more.
    pub fn run(mut self, errands: &Receiver<Errand>) {
        loop {
            let complete = self.refill();
            let errand = if complete {
                errands.recv().unwrap_or(Errand::Stop)
            } else {
                match errands.recv_timeout(RETRY) {
                    Ok(errand) => errand,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => Errand::Stop,
                }
            };
            if !self.run_errand(errand) {
                return;
            }
        }
    }

    /// Does what is there to do, without waiting for more.
    pub fn run_once(&mut self, errands: &Receiver<Errand>) {
        self.refill();
        while let Ok(errand) = errands.try_recv() {
            self.run_errand(errand);
        }
    }

    /// False when that was to stop.
    fn run_errand(&mut self, errand: Errand) -> bool {
        match errand {
            Errand::Opened { segment, last } => {
                self.closed.push_back((self.current, last));
                self.current = segment;
            }
            Errand::Retire(stored) => self.stored = self.stored.max(stored),
            Errand::Stop => return false,
        }
        self.retire();
        true
    }

    /// False when a segment is still wanting.
    fn refill(&mut self) -> bool {
        while self.prepared - self.current < SPARE_SEGMENTS {
            match prepare(self.disk.as_ref(), self.prepared + 1, self.options.segment_bytes, self.journal_id)
            {
                Ok(open) => {
                    self.prepared = open.number;
                    self.space.add(usable(open.size));
                    let _ = self.spares.send(open);
                }
                Err(error) => {
                    if !self.space.is_failing() {
                        tracing::error!(%error, "no journal segment can be prepared; free some disk space");
                    }
                    self.space.fail();
                    return false;
                }
            }
        }
        true
    }

    fn retire(&mut self) {
        let mut removed = false;
        let is_early = Canary::SegmentDroppedEarly.sings();
        // The newest full one always stays: the current one may be empty yet, and a journal that has come so far and holds no
        // record at all has lost some.
        let least = if is_early { 0 } else { self.options.keep_segments.max(1) };
        while self.closed.len() > least
            && self.closed.front().is_some_and(|(_, last)| *last <= self.stored || is_early)
        {
            let Some((segment, last)) = self.closed.pop_front() else { break };
            if let Err(error) = self.disk.remove(&segment::file_name(segment)) {
                // Those behind it stay too: a journal with a gap does not start.
                tracing::warn!(%error, segment, "an old journal segment stays for now");
                self.closed.push_front((segment, last));
                break;
            }
            Moment::SegmentRemoved.reached();
            removed = true;
        }
        if removed && let Err(error) = self.disk.sync_directory() {
            tracing::warn!(%error, "the journal's directory could not be synced after a removal");
        }
    }
}

fn prepare(disk: &dyn Disk, number: u32, size: u64, journal_id: Uuid) -> io::Result<Open> {
    segment::create(disk, segment::Header { segment: number, size, journal_id }, &[])?;
    let file = disk.open(&segment::file_name(number))?;
    Ok(Open { number, size, offset: segment::HEADER_BYTES as u64, file })
}
