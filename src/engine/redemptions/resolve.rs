//! An operator settles a card in doubt.

use super::exchange::{SNAPSHOT_BYTES, settle};
use super::find;
use crate::domain::account::exchange::{CardRef, Ending, Settlement};
use crate::domain::redemption::{CardFailure, Redemption, RedemptionStatus};
use crate::domain::rejection::Missing;
use crate::domain::text::Text;
use crate::domain::{Money, RedemptionId, Rejection};
use crate::engine::EngineError;
use crate::engine::operate::{Miss, Stop, Work};
use crate::owners::mailbox::Committed;
use serde::Serialize;
use std::sync::Arc;

/// What an operator found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Resolution {
    /// The provider took the card, which was worth this.
    Taken(Money),
    Untaken,
}

/// A card in doubt and what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ResolveRequest {
    pub id: RedemptionId,
    pub resolution: Resolution,
}

/// What a balance says of a card that is not open any more.
const ENDED: Rejection = Rejection::NotFound(Missing::Redemption);

pub async fn resolve(mut work: Work, request: ResolveRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    // Under a key, the redemption as it was stands in the record.
    work.extra_bytes = SNAPSHOT_BYTES;
    loop {
        let found = find(&engine, request.id).await?;
        let status = found.card.status;
        let account_id = match found.card.account_id {
            Some(account_id) if status == RedemptionStatus::InDoubt => account_id,
            _ => return Err(work.refused(Rejection::RedemptionState { status }, found.as_of)),
        };
        let ending = match request.resolution {
            Resolution::Taken(amount) => Ending::Taken(amount),
            Resolution::Untaken => Ending::Untaken(Arc::new(CardFailure {
                code: "resolved".into(),
                detail: Text::stored("an administrator found that the provider did not take it".into()),
            })),
        };
        let settlement = Settlement {
            card: CardRef::of(&found.card),
            fence: found.card.fence,
            ending,
            owed: None,
            attempts: 0,
            operator: Some(Arc::new(Redemption { code: None, ..Redemption::clone(&found.card) })),
        };
        // Where the provider said it a moment before, the next look finds the card settled.
        let settled = match settle(&mut work, account_id, settlement).await {
            Err(Stop::Refused(refused, key)) if refused.rejection == ENDED => {
                work.key = key;
                continue;
            }
            otherwise => otherwise?,
        };
        match settled {
            Ok(committed) => return Ok(committed),
            Err(Miss::Refused(refused)) if refused.rejection == Rejection::AccountNotFree => {}
            Err(Miss::Refused(refused)) => return Err(work.refused(refused.rejection, refused.as_of)),
            Err(Miss::Stale) => return Err(EngineError::Internal.into()),
            Err(Miss::Failed(error)) => return Err(error.into()),
        }
    }
}
