//! The skeleton of every mutation: admission, idempotency key, journal space, the work itself in a task that outlives its
//! caller, and the reply once it is durable.

use super::call::Lane;
use super::{Busy, Call, Durability, EngineError, Reply};
use crate::canary::{Canary, Moment};
use crate::domain::entity::Entity;
use crate::domain::outcome::Outcome;
use crate::domain::record::Snapshot;
use crate::domain::rejection::Missing;
use crate::domain::{Operation, Record, Rejection, Seq, Timestamp, UserId};
use crate::journal::{HaltReason, Reservation};
use crate::owners::admission::{Admission, NoPermit, Permit};
use crate::owners::mailbox::{
    AskKey, Cause, Claim, Commit, Committed, Glimpse, KeyAnswer, NotClaimed, NotCommitted, Refused, Remember,
    Remembered, View,
};
use crate::owners::slot::OwnerPermit;
use crate::owners::{Hold, KeyGuard, Kind, Party, Pin, PinError, Supervisor, homes};
use futures_util::FutureExt;
use serde::Serialize;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::oneshot;

use super::Inner;

/// Bytes of a record without texts of unusual length; what is longer asks for more.
const USUAL_BYTES: usize = 2_048;

/// An operation under way.
pub(super) struct Work {
    pub engine: Arc<Inner>,
    pub operation: Operation,
    pub caller: Option<UserId>,
    pub key: Option<KeyGuard>,
    /// Bytes beyond the usual that its record may take.
    pub extra_bytes: usize,
}

/// Why the work ended without a commit.
pub(super) enum Stop {
    /// The state refused. The key comes along, to remember it by.
    Refused(Refused, Option<KeyGuard>),
    Failed(EngineError),
}

impl<E: Into<EngineError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Why one attempt to commit did not go through. The work's key is back in the work.
pub(super) enum Miss {
    Refused(Refused),
    /// The command was built on too old a state: read again and start over.
    Stale,
    Failed(EngineError),
}

impl Inner {
    /// Runs `work` as one operation and answers with its outcome.
    pub(super) async fn operate<R, F, Fut>(
        self: &Arc<Self>,
        call: Call,
        operation: Operation,
        request: R,
        work: F,
    ) -> Result<Reply, EngineError>
    where
        R: Serialize + Send + 'static,
        F: FnOnce(Work, R) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Committed, Stop>> + Send + 'static,
    {
        let engine = self.clone();
        // On the heap at once: a future of this size is not to be moved about.
        let run = Box::pin(async move {
            // Kept until the answer is there: a shutdown waits for refusals that are still to be written down, too.
            let _permit = engine.enter(&call)?;
            let key = match (&call.key, call.caller) {
                (Some(key), Some(caller)) => {
                    let request = engine.fingerprints.of_request(operation, &request);
                    match engine.ask_key(caller, key, request).await? {
                        KeyAnswer::New(guard) => Some(guard),
                        KeyAnswer::Answered { seq, record } => {
                            return engine.replay(caller, key, seq, record, call.durability).await;
                        }
                        KeyAnswer::Reused => return Err(engine.edge_rejection(Rejection::KeyReused)),
                        KeyAnswer::TooMany { oldest } => return Err(engine.out_of_keys(oldest).into()),
                    }
                }
                _ => None,
            };
            let started =
                Work { engine: engine.clone(), operation, caller: call.caller, key, extra_bytes: 0 };
            match work(started, request).await {
                Ok(committed) => engine.answer(&call, operation, committed).await,
                Err(Stop::Failed(error)) => Err(error),
                Err(Stop::Refused(refused, key)) => Err(engine.refuse(operation, refused, key).await),
            }
        });
        self.detach(run).await
    }

