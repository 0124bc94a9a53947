//! Moves a journal by hand instead of by threads, for simulations: what the two threads of a server would do happens when, and
//! only when, it is told to, on the caller's thread. Part of the library for the same reason as the simulated disk.

use super::HaltReason;
use super::tail::Pending;
use super::writer::{Crew, Frame};
use crate::domain::Record;
use std::collections::VecDeque;
use std::sync::Arc;

/// See the module.
pub struct Hands {
    crew: Crew,
    /// Taken from the tail, in order; the first of them may be written already.
    rest: VecDeque<Pending>,
    written: Option<Frame>,
}

/// What a step has done.
#[derive(Debug)]
pub enum Step {
    /// There is nothing to do; after an error, which halts the engine, never again.
    Nothing,
    /// A frame is written and not synced.
    Written,
    /// These are durable now.
    Synced(Vec<Arc<Record>>),
    /// The journal was closed, and all that was queued is durable, unless the engine halted.
    Ended,
}

impl Hands {
    pub fn new(crew: Crew) -> Self {
        Self { crew, rest: VecDeque::new(), written: None }
    }

    /// Takes the next step on the way to the disk: writes a frame of what is queued, or syncs the one that was written last.
    pub fn step(&mut self) -> Step {
        if self.rest.is_empty() {
            let mut batch = Vec::new();
            if !self.crew.writer.take_queued(&mut batch) {
                return if self.crew.writer.has_ended() { Step::Ended } else { Step::Nothing };
            }
            self.rest = batch.into();
        }
        let stepped = match self.written.take() {
            None => self.write(),
            Some(frame) => self.sync(frame),
        };
        stepped.unwrap_or_else(|reason| {
            self.rest.clear();
            self.crew.writer.halt(reason);
            Step::Nothing
        })
    }

    /// Prepares segments and removes old ones, as far as there is something to do.
    pub fn keep(&mut self) {
        self.crew.keeper.run_once(&self.crew.errand_queue);
    }

    fn write(&mut self) -> Result<Step, HaltReason> {
        self.written = Some(self.crew.writer.write(&self.rest)?);
        Ok(Step::Written)
    }

    fn sync(&mut self, frame: Frame) -> Result<Step, HaltReason> {
        let records = self.rest.iter().take(frame.records).map(|pending| pending.record.clone()).collect();
        self.crew.writer.sync(frame, &mut self.rest)?;
        Ok(Step::Synced(records))
    }
}
