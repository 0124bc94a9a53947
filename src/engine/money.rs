//! Credits, debits and transfers.

use super::call::{AdjustRequest, TransferRequest};
use super::operate::{Stop, Work};
use super::orders::committed;
use crate::domain::balance::{BalanceClaim, BalanceCommand, Room};
use crate::domain::rejection::Missing;
use crate::domain::text::{TEXT_MAX, Text};
use crate::domain::{Operation, Rejection, TransferId};
use crate::owners::Party;
use crate::owners::mailbox::Committed;

/// Bytes that texts may take beyond the usual, at four a character.
fn text_bytes(texts: &[&Option<Text>]) -> usize {
    texts
        .iter()
        .map(|text| text.as_ref().map_or(0, |text| text.as_str().len()))
        .sum::<usize>()
        .min(8 * TEXT_MAX)
}

pub(super) async fn adjust(mut work: Work, request: AdjustRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.balances, request.user_id, Missing::User).await?;
    let _permit = work.admit(&owner)?;
    work.extra_bytes = text_bytes(&[&request.reference, &request.description]);
    let space = work.space().await?;
    let AdjustRequest { amount, reference, description, .. } = request;
    let command = match work.operation {
        Operation::Decrement => BalanceCommand::Decrement { amount, reference, description },
        _ => BalanceCommand::Increment { amount, reference, description },
    };
    committed(work.commit(&owner, command, Vec::new(), space, None).await?)
}

pub(super) async fn transfer(mut work: Work, request: TransferRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    if request.from == request.to {
        return Err(engine.edge_rejection(Rejection::SelfTransfer).into());
    }
    let sender = engine.pin(&engine.balances, request.from, Missing::User).await?;
    let receiver = engine.pin(&engine.balances, request.to, Missing::User).await?;
    let _permits = (work.admit(&sender)?, work.admit(&receiver)?);
    work.extra_bytes = 2 * text_bytes(&[&request.description]);
    let space = work.space().await?;
    let Some((room, ())) = work.claim(&receiver, BalanceClaim::Room(Room(request.amount)), None).await?
    else {
        return Err(super::EngineError::Internal.into());
    };
    let command = BalanceCommand::Transfer {
        id: TransferId::new(engine.ground.clock.new_id()),
        to: request.to,
        amount: request.amount,
        description: request.description,
    };
    let parties: Vec<Box<dyn Party>> = vec![Box::new(room)];
    committed(work.commit(&sender, command, parties, space, None).await?)
}