    /// Runs a future in a task of its own, next to the owners: a caller that goes away leaves nothing half done.
    pub(super) async fn detach<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        let engine = self.clone();
        let run = async move {
            match AssertUnwindSafe(future).catch_unwind().await {
                // A caller that is gone is not told.
                Ok(result) => drop(reply.send(result)),
                Err(_) => engine.ground.halt.halt(HaltReason::Panic("an operation".into())),
            }
        };
        if homes::is_home() {
            actix_rt::spawn(run);
        } else if !self.homes.choose().arbiter.spawn(run) {
            return Err(Busy::ShuttingDown.into());
        }
        answer.await.unwrap_or_else(|_| {
            // The task ended without an answer: it panicked, or its arbiter is gone.
            if !self.exchanging.is_closed() {
                self.ground.halt.halt(HaltReason::Panic("an operation's thread".into()));
            }
            Err(EngineError::Unknown)
        })
    }

    /// A place for one more mutation, if the engine takes any.
    pub(super) fn enter(self: &Arc<Self>, call: &Call) -> Result<Permit, EngineError> {
        let places = match call.lane {
            Lane::Callers => &self.admission,
            Lane::Messages => &self.background,
            Lane::Exchanges => &self.exchanging,
        };
        let permit = Admission::enter(places).map_err(|no| match no {
            NoPermit::Overloaded => Busy::Overloaded,
            NoPermit::Closing => Busy::ShuttingDown,
        })?;
        if self.ground.halt.is_halted() {
            return Err(Busy::ShuttingDown.into());
        }
        let records = self.ground.durable.get().get().saturating_sub(self.ground.stored.get().get());
        let bytes = self.backlog_bytes();
        if records >= self.options.backlog_records_max || bytes >= self.options.backlog_bytes_max {
            return Err(Busy::BacklogFull.into());
        }
        if call.durability == Durability::Store && !self.store_status.is_reachable() {
            return Err(Busy::StoreUnavailable.into());
        }
        Ok(permit)
    }

    /// A refusal that no owner's state is behind.
    pub(super) fn edge_rejection(&self, rejection: Rejection) -> EngineError {
        EngineError::Rejected { rejection, seq: self.ground.durable.get(), replayed: false }
    }

    async fn ask_key(&self, caller: UserId, key: &str, request: [u8; 16]) -> Result<KeyAnswer, EngineError> {
        let pin = self.balances.pin(caller).await.map_err(|error| self.not_pinned(error, Missing::User))?;
        let fingerprint = self.fingerprints.of_key(key);
        let (reply, answer) = oneshot::channel();
        pin.send(AskKey { pin: pin.clone(), fingerprint, request, reply });
        answer.await.map_err(|_| EngineError::Unknown)
    }

    /// Until the oldest key expires; one that runs still ends in a moment.
    fn out_of_keys(&self, oldest: Option<Timestamp>) -> Busy {
        let retention = self.options.key_retention_seconds;
        let now = self.ground.clock.now().seconds();
        let left = oldest.map_or(1, |oldest| oldest.plus_seconds(retention).seconds() - now);
        Busy::OutOfKeys { most: self.options.keys_per_caller_max, seconds: left.max(1).unsigned_abs() }
    }

    async fn replay(
        &self,
        caller: UserId,
        key: &str,
        seq: Seq,
        record: Option<Arc<Record>>,
        durability: Durability,
    ) -> Result<Reply, EngineError> {
        let outcome = if let Some(record) = record {
            Outcome::of(&record, None).ok_or(EngineError::Internal)?
        } else {
            let fingerprint = self.fingerprints.of_key(key);
            let stored = self.ground.store.read(|store| store.outcome(caller, fingerprint)).await?;
            stored.value.ok_or(EngineError::Internal)?.outcome
        };
        self.ground.durable.wait(seq).await?;
        match outcome {
            Outcome::Refused(rejection) => Err(EngineError::Rejected { rejection, seq, replayed: true }),
            outcome => {
                let durability = self.reach(seq, durability).await;
                Ok(Reply { outcome, seq, replayed: true, durability })
            }
        }
    }

    async fn answer(
        &self,
        call: &Call,
        operation: Operation,
        committed: Committed,
    ) -> Result<Reply, EngineError> {
        let seq = match &committed {
            Committed::Recorded { record, .. } => record.seq,
            Committed::Unchanged { as_of, .. } => *as_of,
        };
        if !call.unawaited && !Canary::ReplyBeforeDurable.sings() {
            self.ground.durable.wait(seq).await?;
        }
        Moment::Told.reached();
        let outcome = match committed {
            Committed::Recorded { record, snapshot } => Outcome::of(&record, snapshot.as_ref()),
            Committed::Unchanged { snapshot, .. } => Outcome::unchanged(operation, snapshot.as_ref()),
        };
        let outcome = outcome.ok_or(EngineError::Internal)?;
        if let Some(caller) = call.caller {
            self.acknowledged.note(caller, seq, self.ground.stored.get());
        }
        let durability = self.reach(seq, call.durability).await;
        Ok(Reply { outcome, seq, replayed: false, durability })
    }

    /// Waits for the store too when that was asked for, as long as the store is there.
    async fn reach(&self, seq: Seq, wanted: Durability) -> Durability {
        if wanted == Durability::Journal {
            return Durability::Journal;
        }
        match tokio::time::timeout(self.options.read_timeout, self.ground.stored.wait(seq)).await {
            Ok(Ok(())) => Durability::Store,
            _ => Durability::Journal,
        }
    }

    /// A refusal leaves when what it rests on is durable; under a key it is written down first, so that it cannot flip.
    async fn refuse(&self, operation: Operation, refused: Refused, key: Option<KeyGuard>) -> EngineError {
        let Refused { rejection, as_of } = refused;
        if !Canary::RefusalBeforeDurable.sings()
            && let Err(halted) = self.ground.durable.wait(as_of).await
        {
            return halted.into();
        }
        let seq = match key.filter(|_| rejection.is_remembered()) {
            None => as_of,
            Some(key) => {
                let refused = Refused { rejection: rejection.clone(), as_of };
                match self.remember(operation, Remembered::Refused(refused), key).await {
                    Ok(record) => record.seq,
                    Err(error) => return error,
                }
            }
        };
        EngineError::Rejected { rejection, seq, replayed: false }
    }

    async fn remember(
        &self,
        operation: Operation,
        answer: Remembered,
        key: KeyGuard,
    ) -> Result<Arc<Record>, EngineError> {
        let space = self.ground.journal.reserve(USUAL_BYTES).await?;
        let (reply, told) = oneshot::channel();
        let pin = key.pin();
        pin.send(Remember { key, operation, space, answer, reply });
        let record = told.await.map_err(|_| EngineError::Unknown)?;
        self.ground.durable.wait(record.seq).await?;
        Ok(record)
    }

    pub(super) fn not_pinned(&self, error: PinError, missing: Missing) -> EngineError {
        match error {
            PinError::NotFound => self.edge_rejection(Rejection::NotFound(missing)),
            PinError::Store(_) => Busy::StoreUnavailable.into(),
            PinError::Overloaded => Busy::Overloaded.into(),
            PinError::Stopped => Busy::ShuttingDown.into(),
        }
    }

    /// Pins an owner, or says what is missing.
    pub(super) async fn pin<K: Kind>(
        &self,
        supervisor: &Supervisor<K>,
        id: K::Id,
        missing: Missing,
    ) -> Result<Pin<K>, EngineError> {
        supervisor.pin(id).await.map_err(|error| self.not_pinned(error, missing))
    }

    /// Looks at an owner's state, once it has all that was enqueued for it.
    pub(super) async fn view<K: Kind, T: Send + 'static>(
        &self,
        pin: &Pin<K>,
        look: impl FnOnce(&mut Glimpse<'_, K>) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        let look = Box::new(move |glimpse: &mut Glimpse<'_, K>| drop(reply.send(look(glimpse))));
        pin.send(View { pin: pin.clone(), look });
        answer.await.map_err(|_| EngineError::Unknown)
    }
}

