//! Buying and what follows: purchase, order, cancel, ship, deliver, return. Stock is held first, in ascending order of
//! products; the payer's balance commits.

use super::call::{OrderRequest, Pricing, PurchaseRequest, ReturnRequest, StepRequest};
use super::lines::{LineRequest, total_of};
use super::operate::{Stop, Work};
use super::{EngineError, Inner};
use crate::domain::balance::{Balance, BalanceCommand};
use crate::domain::message::{Message, Payload};
use crate::domain::order::{GoodsReturn, Order, OrderLine, OrderStatus, ReturnLine, Step};
use crate::domain::product::{Details, Product, ProductClaim};
use crate::domain::rejection::Missing;
use crate::domain::{MessageId, Money, OrderId, ProductId, Rejection, ReturnId, Seq, UserId};
use crate::owners::mailbox::{Committed, Glimpse};
use crate::owners::{Party, Pin, PinError};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one line may take in the journal: its numbers and a name of 200 characters.
pub(super) const LINE_BYTES: usize = 1_024;

/// Which step is to be taken on an order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StepKind {
    Cancel,
    Ship,
    Deliver,
}

type Products = BTreeMap<ProductId, Pin<Product>>;

pub(super) async fn purchase(mut work: Work, request: PurchaseRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let payer = engine.pin(&engine.balances, request.user_id, Missing::User).await?;
    let product = engine.pin(&engine.products, request.product_id, Missing::Item).await?;
    let _permits = (work.admit(&product)?, work.admit(&payer)?);
    let space = work.space().await?;
    let claim = ProductClaim::Units(i64::from(request.quantity.get()));
    let Some((hold, details)) = work.claim(&product, claim, None).await? else {
        return Err(EngineError::Internal.into());
    };
    let line =
        LineRequest { product_id: request.product_id, quantity: request.quantity, unit_price: details.price };
    let Some(order) = priced(&engine, request.user_id, &[line], |_| Some(details.clone())) else {
        return Err(too_dear(&mut work, &payer).await);
    };
    let parties: Vec<Box<dyn Party>> = vec![Box::new(hold)];
    committed(work.commit(&payer, BalanceCommand::Place(order), parties, space, None).await?)
}

pub(super) async fn order(mut work: Work, request: OrderRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    work.extra_bytes = request.lines.len() * LINE_BYTES;
    let payer = engine.pin(&engine.balances, request.user_id, Missing::User).await?;
    let units = request.lines.units();
    let products = pin_products(&engine, units.keys().copied()).await?;
    let mut permits = Vec::with_capacity(products.len());
    for product in products.values() {
        permits.push(work.admit(product)?);
    }
    let _payer_permit = work.admit(&payer)?;
    let space = work.space().await?;
    let terms = |line: &LineRequest| (line.product_id, line.unit_price);
    let claimed: Vec<_> = match request.pricing {
        Pricing::Claimed => request.lines.iter().map(terms).collect(),
        Pricing::AsGiven => Vec::new(),
    };
    let (parties, details) = hold_units(&mut work, &products, &units, &claimed).await?;
    let Some(order) = priced(&engine, request.user_id, &request.lines, |id| details.get(&id).cloned()) else {
        return Err(too_dear(&mut work, &payer).await);
    };
    committed(work.commit(&payer, BalanceCommand::Place(order), parties, space, None).await?)
}

pub(super) async fn step(mut work: Work, request: StepRequest, kind: StepKind) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    loop {
        let found = find(&engine, request.order_id).await?;
        let Some(Found { order, owner, read_at }) =
            found.filter(|found| request.of.is_none_or(|user| user == found.order.user_id))
        else {
            return Err(engine.edge_rejection(Rejection::NotFound(Missing::Order)).into());
        };
        let _permit = work.admit(&owner)?;
        work.extra_bytes = order.lines.len() * LINE_BYTES;
        let products = match kind {
            StepKind::Cancel if engine.is_cancellable(&owner, &order, read_at).await? => {
                pin_products(&engine, order.units().into_keys()).await?
            }
            _ => Products::new(),
        };
        let space = work.space().await?;
        let parties = hold_room(&mut work, &products, &order.units()).await?;
        let command = match kind {
            StepKind::Cancel => BalanceCommand::Cancel(order),
            StepKind::Ship => {
                let message = shipped(&engine, &order);
                BalanceCommand::Ship { order, message }
            }
            StepKind::Deliver => BalanceCommand::Deliver(order),
        };
        if let Some(committed) = work.commit(&owner, command, parties, space, Some(read_at)).await? {
            return Ok(committed);
        }
    }
}

