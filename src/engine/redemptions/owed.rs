//! Payouts that had no room on their balances when the cards were exchanged: made later, each for its message.

use crate::domain::Operation;
use crate::domain::balance::BalanceCommand;
use crate::domain::message::MessageStep;
use crate::domain::rejection::Missing;
use crate::engine::call::Call;
use crate::engine::messages::Turn;
use crate::engine::operate::{Stop, Work};
use crate::engine::orders::committed;
use crate::engine::{EngineError, Inner};
use crate::messages::Attempt;
use crate::owners::mailbox::Committed;
use std::sync::Arc;

impl Inner {
    /// Makes a payout that is owed. Its message ends in the same record.
    pub(in crate::engine) async fn pay_card(self: &Arc<Self>, attempt: &Attempt) -> Result<(), EngineError> {
        let turn = Turn::of(attempt);
        let id = attempt.message.id;
        let run = move |work: Work, _| pay(work, turn);
        self.operate(Call::for_effect(), Operation::PayCard, id, run).await.map(drop)
    }
}

async fn pay(mut work: Work, turn: Turn) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.balances, turn.message.user_id, Missing::User).await?;
    let _permit = work.admit(&owner)?;
    let space = work.space().await?;
    let command = BalanceCommand::PayCard(turn.to(MessageStep::Finish { attempt: turn.attempt }));
    committed(work.commit(&owner, command, Vec::new(), space, None).await?)
}
