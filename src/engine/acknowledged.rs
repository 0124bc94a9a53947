//! What each caller was told last, so that the caller's next list reflects it.

use crate::domain::{Seq, UserId};
use dashmap::DashMap;

/// Beyond this many callers, those whose writes are stored are forgotten.
const CALLERS: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    last: DashMap<UserId, Seq>,
}

impl Acknowledged {
    pub fn note(&self, caller: UserId, seq: Seq, stored: Seq) {
        let mut known = self.last.entry(caller).or_default();
        *known = (*known).max(seq);
        drop(known);
        // Now and then, so that a flood of new callers does not scan the map each time.
        if seq.get().is_multiple_of(1_024) && self.last.len() > CALLERS {
            self.last.retain(|_, seq| *seq > stored);
        }
    }

    pub fn last(&self, caller: UserId) -> Seq {
        self.last.get(&caller).map(|seq| *seq).unwrap_or_default()
    }
}
