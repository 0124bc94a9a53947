//! The part of a story that tells of withdrawals, and of the distributors that climb by them.

use super::{AWKWARD, Story, entry};
use purser::domain::distributor::{Distributor, DistributorCommand, DistributorView, Payout};
use purser::domain::entity::{Entity, Verdict};
use purser::domain::event::Entry;
use purser::domain::level::{Level, Levels};
use purser::domain::message::{MessageStep, MessageTurn, Payload};
use purser::domain::record::Snapshot;
use purser::domain::text::{Name, Text};
use purser::domain::withdrawal::{Withdrawal, WithdrawalStatus};
use purser::domain::{
    EntryKind, Event, MessageId, Money, Operation, Posting, Timestamp, UserId, WithdrawalId,
};
use purser::store::Row;
use std::sync::Arc;

impl Story {
    /// What is there of a distributor; who is none yet has nothing.
    pub fn distributor(&self, user_id: UserId) -> Distributor {
        let none = DistributorView { user_id, rank: 0, withdrawn_total: 0, version: 0, upgraded_at: None };
        self.distributors.get(&user_id).cloned().unwrap_or_else(|| Distributor::stored(none))
    }

    pub fn set_levels(&mut self, thresholds: &[i64]) {
        let level = |(rank, minor): (usize, &i64)| Level {
            name: Name::parse(&format!("Level {rank} of {} {AWKWARD}", thresholds.len())).expect("a name"),
            threshold: Money::new(*minor).expect("money"),
        };
        let levels = Levels::new(thresholds.iter().enumerate().map(level).collect()).expect("ascending");
        let set = vec![Event::LevelsSet(Arc::new(levels))];
        self.push(Operation::SetLevels, Some(UserId::new(1)), set, None);
    }

    pub fn withdraw(&mut self, user_id: UserId, amount: i64) -> WithdrawalId {
        let (created_at, updated_at) = (self.now(), self.now());
        let (id, amount) = (WithdrawalId::new(self.id()), Money::new(amount).expect("money"));
        let status = WithdrawalStatus::Pending;
        let withdrawal = Withdrawal { id, user_id, amount, status, created_at, updated_at };
        let paid = withdrawal_entry(&withdrawal, EntryKind::Withdrawal, -amount.minor());
        let events = vec![Event::WithdrawalRequested(Arc::new(withdrawal)), paid];
        self.push(Operation::RequestWithdrawal, Some(user_id), events, None);
        id
    }

    /// Completes a withdrawal, for which its distributor is to be checked.
    pub fn pay_out(&mut self, id: WithdrawalId) -> MessageId {
        let withdrawal = self.withdrawals[&id].value;
        let user_id = withdrawal.user_id;
        let message = self.message(user_id, Payload::UpgradeCheck { withdrawal_id: Some(id) });
        let (check, posting) = (message.id, Posting::of(withdrawal.amount.minor()));
        let counted = Event::PayoutCounted(Payout { user_id, withdrawal_id: id, posting, message });
        let (operation, status) = (Operation::CompleteWithdrawal, WithdrawalStatus::Completed);
        self.end_withdrawal(operation, withdrawal, status, counted);
        check
    }

    pub fn reject(&mut self, id: WithdrawalId) {
        let withdrawal = self.withdrawals[&id].value;
        let back = withdrawal_entry(&withdrawal, EntryKind::WithdrawalRejected, withdrawal.amount.minor());
        let (operation, status) = (Operation::RejectWithdrawal, WithdrawalStatus::Rejected);
        self.end_withdrawal(operation, withdrawal, status, back);
    }

    fn end_withdrawal(
        &mut self,
        operation: Operation,
        withdrawal: Withdrawal,
        status: WithdrawalStatus,
        effect: Event,
    ) {
        let (withdrawal_id, user_id) = (withdrawal.id, withdrawal.user_id);
        let events = vec![Event::WithdrawalEnded { withdrawal_id, user_id, status }, effect];
        let shown = Snapshot::Withdrawal(Withdrawal { status, ..withdrawal });
        self.push(operation, Some(UserId::new(1)), events, Some(shown));
    }

    /// Asks for a check beside any withdrawal.
    pub fn ask_for_check(&mut self, user_id: UserId) -> MessageId {
        let message = self.message(user_id, Payload::UpgradeCheck { withdrawal_id: None });
        let id = message.id;
        self.push(Operation::QueueCheck, Some(UserId::new(1)), vec![Event::MessageQueued(message)], None);
        id
    }

    /// Looks at a distributor's level as its owner would.
    pub fn check(&mut self, id: MessageId) {
        let open = self.messages[&id].value.clone();
        let Payload::UpgradeCheck { withdrawal_id } = open.message.payload else { panic!("not a check") };
        let distributor = self.distributor(open.message.user_id);
        let step = MessageStep::Finish { attempt: open.attempt() };
        let turn = MessageTurn { open: Some(open), ..MessageTurn::new(id, step) };
        let (levels, others) = (Arc::new(self.levels()), Vec::new());
        let command = DistributorCommand::Check { levels, turn, others, withdrawal_id };
        let verdict = distributor.decide(&command, self.now(), false);
        let Verdict::Granted(decision) = verdict else { panic!("a check is never refused") };
        if !decision.is_void() {
            self.push(Operation::CheckUpgrade, None, decision.own, None);
        }
    }

    pub fn levels(&self) -> Levels {
        self.levels.as_deref().cloned().unwrap_or_else(|| Levels::stored(Vec::new()))
    }

    pub(super) fn apply_withdrawal(&mut self, event: &Event, seq: u64, at: Timestamp) {
        match event {
            Event::WithdrawalRequested(withdrawal) => {
                self.withdrawals.insert(withdrawal.id, Row { cursor: seq, value: **withdrawal });
            }
            Event::WithdrawalEnded { .. } => {
                self.withdrawals.values_mut().for_each(|row| row.value.apply(event, at));
            }
            Event::PayoutCounted(payout) => self.apply_distributor(payout.user_id, event, at),
            Event::DistributorUpgraded(upgrade) => {
                self.apply_distributor(upgrade.user_id, event, at);
                self.upgrades.push(Row { cursor: seq, value: ((**upgrade).clone(), at) });
            }
            Event::LevelsSet(levels) => self.levels = Some(levels.clone()),
            _ => {}
        }
    }

    fn apply_distributor(&mut self, user_id: UserId, event: &Event, at: Timestamp) {
        let mut distributor = self.distributor(user_id);
        distributor.apply(event, at);
        self.distributors.insert(user_id, distributor);
    }
}

fn withdrawal_entry(withdrawal: &Withdrawal, kind: EntryKind, delta: i64) -> Event {
    let reference = Some(Text::stored(withdrawal.id.to_string()));
    Event::EntryPosted(Entry { reference, ..entry(withdrawal.user_id, kind, delta, None) })
}
