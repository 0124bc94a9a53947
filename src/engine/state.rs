//! What an operator can see of an engine: health, owners, gauges.

use super::Inner;
use crate::domain::account::Account;
use crate::domain::balance::Balance;
use crate::domain::directory::Directory;
use crate::domain::distributor::Distributor;
use crate::domain::ids::ShardId;
use crate::domain::level::LevelList;
use crate::domain::plan::PlanList;
use crate::domain::product::Product;
use crate::domain::session::Session;
use crate::domain::{AccountId, FamilyId, ProductId, UserId};
use crate::owners::account_kinds::ThePlans;
use crate::owners::kinds::TheLevels;
use crate::owners::{Kind, Pin, Supervisor};
use serde::Serialize;

/// One owner as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct OwnerState {
    pub kind: &'static str,
    pub id: String,
    pub resident: bool,
    /// Messages sent to it and not handled yet.
    pub mailbox_depth: u32,
    /// Units, money or names under open holds.
    pub holds: i64,
    /// The last record that touched it.
    pub last_seq: u64,
}

/// Whether and why the engine can serve.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    pub ready: bool,
    /// `running`, `draining` or `halted`.
    pub state: &'static str,
    pub reason: Option<String>,
    pub journal: JournalHealth,
    pub store: StoreHealth,
    pub backlog: Backlog,
}

#[derive(Clone, Debug, Serialize)]
pub struct JournalHealth {
    pub appended: u64,
    pub durable: u64,
    pub disk_full: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct StoreHealth {
    /// `sqlite` or `postgres`.
    pub kind: &'static str,
    pub reachable: bool,
    pub stored: u64,
}

/// What the journal has and the store does not: with the journal's disk, this is what would be lost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Backlog {
    pub records: u64,
    pub bytes: u64,
    /// Age of the oldest of them.
    pub seconds: f64,
}

impl Inner {
    /// Counted where they are written: write-behind takes nothing up while it waits for a store that is away.
    pub(super) fn backlog_bytes(&self) -> u64 {
        self.ground.journal.durable_bytes().saturating_sub(self.store_status.stored_bytes())
    }

    pub(super) fn backlog(&self) -> Backlog {
        let records = self.ground.durable.get().get().saturating_sub(self.ground.stored.get().get());
        let age = |oldest: crate::domain::Timestamp| self.ground.clock.now().micros() - oldest.micros();
        let micros = self.store_status.oldest().map_or(0, age).max(0);
        Backlog { records, bytes: self.backlog_bytes(), seconds: micros as f64 / 1e6 }
    }

    pub(super) fn health(&self) -> Health {
        let reason = self.ground.halt.reason().map(ToString::to_string);
        let state = match (&reason, self.admission.is_closed()) {
            (Some(_), _) => "halted",
            (None, true) => "draining",
            (None, false) => "running",
        };
        Health {
            ready: state == "running",
            state,
            reason,
            journal: JournalHealth {
                appended: self.ground.journal.appended().get(),
                durable: self.ground.durable.get().get(),
                disk_full: self.ground.journal.is_full(),
            },
            store: StoreHealth {
                kind: match self.options.store {
                    super::StoreChoice::Embedded => "sqlite",
                    super::StoreChoice::Postgres { .. } => "postgres",
                },
                reachable: self.store_status.is_reachable(),
                stored: self.ground.stored.get().get(),
            },
            backlog: self.backlog(),
        }
    }

    async fn observe<K: Kind>(&self, pin: &Pin<K>) -> OwnerState {
        // Before the look itself is in the mailbox.
        let mailbox_depth = pin.mailbox_depth();
        let holds = self.view(pin, |glimpse| glimpse.entity.holds()).await.unwrap_or(0);
        let (id, last_seq) = (pin.id.to_string(), pin.cell.last().get());
        OwnerState { kind: K::NAME, id, resident: true, mailbox_depth, holds, last_seq }
    }

    async fn observe_all<K: Kind>(&self, supervisor: &Supervisor<K>, limit: usize) -> Vec<OwnerState> {
        let mut states = Vec::new();
        for pin in supervisor.some_residents(limit) {
            states.push(self.observe(&pin).await);
        }
        states
    }

    async fn observe_one<K: Kind>(&self, supervisor: &Supervisor<K>, id: K::Id) -> OwnerState {
        match supervisor.resident(id) {
            Some(pin) => self.observe(&pin).await,
            None => OwnerState {
                kind: K::NAME,
                id: id.to_string(),
                resident: false,
                mailbox_depth: 0,
                holds: 0,
                last_seq: 0,
            },
        }
    }

