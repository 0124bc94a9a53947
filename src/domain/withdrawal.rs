//! A withdrawal: money that a user wants paid out. It leaves the balance when it is asked for; completing it records the
//! payout, rejecting it gives the money back. Withdrawals are state of the user's balance.

use super::event::{Event, words};
use super::ids::{UserId, WithdrawalId};
use super::money::Money;
use super::order::Step;
use super::rejection::Rejection;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a withdrawal stands: `pending` → `completed` or `rejected`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawalStatus {
    Pending,
    Completed,
    Rejected,
}

words!(WithdrawalStatus { Pending = "pending", Completed = "completed", Rejected = "rejected" });

/// A withdrawal with all that happened to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Withdrawal {
    pub id: WithdrawalId,
    pub user_id: UserId,
    pub amount: Money,
    pub status: WithdrawalStatus,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Withdrawal {
    pub fn complete(&self) -> Result<Step, Rejection> {
        self.end(WithdrawalStatus::Completed)
    }

    pub fn reject(&self) -> Result<Step, Rejection> {
        self.end(WithdrawalStatus::Rejected)
    }

    fn end(&self, wanted: WithdrawalStatus) -> Result<Step, Rejection> {
        match self.status {
            WithdrawalStatus::Pending => Ok(Step::Take),
            status if status == wanted => Ok(Step::Done),
            status => Err(Rejection::WithdrawalEnded { status }),
        }
    }

    /// Takes in what happened to this withdrawal; events of others are ignored.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        if let Event::WithdrawalEnded { withdrawal_id, status, .. } = event
            && *withdrawal_id == self.id
        {
            self.status = *status;
            self.updated_at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_withdrawal_ends_one_way_and_a_repeated_step_is_done() {
        let (id, user_id) = (WithdrawalId::new(Uuid::nil()), UserId::new(1));
        let at = Timestamp::from_micros(1);
        let pending = Withdrawal {
            id,
            user_id,
            amount: Money::ZERO,
            status: WithdrawalStatus::Pending,
            created_at: at,
            updated_at: at,
        };
        assert_eq!((pending.complete(), pending.reject()), (Ok(Step::Take), Ok(Step::Take)));
        let mut completed = pending;
        let status = WithdrawalStatus::Completed;
        completed.apply(&Event::WithdrawalEnded { withdrawal_id: id, user_id, status }, at);
        assert_eq!(completed.complete(), Ok(Step::Done));
        assert_eq!(completed.reject(), Err(Rejection::WithdrawalEnded { status }));
    }
}
