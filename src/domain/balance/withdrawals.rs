//! What a balance's owner decides about withdrawals: asking takes the money, rejecting gives it back.

use super::Balance;
use crate::domain::distributor::Payout;
use crate::domain::entity::Decision;
use crate::domain::event::{Entry, EntryKind, Event, Posting};
use crate::domain::ids::WithdrawalId;
use crate::domain::message::Message;
use crate::domain::money::{Delta, Money};
use crate::domain::order::Step;
use crate::domain::record::Snapshot;
use crate::domain::rejection::Rejection;
use crate::domain::text::Text;
use crate::domain::time::Timestamp;
use crate::domain::withdrawal::{Withdrawal, WithdrawalStatus};
use std::sync::Arc;

impl Balance {
    pub(super) fn request_withdrawal(
        &self,
        id: WithdrawalId,
        amount: Money,
        at: Timestamp,
    ) -> Result<Decision, Rejection> {
        self.spend(amount)?;
        let withdrawal = Withdrawal {
            id,
            user_id: self.id,
            amount,
            status: WithdrawalStatus::Pending,
            created_at: at,
            updated_at: at,
        };
        let own = vec![
            Event::WithdrawalRequested(Arc::new(withdrawal)),
            self.withdrawal_entry(EntryKind::Withdrawal, &withdrawal, -amount.minor()),
        ];
        Ok(Decision { own, ..Decision::default() })
    }

    fn withdrawal_entry(&self, kind: EntryKind, withdrawal: &Withdrawal, delta: Delta) -> Event {
        let reference = Some(Text::stored(withdrawal.id.to_string()));
        Event::EntryPosted(Entry { reference, ..self.entry(kind, delta) })
    }

    fn end_withdrawal(
        &self,
        withdrawal: &Withdrawal,
        step: Result<Step, Rejection>,
        status: WithdrawalStatus,
    ) -> Result<Decision, Rejection> {
        if step? == Step::Done {
            return Ok(Decision::default().showing(Snapshot::Withdrawal(*withdrawal)));
        }
        let (withdrawal_id, user_id) = (withdrawal.id, self.id);
        let ended = Event::WithdrawalEnded { withdrawal_id, user_id, status };
        Ok(Decision::one(ended).showing(Snapshot::Withdrawal(Withdrawal { status, ..*withdrawal })))
    }

    pub(super) fn complete_withdrawal(
        &self,
        withdrawal: &Withdrawal,
        message: &Arc<Message>,
    ) -> Result<Decision, Rejection> {
        let mut decision =
            self.end_withdrawal(withdrawal, withdrawal.complete(), WithdrawalStatus::Completed)?;
        if !decision.is_void() {
            let (user_id, withdrawal_id) = (self.id, withdrawal.id);
            let (posting, message) = (Posting::of(withdrawal.amount.minor()), message.clone());
            decision.foreign.push(Event::PayoutCounted(Payout { user_id, withdrawal_id, posting, message }));
        }
        Ok(decision)
    }

    pub(super) fn reject_withdrawal(&self, withdrawal: &Withdrawal) -> Result<Decision, Rejection> {
        let mut decision =
            self.end_withdrawal(withdrawal, withdrawal.reject(), WithdrawalStatus::Rejected)?;
        if !decision.is_void() {
            let back = withdrawal.amount.minor();
            decision.own.push(self.withdrawal_entry(EntryKind::WithdrawalRejected, withdrawal, back));
        }
        Ok(decision)
    }
}
