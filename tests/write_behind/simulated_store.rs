//! A store in memory that answers as it is told to, and a journal and a write-behind in front of it.

use async_trait::async_trait;
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
use purser::domain::redemption::{Redemption, RedemptionStatus};
use purser::domain::session::SessionView;
use purser::domain::withdrawal::Withdrawal;
use purser::domain::{
    AccountId, BatchId, FamilyId, MessageId, OrderId, ProductId, Record, RedemptionId, Seq, Timestamp,
    UserId, WithdrawalId,
};
use purser::journal::disk::Disk;
use purser::journal::simulated::SimulatedDisk;
use purser::journal::writer::Written;
use purser::journal::{Halt, HaltReason, Journal, JournalOptions, Position, reader, recover};
use purser::store::write_behind::{Status, WriteBehind};
use purser::store::*;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// How one call of `apply` goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// Nothing was written, and nobody can say so.
    LostBefore,
    /// Everything was written, and nobody can say so.
    LostAfter,
    /// The compare-and-set fails although nothing moved.
    Moved,
    Fenced,
    Refused,
}

/// What the store holds: rows by table and key, as text.
pub type Rows = BTreeMap<(&'static str, String), String>;

#[derive(Default)]
struct State {
    epoch: i64,
    watermark: Seq,
    rows: Rows,
    /// What the next calls of `apply` meet.
    troubles: VecDeque<Trouble>,
    /// Calls of `position` that get no answer.
    silent: usize,
    /// Every batch that was committed.
    commits: Vec<(Seq, Seq)>,
    /// Every call of `apply`.
    attempts: Vec<(Seq, Seq)>,
    /// The latest of them, for going back.
    history: VecDeque<(Seq, Rows)>,
    products: BTreeMap<ProductId, ProductView>,
    balances: BTreeMap<UserId, BalanceView>,
    /// Products asked for, call by call.
    loads: Vec<Vec<ProductId>>,
    /// Loads get no answer.
    hangs: bool,
}

/// See the module.
#[derive(Default)]
pub struct SimulatedStore {
    state: Mutex<State>,
}

impl SimulatedStore {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    pub fn plan(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.lock().troubles.extend(troubles);
    }

    pub fn silence(&self, calls: usize) {
        self.lock().silent = calls;
    }

    pub fn take_over(&self) {
        self.lock().epoch += 1;
    }

    /// Back to an earlier commit, as after a restored backup.
    pub fn rewind(&self, commits: usize) -> Seq {
        let mut state = self.lock();
        let (watermark, rows) =
            state.history.iter().rev().nth(commits).cloned().unwrap_or((Seq::ZERO, Rows::new()));
        (state.watermark, state.rows) = (watermark, rows);
        watermark
    }

    pub fn rows(&self) -> Rows {
        self.lock().rows.clone()
    }

    pub fn watermark(&self) -> Seq {
        self.lock().watermark
    }

    pub fn commits(&self) -> Vec<(Seq, Seq)> {
        self.lock().commits.clone()
    }

    pub fn attempts(&self) -> Vec<(Seq, Seq)> {
        self.lock().attempts.clone()
    }

    /// Has this product for whoever loads it.
    pub fn put_product(&self, view: ProductView) {
        self.lock().products.insert(view.product_id, view);
    }

    /// Has this balance for whoever loads it.
    pub fn put_balance(&self, view: BalanceView) {
        self.lock().balances.insert(view.user_id, view);
    }

    /// From now on loads of products get no answer.
    pub fn hang(&self) {
        self.lock().hangs = true;
    }

    pub fn answer_again(&self) {
        self.lock().hangs = false;
    }

    /// Takes note of a load; says whether it hangs.
    fn take_load(&self, ids: &[ProductId]) -> bool {
        let mut state = self.lock();
        state.loads.push(ids.to_vec());
        state.hangs
    }

    pub fn loads(&self) -> Vec<Vec<ProductId>> {
        self.lock().loads.clone()
    }

    pub fn troubles_left(&self) -> usize {
        self.lock().troubles.len()
    }
}

impl State {
    fn commit(&mut self, batch: &Batch) {
        write_rows(&mut self.rows, batch);
        self.watermark = batch.to;
        self.commits.push((batch.after, batch.to));
        self.history.push_back((batch.to, self.rows.clone()));
        if self.history.len() > 24 {
            self.history.pop_front();
        }
    }
}

/// Tables as any store has them: history is added, states are replaced.
fn write_rows(rows: &mut Rows, batch: &Batch) {
    let mut add = |table, key: String, row: String| {
        let doubled = rows.insert((table, key.clone()), row);
        assert_eq!(doubled, None, "{table} {key} was written twice");
    };
    batch.movements.iter().for_each(|row| {
        add(
            "movements",
            format!("{} {}", row.movement.product_id, row.movement.posting.version),
            format!("{row:?}"),
        );
    });
    batch.entries.iter().for_each(|row| {
        add("entries", format!("{} {}", row.entry.user_id, row.entry.posting.version), format!("{row:?}"));
    });
    batch.users.iter().for_each(|row| add("users", row.id.to_string(), format!("{row:?}")));
    batch.returns.iter().for_each(|row| add("returns", row.seq.to_string(), format!("{row:?}")));
    batch.keys.iter().for_each(|row| add("keys", format!("{:?}", row.fingerprint), format!("{row:?}")));
    batch.orders.iter().for_each(|(id, row)| {
        add("orders", id.to_string(), format!("{:?} {}", row.order, row.created_seq));
    });
    for (id, row) in &batch.orders {
        rows.insert(("order status", id.to_string()), format!("{:?}", row.status));
        rows.insert(("order updated", id.to_string()), format!("{:?}", row.updated_at));
    }
    for (id, step) in &batch.order_steps {
        assert!(rows.contains_key(&("orders", id.to_string())), "a step of an order that is not there");
        if let Some(status) = step.status {
            rows.insert(("order status", id.to_string()), format!("{status:?}"));
        }
        rows.insert(("order updated", id.to_string()), format!("{:?}", step.updated_at));
    }
    for (id, row) in &batch.products {
        rows.insert(("stock", id.to_string()), format!("{} {} {:?}", row.stock, row.version, row.updated_at));
        if let Some(details) = &row.details {
            rows.insert(("details", id.to_string()), format!("{details:?}"));
        }
        if let Some(created) = row.created_seq {
            rows.insert(("products", id.to_string()), created.to_string());
        }
    }
    for (id, row) in &batch.balances {
        rows.insert(("balances", id.to_string()), format!("{row:?}"));
    }
    for (id, row) in &batch.sessions {
        if let Some(grant) = &row.grant {
            rows.insert(("sessions", id.to_string()), format!("{grant:?}"));
        }
        if let Some(rotated) = &row.rotated {
            rows.insert(("rotated", id.to_string()), format!("{rotated:?}"));
        }
        if let Some(revoked) = &row.revoked_at {
            rows.insert(("revoked", id.to_string()), format!("{revoked:?}"));
        }
    }
    for ((namespace, name), holder) in &batch.names {
        let key = ("names", format!("{namespace:?} {name}"));
        match holder {
            Some(holder) => _ = rows.insert(key, holder.to_string()),
            None => _ = rows.remove(&key),
        }
    }
    write_cards(rows, batch);
}

fn write_cards(rows: &mut Rows, batch: &Batch) {
    let batch = &batch.redemptions;
    for row in &batch.batches {
        let doubled = rows.insert(("batches", row.id.to_string()), format!("{row:?}"));
        assert_eq!(doubled, None, "batch {} was written twice", row.id);
    }
    for (place, card) in &batch.requested {
        let doubled = rows.insert(("cards", card.id.to_string()), format!("{place} {}", card.code_name));
        assert_eq!(doubled, None, "card {} was written twice", card.id);
        if let Some(code) = &card.code {
            rows.insert(("card code", card.id.to_string()), format!("{:?}", code.as_bytes()));
        }
        let locked = card.account_id.map(|account_id| (account_id, card.fence));
        let told = format!("{:?} {:?} {:?}", card.amount, card.payout, card.failure);
        write_step(rows, card.id, card.status, locked, told, card.attempts, card.updated_at);
    }
    for (id, row) in &batch.stepped {
        assert!(rows.contains_key(&("cards", id.to_string())), "a step of a card that is not there");
        if !row.step.to.is_open() {
            rows.remove(&("card code", id.to_string()));
        }
        let told = format!("{:?} {:?} {:?}", row.step.amount, row.step.payout, row.step.failure);
        write_step(rows, *id, row.step.to, row.step.locked, told, row.step.attempts, row.at);
    }
}

fn write_step(
    rows: &mut Rows,
    id: RedemptionId,
    to: RedemptionStatus,
    locked: Option<(AccountId, u64)>,
    told: String,
    attempts: u32,
    at: Timestamp,
) {
    rows.insert(("card status", id.to_string()), format!("{to:?} {told} {at:?}"));
    if let Some(locked) = locked {
        rows.insert(("card lock", id.to_string()), format!("{locked:?}"));
    }
    let before = rows.get(&("card attempts", id.to_string()));
    let before: u32 = before.map_or(0, |attempts| attempts.parse().expect("a number"));
    rows.insert(("card attempts", id.to_string()), (before + attempts).to_string());
}

#[async_trait]
impl Store for SimulatedStore {
    async fn acquire(&self, _: &Claim) -> Result<Lease, StoreError> {
        let mut state = self.lock();
        state.epoch += 1;
        Ok(Lease { epoch: state.epoch, watermark: state.watermark })
    }

    async fn release(&self, _: i64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn apply(&self, epoch: i64, batch: &Batch) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.attempts.push((batch.after, batch.to));
        if epoch != state.epoch {
            return Err(StoreError::Fenced { epoch: state.epoch, holder: "another".into() });
        }
        let trouble = state.troubles.pop_front();
        let lost = || StoreError::Unavailable("the connection was lost".into());
        match trouble {
            Some(Trouble::LostBefore) => return Err(lost()),
            Some(Trouble::Refused) => return Err(StoreError::Refused("a constraint".into())),
            Some(Trouble::Fenced) => {
                return Err(StoreError::Fenced { epoch: epoch + 1, holder: "another".into() });
            }
            Some(Trouble::Moved) => return Err(StoreError::Moved { watermark: state.watermark }),
            Some(Trouble::LostAfter) | None => {}
        }
        if state.watermark != batch.after {
            return Err(StoreError::Moved { watermark: state.watermark });
        }
        state.commit(batch);
        if trouble.is_some() { Err(lost()) } else { Ok(()) }
    }

    async fn holder(&self) -> Result<String, StoreError> {
        Ok("a test".into())
    }
    async fn fingerprint_key(&self) -> Result<Uuid, StoreError> {
        Ok(Uuid::nil())
    }
    async fn position(&self) -> Result<Lease, StoreError> {
        let mut state = self.lock();
        if state.silent > 0 {
            state.silent -= 1;
            return Err(StoreError::Unavailable("no answer".into()));
        }
        Ok(Lease { epoch: state.epoch, watermark: state.watermark })
    }

    async fn prune_keys(&self, _: i64, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }
    async fn load_products(&self, ids: &[ProductId]) -> Result<Snapshot<Vec<ProductView>>, StoreError> {
        if self.take_load(ids) {
            std::future::pending::<()>().await;
        }
        let state = self.lock();
        let value = ids.iter().filter_map(|id| state.products.get(id).cloned()).collect();
        Ok(Snapshot { value, watermark: state.watermark })
    }
    async fn load_balances(
        &self,
        ids: &[UserId],
        _: Timestamp,
    ) -> Result<Snapshot<Vec<StoredBalance>>, StoreError> {
        let state = self.lock();
        let views = ids.iter().filter_map(|id| state.balances.get(id).cloned());
        let value = views.map(|view| StoredBalance { view, keys: Vec::new(), cards: Vec::new() }).collect();
        Ok(Snapshot { value, watermark: state.watermark })
    }
    async fn load_sessions(&self, _: &[FamilyId]) -> Result<Snapshot<Vec<SessionView>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn last_ids(&self, _: ShardId) -> Result<Snapshot<LastIds>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn revoked_since(&self, _: Timestamp) -> Result<Snapshot<Vec<FamilyId>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn name_holder(&self, _: &UniqueName) -> Result<Snapshot<Option<u64>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn name_holders(
        &self,
        _: Namespace,
        _: &[Arc<str>],
    ) -> Result<Snapshot<HashMap<String, u64>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn order(&self, _: OrderId) -> Result<Snapshot<Option<Row<Order>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn outcome(&self, _: UserId, _: [u8; 16]) -> Result<Snapshot<Option<StoredOutcome>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn items(&self, _: &ItemFilter, _: Page) -> Result<Snapshot<Vec<Row<ProductView>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn movements(&self, _: ProductId, _: Page) -> Result<Snapshot<Vec<Row<Movement>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn users(&self, _: Option<&str>, _: Page) -> Result<Snapshot<Vec<Row<BalanceView>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn entries(&self, _: UserId, _: Page) -> Result<Snapshot<Vec<Row<PostedEntry>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn orders(
        &self,
        _: OrderFilter,
        _: Page,
        _: usize,
    ) -> Result<Snapshot<Vec<Row<Order>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn pending_orders(
        &self,
        _: u64,
        _: u32,
        _: usize,
    ) -> Result<Snapshot<Vec<Row<Order>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn open_messages(&self, _: u64, _: u32) -> Result<Snapshot<Vec<Row<OpenMessage>>>, StoreError> {
        unreachable!("nobody asks for messages here")
    }
    async fn failed_messages(
        &self,
        _: Option<MessageKind>,
        _: Page,
    ) -> Result<Snapshot<Vec<Row<OpenMessage>>>, StoreError> {
        unreachable!("nobody asks for messages here")
    }
    async fn attempt_errors(&self, _: &[MessageId]) -> Result<Snapshot<Vec<AttemptError>>, StoreError> {
        unreachable!("nobody asks for messages here")
    }
    async fn succeeded_messages(&self) -> Result<Snapshot<BTreeMap<MessageKind, u64>>, StoreError> {
        unreachable!("nobody asks for messages here")
    }
    async fn pending_withdrawals(
        &self,
        _: u64,
        _: u32,
    ) -> Result<Snapshot<Vec<Row<Withdrawal>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn withdrawal(&self, _: WithdrawalId) -> Result<Snapshot<Option<Row<Withdrawal>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn withdrawals(
        &self,
        _: Option<UserId>,
        _: Page,
    ) -> Result<Snapshot<Vec<Row<Withdrawal>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn load_distributors(&self, _: &[UserId]) -> Result<Snapshot<Vec<DistributorView>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn distributors(
        &self,
        _: Option<Rank>,
        _: UserId,
        _: u32,
    ) -> Result<Snapshot<Vec<UserId>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn upgrades(
        &self,
        _: UserId,
        _: Page,
    ) -> Result<Snapshot<Vec<Row<(Upgrade, Timestamp)>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn levels(&self) -> Result<Snapshot<Levels>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn plan_list(&self) -> Result<Snapshot<PlanList>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn plans(&self, _: Page) -> Result<Snapshot<Vec<Row<Plan>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn load_accounts(&self, _: &[AccountId]) -> Result<Snapshot<Vec<AccountView>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn accounts(
        &self,
        _: AccountFilter,
        _: Page,
    ) -> Result<Snapshot<Vec<Row<AccountView>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn transitions(
        &self,
        _: AccountId,
        _: Page,
    ) -> Result<Snapshot<Vec<Row<TransitionRow>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn free_accounts(&self, _: u64, _: u32) -> Result<Snapshot<Vec<Row<AccountView>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn redemptions_by_id(
        &self,
        _: &[RedemptionId],
    ) -> Result<Snapshot<Vec<Row<Redemption>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn redemptions(
        &self,
        _: RedemptionFilter,
        _: Page,
    ) -> Result<Snapshot<Vec<Row<Redemption>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn open_redemptions(&self, _: u64, _: u32) -> Result<Snapshot<Vec<Row<Redemption>>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn redemption_batch(&self, _: BatchId) -> Result<Snapshot<Option<StoredBatch>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn audit(&self) -> Result<Snapshot<Vec<Check>>, StoreError> {
        unreachable!("nobody here reads it")
    }
    async fn stock_sums(&self, _: ProductId, _: u32) -> Result<Snapshot<Vec<StockSum>>, StoreError> {
        unreachable!("nobody here reads it")
    }
}

/// A journal with a write-behind on the test's own thread.
pub struct Bench {
    pub store: Arc<SimulatedStore>,
    pub journal: Arc<Journal>,
    pub stored: Arc<Position>,
    pub status: Arc<Status>,
    pub halt: Arc<Halt>,
    /// What was told to be stored, in order, each with the watermark at that moment.
    pub told: Arc<Mutex<Vec<(Seq, Seq)>>>,
    pub running: tokio::task::JoinHandle<()>,
}

/// Room for any record of a story.
const RECORD_BYTES: usize = 4_000;

impl Bench {
    pub async fn new(batch_records_max: usize) -> Self {
        Self::with(batch_records_max, 64 << 10, 1_000).await
    }

    pub async fn with(batch_records_max: usize, segment_bytes: u64, keep_segments: usize) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        let survey = reader::survey(disk.as_ref()).expect("an empty disk");
        let recovered = recover::recover(disk.as_ref(), survey, Uuid::from_u128(1), segment_bytes)
            .expect("an empty disk");
        let (halt, (written, durable)) = (Arc::new(Halt::default()), mpsc::unbounded_channel::<Written>());
        let options = JournalOptions { segment_bytes, keep_segments };
        let journal = Journal::open(disk.clone(), options, &recovered, Seq::new(1), halt.clone(), written);
        let journal = Arc::new(journal.expect("a journal"));
        let store = Arc::new(SimulatedStore::default());
        let claim = Claim {
            journal_id: journal.id,
            holder: "test".into(),
            journal_is_empty: true,
            accept_loss: false,
        };
        let lease = store.acquire(&claim).await.expect("a lease");
        let (stored, status) =
            (Arc::new(Position::new(Seq::ZERO, halt.clone())), Arc::new(Status::default()));
        let told = Arc::new(Mutex::new(Vec::new()));
        let on_stored = {
            let (told, store, journal) = (told.clone(), store.clone(), journal.clone());
            Box::new(move |records: &[Arc<Record>]| {
                let watermark = store.watermark();
                told.lock().expect("no panic").extend(records.iter().map(|record| (record.seq, watermark)));
                journal.retire(watermark);
            })
        };
        let write_behind = WriteBehind {
            store: store.clone(),
            lease,
            disk,
            durable,
            stored: stored.clone(),
            status: status.clone(),
            halt: halt.clone(),
            batch_records_max,
            on_stored,
        };
        let running = tokio::spawn(write_behind.run());
        Self { store, journal, stored, status, halt, told, running }
    }

    /// Appends records, whose figures are final, and waits until they are durable.
    pub async fn append(&self, records: &[Record]) {
        for record in records {
            let space = self.journal.reserve(RECORD_BYTES).await.expect("room");
            let seq = self.journal.enqueue(record.clone(), &[], space).seq;
            assert_eq!(seq, record.seq, "the story goes on without gap");
        }
        if let Some(last) = records.last() {
            let durable = self.journal.durable().wait(last.seq).await.is_ok();
            assert!(durable || self.halt.is_halted());
        }
    }

    /// Until all of it is stored.
    pub async fn stored(&self, seq: Seq) {
        let reached = tokio::time::timeout(Duration::from_secs(30), self.stored.wait(seq)).await;
        reached.expect("it gets there").expect("no halt");
    }

    /// Until that is so; `meanwhile` must hold all the time before.
    pub async fn until(&self, is: impl Fn() -> bool, meanwhile: impl Fn()) {
        let wait = async {
            while !is() {
                meanwhile();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes to that");
    }

    pub async fn halted(&self) -> HaltReason {
        tokio::time::timeout(Duration::from_secs(30), self.halt.halted()).await.expect("it halts")
    }

    /// Closes the journal and lets the write-behind finish.
    pub async fn finish(self) -> Arc<SimulatedStore> {
        self.journal.close();
        self.running.await.expect("no panic");
        self.store
    }

    /// What every run must show: told of each record once, in order, and never before it was committed.
    pub fn expect_told_in_order(&self, last: Seq) {
        let told = self.told.lock().expect("no panic");
        let order: Vec<u64> = told.iter().map(|(seq, _)| seq.get()).collect();
        assert_eq!(order, (1..=last.get()).collect::<Vec<_>>());
        assert!(told.iter().all(|(seq, watermark)| seq <= watermark), "told before the commit");
    }
}
