//! A product: its terms (name, sku, price, deletion) and its stock. Units are claimed by holds before they are sold;
//! whatever changes the terms of a sale waits until no hold is open.

use super::entity::{Decision, Entity, Verdict};
use super::event::{Event, MovementKind, Namespace, Posting, StockMove};
use super::ids::ProductId;
use super::ledger::{Ledger, has_room};
use super::money::{Delta, Money};
use super::record::Snapshot;
use super::rejection::{Missing, Rejection};
use super::text::{Name, Sku, Text};
use super::time::Timestamp;
use crate::canary::Canary;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// All of a product but its stock. `revision` starts at 1 and grows with every change of these.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Details {
    pub sku: Option<Sku>,
    pub name: Name,
    pub description: Option<Text>,
    pub price: Money,
    pub revision: u64,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

/// What readers see of a product, at one version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProductView {
    pub product_id: ProductId,
    pub details: Arc<Details>,
    pub stock: i64,
    pub version: u64,
    pub updated_at: Timestamp,
}

/// The state of one product.
#[derive(Clone, Debug)]
pub struct Product {
    id: ProductId,
    /// None until the created event.
    details: Option<Arc<Details>>,
    stock: Ledger,
    /// Units under open holds.
    held: i64,
    /// Units that open holds may still bring in.
    room: i64,
    updated_at: Timestamp,
}

/// What may be claimed of a product.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProductClaim {
    /// Units to be sold.
    Units(i64),
    /// Room for units that come back.
    Room(i64),
}

/// What a product's owner commits by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProductCommand {
    /// Stock up (restock) or down (adjust).
    MoveStock {
        delta: Delta,
        reason: Option<Text>,
    },
    Change {
        change: Change,
        if_revision: Option<u64>,
    },
    Delete {
        if_revision: Option<u64>,
    },
    Restore,
    /// Writes the terms and the stock as they are, so that the store's row is written again.
    Rewrite,
}

/// A partial update; `None` leaves the field as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Change {
    /// `Some(None)` removes the sku.
    pub sku: Option<Option<Sku>>,
    pub name: Option<Name>,
    /// `Some(None)` removes the description.
    pub description: Option<Option<Text>>,
    pub price: Option<Money>,
}

impl Product {
    /// A product as it was stored.
    pub fn stored(view: ProductView) -> Self {
        Self {
            id: view.product_id,
            details: Some(view.details),
            stock: Ledger::new(view.stock, view.version),
            held: 0,
            room: 0,
            updated_at: view.updated_at,
        }
    }

    /// `None` before the created event.
    pub fn view(&self) -> Option<ProductView> {
        let (stock, version) = self.stock.published();
        let details = self.details.clone()?;
        Some(ProductView { product_id: self.id, details, stock, version, updated_at: self.updated_at })
    }

    /// Units and room under open holds.
    pub const fn open_holds(&self) -> (i64, i64) {
        (self.held, self.room)
    }

    fn living(&self) -> Result<&Arc<Details>, Rejection> {
        let details = self.details.as_ref().ok_or(Rejection::NotFound(Missing::Item))?;
        if details.deleted_at.is_some() {
            return Err(Rejection::ItemDeleted { product_id: self.id });
        }
        Ok(details)
    }

    /// Units that leave: refused when there are too few even if every open hold were released.
    fn take(&self, units: i64, contended: bool) -> Verdict<()> {
        let available = self.stock.bound();
        let available_at_most = available + i64::from(Canary::StockEdge.sings());
        if available_at_most < units {
            let refusal = Rejection::InsufficientStock { product_id: self.id, requested: units, available };
            return Verdict::Refused(refusal);
        }
        let held = if Canary::UnitsHeldTwice.sings() { 0 } else { self.held };
        if contended || available_at_most - held < units { Verdict::Wait } else { Verdict::Granted(()) }
    }

    /// Units that come in: refused when there is no room even if every open hold were released.
    fn bring(&self, units: i64) -> Verdict<()> {
        if !has_room(self.stock.bound(), units) {
            return Verdict::Refused(Rejection::StockLimit { product_id: self.id });
        }
        if has_room(self.stock.bound() + self.room, units) { Verdict::Granted(()) } else { Verdict::Wait }
    }

    fn move_stock(&self, delta: Delta, reason: Option<&Text>, contended: bool) -> Verdict<Decision> {
        let details = match self.living() {
            Ok(details) => details.clone(),
            Err(rejection) => return Verdict::Refused(rejection),
        };
        let kind = if delta >= 0 { MovementKind::Restock } else { MovementKind::Adjust };
        let verdict = if delta >= 0 { self.bring(delta) } else { self.take(-delta, contended) };
        let event = Event::StockMoved(StockMove {
            product_id: self.id,
            kind,
            order_id: None,
            reason: reason.cloned(),
            posting: Posting::of(delta),
        });
        verdict.map(|()| Decision::one(event).showing(Snapshot::Details(details)))
    }

