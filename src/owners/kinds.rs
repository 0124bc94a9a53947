//! What makes an entity an owned one: its name, its id, how it is loaded, and what its owner keeps of the records that
//! the store may not have yet.

use super::desk::BalanceDesk;
use super::ground::Ground;
use crate::domain::balance::{Balance, BalanceCommand, BalanceView};
use crate::domain::cards::Cards;
use crate::domain::directory::Directory;
use crate::domain::distributor::{Distributor, DistributorCommand, DistributorView};
use crate::domain::entity::Entity;
use crate::domain::ids::ShardId;
use crate::domain::level::LevelList;
use crate::domain::message::{Keeper, MessageTurn};
use crate::domain::order::Order;
use crate::domain::product::{Product, ProductView};
use crate::domain::session::{Session, SessionView};
use crate::domain::withdrawal::Withdrawal;
use crate::domain::{Event, FamilyId, ProductId, Record, Seq, UserId};
use crate::journal::Cell;
use crate::store::{Snapshot, Store, StoreError};
use async_trait::async_trait;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::sync::Arc;

/// An entity as it comes out of the store.
pub struct Loaded<K: Kind> {
    pub id: K::Id,
    pub entity: K,
    pub desk: K::Desk,
    /// The total and version that the tail continues.
    pub total: i64,
    pub version: u64,
}

/// What a command is to be decided as.
pub enum Current<C> {
    AsItCame,
    /// As this, for the state that it brought along has changed since.
    As(C),
    /// Not at all: the state that it brought along is no more, and has to be read anew.
    Stale,
}

/// One kind of owned entity.
#[async_trait]
pub trait Kind: Entity {
    /// As in `/admin/owners?kind=`.
    const NAME: &'static str;
    type Id: Copy + Eq + Hash + Ord + Send + Sync + Debug + Display + Unpin + 'static;
    /// What the owner keeps beside the entity.
    type Desk: Default + Send + Unpin + 'static;

    /// Loads those that exist, in one snapshot. Missing ones are left out.
    async fn load(
        store: &dyn Store,
        ids: &[Self::Id],
        ground: &Ground,
    ) -> Result<Snapshot<Vec<Loaded<Self>>>, StoreError>;

    /// Takes note of a record that touched the entity; of each once.
    fn remember(&mut self, _desk: &mut Self::Desk, _record: &Arc<Record>, _ground: &Ground) {}

    /// Lets go of what the store has up to `stored`; says what the last record was that went.
    fn forget(&mut self, _desk: &mut Self::Desk, _stored: Seq) -> Seq {
        Seq::ZERO
    }

    /// A command that brought state along, with the changes that the owner knows beyond `read_at` applied to it.
    fn bring_up_to_date(
        _command: &Self::Command,
        _desk: &Self::Desk,
        _read_at: Option<Seq>,
        _ground: &Ground,
    ) -> Current<Self::Command> {
        Current::AsItCame
    }

    /// Open holds, for the operator.
    fn holds(&self) -> i64;
}

impl<K: Kind> Loaded<K> {
    /// The cell with which the tail continues this entity.
    pub fn cell(&self, watermark: Seq) -> Cell {
        Cell::new(self.total, self.version, watermark)
    }
}

#[async_trait]
impl Kind for Product {
    const NAME: &'static str = "product";
    type Id = ProductId;
    type Desk = ();

    async fn load(
        store: &dyn Store,
        ids: &[ProductId],
        _: &Ground,
    ) -> Result<Snapshot<Vec<Loaded<Self>>>, StoreError> {
        let snapshot = store.load_products(ids).await?;
        let loaded = |view: ProductView| Loaded {
            id: view.product_id,
            total: view.stock,
            version: view.version,
            entity: Self::stored(view),
            desk: (),
        };
        let value = snapshot.value.into_iter().map(loaded).collect();
        Ok(Snapshot { value, watermark: snapshot.watermark })
    }

    fn holds(&self) -> i64 {
        let (held, room) = self.open_holds();
        held + room
    }
}

#[async_trait]
impl Kind for Balance {
    const NAME: &'static str = "balance";
    type Id = UserId;
    type Desk = BalanceDesk;

