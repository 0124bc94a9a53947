//! What becomes of cards and accounts, whatever the provider says and when.

#[path = "exchanger_scene.rs"]
mod scene;

use super::*;
use crate::domain::Money;
use crate::domain::account::{AccountStatus, Lock, NewAccount};
use crate::domain::country::Country;
use crate::domain::text::Text;
use crate::provider::{Answer, Standing};
use scene::{Scene, account, at, card, in_doubt, not_taken, number, taken};

#[test]
fn a_card_is_exchanged_once_it_has_an_account_and_the_next_one_follows() {
    let scene = Scene::new(&[account(1)], Vec::new());
    scene.answer(taken(5));
    scene.answer(Answer::Refused { reason: Text::stored("used".into()) });
    for id in 1..=2 {
        scene.hand_in(id);
    }
    scene.settle();
    let expected = ["start 1 on 1", "taken 1 worth 5 after 1", "start 2 on 1", "untaken 2 after 1"];
    assert_eq!(scene.written(), expected);
    assert_eq!(scene.asked(), ["exchange 1", "exchange 2"]);
    assert_eq!(scene.control.stats(), Stats { free_accounts: 1, ..Stats::default() });
}

#[test]
fn what_the_provider_may_have_is_asked_for_and_sent_again_only_once_nothing_can_be_on_its_way() {
    let scene = Scene::new(&[account(1)], Vec::new());
    scene.answer(in_doubt());
    for _ in 0..4 {
        scene.stands(Standing::Unknown);
    }
    scene.hand_in(1);
    scene.settle();
    assert_eq!(scene.written(), ["start 1 on 1", "doubt 1 after 1"]);
    assert_eq!((scene.control.stats().in_doubt, scene.control.stats().locking), (1, 0));
    // After 1, 2 and 4 seconds more; the call was given 10.
    for seconds in [1, 2, 4] {
        scene.after(seconds);
    }
    assert_eq!(scene.asked(), ["exchange 1", "status 1", "status 1", "status 1", "status 1"]);
    scene.stands(Standing::Unknown);
    scene.answer(taken(7));
    scene.after(8);
    assert_eq!(scene.asked(), ["status 1", "exchange 1"]);
    assert_eq!(scene.written(), ["taken 1 worth 7 after 1"]);
    assert_eq!(scene.control.stats().in_doubt, 0);
}

#[test]
fn a_card_that_was_not_taken_this_time_is_sent_again_a_little_later() {
    let scene = Scene::new(&[account(1)], Vec::new());
    scene.answer(not_taken());
    scene.answer(taken(7));
    scene.hand_in(1);
    scene.settle();
    assert_eq!(scene.asked(), ["exchange 1"]);
    scene.after(1);
    assert_eq!(scene.asked(), ["exchange 1"]);
    assert_eq!(scene.written(), ["start 1 on 1", "taken 1 worth 7 after 2"]);
}

#[test]
fn a_card_that_is_never_taken_is_in_doubt_once_its_lock_is_overdue_and_still_asked_for() {
    let scene = Scene::with_options(&[account(1)], |options| options.breaker.failures = 100);
    for _ in 0..4 {
        scene.answer(not_taken());
    }
    scene.hand_in(1);
    scene.settle();
    for seconds in [1, 2, 4] {
        scene.after(seconds);
    }
    assert_eq!((scene.asked().len(), scene.written()), (4, vec!["start 1 on 1".to_owned()]));
    // A call was given 10 seconds from the start.
    scene.after(3);
    assert_eq!(scene.written(), ["doubt 1 after 4"]);
    let stats = scene.control.stats();
    assert_eq!((stats.locking, stats.in_doubt), (0, 1));
    scene.answer(taken(7));
    scene.after(4);
    assert!(scene.asked().is_empty(), "before its time");
    scene.after(1);
    assert_eq!(scene.asked(), ["exchange 1"], "that it was not taken is known");
    assert_eq!(scene.written(), ["taken 1 worth 7 after 1"]);
}

#[test]
fn a_card_that_waits_for_a_provider_that_does_not_answer_is_in_doubt_once_its_lock_is_overdue() {
    let scene = Scene::new(&[1, 2, 3].map(account), Vec::new());
    for _ in 0..3 {
        scene.answer(not_taken());
    }
    for id in 1..=3 {
        scene.hand_in(id);
    }
    scene.settle();
    assert!(scene.control.stats().breaker_is_open);
    scene.written();
    scene.after(10);
    let mut written = scene.written();
    written.sort_unstable();
    assert_eq!(written, ["doubt 1 after 1", "doubt 2 after 1", "doubt 3 after 1"]);
    assert_eq!(scene.asked().len(), 3, "nobody was asked meanwhile");
}

#[test]
fn what_an_account_cannot_take_in_is_doubted_once_however_often_the_provider_says_it() {
    let scene = Scene::new(&[account(1)], Vec::new());
    scene.books.refuses.set(true);
    scene.answer(taken(5));
    for _ in 0..3 {
        scene.stands(Standing::Taken { amount: Money::new(5).expect("money") });
    }
    scene.hand_in(1);
    scene.settle();
    for seconds in [1, 2] {
        scene.after(seconds);
    }
    assert_eq!(scene.asked(), ["exchange 1", "status 1", "status 1"]);
    assert_eq!(scene.written(), ["start 1 on 1", "doubt 1 after 1"]);
}

