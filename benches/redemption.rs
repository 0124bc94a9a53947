//! Gift cards inside one process, with a real journal and the embedded store behind it: what the engine itself costs with a
//! provider that answers at once, how near it comes to the ideal with one that takes 200 ms, and what choosing an account
//! takes among up to a million. `cargo bench --bench redemption [-- --cards 20000 --accounts 1000
//! --slow-cards 20000 --runs 3]`.

mod support;

use anyhow::Context;
use async_trait::async_trait;
use purser::domain::account::{AccountStatus, AccountView, NewAccount};
use purser::domain::card::CardCode;
use purser::domain::country::Country;
use purser::domain::plan::BasisPoints;
use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::domain::{AccountId, Money, Outcome, PlanId, Posting, RedemptionId, Timestamp, UserId};
use purser::engine::{
    Call, CardRequest, Engine, EngineOptions, Freshness, ImportRequest, NewAccountRequest, NewPlanRequest,
    NewUserRequest, ProviderChoice,
};
use purser::provider::{Answer, Exchange, Provider, Standing};
use purser::redemption::pool::{Card, Pool};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{argument, fdatasync_rate};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: support::Allocator = mimalloc::MiMalloc;

/// What each card is worth; accounts take any number of them.
const AMOUNT: i64 = 100;
/// Users that hand in cards, in batches of so many.
const USERS: usize = 10;
const BATCH: usize = 1_000;

/// Takes every card after a while.
struct Takes(Duration);

#[async_trait(?Send)]
impl Provider for Takes {
    async fn exchange(&self, _: &Exchange) -> Answer {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
        Money::new(AMOUNT)
            .map_or(Answer::InDoubt { why: "no amount".into() }, |amount| Answer::Taken { amount })
    }

    async fn status(&self, _: Uuid) -> Standing {
        Standing::Unknown
    }
}

fn main() -> anyhow::Result<()> {
    let (cards, accounts) = (argument("cards", 20_000) as usize, argument("accounts", 1_000) as usize);
    let (slow_cards, runs) = (argument("slow-cards", 20_000) as usize, argument("runs", 3));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for _ in 0..runs {
        println!("{:.0} fdatasync/s", fdatasync_rate(support::data_directory("probe")?.path())?);
        let took = runtime.block_on(redeem(accounts, cards, Duration::ZERO))?;
        println!(
            "{cards} cards over {accounts} accounts, provider at once: {:.0}/s",
            cards as f64 / took.as_secs_f64()
        );
        let (latency, slow_accounts) = (Duration::from_millis(200), 500);
        let took = runtime.block_on(redeem(slow_accounts, slow_cards, latency))?;
        let ideal = slow_accounts as f64 / latency.as_secs_f64();
        let rate = slow_cards as f64 / took.as_secs_f64();
        println!(
            "{slow_cards} cards over {slow_accounts} accounts, provider after 200 ms: {rate:.0}/s, {:.1} % of {ideal:.0}/s",
            100.0 * rate / ideal
        );
    }
    for accounts in [1_000, 10_000, 100_000, 1_000_000] {
        choose(accounts);
    }
    Ok(())
}

/// From the first card's handing in to the last one's end, with all accounts free in the beginning.
async fn redeem(accounts: usize, cards: usize, latency: Duration) -> anyhow::Result<Duration> {
    let directory = support::data_directory("redemption")?;
    let mut options = EngineOptions::embedded(directory.path());
    options.backlog_records_max = u64::MAX;
    options.backlog_bytes_max = u64::MAX;
    options.provider = ProviderChoice::Own(Arc::new(move || Rc::new(Takes(latency))));
    let engine = Engine::start(options).await?;
    furnish(&engine, accounts).await?;
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(user(&engine, number).await?);
    }
    let begun = Instant::now();
    let mut batches = Vec::new();
    for (number, first) in (0..cards).step_by(BATCH).enumerate() {
        let codes = first..cards.min(first + BATCH);
        let handed_in = codes.map(|number| card(number).map(Some)).collect::<anyhow::Result<_>>()?;
        let reply = engine.hand_in_batch(Call::default(), users[number % USERS], handed_in).await?;
        let Outcome::BatchHandedIn { batch_id, total, .. } = reply.outcome else { anyhow::bail!("no batch") };
        batches.push((batch_id, total));
    }
    loop {
        let stats = engine.exchange_stats();
        if stats.queued + stats.locking + stats.in_doubt == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = begun.elapsed();
    for (id, total) in batches {
        let figures = engine.batch(id, None, Freshness::default()).await?.value;
        anyhow::ensure!(figures.succeeded == total, "{figures:?}");
    }
    let checks = engine.audit().await?.value;
    anyhow::ensure!(checks.iter().all(|check| check.ok), "the audit found differences: {checks:?}");
    engine.shutdown().await;
    Ok(took)
}

