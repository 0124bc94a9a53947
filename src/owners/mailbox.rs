//! What an owner may be sent. Every message carries the pin that keeps its receiver resident, and answers, if at all,
//! over the oneshot sender that it brings.

use super::hold::{Hold, KeyGuard, Party};
use super::kinds::Kind;
use super::slot::Pin;
use crate::domain::balance::Balance;
use crate::domain::entity::Entity;
use crate::domain::record::Snapshot;
use crate::domain::{Operation, Record, Rejection, Seq, Timestamp, UserId};
use crate::journal::Reservation;
use actix::Message;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A "no", with the position of the state that it was decided on. It may leave the process once that is durable.
#[derive(Debug)]
pub struct Refused {
    pub rejection: Rejection,
    pub as_of: Seq,
}

/// Asks for a claim. Granted, refused, or parked in arrival order behind the open holds.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Claim<K: Kind> {
    pub pin: Pin<K>,
    pub claim: K::Claim,
    /// As [`Cause::read_at`].
    pub read_at: Option<Seq>,
    pub reply: oneshot::Sender<Claimed<K>>,
}

/// The answer to a claim.
pub type Claimed<K> = Result<(Hold<K>, <K as Entity>::Grant), NotClaimed>;

/// The answer to a claim that was not granted.
#[derive(Debug)]
pub enum NotClaimed {
    Refused(Refused),
    /// The stored state that the claim was built on is too old: read it again.
    Stale,
}

/// Gives a claim back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Release<K: Kind> {
    pub pin: Pin<K>,
    pub claim: K::Claim,
}

/// An event that another owner committed, with the claim that it consumes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Settle<K: Kind> {
    pub pin: Pin<K>,
    pub claim: Option<K::Claim>,
    pub record: Arc<Record>,
    pub index: usize,
}

/// A command for the owner to decide and commit, with all that the commit consumes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Commit<K: Kind> {
    pub pin: Pin<K>,
    pub command: K::Command,
    /// Those that the decision's foreign events belong to, in their order.
    pub parties: Vec<Box<dyn Party>>,
    pub cause: Cause,
    pub reply: oneshot::Sender<Result<Committed, NotCommitted>>,
}

/// What a record is written for, and what it is written with.
pub struct Cause {
    pub operation: Operation,
    pub caller: Option<UserId>,
    pub key: Option<KeyGuard>,
    pub space: Reservation,
    /// The position of the stored state that the command was built on. An owner that has let go of something newer says
    /// [`NotCommitted::Stale`].
    pub read_at: Option<Seq>,
}

/// The answer to a commit that went through.
#[derive(Debug)]
pub enum Committed {
    /// The record is enqueued; it will be durable or the engine halts.
    Recorded { record: Arc<Record>, snapshot: Option<Snapshot> },
    /// Nothing had to be changed; the state shown is that of `as_of`.
    Unchanged { snapshot: Option<Snapshot>, as_of: Seq },
}

/// The answer to a commit that changed nothing. The cause comes back, so that a refusal can be remembered under its key.
pub enum NotCommitted {
    Refused(Refused, Cause),
    /// The stored state that the command was built on is too old: read it again.
    Stale(Cause),
    /// Deciding panicked; the entity is untouched.
    Panicked,
}

/// A look at the state, answered once the owner has reached the version that was enqueued when the look arrived.
#[derive(Message)]
#[rtype(result = "()")]
pub struct View<K: Kind> {
    pub pin: Pin<K>,
    pub look: Look<K>,
}

/// See [`View`].
pub type Look<K> = Box<dyn FnOnce(&mut Glimpse<'_, K>) + Send>;

/// What a look is shown.
pub struct Glimpse<'a, K: Kind> {
    pub entity: &'a mut K,
    pub desk: &'a K::Desk,
    /// The state is that of this position; an answer may leave once it is durable.
    pub as_of: Seq,
    /// The last of this owner's records that only the store has.
    pub let_go: Seq,
}

/// Lets go of what the store has meanwhile.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tidy<K: Kind> {
    pub pin: Pin<K>,
}

/// Ends an owner that nobody needs: sent by passivation after the owner left the registry.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Retire;

/// Asks the caller's owner about an idempotency key.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AskKey {
    pub pin: Pin<Balance>,
    pub fingerprint: [u8; 16],
    pub request: [u8; 16],
    pub reply: oneshot::Sender<KeyAnswer>,
}

/// What a key leads to.
pub enum KeyAnswer {
    /// Run the operation.
    New(KeyGuard),
    /// It was answered by this record; the record itself unless it is in the store only.
    Answered { seq: Seq, record: Option<Arc<Record>> },
    /// It belongs to another request.
    Reused,
    /// The caller has too many unexpired keys; the oldest answered one is of this time.
    TooMany { oldest: Option<Timestamp> },
}

/// The key's operation is enqueued.
#[derive(Message)]
#[rtype(result = "()")]
pub struct KeyAnswered {
    pub pin: Pin<Balance>,
    pub fingerprint: [u8; 16],
    pub record: Arc<Record>,
    /// The record touches the caller's balance, and has come as such before.
    pub is_known: bool,
}

/// The key's operation ended without a record.
#[derive(Message)]
#[rtype(result = "()")]
pub struct KeyDropped {
    pub pin: Pin<Balance>,
    pub fingerprint: [u8; 16],
}

/// Writes down under its key what no other record holds: one record of its own, committed by the caller's owner.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Remember {
    pub key: KeyGuard,
    pub operation: Operation,
    pub space: Reservation,
    pub answer: Remembered,
    pub reply: oneshot::Sender<Arc<Record>>,
}

/// See [`Remember`].
pub enum Remembered {
    Refused(Refused),
    /// What an operation made of many has done.
    Shown(Snapshot),
}
