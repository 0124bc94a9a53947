//! What a batch leaves behind.

use crate::fixture::{Fixture, kind};
use crate::on_both_stores;
use crate::story::Story;
use purser::domain::{Record, Seq, UserId};
use purser::store::{Batch, StoreError};

on_both_stores!(
    any_split_into_batches_gives_the_same_tables,
    a_batch_that_the_store_refuses_leaves_nothing,
    a_change_of_what_is_not_there_is_refused,
    an_empty_batch_is_no_trouble,
    expired_keys_are_forgotten_and_fresh_ones_kept,
    an_expired_key_can_be_used_again,
);

async fn any_split_into_batches_gives_the_same_tables(one_by_one: Fixture) {
    let story = Story::busy(42, 300);
    let sizes = [1, 7, 64, usize::MAX];
    let mut tables = Vec::new();
    for size in sizes {
        let fresh = one_by_one.sibling().await;
        let lease = fresh.acquired().await;
        fresh.write(lease, &story.records, size).await;
        tables.push(fresh.tables().await);
    }
    for (size, other) in sizes.iter().zip(&tables).skip(1) {
        for (left, right) in tables[0].iter().zip(other) {
            assert_eq!(left, right, "batches of {size}");
        }
    }
    let total: usize = tables[0].iter().map(|(_, rows)| rows.len()).sum();
    assert!(total > 1_000, "only {total} rows were compared");
}

/// A record that no owner would write, after some good ones.
fn poisoned(story: &Story, spoil: impl FnOnce(&mut Story)) -> Vec<Record> {
    let mut bad = Story::small();
    assert_eq!(bad.records, story.records);
    spoil(&mut bad);
    bad.records
}

async fn a_batch_that_the_store_refuses_leaves_nothing(store: Fixture) {
    let story = Story::small();
    let lease = store.acquired().await;
    store.write(lease, &story.records, usize::MAX).await;
    let before = store.tables().await;
    let (ann, item) = (UserId::new(1), purser::domain::ProductId::new(1));
    let mut batches = vec![
        poisoned(&story, |story| story.credit(ann, purser::domain::LIMIT)),
        poisoned(&story, |story| story.restock(item, -1_000)),
        poisoned(&story, |story| {
            story.order(ann, &[(item, 1)]);
            let mut twice = story.records[story.records.len() - 1].clone();
            twice.seq = twice.seq.next();
            story.records.push(twice);
        }),
    ];
    for records in &mut batches {
        let batch = Batch::of(story.last(), &records[story.records.len()..]);
        assert_eq!(kind(&store.store.apply(lease.epoch, &batch).await), "refused");
        assert_eq!(store.tables().await, before);
    }
    let position = store.store.position().await.expect("a position");
    assert_eq!(position.watermark, story.last());
    let after = poisoned(&story, |story| story.credit(ann, 1));
    let batch = Batch::of(story.last(), &after[story.records.len()..]);
    store.store.apply(lease.epoch, &batch).await.expect("a good batch is still written");
}

async fn a_change_of_what_is_not_there_is_refused(store: Fixture) {
    let story = Story::full();
    let lease = store.acquired().await;
    store.write(lease, &story.records[..4], 4).await;
    store.tamper("DELETE FROM balances; DELETE FROM products; DELETE FROM orders").await;
    let mut refused = 0;
    for record in &story.records[4..] {
        let after = Seq::new(record.seq.get() - 1);
        store.tamper(&format!("UPDATE engine SET watermark = {after}")).await;
        match store.store.apply(lease.epoch, &Batch::of(after, [record])).await {
            Err(StoreError::Refused(why)) if why.contains("not in the store") => refused += 1,
            Err(other) => panic!("record {}: {other}", record.seq),
            Ok(()) => {}
        }
    }
    assert!(refused >= 8, "only {refused} were refused");
}

async fn an_empty_batch_is_no_trouble(store: Fixture) {
    let lease = store.acquired().await;
    store.store.apply(lease.epoch, &Batch::of(Seq::ZERO, [])).await.expect("nothing to write");
    assert_eq!(store.store.position().await.expect("a position").watermark, Seq::ZERO);
}

async fn expired_keys_are_forgotten_and_fresh_ones_kept(store: Fixture) {
    let story = Story::busy(1, 30);
    let lease = store.acquired().await;
    store.write(lease, &story.records, usize::MAX).await;
    let middle = story.records[story.records.len() / 2].at;
    store.store.prune_keys(lease.epoch, middle).await.expect("pruned");
    for (caller, fingerprint, seq, _) in &story.outcomes {
        let kept = story.records[seq.get() as usize - 1].at >= middle;
        let found = store.store.outcome(*caller, *fingerprint).await.expect("an answer").value;
        assert_eq!(found.is_some(), kept, "the key of record {seq}");
    }
}

async fn an_expired_key_can_be_used_again(store: Fixture) {
    let mut story = Story::small();
    let fingerprint = story.records[2].key.as_ref().expect("a key").fingerprint;
    story.credit(UserId::new(1), 5);
    story.credit(UserId::new(1), 6);
    for index in [4, 5] {
        story.records[index].key.as_mut().expect("a key").fingerprint = fingerprint;
    }
    let store = store.holding(&story.records).await;
    let found = store.store.outcome(UserId::new(1), fingerprint).await.expect("an answer").value;
    assert_eq!(found.expect("the key").seq, Seq::new(6));
}