async fn furnish(engine: &Engine, accounts: usize) -> anyhow::Result<()> {
    let plan = NewPlanRequest {
        name: Name::parse("Bench").map_err(anyhow::Error::msg)?,
        target: Money::new(1_000_000_000).context("money")?,
        payout: BasisPoints::new(9_000).context("a share")?,
    };
    let Outcome::PlanCreated(plan) = engine.create_plan(Call::default(), plan).await?.outcome else {
        anyhow::bail!("no plan");
    };
    let account = NewAccountRequest {
        label: Name::parse("Account").map_err(anyhow::Error::msg)?,
        country: Country::parse("DE").context("a country")?,
        plan_id: plan.id,
    };
    let mut left = accounts;
    while left > 0 {
        let some = left.min(1_000);
        let request = ImportRequest { accounts: vec![account.clone(); some], file: [0; 32] };
        engine.import_accounts(Call::default(), request).await?;
        left -= some;
    }
    Ok(())
}

async fn user(engine: &Engine, number: usize) -> anyhow::Result<UserId> {
    let request = NewUserRequest {
        name: Name::parse("User").map_err(anyhow::Error::msg)?,
        email: Email::parse(&format!("user{number}@bench.invalid")).map_err(anyhow::Error::msg)?,
        password: None,
        role: Role::User,
        open_session: false,
    };
    match engine.create_user(Call::default(), request).await?.outcome {
        Outcome::Registered(user) => Ok(user.id),
        _ => anyhow::bail!("no user"),
    }
}

fn card(number: usize) -> anyhow::Result<CardRequest> {
    Ok(CardRequest {
        code: CardCode::parse(&format!("BENCH{number:010}")).map_err(anyhow::Error::msg)?,
        country: Country::parse("DE").context("a country")?,
        face_value: Money::new(AMOUNT),
    })
}

/// A card comes, gets its account, and the account is free again.
fn choose(accounts: usize) {
    const CHOICES: usize = 200_000;
    let mut pool = Pool::default();
    let views: Vec<AccountView> = (0..accounts).map(view).collect();
    for view in &views {
        pool.account(view);
    }
    let begun = Instant::now();
    for number in 0..CHOICES {
        let redemption_id = RedemptionId::new(Uuid::from_u128(number as u128));
        pool.card(Card { place: number as u64, redemption_id, face_value: (number % 1_000) as i64 });
        let Some(found) = pool.match_up() else { panic!("no account is free") };
        pool.answered(found.account_id);
    }
    let nanoseconds = begun.elapsed().as_nanos() as f64 / CHOICES as f64;
    println!("choosing among {accounts} accounts: {nanoseconds:.0} ns");
}

fn view(number: usize) -> AccountView {
    let account = NewAccount {
        id: AccountId::new(Uuid::from_u128(number as u128 + 1)),
        number: number as u64 + 1,
        label: Name::stored(String::new()),
        country: Country::parse("DE").unwrap_or_else(|| panic!("a country")),
        plan_id: PlanId::new(Uuid::nil()),
        target: Money::new(1_000_000).unwrap_or(Money::ZERO),
        payout: BasisPoints::new(0).unwrap_or_else(|| panic!("a share")),
    };
    let at = Timestamp::from_micros(number as i64);
    let view = AccountView::created(Arc::new(account), &Posting::of(0), at);
    let redeemed_total = (number % 999_000) as i64;
    let status = if number.is_multiple_of(2) { AccountStatus::Waiting } else { AccountStatus::Processing };
    AccountView { redeemed_total, status, ..view }
}