    fn change_terms(
        &self,
        contended: bool,
        if_revision: Option<u64>,
        change: impl FnOnce(&Details) -> Option<Details>,
    ) -> Verdict<Decision> {
        let Some(details) = &self.details else {
            return Verdict::Refused(Rejection::NotFound(Missing::Item));
        };
        if if_revision.is_some_and(|revision| revision != details.revision) {
            return Verdict::Refused(Rejection::VersionConflict { revision: details.revision });
        }
        let Some(mut changed) = change(details) else {
            let unchanged = self.view().map(Snapshot::Product);
            return Verdict::Granted(Decision { snapshot: unchanged, ..Decision::default() });
        };
        if contended || self.held > 0 {
            return Verdict::Wait;
        }
        changed.revision += 1;
        let changed = Arc::new(changed);
        let event =
            Event::ProductChanged { product_id: self.id, details: changed.clone(), posting: Posting::of(0) };
        let mut decision = Decision::one(event).showing(Snapshot::Details(changed.clone()));
        decision.foreign = sku_changes(self.id, details.sku.as_ref(), changed.sku.as_ref());
        Verdict::Granted(decision)
    }
}

/// The directory's part of a change of sku: the new name taken first, then the old one freed.
fn sku_changes(id: ProductId, old: Option<&Sku>, new: Option<&Sku>) -> Vec<Event> {
    if old == new {
        return Vec::new();
    }
    let namespace = Namespace::Sku;
    let taken = new.map(|sku| Event::NameTaken { namespace, name: sku.as_str().into(), holder: id.get() });
    let freed = old.map(|sku| Event::NameFreed { namespace, name: sku.as_str().into() });
    taken.into_iter().chain(freed).collect()
}

impl Entity for Product {
    type Claim = ProductClaim;
    type Grant = Arc<Details>;
    type Command = ProductCommand;

    fn unborn() -> Self {
        Self {
            id: ProductId::new(0),
            details: None,
            stock: Ledger::default(),
            held: 0,
            room: 0,
            updated_at: Timestamp::default(),
        }
    }

    fn claim(&mut self, claim: &ProductClaim, contended: bool) -> Verdict<Arc<Details>> {
        let details = match (claim, &self.details) {
            (_, None) => Err(Rejection::NotFound(Missing::Item)),
            (ProductClaim::Units(_), Some(_)) => self.living().cloned(),
            // Goods of a deleted product may still come back.
            (ProductClaim::Room(_), Some(details)) => Ok(details.clone()),
        };
        let details = match details {
            Ok(details) => details,
            Err(rejection) => return Verdict::Refused(rejection),
        };
        let (verdict, account, units) = match *claim {
            ProductClaim::Units(units) => (self.take(units, contended), &mut self.held, units),
            ProductClaim::Room(units) => (self.bring(units), &mut self.room, units),
        };
        if verdict == Verdict::Granted(()) {
            *account += units;
        }
        verdict.map(|()| details)
    }

    fn release(&mut self, claim: &ProductClaim) {
        match *claim {
            ProductClaim::Units(units) => self.held -= units,
            ProductClaim::Room(units) => self.room -= units,
        }
    }

    fn decide(&self, command: &ProductCommand, at: Timestamp, contended: bool) -> Verdict<Decision> {
        match command {
            ProductCommand::MoveStock { delta, reason } => {
                self.move_stock(*delta, reason.as_ref(), contended)
            }
            ProductCommand::Change { change, if_revision } => {
                if let Err(rejection) = self.living() {
                    return Verdict::Refused(rejection);
                }
                self.change_terms(contended, *if_revision, |details| change.applied_to(details))
            }
            ProductCommand::Delete { if_revision } => {
                self.change_terms(contended, *if_revision, |details| match details.deleted_at {
                    Some(_) => None,
                    None => Some(Details { deleted_at: Some(at), ..details.clone() }),
                })
            }
            ProductCommand::Rewrite => match &self.details {
                None => Verdict::Refused(Rejection::NotFound(Missing::Item)),
                Some(details) => {
                    let (product_id, details, posting) = (self.id, details.clone(), Posting::of(0));
                    let shown = Snapshot::Details(details.clone());
                    let event = Event::ProductChanged { product_id, details, posting };
                    Verdict::Granted(Decision::one(event).showing(shown))
                }
            },
            ProductCommand::Restore => self.change_terms(contended, None, |details| {
                details.deleted_at?;
                Some(Details { deleted_at: None, ..details.clone() })
            }),
        }
    }

    fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::ProductCreated { product_id, details, posting } => {
                self.id = *product_id;
                self.details = Some(details.clone());
                self.stock.post(posting);
            }
            Event::ProductChanged { details, posting, .. } => {
                self.details = Some(details.clone());
                self.stock.post(posting);
            }
            Event::StockMoved(movement) => self.stock.post(&movement.posting),
            _ => return,
        }
        self.updated_at = self.updated_at.max(at);
    }

    fn version(&self) -> u64 {
        self.stock.version()
    }

    fn is_level(&self) -> bool {
        self.stock.is_level()
    }
}

impl Change {
    /// `None` when nothing would change.
    fn applied_to(&self, details: &Details) -> Option<Details> {
        let changed = Details {
            sku: self.sku.clone().unwrap_or_else(|| details.sku.clone()),
            name: self.name.clone().unwrap_or_else(|| details.name.clone()),
            description: self.description.clone().unwrap_or_else(|| details.description.clone()),
            price: self.price.unwrap_or(details.price),
            ..details.clone()
        };
        (changed != *details).then_some(changed)
    }
}

#[cfg(test)]
#[path = "product_tests.rs"]
mod tests;
