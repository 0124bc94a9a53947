//! What operators are shown, as it stands in replies and in the OpenAPI document.

use crate::engine::{Drift, DriftReport, Health, OwnerState};
use crate::store::Check;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub struct LiveView {
    pub status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub struct HealthView<'a> {
    ready: bool,
    /// `running`, `draining` or `halted`.
    state: &'static str,
    reason: Option<&'a str>,
    pub journal: JournalView,
    pub store: StoreView,
    pub backlog: BacklogView,
}

#[derive(Serialize, ToSchema)]
pub struct JournalView {
    appended: u64,
    durable: u64,
    disk_full: bool,
}

#[derive(Serialize, ToSchema)]
pub struct StoreView {
    /// `sqlite` or `postgres`.
    kind: &'static str,
    reachable: bool,
    stored: u64,
}

/// What the journal has and the store does not.
#[derive(Serialize, ToSchema)]
pub struct BacklogView {
    records: u64,
    bytes: u64,
    /// Age of the oldest of them.
    seconds: f64,
}

impl<'a> HealthView<'a> {
    pub fn of(health: &'a Health) -> Self {
        let (journal, store, backlog) = (&health.journal, &health.store, &health.backlog);
        Self {
            ready: health.ready,
            state: health.state,
            reason: health.reason.as_deref(),
            journal: JournalView {
                appended: journal.appended,
                durable: journal.durable,
                disk_full: journal.disk_full,
            },
            store: StoreView { kind: store.kind, reachable: store.reachable, stored: store.stored },
            backlog: BacklogView { records: backlog.records, bytes: backlog.bytes, seconds: backlog.seconds },
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct OwnerView<'a> {
    /// `product`, `balance`, `session`, `directory`, `distributor`, `levels`, `account` or `plans`.
    kind: &'static str,
    id: &'a str,
    resident: bool,
    /// Messages sent to it and not handled yet.
    mailbox_depth: u32,
    /// Units, money or names under open holds.
    holds: i64,
    /// The last record that touched it.
    last_seq: u64,
}

impl<'a> OwnerView<'a> {
    pub fn of(state: &'a OwnerState) -> Self {
        Self {
            kind: state.kind,
            id: &state.id,
            resident: state.resident,
            mailbox_depth: state.mailbox_depth,
            holds: state.holds,
            last_seq: state.last_seq,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct OwnersView<'a> {
    data: Vec<OwnerView<'a>>,
    /// Always null: owners come and go, so there are no pages.
    next_cursor: Option<String>,
}

impl<'a> OwnersView<'a> {
    pub fn of(states: &'a [OwnerState]) -> Self {
        Self { data: states.iter().map(OwnerView::of).collect(), next_cursor: None }
    }
}

#[derive(Serialize, ToSchema)]
pub struct AuditView<'a> {
    ok: bool,
    checks: Vec<CheckView<'a>>,
}

#[derive(Serialize, ToSchema)]
struct CheckView<'a> {
    name: &'a str,
    ok: bool,
    detail: &'a str,
}

impl<'a> AuditView<'a> {
    pub fn of(checks: &'a [Check]) -> Self {
        let view = |check: &'a Check| CheckView { name: &check.name, ok: check.ok, detail: &check.detail };
        Self { ok: checks.iter().all(|check| check.ok), checks: checks.iter().map(view).collect() }
    }
}

#[derive(Serialize, ToSchema)]
pub struct SyncedView {
    checked: u64,
    drifted: Vec<DriftView>,
}

#[derive(Serialize, ToSchema)]
struct DriftView {
    product_id: u64,
    owner_stock: i64,
    stored_stock: i64,
    movements_sum: i64,
    journal_tail: i64,
    /// Whether the stored row was written again from the owner's state.
    rewritten: bool,
}

impl SyncedView {
    pub fn of(report: &DriftReport) -> Self {
        let view = |drift: &Drift| DriftView {
            product_id: drift.product_id,
            owner_stock: drift.owner_stock,
            stored_stock: drift.stored_stock,
            movements_sum: drift.movements_sum,
            journal_tail: drift.journal_tail,
            rewritten: drift.rewritten,
        };
        Self { checked: report.checked, drifted: report.drifted.iter().map(view).collect() }
    }
}
