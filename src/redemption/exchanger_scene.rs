//! An exchanger with books that are kept here, a provider that says what it is told to, and a clock that is moved by hand.

use crate::clock::ManualClock;
use crate::control::Control;
use crate::domain::account::exchange::{CardRef, Ending};
use crate::domain::account::{AccountStatus, AccountView, Lock, NewAccount};
use crate::domain::card::CardCode;
use crate::domain::country::Country;
use crate::domain::plan::BasisPoints;
use crate::domain::redemption::{Redemption, RedemptionStatus};
use crate::domain::text::Name;
use crate::domain::{AccountId, Money, PlanId, Posting, RedemptionId, Timestamp, UserId};
use crate::provider::{Answer, Exchange, Provider, Standing};
use crate::redemption::board::Notice;
use crate::redemption::{
    BreakerOptions, ExchangeOptions, Exchanger, Intent, NotEnded, NotStarted, Pools, Stats, Steps,
};
use async_trait::async_trait;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::LocalSet;
use uuid::Uuid;

pub const DE: &str = "DE";

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(second)
}

pub fn account(id: u128) -> AccountView {
    let account = NewAccount {
        id: AccountId::new(Uuid::from_u128(id)),
        number: 1,
        label: Name::stored(String::new()),
        country: Country::parse(DE).expect("a country"),
        plan_id: PlanId::new(Uuid::nil()),
        target: Money::new(1_000).expect("money"),
        payout: BasisPoints::new(0).expect("a share"),
    };
    AccountView::created(Arc::new(account), &Posting::of(0), at(0))
}

