//! Withdrawals, distributors and levels are read back, equal to what the domain made of the same events.

use crate::fixture::{Fixture, kind};
use crate::on_both_stores;
use crate::story::Story;
use purser::domain::level::Levels;
use purser::domain::withdrawal::{Withdrawal, WithdrawalStatus};
use purser::domain::{UserId, WithdrawalId};
use purser::store::{Batch, Page, Row};
use uuid::Uuid;

on_both_stores!(
    withdrawals_are_read_back_newest_first,
    pending_withdrawals_are_read_back_oldest_first,
    distributors_are_loaded_one_for_each_id_asked,
    distributors_are_listed_by_id_and_rank,
    upgrades_are_read_back_newest_first,
    levels_are_replaced_as_a_whole,
    a_new_store_has_no_withdrawals_and_the_first_level,
    a_change_of_what_is_not_there_is_refused,
);

const ALL: Page = Page { limit: 1_000, before: None };

async fn withdrawals_are_read_back_newest_first(store: Fixture) {
    let story = Story::busy(21, 300);
    let store = store.holding(&story.records).await;
    let store = &*store.store;
    let mut all: Vec<Row<Withdrawal>> = story.withdrawals.values().cloned().collect();
    all.sort_unstable_by_key(|row| std::cmp::Reverse(row.cursor));
    for status in [WithdrawalStatus::Pending, WithdrawalStatus::Completed, WithdrawalStatus::Rejected] {
        assert!(all.iter().any(|row| row.value.status == status), "the story has none {status:?}");
    }
    for row in &all {
        let read = store.withdrawal(row.value.id).await.expect("a withdrawal");
        assert_eq!((read.value.as_ref(), read.watermark), (Some(row), story.last()));
    }
    for user_id in [None, Some(UserId::new(1)), Some(UserId::new(2)), Some(UserId::new(77))] {
        let mut expected = all.clone();
        expected.retain(|row| user_id.is_none_or(|id| row.value.user_id == id));
        let mut seen = Vec::new();
        let mut page = Page { limit: 4, before: None };
        loop {
            let rows = store.withdrawals(user_id, page).await.expect("a page").value;
            assert!(rows.len() <= 4);
            let Some(last) = rows.last() else { break };
            page.before = Some(last.cursor);
            seen.extend(rows);
        }
        assert_eq!(seen, expected);
    }
}

async fn pending_withdrawals_are_read_back_oldest_first(store: Fixture) {
    let story = Story::busy(24, 300);
    let store = store.holding(&story.records).await;
    let mut expected: Vec<Row<Withdrawal>> = story.withdrawals.values().cloned().collect();
    expected.retain(|row| row.value.status == WithdrawalStatus::Pending);
    expected.sort_unstable_by_key(|row| row.cursor);
    assert!(expected.len() > 1 && expected.len() < story.withdrawals.len(), "the story has one kind only");
    let mut seen: Vec<Row<Withdrawal>> = Vec::new();
    loop {
        let after = seen.last().map_or(0, |row| row.cursor);
        let page = store.store.pending_withdrawals(after, 1).await.expect("a page").value;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, expected);
}

async fn distributors_are_loaded_one_for_each_id_asked(store: Fixture) {
    let story = Story::busy(22, 300);
    let store = store.holding(&story.records).await;
    let mut ids = vec![UserId::new(999_999)];
    ids.extend(story.balances.keys().rev());
    let found = store.store.load_distributors(&ids).await.expect("distributors").value;
    ids.sort_unstable();
    assert_eq!(found, ids.iter().map(|id| story.distributor(*id).view()).collect::<Vec<_>>());
    assert!(found.iter().any(|view| view.rank > 1 && view.upgraded_at.is_some() && view.version > 1));
    assert!(found.iter().any(|view| view.version == 0));
}