#[test]
fn a_provider_that_wants_to_be_left_alone_for_years_is_asked_after_the_last_delay() {
    let scene = Scene::new(&[account(1)], Vec::new());
    let retry_after = Some(Duration::from_hours(1_000_000));
    scene.answer(Answer::NotTaken { why: "later".into(), retry_after });
    scene.answer(taken(7));
    scene.hand_in(1);
    scene.settle();
    scene.after(7);
    assert_eq!(scene.asked(), ["exchange 1"]);
    scene.after(1);
    assert_eq!(scene.asked(), ["exchange 1"]);
    assert_eq!(scene.written(), ["start 1 on 1", "taken 1 worth 7 after 2"]);
}

#[test]
fn countries_take_turns_however_many_cards_one_of_them_has() {
    let mut pools = Pools::default();
    let in_country = |id, country| {
        let view = account(id);
        let country = Country::parse(country).expect("a country");
        let account = NewAccount { country, ..NewAccount::clone(&view.account) };
        AccountView { account: Arc::new(account), ..view }
    };
    for id in 1..=3 {
        pools.account(&in_country(id, "AT"));
        pools.account(&in_country(10 + id, "US"));
    }
    for id in 1..=4 {
        let country = Country::parse(if id < 4 { "AT" } else { "US" }).expect("a country");
        pools.card(Arc::new(Redemption { country, ..card(id) }), id as u64);
    }
    let order: Vec<_> = std::iter::from_fn(|| pools.choose()).map(|chosen| number(chosen.card.id)).collect();
    assert_eq!(order, [1, 4, 2, 3]);
}

#[test]
fn while_the_provider_does_not_answer_cards_stay_queued_and_one_call_finds_out() {
    let scene = Scene::new(&[1, 2, 3, 4].map(account), Vec::new());
    for _ in 0..3 {
        scene.answer(not_taken());
    }
    for id in 1..=3 {
        scene.hand_in(id);
    }
    scene.settle();
    for id in 4..=6 {
        scene.hand_in(id);
    }
    scene.after(9);
    assert_eq!((scene.asked().len(), scene.written().len()), (3, 3), "nobody else was sent");
    let stats = scene.control.stats();
    assert_eq!((stats.breaker_is_open, stats.queued, stats.locking), (true, 3, 3));
    scene.after(21);
    assert!(scene.asked().is_empty());
    scene.after(30);
    assert_eq!(scene.asked().len(), 1, "one call, which is not answered yet");
    assert!(scene.control.stats().breaker_is_open);
}

#[test]
fn no_more_cards_get_accounts_than_the_provider_can_be_asked_for_in_a_second() {
    let scene = Scene::with_options(&[1, 2, 3, 4, 5].map(account), |options| options.rate_per_second = 2);
    for _ in 0..5 {
        scene.answer(taken(1));
    }
    for id in 1..=5 {
        scene.hand_in(id);
    }
    scene.settle();
    assert_eq!((scene.asked().len(), scene.control.stats().free_accounts), (1, 3));
    let asked: Vec<usize> = (0..4)
        .map(|_| {
            scene.after(1);
            scene.asked().len()
        })
        .collect();
    assert_eq!(asked, [2, 2, 0, 0]);
}

#[test]
fn an_exchange_that_an_operator_settles_is_given_up_and_a_late_answer_is_only_noted() {
    let scene = Scene::new(&[account(1)], Vec::new());
    scene.answer(in_doubt());
    scene.stands(Standing::Unknown);
    scene.hand_in(1);
    scene.settle();
    scene.books.unlock(account(1).account.id);
    scene.after(60);
    assert_eq!(scene.asked(), ["exchange 1", "status 1"], "nobody asks any more");
    assert_eq!(scene.control.stats(), Stats { free_accounts: 1, ..Stats::default() });
    // The second one is settled while its call runs.
    scene.hand_in(2);
    scene.settle();
    scene.books.unlock(account(1).account.id);
    scene.written();
    scene.hand_in(3);
    scene.settle();
    assert_eq!(scene.written(), ["start 3 on 1"], "the account is free for another card");
}

#[test]
fn what_an_operator_has_given_up_is_not_sent_again_even_if_nobody_told_yet() {
    let scene = Scene::new(&[account(1)], Vec::new());
    scene.answer(in_doubt());
    for _ in 0..5 {
        scene.stands(Standing::Unknown);
    }
    scene.hand_in(1);
    scene.settle();
    for seconds in [1, 2, 4] {
        scene.after(seconds);
    }
    scene.asked();
    // The notice of it is still on its way.
    scene.books.accounts.borrow_mut().get_mut(&account(1).account.id).expect("an account").lock = None;
    scene.after(8);
    assert_eq!(scene.asked(), ["status 1"]);
}

