//! Gift cards and their batches are read back, equal to what the domain made of the same events, however the records were
//! grouped.

use crate::fixture::{Fixture, kind};
use crate::on_both_stores;
use crate::story::Story;
use crate::story::redemption_story::{code_name, sealed};
use purser::domain::account::{AccountStatus, LoginStatus};
use purser::domain::event::Namespace;
use purser::domain::redemption::{PLACES, Redemption, RedemptionStatus};
use purser::domain::{BatchId, Money, RedemptionId, Seq, Timestamp, UserId};
use purser::store::{Batch, BatchCard, Lease, Page, RedemptionFilter, Row, StoredBatch};
use std::collections::HashMap;
use uuid::Uuid;

use RedemptionStatus::{Cancelled, Failed, InDoubt, Locking, Queued, Succeeded};

on_both_stores!(
    cards_are_read_back_as_they_stand,
    a_card_is_read_back_after_each_of_its_steps,
    cards_are_listed_newest_first_by_user_status_and_batch,
    cards_that_have_not_ended_are_read_back_oldest_first_and_with_their_balance,
    a_sealed_code_is_stored_until_its_card_ends_and_nowhere_else,
    names_are_held_for_cards_that_were_not_given_back,
    a_batch_is_read_back_with_its_cards,
    free_accounts_are_read_back_by_number_with_the_time_of_their_last_lock,
    the_same_records_give_the_same_rows_again,
    a_step_of_a_card_that_is_not_there_is_refused,
    a_new_store_has_no_cards,
);

const ALL: Page = Page { limit: 1_000, before: None };

/// All cards of a story, in the order in which they were handed in.
fn cards(story: &Story) -> Vec<Row<Redemption>> {
    let mut cards: Vec<_> = story.redemptions.values().cloned().collect();
    cards.sort_unstable_by_key(|row| row.cursor);
    cards
}

async fn cards_are_read_back_as_they_stand(store: Fixture) {
    let story = Story::full();
    let nobody = RedemptionId::new(Uuid::nil());
    let ids: Vec<_> = story.redemptions.keys().copied().chain([nobody]).collect();
    for size in [1, 3, usize::MAX] {
        let store = store.sibling().await;
        let lease = store.acquired().await;
        store.write(lease, &story.records, size).await;
        let read = store.store.redemptions_by_id(&ids).await.expect("cards");
        assert_eq!((read.value, read.watermark), (cards(&story), story.last()), "batches of {size}");
    }
    for status in [Queued, Locking, Succeeded, Failed, InDoubt, Cancelled] {
        assert!(cards(&story).iter().any(|row| row.value.status == status), "none is {}", status.word());
    }
    assert!(cards(&story).iter().any(|row| row.value.attempts == 3), "none was sent after a doubt");
}

async fn a_card_is_read_back_after_each_of_its_steps(store: Fixture) {
    let mut story = Story::small();
    let ann = UserId::new(1);
    let plan = story.plan(1_000, 5_000);
    let account = story.open_accounts(plan, &["DE"])[0];
    let card = story.hand_in(ann, "ABCD");
    let lease = store.acquired().await;
    store.write(lease, &story.records, usize::MAX).await;
    let (first, stored) = (story.last(), |story: &Story| story.redemptions[&card].clone());
    assert_eq!(stored(&story).cursor, first.get() * PLACES);
    let steps: [&dyn Fn(&mut Story); 3] =
        [&|story| story.start(card, account), &|story| story.doubt(card), &|story| story.taken(card, 301)];
    for step in steps {
        let after = story.last();
        step(&mut story);
        let lease = Lease { watermark: after, ..lease };
        store.write(lease, &story.records[after.get() as usize..], usize::MAX).await;
        let read = store.store.redemptions_by_id(&[card]).await.expect("a card").value;
        assert_eq!(read, [stored(&story)]);
    }
    let end = stored(&story).value;
    assert_eq!((end.payout, end.attempts, end.fence), (Money::new(150), 3, 1));
    assert_eq!((end.account_id, end.code), (Some(account), None));
}

