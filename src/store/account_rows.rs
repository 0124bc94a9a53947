//! The rows of redemption accounts within a batch, of their transitions, and of the plans that they are on.

use crate::domain::account::{AccountView, Lock, Transition};
use crate::domain::plan::Plan;
use crate::domain::{AccountId, Event, Record, Seq, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub struct AccountRows {
    pub plans: Vec<(Seq, Arc<Plan>)>,
    /// Created within the batch, as they stand at its end.
    pub created: BTreeMap<AccountId, AccountView>,
    /// What became of accounts that were created before the batch.
    pub changed: BTreeMap<AccountId, ChangedRow>,
    pub transitions: Vec<(Transition, Seq, Timestamp)>,
}

#[derive(Debug)]
pub struct ChangedRow {
    pub last: Transition,
    /// The last lock within the batch; an account that got none keeps its fence, and when it was used.
    pub locked: Option<Lock>,
    pub at: Timestamp,
}

impl AccountRows {
    pub fn take(&mut self, record: &Record, event: &Event) {
        let (seq, at) = (record.seq, record.at);
        match event {
            Event::PlanCreated(plan) => self.plans.push((seq, plan.clone())),
            Event::AccountCreated { account, posting } => {
                self.created.insert(account.id, AccountView::created(account.clone(), posting, at));
                self.transitions.push((Transition::created(account.id, *posting), seq, at));
            }
            Event::AccountChanged(transition) => {
                if let Some(view) = self.created.get_mut(&transition.account_id) {
                    *view = view.after(transition, at);
                } else {
                    let before = self.changed.get(&transition.account_id).and_then(|row| row.locked);
                    let locked = transition.lock.or(before);
                    let row = ChangedRow { last: Transition::clone(transition), locked, at };
                    self.changed.insert(transition.account_id, row);
                }
                self.transitions.push((Transition::clone(transition), seq, at));
            }
            _ => {}
        }
    }
}
