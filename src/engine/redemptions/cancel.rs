//! Cards that have not started are taken back.

use super::exchange::SNAPSHOT_BYTES;
use super::find_of;
use super::read::find_batch;
use crate::domain::balance::BalanceCommand;
use crate::domain::cards;
use crate::domain::directory::DIRECTORY_SHARDS;
use crate::domain::ids::ShardId;
use crate::domain::rejection::Missing;
use crate::domain::{BatchId, RedemptionId, UserId};
use crate::engine::items::directory;
use crate::engine::operate::{Stop, Work};
use crate::engine::orders::committed;
use crate::owners::Party;
use crate::owners::mailbox::Committed;

/// What a cancelled card takes in a record at most.
const CANCELLED_BYTES: usize = 96;

pub async fn one(mut work: Work, (id, of): (RedemptionId, Option<UserId>)) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    // Under a key, the redemption as it was stands in the record.
    work.extra_bytes = SNAPSHOT_BYTES;
    loop {
        let found = find_of(&engine, id, of).await?;
        let _permit = work.admit(&found.owner)?;
        let shard = directory(&engine, cards::name(&found.card.code_name).shard()).await?;
        let space = work.space().await?;
        let command = BalanceCommand::CancelCard(found.card);
        let parties: Vec<Box<dyn Party>> = vec![Box::new(shard)];
        if let Some(done) = work.commit(&found.owner, command, parties, space, Some(found.as_of)).await? {
            return Ok(done);
        }
    }
}

pub async fn batch(mut work: Work, (id, of): (BatchId, Option<UserId>)) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let (user_id, total) = find_batch(&engine, id, of).await?;
    let owner = engine.pin(&engine.balances, user_id, Missing::User).await?;
    let _permit = work.admit(&owner)?;
    work.extra_bytes = CANCELLED_BYTES * total as usize;
    let mut parties: Vec<Box<dyn Party>> = Vec::new();
    for shard in 0..DIRECTORY_SHARDS {
        parties.push(Box::new(directory(&engine, ShardId::new(shard)).await?));
    }
    let space = work.space().await?;
    committed(work.commit(&owner, BalanceCommand::CancelBatch(id), parties, space, None).await?)
}