pub(super) async fn take_back(mut work: Work, request: ReturnRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let back = |line: &LineRequest| ReturnLine {
        product_id: line.product_id,
        quantity: line.quantity,
        unit_price: line.unit_price,
    };
    let lines = request.lines.iter().map(back).collect();
    let goods = Arc::new(GoodsReturn {
        id: ReturnId::new(engine.ground.clock.new_id()),
        user_id: request.user_id,
        order_id: request.order_id,
        lines,
        total: request.lines.total(),
        reason: request.reason.clone(),
    });
    loop {
        let (order, owner, read_at) = match request.order_id {
            None => (None, engine.pin(&engine.balances, request.user_id, Missing::User).await?, None),
            Some(id) => match find(&engine, id).await? {
                Some(found) if found.order.user_id == request.user_id => {
                    (Some(found.order), found.owner, Some(found.read_at))
                }
                _ => return Err(engine.edge_rejection(Rejection::NotFound(Missing::Order)).into()),
            },
        };
        let _permit = work.admit(&owner)?;
        // The reason stands at the return and in the entry.
        work.extra_bytes = request.lines.len() * LINE_BYTES + 2 * 4 * crate::domain::text::TEXT_MAX;
        let products = pin_products(&engine, goods.units().into_keys()).await?;
        let space = work.space().await?;
        let parties = hold_room(&mut work, &products, &goods.units()).await?;
        let command = BalanceCommand::TakeBack { goods: goods.clone(), order };
        if let Some(committed) = work.commit(&owner, command, parties, space, read_at).await? {
            return Ok(committed);
        }
    }
}

/// What tells the outside that an order was shipped.
fn shipped(engine: &Inner, order: &Order) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId::new(engine.ground.clock.new_id()),
        user_id: order.user_id,
        payload: Payload::OrderShipped { order_id: order.id, total: order.total },
        created_at: engine.ground.clock.now(),
    })
}

/// An order as it stands in memory or in the store, and as of when.
pub(super) struct Found {
    pub order: Arc<Order>,
    pub owner: Pin<Balance>,
    pub read_at: Seq,
}

/// Finds an order wherever it is. Later changes than `read_at` are known to its owner.
pub(super) async fn find(engine: &Inner, id: OrderId) -> Result<Option<Found>, EngineError> {
    if let Some(user_id) = engine.ground.unstored.owner_of(id.get()) {
        let owner = engine.pin(&engine.balances, user_id, Missing::User).await?;
        let placed = engine.view(&owner, move |glimpse| glimpse.desk.placed(id)).await?;
        if let Some((order, read_at)) = placed {
            return Ok(Some(Found { order, owner, read_at }));
        }
    }
    let snapshot = engine.ground.store.read(|store| store.order(id)).await?;
    let Some(order) = snapshot.value.map(|row| row.value) else { return Ok(None) };
    let owner = engine.pin(&engine.balances, order.user_id, Missing::User).await?;
    Ok(Some(Found { order: Arc::new(order), owner, read_at: snapshot.watermark }))
}

impl Inner {
    /// Whether goods would come back: an order that cannot be cancelled, or is already, needs no room for them. It never
    /// becomes cancellable again.
    async fn is_cancellable(
        &self,
        owner: &Pin<Balance>,
        order: &Arc<Order>,
        read_at: Seq,
    ) -> Result<bool, EngineError> {
        let order = order.clone();
        let look = move |glimpse: &mut Glimpse<'_, Balance>| glimpse.desk.overlaid(&order, read_at).cancel();
        Ok(matches!(self.view(owner, look).await?, Ok(Step::Take)))
    }
}