async fn cards_are_listed_newest_first_by_user_status_and_batch(store: Fixture) {
    let story = Story::full();
    let store = store.holding(&story.records).await;
    let users = [None, Some(UserId::new(1)), Some(UserId::new(2)), Some(UserId::new(77))];
    let statuses = [None, Some(Queued), Some(Succeeded)];
    let batches = story.batches.keys().copied().map(Some).chain([None, Some(BatchId::new(Uuid::nil()))]);
    for batch_id in batches {
        for (user_id, status) in users.iter().flat_map(|user| statuses.map(|status| (*user, status))) {
            let wanted = |row: &Row<Redemption>| {
                user_id.is_none_or(|user_id| row.value.user_id == user_id)
                    && status.is_none_or(|status| row.value.status == status)
                    && batch_id.is_none_or(|batch_id| row.value.batch_id == Some(batch_id))
            };
            let mut expected = cards(&story);
            expected.retain(wanted);
            expected.reverse();
            let filter = RedemptionFilter { user_id, status, batch_id };
            let (mut seen, mut page) = (Vec::new(), Page { limit: 2, before: None });
            loop {
                let rows = store.store.redemptions(filter, page).await.expect("a page").value;
                assert!(rows.len() <= 2);
                let Some(last) = rows.last() else { break };
                page.before = Some(last.cursor);
                seen.extend(rows);
            }
            assert_eq!(seen, expected, "{filter:?}");
        }
    }
}

async fn cards_that_have_not_ended_are_read_back_oldest_first_and_with_their_balance(store: Fixture) {
    let story = Story::full();
    let store = store.holding(&story.records).await;
    let mut expected = cards(&story);
    expected.retain(|row| row.value.status.is_open());
    assert!(expected.len() > 3);
    let mut seen: Vec<Row<Redemption>> = Vec::new();
    loop {
        let after = seen.last().map_or(0, |row| row.cursor);
        let page = store.store.open_redemptions(after, 2).await.expect("a page").value;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, expected);
    let users = [UserId::new(1), UserId::new(2)];
    for stored in store.store.load_balances(&users, Timestamp::default()).await.expect("balances").value {
        let of_user = expected.iter().map(|row| &row.value).filter(|it| it.user_id == stored.view.user_id);
        assert_eq!(stored.cards.iter().collect::<Vec<_>>(), of_user.collect::<Vec<_>>());
        assert!(!stored.cards.is_empty());
    }
}

async fn a_sealed_code_is_stored_until_its_card_ends_and_nowhere_else(store: Fixture) {
    let story = Story::full();
    let store = store.holding(&story.records).await;
    let tables = store.tables().await;
    for (code, is_open) in
        [("PAID-1", false), ("GIVEN", false), ("RESOLVED", false), ("LOCKED", true), ("QUEUED", true)]
    {
        let bytes = sealed(code).as_bytes().to_vec();
        let hex = bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat();
        let list = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
        let holds = |row: &&String| row.to_uppercase().contains(&hex) || row.contains(&list);
        let found: Vec<_> = tables
            .iter()
            .flat_map(|(table, rows)| rows.iter().filter(holds).map(|_| table.as_str()))
            .collect();
        assert_eq!(found, vec!["redemptions"; usize::from(is_open)], "{code}");
    }
    let all = store.store.redemptions(RedemptionFilter::default(), ALL).await.expect("cards").value;
    assert!(all.iter().all(|row| row.value.code.is_some() == row.value.status.is_open()));
}

async fn names_are_held_for_cards_that_were_not_given_back(store: Fixture) {
    let story = Story::full();
    let lease = store.acquired().await;
    // Whether a name is freed and taken again within one batch or over several.
    store.write(lease, &story.records, 2).await;
    let names: Vec<_> = story.redemptions.values().map(|row| row.value.code_name.clone()).collect();
    let held = store.store.name_holders(Namespace::Card, &names).await.expect("holders").value;
    let given_back = [Failed, Cancelled];
    let counts = story.redemptions.values().map(|row| &row.value);
    let counts = counts.filter(|card| !given_back.contains(&card.status));
    let expected: HashMap<_, _> =
        counts.map(|card| (card.code_name.to_string(), card.user_id.get())).collect();
    assert_eq!(held, expected);
    assert_eq!(held.get(&*code_name("REFUSED-0")), Some(&2), "handed in again by another user");
    assert!(held.len() < story.redemptions.len());
    let elsewhere = store.store.name_holders(Namespace::Sku, &names).await.expect("holders").value;
    assert!(elsewhere.is_empty());
}

