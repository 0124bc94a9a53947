//! One life of an engine: from its start to its end, whichever comes, with clients that ask, a journal that moves step by step,
//! and whatever the plan has in store.

use super::chance::Chance;
use super::clients::{Heard, PRICE, Request};
use super::line::Line;
use super::plan::{End, Mixture, Plan};
use super::provider::{SimulatedProvider, TIMEOUT};
use super::rot;
use super::run::{Run, Unheard};
use actix_rt::spawn;
use purser::auditor::{Call as Noted, Told};
use purser::domain::country::Country;
use purser::domain::outcome::Outcome;
use purser::domain::plan::BasisPoints;
use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::domain::{Money, Stock};
use purser::engine::{
    AdjustRequest, Call, Engine, EngineOptions, NewAccountRequest, NewItemRequest, NewPlanRequest,
    NewUserRequest, ProviderChoice, StartError,
};
use purser::journal::disk::Disk;
use purser::journal::hands::{Hands, Step};
use purser::journal::simulated::SimulatedDisk;
use purser::journal::{HaltReason, ReadError};
use purser::redemption::{BreakerOptions, ExchangeOptions};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How a life went.
pub enum LifeEnd {
    PowerCut,
    Killed,
    Stopped,
    /// The engine stopped itself, because of the disk.
    Halted,
    NotStarted,
}

/// Only a defect makes anything take so long, of simulated time.
const DEADLINE: Duration = Duration::from_mins(10);
/// A message that waits for its next attempt waits longer when the clock jumps back: three times in each of five lives, by an hour.
const REST: Duration = Duration::from_hours(16);

type Shared = Rc<RefCell<Run>>;

/// See the module.
pub async fn live(run: Shared, disk: SimulatedDisk, plan: Plan, directory: PathBuf) -> LifeEnd {
    let (clock, store, mixture) = {
        let run = run.borrow();
        (run.clock.clone(), run.store.clone(), run.mixture.clone())
    };
    clock.begin();
    let provider = run.borrow().provider.clone();
    let options = options(directory, &mixture, provider.clone());
    rot::start_rotten(&run, &disk, options.clone()).await;
    store.set_line(if plan.is_line_bad_at_start { plan.line } else { Line::default() });
    if let Some((kind, nth, fault)) = plan.disk {
        disk.fail(kind, nth, fault);
    }
    run.borrow_mut().faulty = plan.disk.map(|_| disk.clone());
    provider.begin(plan.provider, plan.jumps == 0);
    let started =
        Engine::start_simulated(options, clock.clone(), Arc::new(disk.clone()), store.clone()).await;
    let (engine, hands) = match started {
        Ok(started) => started,
        Err(error) => {
            clock.end();
            // A start that nothing was in the way of succeeds; what does not fit together is never in order.
            let is_lost = (plan.is_line_bad_at_start && plan.line.is_bad()) || store.has_lost();
            let may_fail = is_lost || (plan.disk.is_some() && disk.has_failed());
            let is_temporary = matches!(
                error,
                StartError::Journal(ReadError::Io(_) | ReadError::Unprepared { .. })
                    | StartError::Directory { .. }
                    | StartError::Unreachable(_)
                    | StartError::NoRoom { .. }
            );
            if !(may_fail && is_temporary) {
                run.borrow_mut().object(format!("it does not start: {error}"));
            }
            return LifeEnd::NotStarted;
        }
    };
    store.set_line(plan.line);
    if disk.list().is_ok() {
        run.borrow_mut().compare(&disk);
    }
    if let Some(room) = plan.room {
        let files = disk.list().unwrap_or_default();
        let taken: usize = files.iter().filter_map(|name| disk.read(name).ok()).map(|file| file.len()).sum();
        disk.set_capacity(taken as u64 + room);
    }
    let (cut, mut is_cut) = watch::channel(false);
    let chance = run.borrow_mut().chance.branch();
    let mut moving =
        spawn(move_journal(hands, engine.clone(), run.clone(), disk.clone(), plan.pause, chance, cut));
    if plan.jumps > 0 {
        spawn(jump(run.clone(), plan.jumps));
    }
    let is_last = plan.is_last;
    let work = async {
        if timeout(DEADLINE, trade(&engine, &run, &plan)).await.is_err() && is_last {
            run.borrow_mut().object("the clients wait for ever");
        }
    };
    let after = match plan.end {
        End::PowerCut(after) | End::Killed(after) => after,
        End::Stopped => DEADLINE * 4 + REST,
    };
    let end = tokio::select! {
        biased;
        Ok(_) = is_cut.wait_for(|cut| *cut) => LifeEnd::PowerCut,
        Err(error) = &mut moving => {
            run.borrow_mut().object(format!("what moves the journal panics: {error}"));
            LifeEnd::Killed
        }
        reason = engine.halted() => halted(&run, &disk, &plan, reason).await,
        () = sleep(after) => match plan.end {
            End::PowerCut(_) => LifeEnd::PowerCut,
            _ => LifeEnd::Killed,
        },
        () = async {
            work.await;
            if is_last {
                settle(&engine, &run).await;
            }
            let patience = if is_last { DEADLINE } else { DEADLINE / 2 };
            match timeout(patience, engine.shutdown()).await {
                Ok(stopped) if is_last && !(stopped.released && stopped.backlog_records == 0) => {
                    run.borrow_mut().object(format!("it ends with {stopped:?}"));
                }
                Err(_) if is_last => run.borrow_mut().object("it does not come to an end"),
                _ => {}
            }
        } => LifeEnd::Stopped,
    };
    clock.end();
    end
}