#[test]
fn a_card_that_is_taken_back_leaves_its_account_to_the_next() {
    let scene = Scene::new(&[account(1)], Vec::new());
    scene.books.cancelled.borrow_mut().push(1);
    scene.answer(taken(5));
    for id in 1..=2 {
        scene.hand_in(id);
    }
    scene.settle();
    assert_eq!(scene.written(), ["start 2 on 1", "taken 2 worth 5 after 1"]);
}

#[test]
fn a_start_doubts_what_it_finds_locked_and_asks_before_anything_is_sent() {
    let mut view = account(1);
    let lock = Lock {
        redemption_id: card(1).id,
        previous_status: AccountStatus::Waiting,
        fence: 4,
        since: at(0),
        deadline: at(10),
    };
    (view.lock, view.fence, view.status) = (Some(lock), 4, AccountStatus::Locking);
    let locked = |id, status| Redemption { status, account_id: Some(view.account.id), fence: 4, ..card(id) };
    let scene = Scene::new(&[view.clone()], vec![locked(1, RedemptionStatus::Locking)]);
    scene.stands(Standing::Taken { amount: Money::new(9).expect("money") });
    scene.settle();
    assert_eq!(scene.written(), ["doubt 1 after 1", "taken 1 worth 9 after 0"]);
    assert_eq!(scene.asked(), ["status 1"]);
    let scene = Scene::new(&[view.clone()], vec![locked(1, RedemptionStatus::InDoubt)]);
    scene.stands(Standing::Taken { amount: Money::new(9).expect("money") });
    scene.settle();
    assert_eq!(scene.written(), ["taken 1 worth 9 after 0"], "it was doubted before");
}

#[test]
fn an_exchange_that_panics_goes_on_by_asking() {
    let scene = Scene::new(&[account(1)], Vec::new());
    scene.books.panics.set(1);
    scene.answer(taken(5));
    scene.stands(Standing::Taken { amount: Money::new(5).expect("money") });
    scene.hand_in(1);
    scene.settle();
    assert_eq!(scene.asked(), ["exchange 1", "status 1"]);
    assert_eq!(scene.written(), ["start 1 on 1", "doubt 1 after 1", "taken 1 worth 5 after 0"]);
}

#[test]
fn once_it_is_stopped_nothing_starts() {
    let scene = Scene::new(&[account(1)], Vec::new());
    scene.settle();
    scene.control.stop();
    scene.hand_in(1);
    scene.settle();
    assert_eq!((scene.asked().len(), scene.written().len()), (0, 0));
}

#[test]
fn a_provider_that_takes_no_cards_but_knows_of_none_stays_left_alone() {
    let scene = Scene::new(&[1, 2, 3, 4].map(account), Vec::new());
    for _ in 0..8 {
        scene.answer(not_taken());
        scene.stands(Standing::Unknown);
    }
    for id in 1..=6 {
        scene.hand_in(id);
    }
    scene.settle();
    // Three fail at once; the fourth account's card may, too, before that is known.
    let sent = scene.asked().len();
    for minute in 1..=3 {
        scene.after(60);
        assert_eq!(scene.asked().len(), 1, "one call to find out, in minute {minute}");
        assert!(scene.control.stats().breaker_is_open);
    }
    let stats = scene.control.stats();
    assert_eq!((stats.queued, stats.in_doubt + stats.locking), (6 - sent, sent), "cards wait");
}

#[test]
fn an_overdue_card_that_an_operator_settles_is_not_sent_again() {
    let scene = Scene::with_options(&[account(1)], |options| options.breaker.failures = 100);
    for _ in 0..4 {
        scene.answer(not_taken());
    }
    scene.hand_in(1);
    scene.settle();
    for seconds in [1, 2, 4, 3] {
        scene.after(seconds);
    }
    assert_eq!(scene.asked().len(), 4);
    assert_eq!(scene.written().last().map(String::as_str), Some("doubt 1 after 4"));
    // The notice of it is still on its way.
    scene.books.accounts.borrow_mut().get_mut(&account(1).account.id).expect("an account").lock = None;
    scene.after(60);
    assert!(scene.asked().is_empty());
}

#[test]
fn that_a_provider_has_never_seen_a_card_does_not_show_that_it_takes_any() {
    let scene = Scene::with_options(&[1, 2].map(account), |options| options.breaker.failures = 2);
    scene.answer(in_doubt());
    scene.stands(Standing::NoAnswer { why: "away".into() });
    scene.stands(Standing::Unknown);
    scene.answer(not_taken());
    scene.hand_in(1);
    scene.settle();
    assert_eq!(scene.asked(), ["exchange 1", "status 1"]);
    scene.after(60);
    assert_eq!(scene.asked(), ["status 1", "exchange 1"]);
    scene.hand_in(2);
    scene.settle();
    assert!(scene.asked().is_empty(), "nobody is sent where no card is taken");
    assert_eq!((scene.control.stats().breaker_is_open, scene.control.stats().queued), (true, 1));
    scene.answer(taken(5));
    scene.answer(taken(7));
    scene.after(60);
    assert_eq!((scene.asked().len(), scene.control.stats().breaker_is_open), (2, false));
}