/// Pins every product of an order; unknown ones refuse the whole, all of them named.
pub(super) async fn pin_products(
    engine: &Inner,
    ids: impl Iterator<Item = ProductId>,
) -> Result<Products, Stop> {
    let mut products = Products::new();
    let mut unknown = Vec::new();
    for (id, pinned) in join_all(ids.map(|id| async move { (id, engine.products.pin(id).await) })).await {
        match pinned {
            Ok(pin) => drop(products.insert(id, pin)),
            Err(PinError::NotFound) => unknown.push(id),
            Err(other) => return Err(engine.not_pinned(other, Missing::Item).into()),
        }
    }
    if unknown.is_empty() {
        return Ok(products);
    }
    let product_id = unknown.remove(0);
    Err(engine.edge_rejection(Rejection::UnknownProduct { product_id, further: unknown }).into())
}

/// Units of each product, in ascending order, with its terms. `claimed` prices have to be the products' own.
pub(super) async fn hold_units(
    work: &mut Work,
    products: &Products,
    units: &BTreeMap<ProductId, i64>,
    claimed: &[(ProductId, Money)],
) -> Result<(Vec<Box<dyn Party>>, BTreeMap<ProductId, Arc<Details>>), Stop> {
    let mut parties: Vec<Box<dyn Party>> = Vec::with_capacity(products.len());
    let mut details = BTreeMap::new();
    for (id, product) in products {
        let claim = ProductClaim::Units(units.get(id).copied().unwrap_or(0));
        let Some((hold, terms)) = work.claim(product, claim, None).await? else {
            return Err(EngineError::Internal.into());
        };
        if claimed.iter().any(|(product_id, price)| product_id == id && *price != terms.price) {
            let rejection = Rejection::PriceChanged { product_id: *id, unit_price: terms.price };
            return Err(work.refused(rejection, product.cell.last()));
        }
        details.insert(*id, terms);
        parties.push(Box::new(hold));
    }
    Ok((parties, details))
}

/// Room at each product for units that come back, in ascending order.
async fn hold_room(
    work: &mut Work,
    products: &Products,
    units: &BTreeMap<ProductId, i64>,
) -> Result<Vec<Box<dyn Party>>, Stop> {
    let mut parties: Vec<Box<dyn Party>> = Vec::with_capacity(products.len());
    for (id, product) in products {
        let claim = ProductClaim::Room(units.get(id).copied().unwrap_or(0));
        let Some((hold, _)) = work.claim(product, claim, None).await? else {
            return Err(EngineError::Internal.into());
        };
        parties.push(Box::new(hold));
    }
    Ok(parties)
}

/// The order at the lines' prices; `None` when its total would pass the limit.
pub(super) fn priced(
    engine: &Inner,
    user_id: UserId,
    lines: &[LineRequest],
    details: impl Fn(ProductId) -> Option<Arc<Details>>,
) -> Option<Arc<Order>> {
    let line = |line: &LineRequest| {
        let details = details(line.product_id)?;
        Some(OrderLine {
            product_id: line.product_id,
            quantity: line.quantity,
            unit_price: line.unit_price,
            product_name: details.name.clone(),
            product_price: details.price,
        })
    };
    let now = engine.ground.clock.now();
    Some(Arc::new(Order {
        id: OrderId::new(engine.ground.clock.new_id()),
        user_id,
        status: OrderStatus::Processed,
        total: total_of(lines)?,
        lines: lines.iter().map(line).collect::<Option<_>>()?,
        returned: Vec::new(),
        refunded: Money::ZERO,
        failure: None,
        created_at: now,
        updated_at: now,
    }))
}

/// A total past every limit is past every balance.
async fn too_dear(work: &mut Work, payer: &Pin<Balance>) -> Stop {
    let look = |glimpse: &mut Glimpse<'_, Balance>| (glimpse.entity.view(), glimpse.as_of);
    let (view, as_of) = match work.engine.view(payer, look).await {
        Ok(seen) => seen,
        Err(error) => return error.into(),
    };
    let requested = Money::new(crate::domain::LIMIT).unwrap_or_default();
    let available = view.and_then(|view| Money::new(view.amount)).unwrap_or_default();
    work.refused(Rejection::InsufficientBalance { requested, available }, as_of)
}

/// For commits that rest on no stored state and so cannot be stale.
pub(super) fn committed(tried: Option<Committed>) -> Result<Committed, Stop> {
    tried.ok_or(Stop::Failed(EngineError::Internal))
}