/// How the engine of any life is set up.
fn options(directory: PathBuf, mixture: &Mixture, provider: SimulatedProvider) -> EngineOptions {
    let mut options = EngineOptions::embedded(directory);
    (options.secret, options.card_secret) = (Some(vec![7; 32]), Some(vec![8; 32]));
    (options.journal, options.batch_records_max) = (mixture.journal, mixture.batch_records_max);
    (options.idle_seconds, options.sweep_seconds) = (mixture.idle_seconds, 1);
    options.exchange = ExchangeOptions {
        timeout: TIMEOUT,
        breaker: BreakerOptions { failures: 4, pause: Duration::from_millis(300) },
        first_delay: Duration::from_millis(20),
        last_delay: Duration::from_secs(1),
        ..ExchangeOptions::default()
    };
    options.provider = ProviderChoice::Own(Arc::new(move || Rc::new(provider.clone())));
    options
}

/// Only the disk may stop an engine; those who wait are told.
async fn halted(run: &Shared, disk: &SimulatedDisk, plan: &Plan, reason: HaltReason) -> LifeEnd {
    let may_fail = plan.disk.is_some() && disk.has_failed();
    let is_due = matches!(reason, HaltReason::Write(_) | HaltReason::Sync(_)) && may_fail;
    if !is_due {
        run.borrow_mut().object(format!("it halts: {reason}, {plan:?}"));
    }
    // Whoever waits hears of it.
    sleep(Duration::from_secs(1)).await;
    LifeEnd::Halted
}

/// What the journal's threads do, one step after the other.
async fn move_journal(
    mut hands: Hands,
    engine: Engine,
    run: Shared,
    disk: SimulatedDisk,
    pause: Duration,
    mut chance: Chance,
    cut: watch::Sender<bool>,
) {
    let most = u64::try_from(pause.as_micros()).expect("a short pause");
    let mut idle = 0;
    loop {
        // Hours without anything to do go by quickly.
        let rest = if idle > 1_000 { Duration::from_millis(250) } else { Duration::ZERO };
        sleep(rest + Duration::from_micros(1 + chance.below(most))).await;
        let step = hands.step();
        idle = if matches!(step, Step::Nothing) { idle + 1 } else { 0 };
        if let Step::Synced(records) = &step {
            run.borrow_mut()
                .witness
                .extend(records.iter().map(|record| purser::domain::Record::clone(record)));
        }
        if matches!(step, Step::Ended) {
            return;
        }
        let (told, there) = (engine.health().store.stored, run.borrow().store.figures().committed);
        if told > there {
            run.borrow_mut().object(format!("{told} records count as stored, {there} are"));
        }
        if chance.percent(30) {
            hands.keep();
        }
        if disk.list().is_err() {
            cut.send_replace(true);
            std::future::pending::<()>().await;
        }
    }
}

async fn jump(run: Shared, most: i64) {
    let mut chance = run.borrow_mut().chance.branch();
    for _ in 0..3 {
        sleep(Duration::from_millis(chance.below(150))).await;
        let by = i64::try_from(chance.below(2 * most.unsigned_abs())).expect("a short jump") - most;
        let mut run = run.borrow_mut();
        run.clock.jump_seconds(by);
        run.figures.jumps += 1;
    }
}