impl Work {
    /// This operation's place at one owner; none free is "not executed".
    pub fn admit<K: Kind>(&self, pin: &Pin<K>) -> Result<OwnerPermit<K>, Stop> {
        let most = self.engine.ground.limits.operations_per_owner;
        pin.admit(most).ok_or(Stop::Failed(Busy::Overloaded.into()))
    }

    /// Ends work that was made of operations of their own, the last of them at `as_of`: what it shows is written down only
    /// under a key.
    pub async fn sum_up(&mut self, shown: Snapshot, as_of: Seq) -> Result<Committed, Stop> {
        let Some(key) = self.key.take() else {
            return Ok(Committed::Unchanged { snapshot: Some(shown), as_of });
        };
        let record = self.engine.remember(self.operation, Remembered::Shown(shown), key).await?;
        Ok(Committed::Recorded { record, snapshot: None })
    }

    /// Ends the work with a refusal that rests on the given position.
    pub fn refused(&mut self, rejection: Rejection, as_of: Seq) -> Stop {
        Stop::Refused(Refused { rejection, as_of }, self.key.take())
    }

    /// Claims something; `read_at` as in [`Cause`].
    pub async fn claim<K: Kind>(
        &mut self,
        pin: &Pin<K>,
        claim: <K as Entity>::Claim,
        read_at: Option<Seq>,
    ) -> Result<Option<(Hold<K>, K::Grant)>, Stop> {
        let (reply, answer) = oneshot::channel();
        pin.send(Claim { pin: pin.clone(), claim, read_at, reply });
        match answer.await.map_err(|_| EngineError::Unknown)? {
            Ok(granted) => Ok(Some(granted)),
            Err(NotClaimed::Stale) => Ok(None),
            Err(NotClaimed::Refused(refused)) => Err(Stop::Refused(refused, self.key.take())),
        }
    }

