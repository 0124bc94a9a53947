//! What every kind of entity has in common, so that one owner actor serves them all. An entity grants holds, decides
//! commands and applies events; it never waits, it only says that one must.

use super::event::Event;
use super::record::Snapshot;
use super::rejection::Rejection;
use super::time::Timestamp;

/// What an entity says to a claim or a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<T> {
    Granted(T),
    Refused(Rejection),
    /// Open holds are in the way; ask again when one of them ends.
    Wait,
}

impl<T> Verdict<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Granted(value) => Verdict::Granted(change(value)),
            Self::Refused(rejection) => Verdict::Refused(rejection),
            Self::Wait => Verdict::Wait,
        }
    }
}

/// The events that a command leads to. `foreign` belong to the entities whose guards came with the command, in the same
/// order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decision {
    pub own: Vec<Event>,
    pub foreign: Vec<Event>,
    /// What the reply shows beyond the events.
    pub snapshot: Option<Snapshot>,
}

impl Decision {
    /// One event of the entity's own.
    pub fn one(event: Event) -> Self {
        Self { own: vec![event], ..Self::default() }
    }

    /// The step is already done, or changes nothing: no record, only a reply.
    pub fn is_void(&self) -> bool {
        self.own.is_empty() && self.foreign.is_empty()
    }

    pub fn showing(mut self, snapshot: Snapshot) -> Self {
        self.snapshot = Some(snapshot);
        self
    }
}

/// One kind of entity.
pub trait Entity: Sized + Send + Unpin + 'static {
    /// What a hold claims.
    type Claim: Clone + Send + Unpin + std::fmt::Debug;
    /// What the holder of a granted claim is told.
    type Grant: Send + Unpin;
    /// What this kind of owner decides and commits.
    type Command: Send + Unpin;

    /// An entity that is about to be created: it holds nothing and answers "not found" until its created event.
    fn unborn() -> Self;

    /// Grants a hold and takes it into account. `contended` says that others are waiting already.
    fn claim(&mut self, claim: &Self::Claim, contended: bool) -> Verdict<Self::Grant>;

    /// Ends a hold, settled or not.
    fn release(&mut self, claim: &Self::Claim);

    /// Decides a command without changing anything.
    fn decide(&self, command: &Self::Command, at: Timestamp, contended: bool) -> Verdict<Decision>;

    /// Takes in a committed event of this entity. Cannot fail.
    fn apply(&mut self, event: &Event, at: Timestamp);

    /// The version up to which the entity's figures are complete.
    fn version(&self) -> u64;

    /// Whether no change has arrived ahead of an earlier one.
    fn is_level(&self) -> bool;
}
