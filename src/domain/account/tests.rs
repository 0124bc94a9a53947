//! Accounts, step by step.

use super::exchange::Ending;
use super::*;
use crate::domain::UserId;
use crate::domain::redemption::RedemptionStatus;
use uuid::Uuid;

const AT: Timestamp = Timestamp::from_micros(5);

fn account() -> Account {
    let account = Arc::new(NewAccount {
        id: AccountId::new(Uuid::nil()),
        number: 1,
        label: Name::stored("One".into()),
        country: Country::parse("DE").expect("a country"),
        plan_id: PlanId::new(Uuid::nil()),
        target: Money::new(1_000).expect("money"),
        payout: BasisPoints::new(9_000).expect("a share"),
    });
    let posting = Posting { version: 1, ..Posting::of(0) };
    let mut owned = Account::unborn();
    owned.apply(&Event::AccountCreated { account, posting }, AT);
    owned
}

/// Takes a step with the figures that the tail would give it; says whether it changed anything.
fn step(account: &mut Account, command: &AccountCommand) -> Result<bool, Rejection> {
    let mut decision = match account.decide(command, AT, false) {
        Verdict::Granted(decision) => decision,
        Verdict::Refused(rejection) => return Err(rejection),
        Verdict::Wait => panic!("nothing is waited for"),
    };
    let before = account.view().expect("it exists");
    let changed = !decision.is_void();
    for event in &mut decision.own {
        event.posting_mut().expect("a step").version = before.version + 1;
        account.apply(event, AT);
        let Event::AccountChanged(transition) = event else { panic!("{event:?}") };
        assert_eq!(Some(before.after(transition, AT)), account.view(), "what the reply shows");
    }
    Ok(changed)
}

#[test]
fn a_new_account_waits_logged_in_and_a_repeated_step_changes_nothing() {
    let mut account = account();
    let view = account.view().expect("it exists");
    assert_eq!((view.status, view.login, view.version), (AccountStatus::Waiting, LoginStatus::Active, 1));
    let log_out = AccountCommand::SetLogin(LoginStatus::Inactive);
    assert_eq!((step(&mut account, &log_out), step(&mut account, &log_out)), (Ok(true), Ok(false)));
    let complete = AccountCommand::Complete;
    assert_eq!((step(&mut account, &complete), step(&mut account, &complete)), (Ok(true), Ok(false)));
    let view = account.view().expect("it exists");
    assert_eq!((view.status, view.login), (AccountStatus::Completed, LoginStatus::Inactive));
    assert_eq!(view.version, 3);
}

#[test]
fn an_account_on_which_a_card_is_exchanged_is_not_completed_but_may_be_logged_out() {
    let mut account = account();
    let lock = Lock {
        redemption_id: RedemptionId::new(Uuid::nil()),
        previous_status: AccountStatus::Waiting,
        fence: 1,
        since: AT,
        deadline: AT,
    };
    let created = Transition::created(AccountId::new(Uuid::nil()), Posting { version: 2, ..Posting::of(0) });
    let locked = Transition { to: AccountStatus::Locking, lock: Some(lock), ..created };
    account.apply(&Event::AccountChanged(Box::new(locked)), AT);
    assert_eq!(step(&mut account, &AccountCommand::Complete), Err(Rejection::AccountLocked));
    assert_eq!(step(&mut account, &AccountCommand::SetLogin(LoginStatus::Inactive)), Ok(true));
    let view = account.view().expect("it exists");
    assert_eq!((view.status, view.lock, view.fence), (AccountStatus::Locking, Some(lock), 1));
}

#[test]
fn before_it_is_created_there_is_no_account() {
    let missing = Verdict::Refused(Rejection::NotFound(Missing::Account));
    assert_eq!(Account::unborn().decide(&AccountCommand::Complete, AT, false), missing);
}

fn card(id: u128) -> CardRef {
    let redemption_id = RedemptionId::new(Uuid::from_u128(id));
    CardRef { redemption_id, user_id: UserId::new(7), code_name: "name".into() }
}

fn lock(account: &mut Account, id: u128) -> u64 {
    let command = AccountCommand::Lock { card: card(id), deadline: AT };
    assert_eq!(exchange(account, &command).map(|steps| steps.len()), Ok(1));
    account.view().and_then(|view| view.lock).expect("it is locked").fence
}

fn settle(id: u128, fence: u64, ending: Ending) -> AccountCommand {
    let card = card(id);
    AccountCommand::Settle(Settlement { card, fence, ending, owed: None, attempts: 1, operator: None })
}