/// All clients, until each has asked for what it wants; before that, whatever is missing in the shop.
async fn trade(engine: &Engine, run: &Shared, plan: &Plan) {
    open(engine, run).await;
    if run.borrow().mixture.with_cards() {
        open_accounts(engine, run).await;
    }
    ask_again(engine, run).await;
    let clients = run.borrow().mixture.clients;
    let trading: Vec<_> =
        (0..clients).map(|_| spawn(ask(engine.clone(), run.clone(), plan.requests, plan.thinking))).collect();
    for client in trading {
        client.await.expect("a client does not panic");
    }
}

/// Items and users: at least some of each.
async fn open(engine: &Engine, run: &Shared) {
    let few = Duration::from_millis(5);
    while run.borrow().shop.products.len() < 3 {
        let scarce = run.borrow().shop.products.is_empty();
        let request = NewItemRequest {
            sku: None,
            name: Name::parse("Lamp").expect("a name"),
            description: None,
            price: Money::new(PRICE).expect("money"),
            stock: Stock::new(if scarce { 12 } else { 60 }).expect("a stock"),
        };
        match engine.create_item(Call::default(), request).await.map(|reply| reply.outcome) {
            Ok(Outcome::Item(view)) => run.borrow_mut().shop.products.push(view.product_id),
            _ => sleep(few).await,
        }
    }
    while run.borrow().shop.users.len() < 4 {
        let number = run.borrow_mut().tick();
        let request = NewUserRequest {
            name: Name::parse("Ann").expect("a name"),
            email: Email::parse(&format!("ann{number}@example.org")).expect("an email"),
            password: None,
            role: Role::User,
            open_session: false,
        };
        let Ok(created) = engine.create_user(Call::default(), request).await else {
            sleep(few).await;
            continue;
        };
        let Outcome::Registered(user) = created.outcome else { unreachable!("a user was created") };
        let request = AdjustRequest {
            user_id: user.id,
            amount: Money::new(300).expect("money"),
            reference: None,
            description: None,
        };
        if engine.credit(Call::default(), request).await.is_ok() {
            run.borrow_mut().shop.users.push(user.id);
        }
    }
}

async fn ask(engine: Engine, run: Shared, requests: u64, thinking: Duration) {
    let most = u64::try_from(thinking.as_micros()).expect("a short while");
    let mut chance = run.borrow_mut().chance.branch();
    for _ in 0..requests {
        sleep(Duration::from_micros(chance.below(most))).await;
        let (request, key) = {
            let mut run = run.borrow_mut();
            let room = run.mixture.room;
            let request = Request::any(&mut chance, &mut run.shop, room);
            run.keys += 1;
            let key = (request.caller().is_some() && chance.percent(50)).then(|| format!("key {}", run.keys));
            (request, key)
        };
        let place = note(&run, &request, key.as_ref());
        let answer = request.send(&engine, key.as_deref()).await;
        take(&run, place, &request, key.as_ref(), answer);
    }
}

/// A few accounts on which gift cards are exchanged.
async fn open_accounts(engine: &Engine, run: &Shared) {
    let name = |run: &Shared| {
        let number = run.borrow_mut().tick();
        Name::parse(&format!("Standard {number}")).expect("a name")
    };
    let few = Duration::from_millis(5);
    while run.borrow().shop.accounts < 2 {
        let request = NewPlanRequest {
            name: name(run),
            target: Money::new(1_000_000).expect("money"),
            payout: BasisPoints::new(8_500).expect("a share"),
        };
        let Ok(Outcome::PlanCreated(plan)) =
            engine.create_plan(Call::default(), request).await.map(|reply| reply.outcome)
        else {
            sleep(few).await;
            continue;
        };
        let country = Country::parse("DE").expect("a country");
        let request = NewAccountRequest { label: name(run), country, plan_id: plan.id };
        if engine.create_account(Call::default(), request).await.is_ok() {
            run.borrow_mut().shop.accounts += 1;
        }
    }
}

