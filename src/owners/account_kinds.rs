//! The owners of redemption accounts, and of the plans that these are on.

use super::ground::Ground;
use super::kinds::{Kind, Loaded};
use crate::domain::account::{Account, AccountView};
use crate::domain::plan::PlanList;
use crate::domain::{AccountId, Record};
use crate::store::{Snapshot, Store, StoreError};
use async_trait::async_trait;
use std::fmt::{self, Display};
use std::sync::Arc;

#[async_trait]
impl Kind for Account {
    const NAME: &'static str = "account";
    type Id = AccountId;
    type Desk = ();

    async fn load(
        store: &dyn Store,
        ids: &[AccountId],
        _: &Ground,
    ) -> Result<Snapshot<Vec<Loaded<Self>>>, StoreError> {
        let snapshot = store.load_accounts(ids).await?;
        let loaded = |view: AccountView| Loaded {
            id: view.account.id,
            total: view.redeemed_total,
            version: view.version,
            entity: Self::stored(view),
            desk: (),
        };
        let value = snapshot.value.into_iter().map(loaded).collect();
        Ok(Snapshot { value, watermark: snapshot.watermark })
    }

    fn remember(&mut self, (): &mut (), _: &Arc<Record>, ground: &Ground) {
        if let Some(view) = self.view() {
            ground.cards.account(view);
        }
    }

    fn holds(&self) -> i64 {
        0
    }
}

/// The one list of plans.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ThePlans;

impl Display for ThePlans {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("all")
    }
}

#[async_trait]
impl Kind for PlanList {
    const NAME: &'static str = "plans";
    type Id = ThePlans;
    type Desk = ();

    async fn load(
        store: &dyn Store,
        _: &[ThePlans],
        _: &Ground,
    ) -> Result<Snapshot<Vec<Loaded<Self>>>, StoreError> {
        let snapshot = store.plan_list().await?;
        let value = vec![Loaded { id: ThePlans, entity: snapshot.value, desk: (), total: 0, version: 0 }];
        Ok(Snapshot { value, watermark: snapshot.watermark })
    }

    fn holds(&self) -> i64 {
        0
    }
}
