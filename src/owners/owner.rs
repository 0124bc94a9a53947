//! The actor itself, generic over the entity.

use super::ground::Ground;
use super::hold::Hold;
use super::kinds::{Current, Kind};
use super::mailbox::{
    Cause, Claim, Commit, Committed, Glimpse, Look, NotClaimed, NotCommitted, Refused, Release, Retire,
    Settle, Tidy, View,
};
use super::slot::Slot;
use crate::canary::{Canary, Moment};
use crate::domain::entity::{Decision, Verdict};
use crate::domain::{Record, Seq};
use crate::journal::{Cell, HaltReason};
use actix::{Actor, ActorContext, Context, Handler};
use smallvec::{SmallVec, smallvec};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Holds one entity and changes it, one message at a time.
pub struct Owner<K: Kind> {
    pub(super) slot: Arc<Slot<K>>,
    pub(super) ground: Arc<Ground>,
    pub(super) entity: K,
    pub(super) desk: K::Desk,
    /// Claims and commands that wait for open holds to end, in arrival order.
    queue: VecDeque<Waiting<K>>,
    /// Looks that wait for changes which are enqueued but have not arrived.
    views: Vec<(u64, Look<K>)>,
    /// The last record that arrived here: with all versions complete, the state is that of this position.
    arrived: Seq,
    /// The last record of this owner that was let go to the store.
    let_go: Seq,
    /// How far the store was when this owner last let go of something.
    tidied: Seq,
}

enum Waiting<K: Kind> {
    Claim(Claim<K>, u64),
    Commit(Commit<K>, u64),
}

/// Whether the one that was asked is through, one way or another.
enum Tried<T> {
    Done,
    Again(T),
}

impl<K: Kind> Actor for Owner<K> {
    type Context = Context<Self>;
}

impl<K: Kind> Owner<K> {
    pub(super) fn new(
        slot: Arc<Slot<K>>,
        ground: Arc<Ground>,
        entity: K,
        desk: K::Desk,
        loaded_at: Seq,
    ) -> Self {
        let (queue, views) = (VecDeque::new(), Vec::new());
        Self {
            slot,
            ground,
            entity,
            desk,
            queue,
            views,
            arrived: loaded_at,
            let_go: loaded_at,
            tidied: loaded_at,
        }
    }