fn taken(amount: i64) -> Ending {
    Ending::Taken(Money::new(amount).expect("money"))
}

fn untaken() -> Ending {
    let detail = Text::parse("used").expect("a text");
    Ending::Untaken(Arc::new(crate::domain::redemption::CardFailure { code: "refused".into(), detail }))
}

/// Takes a step with the figures that the tail would give it; what others are told.
fn exchange(account: &mut Account, command: &AccountCommand) -> Result<Vec<Event>, Rejection> {
    let mut decision = match account.decide(command, AT, false) {
        Verdict::Granted(decision) => decision,
        Verdict::Refused(rejection) => return Err(rejection),
        Verdict::Wait => panic!("nothing is waited for"),
    };
    for event in &mut decision.own {
        let before = account.view().expect("it exists");
        let posting = event.posting_mut().expect("a step");
        posting.total = before.redeemed_total + posting.delta;
        posting.version = before.version + 1;
        account.apply(event, AT);
    }
    Ok(decision.foreign)
}

fn status(account: &Account) -> (AccountStatus, i64) {
    let view = account.view().expect("it exists");
    (view.status, view.redeemed_total)
}

#[test]
fn an_exchange_leads_from_waiting_over_locking_to_processing_until_the_target_is_reached() {
    let mut account = account();
    for (id, amount, then) in [(1, 400, AccountStatus::Processing), (2, 600, AccountStatus::Completed)] {
        let fence = lock(&mut account, id);
        assert_eq!(status(&account).0, AccountStatus::Locking);
        let command = settle(id, fence, taken(amount));
        let steps = exchange(&mut account, &command).expect("settled");
        let [Event::RedemptionStepped(step)] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!(step.to, RedemptionStatus::Succeeded);
        assert_eq!(step.paid.map(|posting| posting.delta), Some(amount * 9 / 10));
        assert_eq!(status(&account).0, then);
    }
    assert_eq!(status(&account).1, 1_000);
}

#[test]
fn a_card_that_is_not_taken_leads_back_to_where_the_account_was_and_is_free_again() {
    let mut account = account();
    for (first, then) in [(None, AccountStatus::Waiting), (Some(100), AccountStatus::Processing)] {
        if let Some(amount) = first {
            let fence = lock(&mut account, 1);
            let command = settle(1, fence, taken(amount));
            exchange(&mut account, &command).expect("settled");
        }
        let fence = lock(&mut account, 2);
        let command = settle(2, fence, untaken());
        let steps = exchange(&mut account, &command).expect("settled");
        assert!(matches!(&steps[..], [Event::RedemptionStepped(_), Event::NamesFreed { .. }]), "{steps:?}");
        assert_eq!(status(&account).0, then);
    }
}

#[test]
fn a_locked_completed_or_logged_out_account_is_not_locked_for_another_card() {
    let command = AccountCommand::Lock { card: card(9), deadline: AT };
    let mut locked = account();
    lock(&mut locked, 1);
    let (mut completed, mut away) = (account(), account());
    step(&mut completed, &AccountCommand::Complete).expect("completed");
    step(&mut away, &AccountCommand::SetLogin(LoginStatus::Inactive)).expect("logged out");
    for account in [&mut locked, &mut completed, &mut away] {
        assert_eq!(exchange(account, &command), Err(Rejection::AccountNotFree));
    }
}

#[test]
fn a_doubt_keeps_the_account_locked_and_a_late_answer_is_noted_and_changes_nothing() {
    let mut account = account();
    let fence = lock(&mut account, 1);
    let doubt =
        AccountCommand::Doubt { card: card(1), fence, attempts: 1, why: Text::stored("no answer".into()) };
    assert_eq!(exchange(&mut account, &doubt).map(|steps| steps.len()), Ok(1));
    assert_eq!(status(&account).0, AccountStatus::Locking);
    let settled = settle(1, fence, untaken());
    exchange(&mut account, &settled).expect("settled by an operator");
    let next = lock(&mut account, 2);
    assert!(next > fence);
    for late in [doubt, settle(1, fence, taken(500))] {
        let before = account.view().expect("it exists");
        assert_eq!(exchange(&mut account, &late), Ok(Vec::new()));
        let after = account.view().expect("it exists");
        assert_eq!(
            (after.status, after.lock, after.redeemed_total),
            (before.status, before.lock, before.redeemed_total)
        );
    }
}
