//! Choosing, with accounts and cards of a few words each.

use super::*;
use crate::domain::account::{Lock, NewAccount};
use crate::domain::country::Country;
use crate::domain::plan::BasisPoints;
use crate::domain::text::Name;
use crate::domain::{PlanId, Posting};
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

const fn account_id(id: u128) -> AccountId {
    AccountId::new(Uuid::from_u128(id))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(second)
}

/// An account with this much left.
fn account(id: u128, status: AccountStatus, left: i64) -> AccountView {
    let account = NewAccount {
        id: account_id(id),
        number: 1,
        label: Name::stored(String::new()),
        country: Country::parse("DE").expect("a country"),
        plan_id: PlanId::new(Uuid::nil()),
        target: Money::new(1_000).expect("money"),
        payout: BasisPoints::new(0).expect("a share"),
    };
    let view = AccountView::created(Arc::new(account), &Posting::of(0), at(0));
    AccountView { status, redeemed_total: 1_000 - left, ..view }
}

fn card(id: u128, face_value: i64) -> Card {
    let redemption_id = RedemptionId::new(Uuid::from_u128(id));
    Card { place: id as u64, redemption_id, face_value }
}

fn pool(accounts: &[(u128, AccountStatus, i64, i64)], cards: &[(u128, i64)]) -> Pool {
    let mut pool = Pool::default();
    for (id, status, left, used) in accounts {
        pool.account(&AccountView { used_at: at(*used), ..account(*id, *status, *left) });
    }
    for (id, face_value) in cards {
        pool.card(card(*id, *face_value));
    }
    pool
}

/// Cards with the accounts they got, by their numbers.
fn matches(pool: &mut Pool) -> Vec<(u128, u128)> {
    let numbers = |found: Match| (found.card.redemption_id.get().as_u128(), found.account_id.get().as_u128());
    std::iter::from_fn(|| pool.match_up()).map(numbers).collect()
}

use AccountStatus::{Completed, Locking, Processing, Waiting};

#[test]
fn accounts_at_work_come_first_then_the_least_left_that_fits_then_the_least_recently_used() {
    let accounts = [
        (1, Waiting, 10, 0),
        (2, Processing, 900, 0),
        (3, Processing, 500, 5),
        (4, Processing, 500, 4),
        (5, Processing, 40, 0),
    ];
    assert_eq!(
        matches(&mut pool(&accounts, &[(1, 50), (2, 50), (3, 50), (4, 10), (5, 10), (6, 10)])),
        [(1, 4), (2, 3), (3, 2), (4, 5), (5, 1)]
    );
}

#[test]
fn a_card_of_unknown_worth_takes_the_account_with_the_least_left() {
    assert_eq!(matches(&mut pool(&[(1, Processing, 700, 0), (2, Processing, 1, 0)], &[(1, 0)])), [(1, 2)]);
}

#[test]
fn cards_wait_in_their_order_and_one_that_fits_nowhere_holds_up_nobody() {
    let mut pool = pool(&[(1, Waiting, 100, 0)], &[(1, 500), (2, 60), (3, 20)]);
    assert_eq!(matches(&mut pool), [(2, 1)]);
    pool.account(&account(2, Waiting, 600));
    assert_eq!(matches(&mut pool), [(1, 2)]);
    assert_eq!((pool.waiting(), pool.free()), (1, 0));
}

#[test]
fn what_is_locked_logged_out_or_full_is_not_chosen() {
    let mut pool = pool(&[(1, Locking, 100, 0), (2, Completed, 100, 0), (3, Processing, 0, 0)], &[(1, 0)]);
    let out = AccountView { login: LoginStatus::Inactive, ..account(4, Waiting, 100) };
    pool.account(&out);
    let lock = Lock {
        redemption_id: RedemptionId::new(Uuid::nil()),
        previous_status: Waiting,
        fence: 1,
        since: at(0),
        deadline: at(0),
    };
    pool.account(&AccountView { lock: Some(lock), ..account(6, Waiting, 100) });
    assert_eq!(matches(&mut pool), []);
    pool.account(&AccountView { login: LoginStatus::Active, ..out });
    assert_eq!(matches(&mut pool), [(1, 4)]);
}

#[test]
fn an_account_that_changes_is_free_once_and_a_forgotten_card_gets_none() {
    let mut pool = pool(&[(1, Waiting, 100, 0)], &[(1, 0), (2, 0)]);
    pool.account(&account(1, Processing, 50));
    pool.forget(card(1, 0).redemption_id);
    pool.card(card(2, 0));
    assert_eq!(matches(&mut pool), [(2, 1)]);
    assert_eq!((pool.waiting(), pool.free()), (0, 0));
}

#[test]
fn an_account_that_is_promised_waits_for_the_answer_and_stands_then_as_it_was_last_seen() {
    let mut pool = pool(&[(1, Waiting, 100, 0)], &[(1, 0)]);
    assert_eq!(matches(&mut pool), [(1, 1)]);
    pool.card(card(2, 0));
    pool.account(&account(1, Processing, 70));
    assert_eq!(matches(&mut pool), [], "its answer is on its way");
    pool.answered(account_id(1));
    assert_eq!(matches(&mut pool), [(2, 1)]);
    pool.card(card(3, 0));
    pool.account(&AccountView { login: LoginStatus::Inactive, ..account(1, Processing, 70) });
    pool.answered(account_id(1));
    assert_eq!(matches(&mut pool), [], "it was logged out meanwhile");
}

proptest! {
    #[test]
    fn nobody_is_matched_twice_and_nothing_that_fits_is_left_over(
        accounts in prop::collection::vec((any::<bool>(), 1i64..50), 0..30),
        cards in prop::collection::vec(0i64..60, 0..30),
    ) {
        let mut pool = Pool::default();
        for (number, (is_new, left)) in accounts.iter().enumerate() {
            let status = if *is_new { Waiting } else { Processing };
            pool.account(&account(number as u128, status, *left));
        }
        for (number, worth) in cards.iter().enumerate() {
            pool.card(card(number as u128, *worth));
        }
        let found = matches(&mut pool);
        let (used_cards, used): (HashSet<u128>, HashSet<u128>) = found.iter().copied().unzip();
        prop_assert_eq!((used_cards.len(), used.len()), (found.len(), found.len()));
        for (card, account) in &found {
            prop_assert!(cards[*card as usize] <= accounts[*account as usize].1);
        }
        let left = |number: usize| !used.contains(&(number as u128));
        let most = accounts.iter().enumerate().filter(|(number, _)| left(*number)).map(|(_, (_, left))| *left).max();
        for (number, worth) in cards.iter().enumerate() {
            if !used_cards.contains(&(number as u128)) {
                prop_assert!(most.is_none_or(|most| most < *worth), "a card was left that fits");
            }
        }
    }
}
