//! Who may write, and from where.

use crate::fixture::{Fixture, claim, kind};
use crate::on_both_stores;
use crate::story::Story;
use purser::domain::Seq;
use purser::store::{Batch, Claim, Lease, StoreError};
use uuid::Uuid;

on_both_stores!(
    a_new_store_starts_at_epoch_one_and_record_zero,
    the_same_journal_comes_back_under_a_higher_epoch,
    another_journal_is_refused_until_the_store_is_released,
    a_released_store_goes_to_an_empty_journal_only,
    loss_is_accepted_only_when_asked_for,
    a_deposed_writer_is_fenced_everywhere,
    a_batch_that_does_not_start_at_the_watermark_moves_nothing,
    the_key_of_fingerprints_stays_whoever_writes,
);

fn other() -> Claim {
    Claim { journal_id: Uuid::from_u128(8), holder: "other".into(), ..claim() }
}

async fn a_new_store_starts_at_epoch_one_and_record_zero(new: Fixture) {
    assert_eq!(kind(&new.store.position().await), "untaken");
    let lease = new.acquired().await;
    assert_eq!(lease, Lease { epoch: 1, watermark: Seq::ZERO });
    assert_eq!(new.store.position().await.expect("a position"), lease);
}

async fn the_same_journal_comes_back_under_a_higher_epoch(used: Fixture) {
    let story = Story::small();
    let lease = used.acquired().await;
    used.write(lease, &story.records, 3).await;
    let again = used.reopened().await;
    let not_empty = Claim { journal_is_empty: false, ..claim() };
    let lease = again.acquire(&not_empty).await.expect("its own journal");
    assert_eq!(lease, Lease { epoch: 2, watermark: story.last() });
}

async fn another_journal_is_refused_until_the_store_is_released(held: Fixture) {
    let lease = held.acquired().await;
    match held.store.acquire(&other()).await {
        Err(StoreError::Held { holder, since }) => {
            assert_eq!(holder, "test");
            assert!(since.starts_with("20") && since.ends_with('Z'), "{since} is no time");
        }
        otherwise => panic!("{otherwise:?}"),
    }
    held.store.release(lease.epoch).await.expect("released");
    assert_eq!(held.store.acquire(&other()).await.expect("free").epoch, 2);
    assert_eq!(kind(&held.store.acquire(&claim()).await), "held");
}

async fn a_released_store_goes_to_an_empty_journal_only(released: Fixture) {
    let story = Story::small();
    let lease = released.acquired().await;
    released.write(lease, &story.records, usize::MAX).await;
    released.store.release(lease.epoch).await.expect("released");
    let not_empty = Claim { journal_is_empty: false, ..other() };
    assert_eq!(kind(&released.store.acquire(&not_empty).await), "held");
    let lease = released.store.acquire(&other()).await.expect("free");
    assert_eq!(lease, Lease { epoch: 2, watermark: story.last() });
}

async fn loss_is_accepted_only_when_asked_for(held: Fixture) {
    held.acquired().await;
    let forced = Claim { accept_loss: true, journal_is_empty: false, ..other() };
    assert_eq!(held.store.acquire(&forced).await.expect("forced").epoch, 2);
}

async fn a_deposed_writer_is_fenced_everywhere(deposed: Fixture) {
    let story = Story::small();
    let old = deposed.acquired().await;
    let new = deposed.reopened().await;
    new.acquire(&claim()).await.expect("its own journal");
    let batch = Batch::of(Seq::ZERO, &story.records);
    match deposed.store.apply(old.epoch, &batch).await {
        Err(StoreError::Fenced { epoch, holder }) => assert_eq!((epoch, holder.as_str()), (2, "test")),
        otherwise => panic!("{otherwise:?}"),
    }
    assert_eq!(kind(&deposed.store.release(old.epoch).await), "fenced");
    assert_eq!(kind(&deposed.store.prune_keys(old.epoch, story.now()).await), "fenced");
    assert_eq!(new.position().await.expect("a position").watermark, Seq::ZERO);
    new.apply(2, &batch).await.expect("the new writer writes");
}

async fn a_batch_that_does_not_start_at_the_watermark_moves_nothing(store: Fixture) {
    let story = Story::full();
    let lease = store.acquired().await;
    store.write(lease, &story.records[..2], 2).await;
    let before = store.tables().await;
    // The same batch again, as after a commit whose answer was lost, and one that leaves a gap.
    for (after, from) in [(Seq::ZERO, 0), (Seq::new(3), 3)] {
        match store.store.apply(lease.epoch, &Batch::of(after, &story.records[from..from + 2])).await {
            Err(StoreError::Moved { watermark }) => assert_eq!(watermark, Seq::new(2)),
            otherwise => panic!("{otherwise:?}"),
        }
    }
    assert_eq!(store.tables().await, before);
    store.store.apply(lease.epoch, &Batch::of(Seq::new(2), &story.records[2..])).await.expect("it goes on");
}

async fn the_key_of_fingerprints_stays_whoever_writes(new: Fixture) {
    assert_eq!(kind(&new.store.fingerprint_key().await), "untaken");
    let lease = new.acquired().await;
    let key = new.store.fingerprint_key().await.expect("a key");
    assert_eq!(key, claim().journal_id);
    new.store.release(lease.epoch).await.expect("released");
    new.store.acquire(&other()).await.expect("free");
    assert_eq!(new.store.fingerprint_key().await.expect("a key"), key);
}
