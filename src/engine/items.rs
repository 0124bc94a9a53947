//! Items: creation under a free sku, changes of terms, stock, deletion and restoration.

use super::call::{ChangeItemRequest, ItemRequest, MoveStockRequest, NewItemRequest};
use super::operate::{Miss, Stop, Work};
use super::orders::committed;
use super::{EngineError, Inner};
use crate::domain::directory::{Directory, DirectoryCommand, SoughtName, UniqueName};
use crate::domain::event::Namespace;
use crate::domain::ids::ShardId;
use crate::domain::product::{Details, Product, ProductCommand};
use crate::domain::rejection::Missing;
use crate::domain::text::Sku;
use crate::domain::{Rejection, Seq};
use crate::owners::mailbox::Committed;
use crate::owners::{Party, Pin};
use std::sync::Arc;

pub(super) fn sku_name(sku: &Sku) -> UniqueName {
    UniqueName { namespace: Namespace::Sku, name: sku.as_str().into() }
}

/// A name as the store has it, and as of when; what its shard knows beyond that counts more.
pub(super) async fn seek(engine: &Inner, name: &UniqueName) -> Result<(SoughtName, Seq), EngineError> {
    let snapshot = engine.ground.store.read(|store| store.name_holder(name)).await?;
    Ok((SoughtName { name: name.clone(), stored: snapshot.value }, snapshot.watermark))
}

pub(super) async fn directory(engine: &Inner, shard: ShardId) -> Result<Pin<Directory>, EngineError> {
    // A shard always exists, so only the store can be in the way.
    engine.pin(&engine.directories, shard, Missing::Item).await
}

pub(super) async fn create(mut work: Work, request: NewItemRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let name = request.sku.as_ref().map(sku_name);
    let shard = name.as_ref().map_or_else(|| engine.next_shard(), UniqueName::shard);
    let owner = directory(&engine, shard).await?;
    let _permit = work.admit(&owner)?;
    work.extra_bytes = 4 * details_bytes(&request);
    let product_id = engine.view(&owner, |glimpse| glimpse.entity.reserve_product()).await?;
    let product = engine
        .products
        .spawn_unborn(product_id)
        .await
        .map_err(|error| engine.not_pinned(error, Missing::Item))?;
    let details = Arc::new(Details {
        sku: request.sku.clone(),
        name: request.name.clone(),
        description: request.description.clone(),
        price: request.price,
        revision: 1,
        created_at: engine.ground.clock.now(),
        deleted_at: None,
    });
    loop {
        let sought = match &name {
            None => None,
            Some(name) => Some(seek(&engine, name).await?),
        };
        let read_at = sought.as_ref().map(|(_, read_at)| *read_at);
        let sku = sought.map(|(sought, _)| sought);
        let details = details.clone();
        let command = DirectoryCommand::CreateItem { sku, product_id, details, stock: request.stock.units() };
        let space = work.space().await?;
        let parties: Vec<Box<dyn Party>> = vec![Box::new(product.pin())];
        if let Some(committed) = work.commit(&owner, command, parties, space, read_at).await? {
            return Ok(committed);
        }
    }
}

fn details_bytes(request: &NewItemRequest) -> usize {
    let sku = request.sku.as_ref().map_or(0, |sku| sku.as_str().len());
    let description = request.description.as_ref().map_or(0, |text| text.as_str().len());
    sku + description + request.name.as_str().len()
}

