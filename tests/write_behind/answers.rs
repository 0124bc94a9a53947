//! Every answer that a store can give to a batch.

use crate::simulated_store::{Bench, Trouble};
use crate::story::Story;
use purser::domain::Seq;
use purser::journal::HaltReason;

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten() {
    for trouble in [Trouble::LostBefore, Trouble::LostAfter] {
        for silent in [0, 1, 3] {
            let (bench, story) = (Bench::new(1_000).await, Story::full());
            bench.store.plan([trouble, trouble, trouble]);
            bench.store.silence(silent);
            bench.append(&story.records).await;
            bench.stored(story.last()).await;
            bench.expect_told_in_order(story.last());
            // Each row is written once: the store panics otherwise.
            let commits = bench.store.commits();
            assert!(commits.windows(2).all(|pair| pair[0].1 == pair[1].0), "{trouble:?}: {commits:?}");
            assert!(bench.status.is_reachable());
            assert!(bench.status.stored_bytes() > 0);
            assert_eq!(bench.finish().await.rows(), rows_without_trouble(&story).await, "{trouble:?}");
        }
    }
}

async fn rows_without_trouble(story: &Story) -> crate::simulated_store::Rows {
    let bench = Bench::new(1_000).await;
    bench.append(&story.records).await;
    bench.finish().await.rows()
}

#[tokio::test]
async fn a_watermark_that_only_seemed_to_move_is_read_again() {
    let (bench, story) = (Bench::new(3).await, Story::full());
    bench.store.plan([Trouble::Moved, Trouble::Moved]);
    bench.append(&story.records).await;
    bench.stored(story.last()).await;
    bench.expect_told_in_order(story.last());
    assert_eq!(bench.store.troubles_left(), 0);
}

#[tokio::test]
async fn a_store_that_was_taken_over_halts_the_engine() {
    let (bench, story) = (Bench::new(1_000).await, Story::full());
    bench.store.plan([Trouble::Fenced]);
    // Few, so that nobody waits for room here when it halts: a journal that halted makes none.
    bench.append(&story.records[..2]).await;
    assert_eq!(bench.halted().await, HaltReason::Fenced("another".into()));
    assert!(bench.stored.wait(Seq::new(1)).await.is_err());
    assert!(bench.store.commits().is_empty());
    assert!(bench.told.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_higher_epoch_behind_a_lost_answer_halts_the_engine() {
    let (bench, story) = (Bench::new(1_000).await, Story::full());
    bench.store.plan([Trouble::LostBefore]);
    bench.store.silence(1);
    bench.append(&story.records[..2]).await;
    // Nothing is appended behind this: nobody here would wake those who wait for a journal that halted.
    bench.store.take_over();
    assert!(matches!(bench.halted().await, HaltReason::Fenced(_)));
}

#[tokio::test]
async fn a_batch_that_is_refused_is_tried_again_and_never_skipped() {
    let (bench, story) = (Bench::new(4).await, Story::full());
    bench.store.plan([Trouble::Refused; 5]);
    bench.append(&story.records).await;
    let meanwhile = || {
        assert_eq!((bench.stored.get(), bench.store.watermark()), (Seq::ZERO, Seq::ZERO));
        assert!(bench.halt.reason().is_none(), "it stands still, it does not halt");
        assert!(bench.status.is_reachable(), "it answers, after all");
    };
    bench.until(|| bench.store.troubles_left() == 0, meanwhile).await;
    let refused = &bench.store.attempts()[..5];
    assert!(
        refused.iter().all(|attempt| attempt == &refused[0]),
        "it went past the refused batch: {refused:?}"
    );
    assert!(bench.status.oldest().is_some());
    bench.stored(story.last()).await;
    bench.expect_told_in_order(story.last());
    assert_eq!(bench.status.oldest(), None);
}

#[tokio::test]
async fn a_store_that_was_away_gets_everything_in_order() {
    let (bench, story) = (Bench::new(7).await, Story::busy(5, 100));
    let (early, late) = story.records.split_at(40);
    bench.append(early).await;
    bench.stored(Seq::new(40)).await;
    bench.store.plan([Trouble::LostBefore; 6]);
    bench.store.silence(6);
    bench.append(late).await;
    bench.until(|| !bench.status.is_reachable(), || ()).await;
    assert_eq!(bench.stored.get(), Seq::new(40));
    assert_eq!(bench.status.oldest(), Some(late[0].at));
    bench.stored(story.last()).await;
    assert!(bench.status.is_reachable());
    bench.expect_told_in_order(story.last());
}

#[tokio::test]
async fn the_stored_position_follows_the_commit() {
    let (bench, story) = (Bench::new(1).await, Story::busy(9, 40));
    let watching = {
        let (stored, store, last) = (bench.stored.clone(), bench.store.clone(), story.last());
        tokio::spawn(async move {
            for seq in 1..=last.get() {
                stored.wait(Seq::new(seq)).await.expect("no halt");
                assert!(store.watermark() >= stored.get(), "published before the commit");
            }
        })
    };
    let troubles = [Trouble::LostAfter, Trouble::LostBefore, Trouble::Refused, Trouble::Moved];
    bench.store.plan(troubles.into_iter().cycle().take(40));
    bench.append(&story.records).await;
    watching.await.expect("no panic");
    bench.expect_told_in_order(story.last());
}
