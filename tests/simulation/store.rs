//! The store of a simulation: the real tables, asked over a line that fails. Each call takes effect at one instant, or not at
//! all; what the caller hears of it is another matter. It is a machine of its own, which no crash of the engine touches.

use super::chance::Chance;
use super::database::Database;
use super::line::Line;
use async_trait::async_trait;
use purser::canary::Canary;
use purser::domain::account::AccountView;
use purser::domain::balance::BalanceView;
use purser::domain::directory::UniqueName;
use purser::domain::distributor::{DistributorView, Upgrade};
use purser::domain::event::Namespace;
use purser::domain::ids::ShardId;
use purser::domain::level::{Levels, Rank};
use purser::domain::message::{MessageKind, OpenMessage};
use purser::domain::order::Order;
use purser::domain::outcome::{Movement, PostedEntry};
use purser::domain::plan::{Plan, PlanList};
use purser::domain::product::ProductView;
use purser::domain::redemption::Redemption;
use purser::domain::session::SessionView;
use purser::domain::withdrawal::Withdrawal;
use purser::domain::{
    AccountId, BatchId, FamilyId, MessageId, OrderId, ProductId, RedemptionId, Seq, Timestamp, UserId,
    WithdrawalId,
};
use purser::store::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use uuid::Uuid;

/// What happened on the line.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct LineFigures {
    pub lost_before: u64,
    pub lost_after: u64,
    pub hung: u64,
    pub deadlocks: u64,
    pub away: u64,
    /// How far the store is, whoever knows.
    pub committed: u64,
}

/// See the module.
pub struct SimulatedStore {
    /// Until the run is over.
    database: Option<Database>,
    line: Mutex<(Line, Chance, LineFigures)>,
    /// Before or after it took effect, this one of the coming calls is lost.
    planned: Mutex<(Option<(u64, Lost)>, bool)>,
    /// What it did not take although nothing was in the way: the engine never brings what does not fit.
    refused: Mutex<Option<String>>,
}

/// When one call is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(dead_code, reason = "the canaries need no such plan")]
pub enum Lost {
    Before,
    After,
}

/// What comes of one call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    LostBefore,
    LostAfter,
    Hanging,
}

impl SimulatedStore {
    /// Of an empty database.
    pub fn new(seed: u64) -> Self {
        Self {
            database: Some(Database::any()),
            planned: Mutex::default(),
            refused: Mutex::default(),
            line: Mutex::new((Line::default(), Chance::new(seed), LineFigures::default())),
        }
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("a run that is not over")
    }

    pub fn set_line(&self, line: Line) {
        self.line.lock().expect("no panic").0 = line;
    }

    /// Loses the n-th call from now on.
    #[allow(dead_code, reason = "the canaries need no such plan")]
    pub fn lose(&self, nth: u64, lost: Lost) {
        *self.planned.lock().expect("no panic") = (Some((nth, lost)), false);
    }

    /// Takes the plan back.
    pub fn lose_nothing(&self) {
        self.planned.lock().expect("no panic").0 = None;
    }

    /// Whether a call was lost that was planned to be.
    pub fn has_lost(&self) -> bool {
        self.planned.lock().expect("no panic").1
    }

    fn planned(&self) -> Option<Lost> {
        let (planned, has_lost) = &mut *self.planned.lock().expect("no panic");
        let (left, lost) = planned.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let lost = *lost;
        (*planned, *has_lost) = (None, true);
        Some(lost)
    }

    pub fn refused(&self) -> Option<String> {
        self.refused.lock().expect("no panic").clone()
    }

    pub fn figures(&self) -> LineFigures {
        self.line.lock().expect("no panic").2
    }

    /// What is left when rows are committed, and the transaction of the watermark is lost.
    fn take_watermark_back(&self, batch: &Batch) {
        let writing = async {
            let mut conn = self.database().beside.lock().await;
            sqlx::query("UPDATE engine SET watermark = ? WHERE watermark = ?")
                .bind(i64::try_from(batch.after.get()).expect("a position"))
                .bind(i64::try_from(batch.to.get()).expect("a position"))
                .execute(&mut *conn)
                .await
        };
        at_once(tokio::task::unconstrained(writing)).expect("written");
    }

