//! What every owner stands on: the journal, the clock, the positions, and the engine-wide indexes.

use super::index::{Revocations, UnstoredObjects};
use super::pending::Pending;
use crate::clock::Clock;
use crate::domain::message::MessageTurn;
use crate::journal::{Halt, Journal, Position};
use crate::messages::Board;
use crate::redemption;
use crate::store::StoreReader;
use std::sync::Arc;

/// Shared by all owners and operations of one engine; never a global.
pub struct Ground {
    pub journal: Journal,
    pub clock: Arc<dyn Clock>,
    pub durable: Arc<Position>,
    /// What the store has; follows `durable`.
    pub stored: Arc<Position>,
    /// For loads and all other reads.
    pub store: StoreReader,
    pub halt: Arc<Halt>,
    pub unstored: UnstoredObjects,
    pub pending: Pending,
    pub revocations: Revocations,
    /// Messages that are not done.
    pub messages: Arc<Board>,
    /// Where owners tell of gift cards and the accounts that they are exchanged on.
    pub cards: Arc<redemption::Board>,
    pub limits: Limits,
}

/// Bounds that owners keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Idempotency keys that one caller may have unexpired.
    pub keys_per_caller: usize,
    /// How long a key is remembered.
    pub key_retention_seconds: i64,
    /// Operations that may be in progress at one owner.
    pub operations_per_owner: u32,
    /// Callers that may wait for loads of one kind at once, so that a store that is slow leaves room for what needs none.
    pub waiting_for_loads: usize,
}

impl Ground {
    /// A step with the message as it now stands. Only for the owner that keeps it, in its turn.
    pub fn standing(&self, turn: &MessageTurn) -> MessageTurn {
        let open = self.messages.get(turn.id).map(|posted| posted.open);
        MessageTurn { open, ..turn.clone() }
    }
}
