//! A distributor: a user's commission account. It counts completed withdrawals and climbs levels by them, several at once
//! if need be and never down; the checks that decide it are messages that it keeps.

use super::balance::Room;
use super::entity::{Decision, Entity, Verdict};
use super::event::{Event, Posting};
use super::ids::{UserId, WithdrawalId};
use super::ledger::{Ledger, has_room};
use super::level::{Levels, Rank};
use super::message::{Message, MessageTurn};
use super::rejection::Rejection;
use super::text::Name;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A level as it was when somebody stood on it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Standing {
    pub rank: Rank,
    pub name: Name,
}

/// One climb.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Upgrade {
    pub user_id: UserId,
    pub from: Standing,
    pub to: Standing,
    /// The completed withdrawal that the check was made for, if it was made for one.
    pub withdrawal_id: Option<WithdrawalId>,
}

/// A completed withdrawal as the distributor counts it, with the message of the check that it leads to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Payout {
    pub user_id: UserId,
    pub withdrawal_id: WithdrawalId,
    pub posting: Posting,
    pub message: Arc<Message>,
}

/// What readers see of a distributor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DistributorView {
    pub user_id: UserId,
    pub rank: Rank,
    pub withdrawn_total: i64,
    /// Counts completed withdrawals.
    pub version: u64,
    pub upgraded_at: Option<Timestamp>,
}

/// The state of one distributor.
#[derive(Clone, Debug)]
pub struct Distributor {
    id: UserId,
    rank: Rank,
    upgraded_at: Option<Timestamp>,
    payouts: Ledger,
    /// What open holds may still bring in.
    room: i64,
}

/// What a distributor's owner commits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DistributorCommand {
    /// Asks for a check beside any withdrawal.
    QueueCheck(Arc<Message>),
    /// Climbs as far as the total reaches. One check serves all that wait: `others` end with it.
    Check {
        levels: Arc<Levels>,
        turn: MessageTurn,
        others: Vec<MessageTurn>,
        withdrawal_id: Option<WithdrawalId>,
    },
    Message(MessageTurn),
}

impl Distributor {
    pub const fn stored(view: DistributorView) -> Self {
        Self {
            id: view.user_id,
            rank: view.rank,
            upgraded_at: view.upgraded_at,
            payouts: Ledger::new(view.withdrawn_total, view.version),
            room: 0,
        }
    }

    pub const fn id(&self) -> UserId {
        self.id
    }

    pub const fn view(&self) -> DistributorView {
        let (withdrawn_total, version) = self.payouts.published();
        let (user_id, rank, upgraded_at) = (self.id, self.rank, self.upgraded_at);
        DistributorView { user_id, rank, withdrawn_total, version, upgraded_at }
    }

    /// Room under open holds.
    pub const fn open_holds(&self) -> i64 {
        self.room
    }

    fn check(
        &self,
        levels: &Levels,
        turn: &MessageTurn,
        others: &[MessageTurn],
        withdrawal_id: Option<WithdrawalId>,
    ) -> Result<Decision, Rejection> {
        let mut decision = turn.decide()?;
        if decision.is_void() {
            return Ok(decision);
        }
        for other in others {
            decision.own.extend(other.decide()?.own);
        }
        let reached = levels.reached(self.payouts.bound()).filter(|reached| *reached > self.rank);
        if let Some(rank) = reached {
            let standing = |rank| Standing { rank, name: levels.name(rank) };
            let (from, to) = (standing(self.rank), standing(rank));
            let upgrade = Upgrade { user_id: self.id, from, to, withdrawal_id };
            decision.own.insert(0, Event::DistributorUpgraded(Arc::new(upgrade)));
        }
        Ok(decision)
    }
}

impl Entity for Distributor {
    /// Room for a payout to be counted.
    type Claim = Room;
    type Grant = ();
    type Command = DistributorCommand;

    fn unborn() -> Self {
        let (user_id, rank, upgraded_at) = (UserId::new(0), 0, None);
        Self::stored(DistributorView { user_id, rank, withdrawn_total: 0, version: 0, upgraded_at })
    }