    fn fate(&self, is_write: bool) -> (Fate, Duration) {
        let planned = self.planned();
        let mut state = self.line.lock().expect("no panic");
        let (line, chance, figures) = &mut *state;
        let pause = Duration::from_micros(chance.below(4_000));
        match planned {
            Some(Lost::Before) => {
                figures.lost_before += 1;
                return (Fate::LostBefore, pause);
            }
            Some(Lost::After) => {
                figures.lost_after += 1;
                return (Fate::LostAfter, pause);
            }
            None => {}
        }
        if chance.percent(line.away) {
            figures.away += 1;
            return (Fate::LostBefore, Duration::from_secs(chance.below(4)));
        }
        let fate = if chance.percent(line.lost_before) {
            figures.lost_before += 1;
            Fate::LostBefore
        } else if chance.percent(line.lost_after) {
            figures.lost_after += 1;
            Fate::LostAfter
        } else if chance.percent(line.hanging) {
            figures.hung += 1;
            Fate::Hanging
        } else if is_write && chance.percent(line.deadlocks) {
            figures.deadlocks += 1;
            return (Fate::LostBefore, Duration::from_secs(1));
        } else {
            Fate::Answered
        };
        (fate, pause)
    }

    /// `to`: where the call brings the store.
    async fn call<T>(
        &self,
        to: Option<Seq>,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let (fate, pause) = self.fate(to.is_some());
        tokio::time::sleep(pause).await;
        if fate == Fate::LostBefore {
            return Err(StoreError::Unavailable("the call was lost".into()));
        }
        let answer = at_once(tokio::task::unconstrained(call));
        match (&answer, to) {
            (Ok(_), Some(to)) => self.line.lock().expect("no panic").2.committed = to.get(),
            (Err(StoreError::Refused(why) | StoreError::Damaged(why)), _) => {
                self.refused.lock().expect("no panic").get_or_insert_with(|| why.clone());
            }
            _ => {}
        }
        tokio::time::sleep(if fate == Fate::Hanging { Duration::from_secs(20) } else { pause }).await;
        match fate {
            Fate::LostAfter => Err(StoreError::Unavailable("the answer was lost".into())),
            _ => answer,
        }
    }
}

impl Drop for SimulatedStore {
    fn drop(&mut self) {
        // After a panic, or a call that failed by itself, nobody knows what is left of it.
        let is_sound = !std::thread::panicking() && self.refused().is_none();
        if let Some(database) = self.database.take()
            && is_sound
        {
            database.rest();
        }
    }
}

/// Wakes a thread that waits for the database.
struct Waiting(Thread);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs to the end while the simulation stands still.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Waiting(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

macro_rules! store {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for SimulatedStore {
            async fn apply(&self, epoch: i64, batch: &Batch) -> Result<(), StoreError> {
                let applied = self.call(Some(batch.to), self.database().store.apply(epoch, batch)).await;
                if Canary::WatermarkApart.sings() && applied.is_err() {
                    self.take_watermark_back(batch);
                }
                applied
            }
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.call(None, self.database().store.$name($($argument),*)).await
            })*
        }
    };
}