async fn distributors_are_listed_by_id_and_rank(store: Fixture) {
    let mut story = Story::full();
    for name in ["c", "d", "e"] {
        let user = story.user(&format!("{name}@example.org"));
        story.credit(user, 1_000);
        let withdrawal = story.withdraw(user, 50);
        story.pay_out(withdrawal);
    }
    let store = store.holding(&story.records).await;
    let list = async |rank, after, limit| {
        let found = store.store.distributors(rank, UserId::new(after), limit).await.expect("ids").value;
        found.into_iter().map(UserId::get).collect::<Vec<_>>()
    };
    let known: Vec<u64> = story.distributors.keys().map(|id| id.get()).collect();
    assert_eq!(list(None, 0, 100).await, known);
    assert_eq!(list(None, known[0], 2).await, known[1..3]);
    assert_eq!(list(Some(0), 0, 100).await, [3, 4, 5]);
    assert_eq!(list(Some(0), 3, 1).await, [4]);
    let rank = story.distributor(UserId::new(1)).view().rank;
    assert!(rank > 0);
    assert_eq!(list(Some(rank), 0, 100).await, [1]);
}

async fn upgrades_are_read_back_newest_first(store: Fixture) {
    let story = Story::busy(23, 300);
    let store = store.holding(&story.records).await;
    for user in [UserId::new(1), UserId::new(2), UserId::new(77)] {
        let mut expected = story.upgrades.clone();
        expected.retain(|row| row.value.0.user_id == user);
        expected.reverse();
        assert_eq!(store.store.upgrades(user, ALL).await.expect("upgrades").value, expected);
        for (index, row) in expected.iter().enumerate() {
            let page = Page { limit: 1, before: Some(row.cursor) };
            let next = store.store.upgrades(user, page).await.expect("upgrades").value;
            assert_eq!(next, expected[index + 1..].iter().take(1).cloned().collect::<Vec<_>>());
        }
    }
    let of = |with: bool| story.upgrades.iter().any(|row| row.value.0.withdrawal_id.is_some() == with);
    assert!(of(true) && of(false), "the story has one kind of upgrade only");
}

async fn levels_are_replaced_as_a_whole(store: Fixture) {
    let mut story = Story::small();
    let mut lease = store.acquired().await;
    let many: Vec<i64> = (0..Levels::MAX as i64).collect();
    for thresholds in [&[0, 10, 20][..], &[5], &many, &[1, 2]] {
        story.set_levels(thresholds);
        store.write(lease, &story.records[lease.watermark.get() as usize..], usize::MAX).await;
        lease.watermark = story.last();
        let read = store.store.levels().await.expect("levels");
        assert_eq!((read.value, read.watermark), (story.levels(), story.last()));
    }
}

async fn a_new_store_has_no_withdrawals_and_the_first_level(store: Fixture) {
    store.acquired().await;
    let (store, user) = (&*store.store, UserId::new(1));
    assert_eq!(store.withdrawal(WithdrawalId::new(Uuid::nil())).await.expect("none").value, None);
    assert!(store.withdrawals(None, ALL).await.expect("none").value.is_empty());
    assert!(store.load_distributors(&[]).await.expect("none").value.is_empty());
    let nothing = Story::default().distributor(user).view();
    assert_eq!(store.load_distributors(&[user]).await.expect("one").value, [nothing]);
    assert!(store.distributors(None, UserId::new(0), 10).await.expect("none").value.is_empty());
    assert!(store.upgrades(user, ALL).await.expect("none").value.is_empty());
    assert_eq!(store.levels().await.expect("one").value, Levels::stored(Vec::new()));
}

async fn a_change_of_what_is_not_there_is_refused(store: Fixture) {
    type Step = fn(&mut Story, WithdrawalId);
    let steps: [(&str, Step); 3] = [
        ("withdrawals", |story, open| story.reject(open)),
        ("withdrawals", |story, open| _ = story.pay_out(open)),
        ("distributors", |story, _| story.check(story.last_message())),
    ];
    for (table, step) in steps {
        let mut story = Story::small();
        let ann = UserId::new(1);
        story.set_levels(&[0, 5]);
        let (paid, open) = (story.withdraw(ann, 10), story.withdraw(ann, 10));
        story.pay_out(paid);
        let store = store.sibling().await.holding(&story.records).await;
        store.tamper(&format!("DELETE FROM {table}")).await;
        let last = story.last();
        step(&mut story, open);
        let epoch = store.store.position().await.expect("a position").epoch;
        let batch = Batch::of(last, &story.records[last.get() as usize..]);
        let result = store.store.apply(epoch, &batch).await;
        assert_eq!(kind(&result), "refused", "{table}");
        let why = result.expect_err("refused").to_string();
        assert!(why.contains(&format!("1 of 1 {table} are not in the store")), "{why}");
    }
}