    /// Has the owner decide and commit, once. Journal space must be there first: see [`Self::space`].
    pub async fn attempt<K: Kind>(
        &mut self,
        pin: &Pin<K>,
        command: K::Command,
        parties: Vec<Box<dyn Party>>,
        space: Reservation,
        read_at: Option<Seq>,
    ) -> Result<Committed, Miss> {
        let (operation, caller, key) = (self.operation, self.caller, self.key.take());
        let cause = Cause { operation, caller, key, space, read_at };
        let (reply, answer) = oneshot::channel();
        pin.send(Commit { pin: pin.clone(), command, parties, cause, reply });
        match answer.await {
            Ok(Ok(committed)) => Ok(committed),
            Ok(Err(NotCommitted::Refused(refused, cause))) => {
                self.key = cause.key;
                Err(Miss::Refused(refused))
            }
            Ok(Err(NotCommitted::Stale(cause))) => {
                self.key = cause.key;
                Err(Miss::Stale)
            }
            Ok(Err(NotCommitted::Panicked)) => Err(Miss::Failed(EngineError::Internal)),
            Err(_) => Err(Miss::Failed(EngineError::Unknown)),
        }
    }

    /// As [`Self::attempt`]; `None` when the command has to be built anew on a newer state.
    pub async fn commit<K: Kind>(
        &mut self,
        pin: &Pin<K>,
        command: K::Command,
        parties: Vec<Box<dyn Party>>,
        space: Reservation,
        read_at: Option<Seq>,
    ) -> Result<Option<Committed>, Stop> {
        match self.attempt(pin, command, parties, space, read_at).await {
            Ok(committed) => Ok(Some(committed)),
            Err(Miss::Stale) => Ok(None),
            Err(Miss::Refused(refused)) => Err(Stop::Refused(refused, self.key.take())),
            Err(Miss::Failed(error)) => Err(Stop::Failed(error)),
        }
    }

    /// Room in the journal for this operation's record.
    pub async fn space(&self) -> Result<Reservation, Stop> {
        let bytes = USUAL_BYTES + self.extra_bytes;
        if bytes > self.engine.record_bytes_max {
            return Err(Stop::Failed(EngineError::Internal));
        }
        Ok(self.engine.ground.journal.reserve(bytes).await?)
    }
}