store! {
    acquire(claim: &Claim) -> Lease;
    release(epoch: i64) -> ();
    position() -> Lease;
    holder() -> String;
    fingerprint_key() -> Uuid;
    load_products(ids: &[ProductId]) -> Snapshot<Vec<ProductView>>;
    load_balances(ids: &[UserId], keys_since: Timestamp) -> Snapshot<Vec<StoredBalance>>;
    load_sessions(ids: &[FamilyId]) -> Snapshot<Vec<SessionView>>;
    last_ids(shard: ShardId) -> Snapshot<LastIds>;
    revoked_since(since: Timestamp) -> Snapshot<Vec<FamilyId>>;
    name_holder(name: &UniqueName) -> Snapshot<Option<u64>>;
    name_holders(namespace: Namespace, names: &[Arc<str>]) -> Snapshot<HashMap<String, u64>>;
    order(id: OrderId) -> Snapshot<Option<Row<Order>>>;
    outcome(caller: UserId, fingerprint: [u8; 16]) -> Snapshot<Option<StoredOutcome>>;
    items(filter: &ItemFilter, page: Page) -> Snapshot<Vec<Row<ProductView>>>;
    movements(id: ProductId, page: Page) -> Snapshot<Vec<Row<Movement>>>;
    users(query: Option<&str>, page: Page) -> Snapshot<Vec<Row<BalanceView>>>;
    entries(id: UserId, page: Page) -> Snapshot<Vec<Row<PostedEntry>>>;
    orders(filter: OrderFilter, page: Page, lines: usize) -> Snapshot<Vec<Row<Order>>>;
    pending_orders(after: u64, limit: u32, lines: usize) -> Snapshot<Vec<Row<Order>>>;
    open_messages(after: u64, limit: u32) -> Snapshot<Vec<Row<OpenMessage>>>;
    failed_messages(kind: Option<MessageKind>, page: Page) -> Snapshot<Vec<Row<OpenMessage>>>;
    attempt_errors(ids: &[MessageId]) -> Snapshot<Vec<AttemptError>>;
    succeeded_messages() -> Snapshot<BTreeMap<MessageKind, u64>>;
    withdrawal(id: WithdrawalId) -> Snapshot<Option<Row<Withdrawal>>>;
    withdrawals(user_id: Option<UserId>, page: Page) -> Snapshot<Vec<Row<Withdrawal>>>;
    pending_withdrawals(after: u64, limit: u32) -> Snapshot<Vec<Row<Withdrawal>>>;
    load_distributors(ids: &[UserId]) -> Snapshot<Vec<DistributorView>>;
    distributors(rank: Option<Rank>, after: UserId, limit: u32) -> Snapshot<Vec<UserId>>;
    upgrades(id: UserId, page: Page) -> Snapshot<Vec<Row<(Upgrade, Timestamp)>>>;
    levels() -> Snapshot<Levels>;
    plan_list() -> Snapshot<PlanList>;
    plans(page: Page) -> Snapshot<Vec<Row<Plan>>>;
    load_accounts(ids: &[AccountId]) -> Snapshot<Vec<AccountView>>;
    accounts(filter: AccountFilter, page: Page) -> Snapshot<Vec<Row<AccountView>>>;
    transitions(id: AccountId, page: Page) -> Snapshot<Vec<Row<TransitionRow>>>;
    free_accounts(after: u64, limit: u32) -> Snapshot<Vec<Row<AccountView>>>;
    redemptions_by_id(ids: &[RedemptionId]) -> Snapshot<Vec<Row<Redemption>>>;
    redemptions(filter: RedemptionFilter, page: Page) -> Snapshot<Vec<Row<Redemption>>>;
    open_redemptions(after: u64, limit: u32) -> Snapshot<Vec<Row<Redemption>>>;
    redemption_batch(id: BatchId) -> Snapshot<Option<StoredBatch>>;
    audit() -> Snapshot<Vec<Check>>;
    stock_sums(after: ProductId, limit: u32) -> Snapshot<Vec<StockSum>>;
    prune_keys(epoch: i64, before: Timestamp) -> ();
}

/// Where a store has come to, whatever the line does.
pub fn stands_at(store: &SimulatedStore) -> Seq {
    at_once(store.database().store.position()).map_or(Seq::ZERO, |lease| lease.watermark)
}

/// What a SELECT of one text finds there once the engines are gone, whatever the line does.
pub fn rows(store: &SimulatedStore, select: &'static str) -> Vec<String> {
    store.database().rows(select)
}