    /// Runs one turn. A panic in it leaves the entity in an unknown state, so the engine halts.
    pub(super) fn turn(&mut self, run: impl FnOnce(&mut Self)) {
        self.slot.mailbox.fetch_sub(1, Ordering::Relaxed);
        // After a halt an entity may be half changed, and nothing it says could be made durable.
        if self.ground.halt.is_halted() {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| {
            Moment::Turn(K::NAME).reached();
            run(self);
        }))
        .is_err()
        {
            self.ground.halt.halt(HaltReason::Panic(format!("the owner of {} {}", K::NAME, self.slot.id)));
            self.ground.journal.abandon();
        }
    }

    /// Whether all that was enqueued for this entity up to the given version has arrived.
    fn has_reached(&self, seen: u64) -> bool {
        self.entity.version() >= seen && self.entity.is_level()
    }

    fn refusal(&self, rejection: crate::domain::Rejection) -> Refused {
        Refused { rejection, as_of: self.arrived }
    }

    fn try_claim(&mut self, claim: Claim<K>, seen: u64, contended: bool) -> Tried<Claim<K>> {
        if claim.reply.is_closed() {
            return Tried::Done;
        }
        if claim.read_at.is_some_and(|read_at| read_at < self.let_go) {
            drop(claim.reply.send(Err(NotClaimed::Stale)));
            return Tried::Done;
        }
        match self.entity.claim(&claim.claim, contended) {
            Verdict::Granted(grant) => {
                let hold = Hold::new(claim.pin, claim.claim);
                Moment::Held(K::NAME).reached();
                // If the receiver is gone the guard comes back, is dropped, and releases itself.
                drop(claim.reply.send(Ok((hold, grant))));
                Tried::Done
            }
            Verdict::Refused(rejection) if self.has_reached(seen) => {
                drop(claim.reply.send(Err(NotClaimed::Refused(self.refusal(rejection)))));
                Tried::Done
            }
            Verdict::Refused(_) | Verdict::Wait => Tried::Again(claim),
        }
    }

    fn try_commit(&mut self, commit: Commit<K>, seen: u64, contended: bool) -> Tried<Commit<K>> {
        if commit.reply.is_closed() {
            return Tried::Done;
        }
        if commit.cause.read_at.is_some_and(|read_at| read_at < self.let_go) {
            return Self::stale(commit);
        }
        let now = self.ground.clock.now();
        let decide = || {
            Moment::Deciding(K::NAME).reached();
            let (command, read_at) = (&commit.command, commit.cause.read_at);
            match K::bring_up_to_date(command, &self.desk, read_at, &self.ground) {
                Current::AsItCame => Some(self.entity.decide(command, now, contended)),
                Current::As(command) => Some(self.entity.decide(&command, now, contended)),
                Current::Stale => None,
            }
        };
        let Ok(verdict) = catch_unwind(AssertUnwindSafe(decide)) else {
            tracing::error!(kind = K::NAME, id = %self.slot.id, "deciding a command panicked");
            drop(commit.reply.send(Err(NotCommitted::Panicked)));
            return Tried::Done;
        };
        let Some(verdict) = verdict else { return Self::stale(commit) };
        match verdict {
            // With a key even "nothing to do" is written down, so that a retry is told the same.
            Verdict::Granted(decision) if decision.is_void() && commit.cause.key.is_none() => {
                let unchanged = Committed::Unchanged { snapshot: decision.snapshot, as_of: self.arrived };
                drop(commit.reply.send(Ok(unchanged)));
                Tried::Done
            }
            // Between the look that the holds were chosen by and this turn the state came to ask for others.
            Verdict::Granted(decision)
                if !decision.foreign.is_empty() && decision.foreign.len() != commit.parties.len() =>
            {
                Self::stale(commit)
            }
            Verdict::Granted(decision) => {
                self.record(commit, decision, now);
                Tried::Done
            }
            Verdict::Refused(rejection) if self.has_reached(seen) => {
                let refused = self.refusal(rejection);
                let Commit { cause, reply, parties, .. } = commit;
                // Before anybody is told: who hears of a refusal finds nothing held by it any more.
                drop(parties);
                drop(reply.send(Err(NotCommitted::Refused(refused, cause))));
                Tried::Done
            }
            Verdict::Refused(_) | Verdict::Wait => Tried::Again(commit),
        }
    }

    fn stale(commit: Commit<K>) -> Tried<Commit<K>> {
        let Commit { cause, reply, parties, .. } = commit;
        drop(parties);
        drop(reply.send(Err(NotCommitted::Stale(cause))));
        Tried::Done
    }

    /// The commit point: enqueues the record, applies the owner's part and sends all others theirs, before anybody is told.
    fn record(&mut self, commit: Commit<K>, decision: Decision, now: crate::domain::Timestamp) {
        let Commit { parties, cause, reply, .. } = commit;
        let Cause { operation, caller, key, space, .. } = cause;
        let Decision { own, foreign, snapshot } = decision;
        // A step that changes nothing leaves the guards that came with it unused.
        let parties = if foreign.is_empty() { Vec::new() } else { parties };
        assert_eq!(foreign.len(), parties.len(), "every foreign event has its party");
        let own_count = own.len();
        let mut events = own;
        events.extend(foreign);
        self.ground.unstored.add(&events);
        let key_use = key.as_ref().filter(|_| !Canary::KeyNotWritten.sings());
        let key_use = key_use.map(|key| key.key_use(snapshot.clone()));
        let record =
            Record { seq: Seq::ZERO, at: now, operation, caller, key: key_use, refusal: None, events };
        let (record, has_callers_balance) = {
            // On the stack for all but large orders.
            let mut cells: SmallVec<[&Cell; 8]> = smallvec![&self.slot.cell; own_count];
            cells.extend(parties.iter().map(|party| party.cell()));
            if own_count == 0 {
                cells.push(&self.slot.cell);
            }
            let key_cell = key.as_ref().map(super::hold::KeyGuard::cell);
            let is_touched = |key: &Cell| cells.iter().any(|cell| std::ptr::eq(*cell, key));
            let has_callers_balance = key_cell.is_some_and(is_touched);
            cells.extend(key_cell);
            (self.ground.journal.enqueue(record, &cells, space), has_callers_balance)
        };
        Moment::Decided.reached();
        for event in &record.events[..own_count] {
            self.entity.apply(event, record.at);
        }
        self.remember(&record);
        for (index, party) in parties.into_iter().enumerate() {
            party.deliver(&record, own_count + index);
        }
        if let Some(key) = key {
            key.deliver(&record, has_callers_balance);
        }
        drop(reply.send(Ok(Committed::Recorded { record, snapshot })));
    }

    /// Keeps what the store does not have yet.
    pub(super) fn remember(&mut self, record: &Arc<Record>) {
        self.arrived = self.arrived.max(record.seq);
        self.slot.untidy.store(true, Ordering::Relaxed);
        self.entity.remember(&mut self.desk, record, &self.ground);
        if record.seq <= self.tidied {
            // It came so late that the store has it.
            self.tidied = Seq::ZERO;
        }
        self.forget();
    }

    fn forget(&mut self) {
        let stored = self.ground.stored.get();
        if stored > self.tidied {
            self.tidied = stored;
            self.let_go = self.let_go.max(self.entity.forget(&mut self.desk, stored));
            self.slot.untidy.store(stored < self.arrived, Ordering::Relaxed);
        }
    }

    /// After any change: the head of the queue first, then whoever only wanted to look.
    fn examine(&mut self) {
        while let Some(head) = self.queue.pop_front() {
            let again = match head {
                Waiting::Claim(claim, seen) => match self.try_claim(claim, seen, false) {
                    Tried::Done => continue,
                    Tried::Again(claim) => Waiting::Claim(claim, seen),
                },
                Waiting::Commit(commit, seen) => match self.try_commit(commit, seen, false) {
                    Tried::Done => continue,
                    Tried::Again(commit) => Waiting::Commit(commit, seen),
                },
            };
            self.queue.push_front(again);
            break;
        }
        self.show();
    }

    fn show(&mut self) {
        if self.views.is_empty() || !self.entity.is_level() {
            return;
        }
        let version = self.entity.version();
        for (seen, look) in std::mem::take(&mut self.views) {
            if seen <= version {
                self.look(look);
            } else {
                self.views.push((seen, look));
            }
        }
    }

    fn look(&mut self, look: Look<K>) {
        look(&mut Glimpse {
            entity: &mut self.entity,
            desk: &self.desk,
            as_of: self.arrived,
            let_go: self.let_go,
        });
    }
}