    async fn load(
        store: &dyn Store,
        ids: &[UserId],
        ground: &Ground,
    ) -> Result<Snapshot<Vec<Loaded<Self>>>, StoreError> {
        let since = ground.clock.now().plus_seconds(-ground.limits.key_retention_seconds);
        let snapshot = store.load_balances(ids, since).await?;
        let loaded = |stored: crate::store::StoredBalance| {
            let view: BalanceView = stored.view;
            Loaded {
                id: view.user_id,
                total: view.amount,
                version: view.version,
                entity: Self::stored(view, Cards::stored(stored.cards)),
                desk: BalanceDesk::with_keys(stored.keys),
            }
        };
        let value = snapshot.value.into_iter().map(loaded).collect();
        Ok(Snapshot { value, watermark: snapshot.watermark })
    }

    fn remember(&mut self, desk: &mut BalanceDesk, record: &Arc<Record>, ground: &Ground) {
        desk.remember(record);
        // Before the dispatcher hears of a message: what it is about is to be found.
        ground.pending.note(record, self.id());
        ground.messages.note(record, Keeper::Balance, self.id());
        ground.cards.note(record, self.id(), self.cards());
    }

    fn forget(&mut self, desk: &mut BalanceDesk, stored: Seq) -> Seq {
        desk.forget(stored)
    }

    fn bring_up_to_date(
        command: &BalanceCommand,
        desk: &BalanceDesk,
        read_at: Option<Seq>,
        ground: &Ground,
    ) -> Current<BalanceCommand> {
        let standing = |turn: &MessageTurn| ground.standing(turn);
        // What comes without a position was pending.
        let withdrawal_now = |withdrawal: &Withdrawal| {
            let ended = || read_at.map(|read_at| desk.withdrawal(withdrawal, read_at));
            ground.pending.withdrawal(withdrawal.id).or_else(ended)
        };
        let current = |order: &Arc<Order>| match read_at {
            Some(read_at) => Arc::new(desk.overlaid(order, read_at)),
            None => order.clone(),
        };
        Current::As(match command {
            BalanceCommand::Cancel(order) => BalanceCommand::Cancel(current(order)),
            BalanceCommand::Ship { order, message } => {
                BalanceCommand::Ship { order: current(order), message: message.clone() }
            }
            BalanceCommand::Decide { order, failure, turn } => {
                let accepted = || ground.pending.order(order.id);
                let known = read_at.map_or_else(accepted, |_| Some(current(order)));
                let Some(order) = known else { return Current::Stale };
                BalanceCommand::Decide { order, failure: failure.clone(), turn: standing(turn) }
            }
            BalanceCommand::CompleteWithdrawal { withdrawal, message } => match withdrawal_now(withdrawal) {
                Some(withdrawal) => {
                    BalanceCommand::CompleteWithdrawal { withdrawal, message: message.clone() }
                }
                None => return Current::Stale,
            },
            BalanceCommand::RejectWithdrawal(withdrawal) => match withdrawal_now(withdrawal) {
                Some(withdrawal) => BalanceCommand::RejectWithdrawal(withdrawal),
                None => return Current::Stale,
            },
            BalanceCommand::Message { turn, order } => {
                BalanceCommand::Message { turn: standing(turn), order: order.as_ref().map(current) }
            }
            BalanceCommand::PayCard(turn) => BalanceCommand::PayCard(standing(turn)),
            BalanceCommand::CancelCard(card) => BalanceCommand::CancelCard(match read_at {
                Some(read_at) => Arc::new(desk.card(card, read_at)),
                None => card.clone(),
            }),
            BalanceCommand::Deliver(order) => BalanceCommand::Deliver(current(order)),
            BalanceCommand::TakeBack { goods, order: Some(order) } => {
                BalanceCommand::TakeBack { goods: goods.clone(), order: Some(current(order)) }
            }
            _ => return Current::AsItCame,
        })
    }

    fn holds(&self) -> i64 {
        self.open_holds()
    }
}

#[async_trait]
impl Kind for Session {
    const NAME: &'static str = "session";
    type Id = FamilyId;
    type Desk = ();

    async fn load(
        store: &dyn Store,
        ids: &[FamilyId],
        _: &Ground,
    ) -> Result<Snapshot<Vec<Loaded<Self>>>, StoreError> {
        let snapshot = store.load_sessions(ids).await?;
        let loaded = |view: SessionView| Loaded {
            id: view.family_id,
            total: 0,
            version: 0,
            entity: Self::stored(view),
            desk: (),
        };
        let value = snapshot.value.into_iter().map(loaded).collect();
        Ok(Snapshot { value, watermark: snapshot.watermark })
    }