pub fn card(id: u128) -> Redemption {
    Redemption {
        id: RedemptionId::new(Uuid::from_u128(id)),
        user_id: UserId::new(1),
        batch_id: None,
        place: 0,
        country: Country::parse(DE).expect("a country"),
        face_value: None,
        status: RedemptionStatus::Queued,
        account_id: None,
        fence: 0,
        amount: None,
        payout: None,
        failure: None,
        attempts: 0,
        code_name: "name".into(),
        code_last4: "last".into(),
        code: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub fn number(id: RedemptionId) -> u128 {
    id.get().as_u128()
}

/// Accounts as an engine would keep them, and what was written down.
pub struct Books {
    pub accounts: RefCell<HashMap<AccountId, AccountView>>,
    pub notices: UnboundedSender<Notice>,
    pub written: RefCell<Vec<String>>,
    /// Cards that were cancelled, and steps that panic.
    pub cancelled: RefCell<Vec<u128>>,
    pub panics: Cell<u32>,
    /// Whether no account takes in what the provider says.
    pub refuses: Cell<bool>,
}

impl Books {
    fn write(&self, line: String) {
        self.written.borrow_mut().push(line);
    }

    fn change(&self, id: AccountId, change: impl FnOnce(&mut AccountView)) {
        let mut accounts = self.accounts.borrow_mut();
        let view = accounts.get_mut(&id).expect("an account");
        change(view);
        drop(self.notices.send(Notice::Account(Box::new(view.clone()))));
    }

    pub fn unlock(&self, id: AccountId) {
        self.change(id, |view| (view.lock, view.status) = (None, AccountStatus::Processing));
    }

    fn fence(&self, id: AccountId) -> Option<u64> {
        self.accounts.borrow()[&id].lock.map(|lock| lock.fence)
    }
}

#[async_trait(?Send)]
impl Steps for Rc<Books> {
    fn code(&self, _: &Redemption) -> Option<CardCode> {
        CardCode::parse("OK12").ok()
    }

    async fn start(&self, card: &CardRef, id: AccountId, timeout: Duration) -> Result<Lock, NotStarted> {
        if self.cancelled.borrow().contains(&number(card.redemption_id)) {
            return Err(NotStarted::Card);
        }
        if self.accounts.borrow()[&id].lock.is_some() {
            return Err(NotStarted::Account);
        }
        let fence = self.accounts.borrow()[&id].fence + 1;
        let deadline = at(0).plus(timeout);
        let previous_status = AccountStatus::Waiting;
        let lock = Lock { redemption_id: card.redemption_id, previous_status, fence, since: at(0), deadline };
        self.write(format!("start {} on {}", number(card.redemption_id), id.get().as_u128()));
        self.change(id, |view| {
            (view.lock, view.fence, view.status) = (Some(lock), fence, AccountStatus::Locking);
        });
        tokio::task::yield_now().await;
        Ok(lock)
    }

    async fn is_locked(&self, intent: &Intent) -> Option<bool> {
        Some(self.fence(intent.account_id) == Some(intent.fence))
    }

    async fn doubt(&self, intent: &Intent, attempts: u32, _: &str) -> Result<(), NotEnded> {
        self.write(format!("doubt {} after {attempts}", number(intent.card.redemption_id)));
        Ok(())
    }

    async fn end(&self, intent: &Intent, ending: Ending, attempts: u32) -> Result<(), NotEnded> {
        let id = number(intent.card.redemption_id);
        if self.panics.get() > 0 {
            self.panics.set(self.panics.get() - 1);
            panic!("as it was told to");
        }
        if self.refuses.get() {
            return Err(NotEnded::Refused("too much".into()));
        }
        if self.fence(intent.account_id) != Some(intent.fence) {
            self.write(format!("late {id}"));
            return Ok(());
        }
        self.write(match ending {
            Ending::Taken(amount) => format!("taken {id} worth {} after {attempts}", amount.minor()),
            Ending::Untaken(_) => format!("untaken {id} after {attempts}"),
        });
        self.unlock(intent.account_id);
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// What the provider says, in turn; with nothing left to say it never answers.
#[derive(Default)]
pub struct Script {
    answers: RefCell<VecDeque<Answer>>,
    standings: RefCell<VecDeque<Standing>>,
    asked: RefCell<Vec<String>>,
}

#[async_trait(?Send)]
impl Provider for Rc<Script> {
    async fn exchange(&self, exchange: &Exchange) -> Answer {
        self.asked.borrow_mut().push(format!("exchange {}", exchange.redemption_id.as_u128()));
        let answer = self.answers.borrow_mut().pop_front();
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn status(&self, id: Uuid) -> Standing {
        self.asked.borrow_mut().push(format!("status {}", id.as_u128()));
        let standing = self.standings.borrow_mut().pop_front();
        match standing {
            Some(standing) => standing,
            None => std::future::pending().await,
        }
    }
}

pub struct Scene {
    pub books: Rc<Books>,
    pub script: Rc<Script>,
    pub clock: Arc<ManualClock>,
    pub control: Arc<Control<Stats>>,
    pub exchanger: RefCell<Option<Exchanger>>,
    pub local: LocalSet,
}

impl Scene {
    pub fn new(accounts: &[AccountView], under_way: Vec<Redemption>) -> Self {
        let (notices, listener) = mpsc::unbounded_channel();
        let (clock, control) = (Arc::new(ManualClock::at(at(0))), Arc::new(Control::default()));
        let mut pools = Pools::default();
        for view in accounts {
            pools.account(view);
        }
        let options = ExchangeOptions {
            timeout: Duration::from_secs(10),
            breaker: BreakerOptions { failures: 3, pause: Duration::from_mins(1) },
            first_delay: Duration::from_secs(1),
            last_delay: Duration::from_secs(8),
            rate_per_second: 0,
        };
        let under_way = under_way.into_iter().map(Arc::new).collect();
        let books = Books {
            accounts: RefCell::new(accounts.iter().map(|view| (view.account.id, view.clone())).collect()),
            notices,
            written: RefCell::default(),
            cancelled: RefCell::default(),
            panics: Cell::new(0),
            refuses: Cell::new(false),
        };
        let exchanger =
            Exchanger { listener, pools, under_way, clock: clock.clone(), options, control: control.clone() };
        Self {
            books: Rc::new(books),
            script: Rc::default(),
            clock,
            control,
            exchanger: RefCell::new(Some(exchanger)),
            local: LocalSet::new(),
        }
    }

    /// Nothing is under way.
    pub fn with_options(accounts: &[AccountView], change: impl FnOnce(&mut ExchangeOptions)) -> Self {
        let mut scene = Self::new(accounts, Vec::new());
        change(&mut scene.exchanger.get_mut().as_mut().expect("not running").options);
        scene
    }

    /// Lets everything happen that can happen now.
    pub fn settle(&self) {
        if let Some(exchanger) = self.exchanger.borrow_mut().take() {
            let run = exchanger.run(Rc::new(self.books.clone()), Some(Rc::new(self.script.clone())));
            self.local.spawn_local(run);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        self.local.block_on(&runtime, async {
            for _ in 0..500 {
                tokio::task::yield_now().await;
            }
        });
    }

    pub fn hand_in(&self, id: u128) {
        drop(self.books.notices.send(Notice::Card(Arc::new(card(id)), id as u64)));
    }

    pub fn answer(&self, answer: Answer) {
        self.script.answers.borrow_mut().push_back(answer);
    }

    pub fn stands(&self, standing: Standing) {
        self.script.standings.borrow_mut().push_back(standing);
    }

    pub fn after(&self, seconds: i64) {
        self.clock.advance_seconds(seconds);
        self.settle();
    }

    pub fn written(&self) -> Vec<String> {
        self.books.written.take()
    }

    pub fn asked(&self) -> Vec<String> {
        self.script.asked.take()
    }
}

pub fn taken(amount: i64) -> Answer {
    Answer::Taken { amount: Money::new(amount).expect("money") }
}

pub fn in_doubt() -> Answer {
    Answer::InDoubt { why: "no answer".into() }
}

pub fn not_taken() -> Answer {
    Answer::NotTaken { why: "later".into(), retry_after: None }
}