    pub(super) async fn owners(&self, kind: Option<&str>, limit: usize) -> Option<Vec<OwnerState>> {
        let every = kind.is_none();
        let wants = |name| every || kind == Some(name);
        let known = [
            Product::NAME,
            Balance::NAME,
            Session::NAME,
            Directory::NAME,
            Distributor::NAME,
            LevelList::NAME,
            Account::NAME,
            PlanList::NAME,
        ];
        if !every && !known.iter().any(|name| wants(name)) {
            return None;
        }
        let mut states = Vec::new();
        if wants(Product::NAME) {
            states.extend(self.observe_all(&self.products, limit).await);
        }
        if wants(Balance::NAME) && states.len() < limit {
            states.extend(self.observe_all(&self.balances, limit - states.len()).await);
        }
        if wants(Session::NAME) && states.len() < limit {
            states.extend(self.observe_all(&self.sessions, limit - states.len()).await);
        }
        if wants(Directory::NAME) && states.len() < limit {
            states.extend(self.observe_all(&self.directories, limit - states.len()).await);
        }
        if wants(Distributor::NAME) && states.len() < limit {
            states.extend(self.observe_all(&self.distributors, limit - states.len()).await);
        }
        if wants(LevelList::NAME) && states.len() < limit {
            states.extend(self.observe_all(&self.levels, limit - states.len()).await);
        }
        if wants(Account::NAME) && states.len() < limit {
            states.extend(self.observe_all(&self.accounts, limit - states.len()).await);
        }
        if wants(PlanList::NAME) && states.len() < limit {
            states.extend(self.observe_all(&self.plans, limit - states.len()).await);
        }
        Some(states)
    }

    pub(super) async fn owner(&self, kind: &str, id: &str) -> Option<OwnerState> {
        Some(match kind {
            Product::NAME => self.observe_one(&self.products, ProductId::new(id.parse().ok()?)).await,
            Balance::NAME => self.observe_one(&self.balances, UserId::new(id.parse().ok()?)).await,
            Session::NAME => self.observe_one(&self.sessions, FamilyId::new(id.parse().ok()?)).await,
            Directory::NAME => self.observe_one(&self.directories, ShardId::new(id.parse().ok()?)).await,
            Distributor::NAME => self.observe_one(&self.distributors, UserId::new(id.parse().ok()?)).await,
            LevelList::NAME => self.observe_one(&self.levels, TheLevels).await,
            Account::NAME => self.observe_one(&self.accounts, AccountId::new(id.parse().ok()?)).await,
            PlanList::NAME => self.observe_one(&self.plans, ThePlans).await,
            _ => return None,
        })
    }

    pub(super) fn refresh_metrics(&self) {
        let backlog = self.backlog();
        let gauge = |name: &'static str, value: f64| metrics::gauge!(name).set(value);
        gauge("purser_backlog_records", backlog.records as f64);
        gauge("purser_backlog_bytes", backlog.bytes as f64);
        gauge("purser_backlog_seconds", backlog.seconds);
        gauge("purser_journal_appended_seq", self.ground.journal.appended().get() as f64);
        gauge("purser_journal_durable_seq", self.ground.durable.get().get() as f64);
        gauge("purser_store_stored_seq", self.ground.stored.get().get() as f64);
        gauge("purser_store_reachable", f64::from(u8::from(self.store_status.is_reachable())));
        gauge("purser_permits_used", self.admission.running() as f64);
        gauge("purser_permits_max", self.admission.most() as f64);
        let messages = self.dispatch.stats();
        let oldest = messages.oldest_ready_seconds(self.ground.clock.now());
        gauge("purser_messages_oldest_ready_seconds", oldest);
        for (kind, stats) in messages.by_kind {
            let counts = [
                ("ready", stats.ready),
                ("delayed", stats.delayed),
                ("running", stats.running),
                ("failed", stats.failed),
            ];
            for (status, count) in counts {
                metrics::gauge!("purser_messages", "kind" => kind.word(), "status" => status)
                    .set(count as f64);
            }
        }
        let cards = self.exchange.stats();
        let standing = [("queued", cards.queued), ("locking", cards.locking), ("in_doubt", cards.in_doubt)];
        for (status, count) in standing {
            metrics::gauge!("purser_redemptions", "status" => status).set(count as f64);
        }
        gauge("purser_redemption_accounts_free", cards.free_accounts as f64);
        gauge("purser_provider_breaker_open", f64::from(u8::from(cards.breaker_is_open)));
        let residents = [
            (Product::NAME, self.products.residents()),
            (Balance::NAME, self.balances.residents()),
            (Session::NAME, self.sessions.residents()),
            (Directory::NAME, self.directories.residents()),
            (Distributor::NAME, self.distributors.residents()),
            (LevelList::NAME, self.levels.residents()),
            (Account::NAME, self.accounts.residents()),
            (PlanList::NAME, self.plans.residents()),
        ];
        for (kind, count) in residents {
            metrics::gauge!("purser_owners_resident", "kind" => kind).set(count as f64);
        }
    }
}
