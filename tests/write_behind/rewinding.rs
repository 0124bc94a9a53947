//! A store that lost what it had confirmed: a fail-over, a restored backup.

use crate::simulated_store::{Bench, Trouble};
use crate::story::Story;
use purser::domain::Seq;
use purser::journal::HaltReason;

#[tokio::test]
async fn a_rewound_store_is_brought_forward_from_the_segments() {
    for back in [1, 3, 1_000] {
        let (bench, story) = (Bench::new(2).await, Story::busy(back as u64, 60));
        let (early, late) = story.records.split_at(40);
        bench.append(early).await;
        bench.stored(Seq::new(40)).await;
        let watermark = bench.store.rewind(back);
        assert!(watermark < Seq::new(40));
        bench.append(late).await;
        bench.stored(story.last()).await;
        bench.expect_told_in_order(story.last());
        let rows = bench.finish().await.rows();
        let straight = Bench::new(2).await;
        straight.append(&story.records).await;
        assert!(rows == straight.finish().await.rows(), "{back} commits lost");
    }
}

#[tokio::test]
async fn a_store_rewound_while_nothing_is_written_is_brought_forward_once_somebody_reads_from_behind() {
    let (bench, story) = (Bench::new(2).await, Story::busy(3, 40));
    bench.append(&story.records).await;
    bench.stored(story.last()).await;
    assert!(bench.store.rewind(5) < story.last());
    bench.status.suspect();
    while bench.store.watermark() < story.last() {
        tokio::task::yield_now().await;
    }
    bench.expect_told_in_order(story.last());
}

#[tokio::test]
async fn a_store_that_was_taken_over_is_noticed_although_nothing_is_written() {
    let (bench, story) = (Bench::new(2).await, Story::busy(3, 4));
    bench.append(&story.records).await;
    bench.stored(story.last()).await;
    bench.store.take_over();
    bench.status.suspect();
    assert!(matches!(bench.halted().await, HaltReason::Fenced(_)));
}

#[tokio::test]
async fn a_store_that_fails_while_it_is_brought_forward_still_gets_there() {
    let (bench, story) = (Bench::new(2).await, Story::busy(3, 60));
    let (early, late) = story.records.split_at(40);
    bench.append(early).await;
    bench.stored(Seq::new(40)).await;
    bench.store.rewind(15);
    let troubles =
        [Trouble::Moved, Trouble::LostAfter, Trouble::LostBefore, Trouble::LostAfter, Trouble::Refused];
    bench.store.plan(troubles);
    bench.append(late).await;
    bench.stored(story.last()).await;
    bench.expect_told_in_order(story.last());
    assert_eq!(bench.store.watermark(), story.last());
}

#[tokio::test]
async fn a_store_rewound_further_than_the_journal_reaches_halts_the_engine() {
    let (bench, story) = (Bench::with(2, 32 << 10, 0).await, Story::busy(3, 400));
    let (early, late) = story.records.split_at(story.records.len() - 10);
    for chunk in early.chunks(20) {
        bench.append(chunk).await;
        bench.stored(chunk[chunk.len() - 1].seq).await;
    }
    bench.store.rewind(1_000);
    bench.append(late).await;
    assert_eq!(bench.halted().await, HaltReason::Rewound(0));
    assert_eq!(bench.store.watermark(), Seq::ZERO, "nothing was written over the gap");
}
