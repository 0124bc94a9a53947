//! The rows of withdrawals within a batch, of the distributors that count them, and of the levels that these climb.

use crate::domain::distributor::{Payout, Upgrade};
use crate::domain::event::Posting;
use crate::domain::level::{Levels, Rank};
use crate::domain::withdrawal::{Withdrawal, WithdrawalStatus};
use crate::domain::{Event, Record, Seq, Timestamp, UserId, WithdrawalId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub struct WithdrawalRows {
    /// Asked for within the batch, as they stand at its end.
    pub requested: BTreeMap<WithdrawalId, RequestedRow>,
    /// Asked for before the batch, and ended by it.
    pub ended: BTreeMap<WithdrawalId, EndedRow>,
    /// The newest total of each distributor that counted a payout.
    pub payouts: BTreeMap<UserId, Posting>,
    /// Where each distributor that climbed stands since when.
    pub standings: BTreeMap<UserId, (Rank, Timestamp)>,
    pub upgrades: Vec<UpgradeRow>,
    /// The newest list, when one was set; it takes the place of all earlier ones.
    pub levels: Option<Arc<Levels>>,
}

#[derive(Debug)]
pub struct RequestedRow {
    pub created_seq: Seq,
    pub withdrawal: Withdrawal,
}

#[derive(Debug)]
pub struct EndedRow {
    pub status: WithdrawalStatus,
    pub updated_at: Timestamp,
}

#[derive(Debug)]
pub struct UpgradeRow {
    pub seq: Seq,
    pub at: Timestamp,
    pub upgrade: Arc<Upgrade>,
}

impl WithdrawalRows {
    pub fn take(&mut self, record: &Record, event: &Event) {
        let (seq, at) = (record.seq, record.at);
        match event {
            Event::WithdrawalRequested(withdrawal) => {
                let row = RequestedRow { created_seq: seq, withdrawal: **withdrawal };
                self.requested.insert(withdrawal.id, row);
            }
            Event::WithdrawalEnded { withdrawal_id, status, .. } => {
                if let Some(row) = self.requested.get_mut(withdrawal_id) {
                    row.withdrawal.apply(event, at);
                } else {
                    self.ended.insert(*withdrawal_id, EndedRow { status: *status, updated_at: at });
                }
            }
            Event::PayoutCounted(Payout { user_id, posting, .. }) => {
                self.payouts.insert(*user_id, *posting);
            }
            Event::DistributorUpgraded(upgrade) => {
                self.standings.insert(upgrade.user_id, (upgrade.to.rank, at));
                self.upgrades.push(UpgradeRow { seq, at, upgrade: upgrade.clone() });
            }
            Event::LevelsSet(levels) => self.levels = Some(levels.clone()),
            _ => {}
        }
    }
}
