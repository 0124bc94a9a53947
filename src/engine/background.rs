//! Orders that are decided in the background: accepted at once as pending, decided for their message. A refusal ends such
//! an order as failed; only trouble is tried again.

use super::call::{Call, OrderRequest};
use super::messages::Turn;
use super::operate::{Stop, Work};
use super::orders::{Found, LINE_BYTES, committed, find, hold_units, pin_products, priced};
use super::{EngineError, Inner};
use crate::domain::balance::{Balance, BalanceCommand};
use crate::domain::message::{Message, MessageStep, Payload};
use crate::domain::order::{Failure, Order, OrderLine, OrderStatus, Pricing};
use crate::domain::product::Details;
use crate::domain::rejection::Missing;
use crate::domain::{MessageId, Operation, OrderId, ProductId, Rejection, Seq};
use crate::messages::Attempt;
use crate::owners::Pin;
use crate::owners::mailbox::Committed;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Accepts an order: it and the message that it is decided for are one record.
pub(super) async fn accept(mut work: Work, request: OrderRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    work.extra_bytes = request.lines.len() * LINE_BYTES;
    let payer = engine.pin(&engine.balances, request.user_id, Missing::User).await?;
    let products = pin_products(&engine, request.lines.units().into_keys()).await?;
    let _permit = work.admit(&payer)?;
    let mut details: BTreeMap<ProductId, Arc<Details>> = BTreeMap::new();
    for (id, product) in &products {
        let view = engine.view(product, |glimpse| glimpse.entity.view()).await?;
        let view = view.ok_or_else(|| {
            engine.edge_rejection(Rejection::UnknownProduct { product_id: *id, further: Vec::new() })
        })?;
        details.insert(*id, view.details);
    }
    let space = work.space().await?;
    let order = priced(&engine, request.user_id, &request.lines, |id| details.get(&id).cloned());
    // Lines are worth what an order may be, and all their products are here.
    let order = order.ok_or(EngineError::Internal)?;
    let order = Order { status: OrderStatus::Pending, ..Order::clone(&order) };
    let message = Message {
        id: MessageId::new(engine.ground.clock.new_id()),
        user_id: request.user_id,
        payload: Payload::ProcessOrder { order_id: order.id, pricing: request.pricing },
        created_at: order.created_at,
    };
    let command = BalanceCommand::Accept { order: Arc::new(order), message: Arc::new(message) };
    committed(work.commit(&payer, command, Vec::new(), space, None).await?)
}

/// What is to be decided, and for which attempt.
#[derive(Clone, Serialize)]
struct DecisionRequest {
    order_id: OrderId,
    pricing: Pricing,
    #[serde(skip)]
    turn: Turn,
    /// Decided already: it fails.
    #[serde(skip)]
    failure: Option<Arc<Failure>>,
}

impl Inner {
    /// Decides a pending order. Its message ends in the same record.
    pub(super) async fn decide_order(
        self: &Arc<Self>,
        attempt: &Attempt,
        order_id: OrderId,
        pricing: Pricing,
    ) -> Result<(), EngineError> {
        let turn = Turn::of(attempt);
        let decision = DecisionRequest { order_id, pricing, turn, failure: None };
        let again = decision.clone();
        let call = Call::for_effect;
        let rejection = match self.operate(call(), Operation::DecideOrder, decision, decide).await {
            Ok(_) => return Ok(()),
            Err(EngineError::Rejected { rejection, .. }) => rejection,
            Err(other) => return Err(other),
        };
        let failed = DecisionRequest { failure: Some(Arc::new(Failure::of(&rejection))), ..again };
        self.operate(call(), Operation::DecideOrder, failed, decide).await.map(drop)
    }
}

/// The order, its owner, and as of when; without that, the owner's turn says whether the order is pending still.
async fn accepted(
    engine: &Inner,
    id: OrderId,
) -> Result<(Arc<Order>, Pin<Balance>, Option<Seq>), EngineError> {
    if let Some(order) = engine.ground.pending.order(id) {
        let owner = engine.pin(&engine.balances, order.user_id, Missing::User).await?;
        return Ok((order, owner, None));
    }
    match find(engine, id).await? {
        Some(Found { order, owner, read_at }) => Ok((order, owner, Some(read_at))),
        None => Err(engine.edge_rejection(Rejection::NotFound(Missing::Order))),
    }
}

async fn decide(mut work: Work, decision: DecisionRequest) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    loop {
        let (order, owner, read_at) = accepted(&engine, decision.order_id).await?;
        let _permit = work.admit(&owner)?;
        work.extra_bytes = order.lines.len() * LINE_BYTES;
        // An order that fails sells nothing.
        let units = if decision.failure.is_some() { BTreeMap::new() } else { order.units() };
        let products = pin_products(&engine, units.keys().copied()).await?;
        let mut permits = Vec::with_capacity(products.len());
        for product in products.values() {
            permits.push(work.admit(product)?);
        }
        let space = work.space().await?;
        let terms = |line: &OrderLine| (line.product_id, line.unit_price);
        let claimed: Vec<_> = match decision.pricing {
            Pricing::Claimed => order.lines.iter().map(terms).collect(),
            Pricing::AsGiven => Vec::new(),
        };
        let (parties, _) = hold_units(&mut work, &products, &units, &claimed).await?;
        let step = MessageStep::Finish { attempt: decision.turn.attempt };
        let turn = decision.turn.to(step);
        let command = BalanceCommand::Decide { order, failure: decision.failure.clone(), turn };
        if let Some(committed) = work.commit(&owner, command, parties, space, read_at).await? {
            return Ok(committed);
        }
    }
}