    fn claim(&mut self, claim: &Room, _contended: bool) -> Verdict<()> {
        let amount = claim.0.minor();
        if !has_room(self.payouts.bound(), amount) {
            return Verdict::Refused(Rejection::BalanceLimit);
        }
        if !has_room(self.payouts.bound() + self.room, amount) {
            return Verdict::Wait;
        }
        self.room += amount;
        Verdict::Granted(())
    }

    fn release(&mut self, claim: &Room) {
        self.room -= claim.0.minor();
    }

    fn decide(&self, command: &DistributorCommand, _at: Timestamp, _contended: bool) -> Verdict<Decision> {
        let decided = match command {
            DistributorCommand::QueueCheck(message) => {
                Ok(Decision::one(Event::MessageQueued(message.clone())))
            }
            DistributorCommand::Check { levels, turn, others, withdrawal_id } => {
                self.check(levels, turn, others, *withdrawal_id)
            }
            DistributorCommand::Message(turn) => turn.decide(),
        };
        match decided {
            Ok(decision) => Verdict::Granted(decision),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::PayoutCounted(payout) => self.payouts.post(&payout.posting),
            Event::DistributorUpgraded(upgrade) => {
                self.rank = upgrade.to.rank;
                self.upgraded_at = Some(at);
            }
            _ => {}
        }
    }

    fn version(&self) -> u64 {
        self.payouts.version()
    }

    fn is_level(&self) -> bool {
        self.payouts.is_level()
    }
}

#[cfg(test)]
mod tests {
    use super::super::level::Level;
    use super::super::message::{MessageStep, OpenMessage, Payload};
    use super::*;
    use crate::domain::{MessageId, Money};
    use uuid::Uuid;

    const AT: Timestamp = Timestamp::from_micros(5);

    fn distributor(withdrawn_total: i64, rank: Rank) -> Distributor {
        let user_id = UserId::new(1);
        Distributor::stored(DistributorView { user_id, rank, withdrawn_total, version: 1, upgraded_at: None })
    }

    fn levels() -> Arc<Levels> {
        let level = |minor| Level {
            name: Name::parse(&format!("L{minor}")).expect("a name"),
            threshold: Money::new(minor).expect("in range"),
        };
        Arc::new(Levels::new([0, 100, 500].map(level).into()).expect("ascending"))
    }

    fn turn(id: u128, attempt: u32) -> MessageTurn {
        let message = Message {
            id: MessageId::new(Uuid::from_u128(id)),
            user_id: UserId::new(1),
            payload: Payload::UpgradeCheck { withdrawal_id: None },
            created_at: AT,
        };
        let open = Some(OpenMessage::queued(Arc::new(message)));
        MessageTurn { open, ..MessageTurn::new(message.id, MessageStep::Finish { attempt }) }
    }

    fn check(distributor: &mut Distributor, others: &[u128], attempt: u32) -> (Option<Rank>, usize) {
        let others = others.iter().map(|id| turn(*id, 1)).collect();
        let (levels, withdrawal_id) = (levels(), None);
        let command = DistributorCommand::Check { levels, turn: turn(1, attempt), others, withdrawal_id };
        let Verdict::Granted(decision) = distributor.decide(&command, AT, false) else { panic!("refused") };
        decision.own.iter().for_each(|event| distributor.apply(event, AT));
        let climbed = decision.own.iter().find_map(|event| match event {
            Event::DistributorUpgraded(upgrade) => Some(upgrade.to.rank),
            _ => None,
        });
        (climbed, decision.own.iter().filter(|event| matches!(event, Event::MessageDone(_))).count())
    }

    #[test]
    fn a_check_climbs_several_levels_at_once_and_never_down() {
        let mut climber = distributor(700, 0);
        assert_eq!(check(&mut climber, &[], 1), (Some(2), 1));
        assert_eq!((climber.view().rank, climber.view().upgraded_at), (2, Some(AT)));
        assert_eq!(check(&mut climber, &[], 1), (None, 1), "the same check once more");
        assert_eq!(check(&mut distributor(100, 2), &[], 1), (None, 1), "down");
    }

    #[test]
    fn one_check_serves_all_that_wait() {
        assert_eq!(check(&mut distributor(100, 0), &[2, 3, 4], 1), (Some(1), 4));
    }

    #[test]
    fn an_attempt_that_is_not_the_current_one_climbs_nothing() {
        assert_eq!(check(&mut distributor(700, 0), &[2], 2), (None, 0));
    }
}