/// What was asked under a key and not answered, until it is: also what a crash has cut off.
async fn ask_again(engine: &Engine, run: &Shared) {
    let unheard = run.borrow().unheard.clone();
    for Unheard { place, request, key } in unheard {
        for _ in 0..40 {
            let invoked = run.borrow_mut().tick();
            let (heard, outcome) = request.send(engine, Some(&key)).await;
            if hear_again(&mut run.borrow_mut(), (place, &request, &key), invoked, heard, outcome) {
                break;
            }
            // A store that is away answers again some time.
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Whether that was an answer.
fn hear_again(
    run: &mut Run,
    (place, request, key): (Option<usize>, &Request, &str),
    invoked: u64,
    heard: Heard,
    outcome: Option<Outcome>,
) -> bool {
    match heard {
        Heard::Told(told) => {
            let returned = run.tick();
            run.unheard.retain(|other| other.key != key);
            if let Some(place) = place {
                run.calls[place] = Noted { invoked, returned, told, ..run.calls[place].clone() };
            }
            keep(run, request, outcome);
        }
        Heard::Wrong(wrong) => run.object(format!("{wrong}: {request:?}")),
        Heard::Unknown => {
            run.leave_open(request);
            return false;
        }
        Heard::NotNow => return false,
    }
    true
}

/// Takes note of a call that begins.
fn note(run: &Shared, request: &Request, key: Option<&String>) -> Option<usize> {
    let mut run = run.borrow_mut();
    let invoked = run.tick();
    let place = request.ask().map(|(user, ask)| {
        run.calls.push(Noted { user, ask, invoked, returned: u64::MAX, told: Told::Nothing });
        run.calls.len() - 1
    });
    if let Some(key) = key {
        run.unheard.push(Unheard { place, request: request.clone(), key: key.clone() });
    }
    place
}

/// Takes note of what came of it.
fn take(
    run: &Shared,
    place: Option<usize>,
    request: &Request,
    key: Option<&String>,
    (heard, outcome): (Heard, Option<Outcome>),
) {
    let mut run = run.borrow_mut();
    let returned = run.tick();
    let told = match heard {
        Heard::Told(told) => told,
        Heard::NotNow => Told::Refused,
        Heard::Unknown => return run.leave_open(request),
        Heard::Wrong(wrong) => return run.object(format!("{wrong}: {request:?}")),
    };
    run.unheard.retain(|other| Some(&other.key) != key);
    if let Some(place) = place {
        (run.calls[place].returned, run.calls[place].told) = (returned, told);
    }
    keep(&mut run, request, outcome);
}

/// What later requests can be about.
fn keep(run: &mut Run, request: &Request, outcome: Option<Outcome>) {
    match (outcome, request.caller()) {
        (Some(Outcome::Purchased(purchased)), Some(user)) => run.shop.orders.push((user, purchased.order_id)),
        (Some(Outcome::Ordered { order_id, .. }), Some(user)) => run.shop.orders.push((user, order_id)),
        (Some(Outcome::Withdrawal(withdrawal)), Some(_)) => run.shop.withdrawals.push(withdrawal.id),
        (Some(Outcome::Redemption(card)), Some(user)) if matches!(request, Request::HandIn(..)) => {
            run.shop.cards.push((user, card.id));
        }
        _ => {}
    }
}

/// With no traffic nothing is held, everything is stored, and the books balance.
async fn settle(engine: &Engine, run: &Shared) {
    let mut pause = Duration::from_millis(10);
    let quiet = async {
        loop {
            let (health, messages) = (engine.health(), engine.message_stats());
            let open =
                messages.by_kind.values().map(|kind| kind.ready + kind.delayed + kind.running).sum::<u64>();
            let cards = engine.exchange_stats();
            let open = open + (cards.queued + cards.locking + cards.in_doubt) as u64;
            if health.backlog.records == 0 && health.journal.appended == health.store.stored && open == 0 {
                return;
            }
            pause = (pause * 2).min(Duration::from_secs(30));
            sleep(pause).await;
        }
    };
    if timeout(REST, quiet).await.is_err() {
        run.borrow_mut().object(format!(
            "it does not come to rest: {:?}, {:?}, {:?}",
            engine.health(),
            engine.message_stats(),
            engine.exchange_stats()
        ));
        return;
    }
    for owner in engine.owners(None, 10_000).await.unwrap_or_default() {
        if owner.holds != 0 {
            run.borrow_mut().object(format!("held without traffic: {owner:?}"));
        }
    }
    let unheard = run.borrow().unheard.clone();
    if !unheard.is_empty() {
        run.borrow_mut().object(format!("never answered: {unheard:?}"));
    }
    match engine.audit().await {
        Ok(read) => {
            for check in read.value.iter().filter(|check| !check.ok) {
                run.borrow_mut().object(format!("{}: {}", check.name, check.detail));
            }
        }
        Err(error) => run.borrow_mut().object(format!("no audit: {error}")),
    }
}
