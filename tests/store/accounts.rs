//! Plans, redemption accounts and their transitions are read back, equal to what the domain made of the same events.

use crate::fixture::{Fixture, kind};
use crate::on_both_stores;
use crate::story::Story;
use purser::domain::AccountId;
use purser::domain::account::{AccountStatus, AccountView, LoginStatus};
use purser::domain::country::Country;
use purser::store::{AccountFilter, Batch, Page, Row};
use uuid::Uuid;

on_both_stores!(
    plans_are_read_back_newest_first_and_as_a_whole,
    accounts_are_loaded_as_they_stand,
    accounts_are_listed_newest_first_by_status_login_and_country,
    transitions_are_read_back_newest_first,
    a_new_store_has_no_plans_and_no_accounts,
    a_change_of_an_account_that_is_not_there_is_refused,
);

const ALL: Page = Page { limit: 1_000, before: None };

async fn plans_are_read_back_newest_first_and_as_a_whole(store: Fixture) {
    let story = Story::full();
    let store = store.holding(&story.records).await;
    let mut expected = story.plans.clone();
    assert!(expected.len() > 1);
    expected.reverse();
    let read = store.store.plans(ALL).await.expect("plans");
    assert_eq!((&read.value, read.watermark), (&expected, story.last()));
    let second = Page { limit: 1, before: Some(expected[0].cursor) };
    assert_eq!(store.store.plans(second).await.expect("a page").value, expected[1..2]);
    let mut list = store.store.plan_list().await.expect("the list").value;
    for row in &expected {
        assert_eq!(list.plan(row.value.id).as_deref(), Some(&row.value));
    }
    assert_eq!(list.reserve_accounts(1), story.accounts.len() as u64 + 1);
}

async fn accounts_are_loaded_as_they_stand(store: Fixture) {
    for batch in [1, usize::MAX] {
        let story = Story::full();
        let store = store.sibling().await;
        let lease = store.acquired().await;
        store.write(lease, &story.records, batch).await;
        let mut ids: Vec<_> = story.accounts.keys().copied().collect();
        ids.push(AccountId::new(Uuid::nil()));
        let mut found = store.store.load_accounts(&ids).await.expect("accounts").value;
        found.sort_unstable_by_key(|view| view.account.id);
        let expected: Vec<_> = story.accounts.keys().map(|id| story.account(*id)).collect();
        assert_eq!(found, expected);
        assert!(found.iter().any(|view| view.lock.is_some_and(|lock| lock.fence > 1)));
        assert!(found.iter().any(|view| view.lock.is_none() && view.fence == 1));
    }
}

async fn accounts_are_listed_newest_first_by_status_login_and_country(store: Fixture) {
    let story = Story::full();
    let store = store.holding(&story.records).await;
    let statuses = [None, Some(AccountStatus::Locking), Some(AccountStatus::Completed)];
    let logins = [None, Some(LoginStatus::Active), Some(LoginStatus::Inactive)];
    let countries = [None, Country::parse("DE"), Country::parse("FR")];
    for status in statuses {
        for login in logins {
            for country in countries {
                let wanted = |view: &AccountView| {
                    status.is_none_or(|status| view.status == status)
                        && login.is_none_or(|login| view.login == login)
                        && country.is_none_or(|country| view.account.country == country)
                };
                let all = story.accounts.keys().map(|id| story.account(*id)).filter(wanted);
                let mut expected: Vec<_> =
                    all.map(|value| Row { cursor: value.account.number, value }).collect();
                expected.sort_unstable_by_key(|row| std::cmp::Reverse(row.cursor));
                let filter = AccountFilter { status, login, country };
                let mut seen = Vec::new();
                let mut page = Page { limit: 2, before: None };
                loop {
                    let rows = store.store.accounts(filter, page).await.expect("a page").value;
                    let Some(last) = rows.last() else { break };
                    page.before = Some(last.cursor);
                    seen.extend(rows);
                }
                assert_eq!(seen, expected, "{filter:?}");
            }
        }
    }
}

async fn transitions_are_read_back_newest_first(store: Fixture) {
    let story = Story::full();
    let store = store.holding(&story.records).await;
    assert!(story.transitions.values().any(|rows| rows.len() > 2));
    for (id, rows) in &story.transitions {
        let mut expected = rows.clone();
        expected.reverse();
        assert_eq!(store.store.transitions(*id, ALL).await.expect("transitions").value, expected);
        let page = Page { limit: 1, before: Some(expected[0].cursor) };
        let next = store.store.transitions(*id, page).await.expect("a page").value;
        assert_eq!(next, expected[1..].iter().take(1).cloned().collect::<Vec<_>>());
    }
}

async fn a_new_store_has_no_plans_and_no_accounts(store: Fixture) {
    store.acquired().await;
    let store = &*store.store;
    assert!(store.plans(ALL).await.expect("none").value.is_empty());
    assert!(store.accounts(AccountFilter::default(), ALL).await.expect("none").value.is_empty());
    let first = AccountId::new(Uuid::nil());
    assert!(store.load_accounts(&[first]).await.expect("none").value.is_empty());
    assert!(store.transitions(first, ALL).await.expect("none").value.is_empty());
    assert_eq!(store.plan_list().await.expect("a list").value.reserve_accounts(1), 1);
}

async fn a_change_of_an_account_that_is_not_there_is_refused(store: Fixture) {
    let mut story = Story::small();
    let plan = story.plan(100, 9_000);
    let account = story.open_accounts(plan, &["DE"])[0];
    let store = store.holding(&story.records).await;
    store.tamper("DELETE FROM accounts").await;
    let last = story.last();
    story.complete_account(account);
    let epoch = store.store.position().await.expect("a position").epoch;
    let batch = Batch::of(last, &story.records[last.get() as usize..]);
    let result = store.store.apply(epoch, &batch).await;
    assert_eq!(kind(&result), "refused");
    let why = result.expect_err("refused").to_string();
    assert!(why.contains("1 of 1 accounts are not in the store"), "{why}");
}