pub(super) async fn change(mut work: Work, request: ChangeItemRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let product = engine.pin(&engine.products, request.product_id, Missing::Item).await?;
    let _permit = work.admit(&product)?;
    work.extra_bytes = 8 * (2 * crate::domain::text::NAME_MAX + crate::domain::text::TEXT_MAX);
    let Some(new_sku) = request.change.sku.clone() else {
        let space = work.space().await?;
        let ChangeItemRequest { change, if_revision, .. } = request;
        let command = ProductCommand::Change { change, if_revision };
        return committed(work.commit(&product, command, Vec::new(), space, None).await?);
    };
    loop {
        // The names to hold follow from the sku that the item has now; if that changes before the commit, start over.
        let (seen, as_of) = engine.view(&product, |glimpse| (glimpse.entity.view(), glimpse.as_of)).await?;
        let Some(seen) = seen else {
            return Err(engine.edge_rejection(Rejection::NotFound(Missing::Item)).into());
        };
        let revision = seen.details.revision;
        if request.if_revision.is_some_and(|wanted| wanted != revision) {
            return Err(work.refused(Rejection::VersionConflict { revision }, as_of));
        }
        let old_sku = seen.details.sku.clone();
        let old_shard = match &old_sku {
            Some(sku) => Some(directory(&engine, sku_name(sku).shard()).await?),
            None => None,
        };
        // Nothing may be waited for once the new name is held, room in the journal least of all.
        let space = work.space().await?;
        let mut parties: Vec<Box<dyn Party>> = Vec::new();
        if old_sku != new_sku {
            if let Some(sku) = &new_sku {
                match hold_name(&mut work, &sku_name(sku)).await {
                    Ok(Some(hold)) => parties.push(hold),
                    Ok(None) => continue,
                    // Whoever took the name may have been this very item, by a change that came before this one.
                    Err(Stop::Refused(_, key)) if revision_of(&engine, &product).await? != Some(revision) => {
                        work.key = key;
                        continue;
                    }
                    Err(stop) => return Err(stop),
                }
            }
            if let Some(shard) = old_shard {
                parties.push(Box::new(shard));
            }
        }
        // The parties fit this revision only, so the commit must be at it.
        let command = ProductCommand::Change { change: request.change.clone(), if_revision: Some(revision) };
        match work.attempt(&product, command, parties, space, None).await {
            Ok(committed) => return Ok(committed),
            Err(Miss::Refused(refused)) if is_conflict(&refused.rejection) => {}
            Err(Miss::Refused(refused)) => return Err(work.refused(refused.rejection, refused.as_of)),
            Err(Miss::Stale) => {}
            Err(Miss::Failed(error)) => return Err(error.into()),
        }
    }
}

async fn revision_of(engine: &Inner, product: &Pin<Product>) -> Result<Option<u64>, EngineError> {
    engine.view(product, |glimpse| glimpse.entity.view().map(|view| view.details.revision)).await
}

const fn is_conflict(rejection: &Rejection) -> bool {
    matches!(rejection, Rejection::VersionConflict { .. })
}

/// Holds a free name; `None` when what the store said of it is out of date.
async fn hold_name(work: &mut Work, name: &UniqueName) -> Result<Option<Box<dyn Party>>, Stop> {
    let engine = work.engine.clone();
    let shard = directory(&engine, name.shard()).await?;
    let (sought, read_at) = seek(&engine, name).await?;
    let held = work.claim(&shard, vec![sought], Some(read_at)).await?;
    Ok(held.map(|(hold, ())| Box::new(hold) as Box<dyn Party>))
}

async fn commit_alone(
    mut work: Work,
    product: Pin<Product>,
    command: ProductCommand,
) -> Result<Committed, Stop> {
    let _permit = work.admit(&product)?;
    work.extra_bytes = 8 * (2 * crate::domain::text::NAME_MAX + crate::domain::text::TEXT_MAX);
    let space = work.space().await?;
    committed(work.commit(&product, command, Vec::new(), space, None).await?)
}

pub(super) async fn move_stock(work: Work, request: MoveStockRequest) -> Result<Committed, Stop> {
    let product = work.engine.pin(&work.engine.products, request.product_id, Missing::Item).await?;
    let command = ProductCommand::MoveStock { delta: request.delta.units(), reason: request.reason };
    commit_alone(work, product, command).await
}

pub(super) async fn delete(work: Work, request: ItemRequest) -> Result<Committed, Stop> {
    let product = work.engine.pin(&work.engine.products, request.product_id, Missing::Item).await?;
    commit_alone(work, product, ProductCommand::Delete { if_revision: request.if_revision }).await
}

pub(super) async fn restore(work: Work, request: ItemRequest) -> Result<Committed, Stop> {
    let product = work.engine.pin(&work.engine.products, request.product_id, Missing::Item).await?;
    commit_alone(work, product, ProductCommand::Restore).await
}