    fn remember(&mut self, (): &mut (), record: &Arc<Record>, ground: &Ground) {
        for event in &record.events {
            if let Event::SessionRevoked { family_id, revoked_at } = event {
                ground.revocations.add(*family_id, record.seq, *revoked_at);
            }
        }
    }

    fn holds(&self) -> i64 {
        0
    }
}

#[async_trait]
impl Kind for Directory {
    const NAME: &'static str = "directory";
    type Id = ShardId;
    type Desk = ();

    async fn load(
        store: &dyn Store,
        ids: &[ShardId],
        _: &Ground,
    ) -> Result<Snapshot<Vec<Loaded<Self>>>, StoreError> {
        let mut value = Vec::with_capacity(ids.len());
        let mut watermark = Seq::new(u64::MAX);
        for id in ids {
            let snapshot = store.last_ids(*id).await?;
            watermark = watermark.min(snapshot.watermark);
            let entity = Self::stored(*id, snapshot.value.product, snapshot.value.user);
            value.push(Loaded { id: *id, entity, desk: (), total: 0, version: 0 });
        }
        Ok(Snapshot { value, watermark })
    }

    fn remember(&mut self, (): &mut (), record: &Arc<Record>, _: &Ground) {
        for event in &record.events {
            self.note(event, record.seq);
        }
    }

    fn forget(&mut self, (): &mut (), stored: Seq) -> Seq {
        self.forget(stored)
    }

    fn holds(&self) -> i64 {
        i64::try_from(self.open_holds()).unwrap_or(i64::MAX)
    }
}

#[async_trait]
impl Kind for Distributor {
    const NAME: &'static str = "distributor";
    type Id = UserId;
    type Desk = ();

    /// Whoever has withdrawn nothing yet is loaded as such: that the user exists, others make sure of.
    async fn load(
        store: &dyn Store,
        ids: &[UserId],
        _: &Ground,
    ) -> Result<Snapshot<Vec<Loaded<Self>>>, StoreError> {
        let snapshot = store.load_distributors(ids).await?;
        let loaded = |view: DistributorView| Loaded {
            id: view.user_id,
            total: view.withdrawn_total,
            version: view.version,
            entity: Self::stored(view),
            desk: (),
        };
        let value = snapshot.value.into_iter().map(loaded).collect();
        Ok(Snapshot { value, watermark: snapshot.watermark })
    }

    fn remember(&mut self, (): &mut (), record: &Arc<Record>, ground: &Ground) {
        ground.messages.note(record, Keeper::Distributor, self.id());
    }

    fn bring_up_to_date(
        command: &DistributorCommand,
        (): &(),
        _: Option<Seq>,
        ground: &Ground,
    ) -> Current<DistributorCommand> {
        Current::As(match command {
            DistributorCommand::QueueCheck(_) => return Current::AsItCame,
            DistributorCommand::Check { levels, turn, others, withdrawal_id } => DistributorCommand::Check {
                levels: levels.clone(),
                turn: ground.standing(turn),
                others: others.iter().map(|other| ground.standing(other)).collect(),
                withdrawal_id: *withdrawal_id,
            },
            DistributorCommand::Message(turn) => DistributorCommand::Message(ground.standing(turn)),
        })
    }

    fn holds(&self) -> i64 {
        self.open_holds()
    }
}

/// The one list of levels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TheLevels;

impl Display for TheLevels {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("all")
    }
}

#[async_trait]
impl Kind for LevelList {
    const NAME: &'static str = "levels";
    type Id = TheLevels;
    type Desk = ();

    async fn load(
        store: &dyn Store,
        _: &[TheLevels],
        _: &Ground,
    ) -> Result<Snapshot<Vec<Loaded<Self>>>, StoreError> {
        let snapshot = store.levels().await?;
        let entity = Self::stored(snapshot.value);
        let value = vec![Loaded { id: TheLevels, entity, desk: (), total: 0, version: 0 }];
        Ok(Snapshot { value, watermark: snapshot.watermark })
    }

    fn holds(&self) -> i64 {
        0
    }
}
