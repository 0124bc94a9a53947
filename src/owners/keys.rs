//! Messages about idempotency keys, as the caller's balance's owner takes them; its desk keeps the keys.

use super::mailbox::{AskKey, KeyAnswered, KeyDropped, Refused, Remember, Remembered};
use super::owner::Owner;
use crate::domain::balance::Balance;
use crate::domain::{Record, Refusal, Seq};
use actix::{Context, Handler};

impl Handler<AskKey> for Owner<Balance> {
    type Result = ();

    fn handle(&mut self, ask: AskKey, _: &mut Context<Self>) {
        self.turn(|owner| {
            let limits = owner.ground.limits;
            let expired = owner.ground.clock.now().plus_seconds(-limits.key_retention_seconds);
            owner.desk.ask(ask, limits.keys_per_caller, expired);
        });
    }
}

impl Handler<KeyAnswered> for Owner<Balance> {
    type Result = ();

    fn handle(&mut self, answered: KeyAnswered, _: &mut Context<Self>) {
        self.turn(|owner| {
            owner.desk.answered(answered.fingerprint, &answered.record);
            if !answered.is_known {
                owner.remember(&answered.record);
            }
        });
    }
}

impl Handler<KeyDropped> for Owner<Balance> {
    type Result = ();

    fn handle(&mut self, dropped: KeyDropped, _: &mut Context<Self>) {
        self.turn(|owner| owner.desk.dropped(dropped.fingerprint));
    }
}

impl Handler<Remember> for Owner<Balance> {
    type Result = ();

    fn handle(&mut self, remember: Remember, _: &mut Context<Self>) {
        self.turn(|owner| {
            let Remember { key, operation, space, answer, reply } = remember;
            let (snapshot, refusal) = match answer {
                Remembered::Refused(Refused { rejection, as_of }) => {
                    (None, Some(Refusal { rejection, as_of }))
                }
                Remembered::Shown(snapshot) => (Some(snapshot), None),
            };
            let record = Record {
                seq: Seq::ZERO,
                at: owner.ground.clock.now(),
                operation,
                caller: Some(key.caller()),
                key: Some(key.key_use(snapshot)),
                refusal,
                events: Vec::new(),
            };
            let record = owner.ground.journal.enqueue(record, &[key.cell()], space);
            key.deliver(&record, false);
            drop(reply.send(record));
        });
    }
}