impl<K: Kind> Handler<Claim<K>> for Owner<K> {
    type Result = ();

    fn handle(&mut self, claim: Claim<K>, _: &mut Context<Self>) {
        self.turn(|owner| {
            let (seen, contended) = (owner.slot.cell.version(), !owner.queue.is_empty());
            if let Tried::Again(claim) = owner.try_claim(claim, seen, contended) {
                owner.queue.push_back(Waiting::Claim(claim, seen));
            }
        });
    }
}

impl<K: Kind> Handler<Commit<K>> for Owner<K> {
    type Result = ();

    fn handle(&mut self, commit: Commit<K>, _: &mut Context<Self>) {
        self.turn(|owner| {
            let (seen, contended) = (owner.slot.cell.version(), !owner.queue.is_empty());
            match owner.try_commit(commit, seen, contended) {
                Tried::Done => owner.examine(),
                Tried::Again(commit) => owner.queue.push_back(Waiting::Commit(commit, seen)),
            }
        });
    }
}

impl<K: Kind> Handler<Release<K>> for Owner<K> {
    type Result = ();

    fn handle(&mut self, release: Release<K>, _: &mut Context<Self>) {
        self.turn(|owner| {
            owner.entity.release(&release.claim);
            owner.examine();
        });
    }
}

impl<K: Kind> Handler<Settle<K>> for Owner<K> {
    type Result = ();

    fn handle(&mut self, settle: Settle<K>, _: &mut Context<Self>) {
        self.turn(|owner| {
            if let Some(claim) = &settle.claim {
                owner.entity.release(claim);
            }
            owner.entity.apply(&settle.record.events[settle.index], settle.record.at);
            owner.remember(&settle.record);
            owner.examine();
        });
    }
}

impl<K: Kind> Handler<View<K>> for Owner<K> {
    type Result = ();

    fn handle(&mut self, view: View<K>, _: &mut Context<Self>) {
        self.turn(|owner| {
            let seen = owner.slot.cell.version();
            if owner.has_reached(seen) {
                owner.look(view.look);
            } else {
                owner.views.push((seen, view.look));
            }
        });
    }
}

impl<K: Kind> Handler<Tidy<K>> for Owner<K> {
    type Result = ();

    fn handle(&mut self, _: Tidy<K>, _: &mut Context<Self>) {
        self.turn(Self::forget);
    }
}

impl<K: Kind> Handler<Retire> for Owner<K> {
    type Result = ();

    fn handle(&mut self, _: Retire, context: &mut Context<Self>) {
        context.stop();
    }
}