async fn a_batch_is_read_back_with_its_cards(store: Fixture) {
    let story = Story::full();
    let store = store.holding(&story.records).await;
    assert!(story.batches.values().any(|(_, total)| *total == 0));
    for (id, (user_id, total)) in &story.batches {
        let of_batch = story.redemptions.values().map(|row| &row.value);
        let of_batch = of_batch.filter(|card| card.batch_id == Some(*id));
        let card = |card: &Redemption| {
            let Redemption { status, amount, payout, .. } = *card;
            (card.id, BatchCard { status, amount, payout })
        };
        let expected = StoredBatch { user_id: *user_id, total: *total, cards: of_batch.map(card).collect() };
        assert_eq!(expected.cards.len(), *total as usize);
        let read = store.store.redemption_batch(*id).await.expect("a batch");
        assert_eq!((read.value, read.watermark), (Some(expected), story.last()));
    }
    let missing = BatchId::new(Uuid::nil());
    assert_eq!(store.store.redemption_batch(missing).await.expect("an answer").value, None);
}

async fn free_accounts_are_read_back_by_number_with_the_time_of_their_last_lock(store: Fixture) {
    let mut story = Story::full();
    let locked_at = story.now();
    let card = story.exchange_begun(UserId::new(1));
    story.taken(card, 5);
    for size in [1, usize::MAX] {
        let store = store.sibling().await;
        let lease = store.acquired().await;
        store.write(lease, &story.records, size).await;
        let views = story.accounts.keys().map(|id| story.account(*id));
        let mut expected: Vec<_> = views
            .filter(|view| view.lock.is_none() && view.login == LoginStatus::Active)
            .filter(|view| view.status != AccountStatus::Completed)
            .map(|value| Row { cursor: value.account.number, value })
            .collect();
        expected.sort_unstable_by_key(|row| row.cursor);
        assert!(expected.len() > 2 && expected.len() < story.accounts.len());
        let mut seen = Vec::new();
        loop {
            let after = seen.last().map_or(0, |row: &Row<_>| row.cursor);
            let page = store.store.free_accounts(after, 2).await.expect("a page").value;
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen, expected, "batches of {size}");
        let last = &seen[seen.len() - 1].value;
        assert!(last.used_at > locked_at && last.used_at < last.updated_at && last.used_at > last.created_at);
        let first = &seen[0].value;
        assert_eq!((first.fence, first.used_at), (0, first.created_at), "never locked");
    }
}

async fn the_same_records_give_the_same_rows_again(store: Fixture) {
    let story = Story::busy(17, 250);
    let (again, lease) = (store.sibling().await, store.acquired().await);
    store.write(lease, &story.records, 1).await;
    let again = again.holding(&story.records).await;
    assert_eq!(store.tables().await, again.tables().await);
    // A rewound store takes the records behind its watermark once more, and no others.
    let half = story.records.len() / 2;
    let third = store.sibling().await;
    let lease = third.acquired().await;
    third.write(lease, &story.records[..half], 10).await;
    let batch = Batch::of(Seq::ZERO, &story.records);
    assert_eq!(kind(&third.store.apply(lease.epoch, &batch).await), "moved");
    let lease = Lease { watermark: Seq::new(half as u64), ..lease };
    third.write(lease, &story.records[half..], 10).await;
    assert_eq!(store.tables().await, third.tables().await);
}

async fn a_step_of_a_card_that_is_not_there_is_refused(store: Fixture) {
    let mut story = Story::small();
    let card = story.hand_in(UserId::new(1), "ABCD");
    let store = store.holding(&story.records).await;
    store.tamper("DELETE FROM redemptions").await;
    let last = story.last();
    story.cancel_card(card);
    let epoch = store.store.position().await.expect("a position").epoch;
    let batch = Batch::of(last, &story.records[last.get() as usize..]);
    let result = store.store.apply(epoch, &batch).await;
    assert_eq!(kind(&result), "refused");
    let why = result.expect_err("refused").to_string();
    assert!(why.contains("1 of 1 redemptions are not in the store"), "{why}");
}

async fn a_new_store_has_no_cards(store: Fixture) {
    store.acquired().await;
    let store = &*store.store;
    assert!(store.redemptions(RedemptionFilter::default(), ALL).await.expect("none").value.is_empty());
    assert!(store.open_redemptions(0, 10).await.expect("none").value.is_empty());
    assert!(store.free_accounts(0, 10).await.expect("none").value.is_empty());
    assert!(store.redemptions_by_id(&[]).await.expect("none").value.is_empty());
    assert!(store.name_holders(Namespace::Card, &[]).await.expect("none").value.is_empty());
}
