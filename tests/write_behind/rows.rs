//! However records are grouped into batches, the rows come out the same.

use crate::simulated_store::{Bench, Rows};
use crate::story::Story;
use purser::domain::event::Namespace;
use purser::domain::{Event, Operation, Record, Seq, Timestamp};

async fn rows(story: &Story, batch_records_max: usize) -> (Rows, usize) {
    let bench = Bench::new(batch_records_max).await;
    // Nothing is durable before all of it is, so that large batches are large.
    bench.append(&story.records).await;
    bench.stored(story.last()).await;
    let commits = bench.store.commits().len();
    (bench.finish().await.rows(), commits)
}

#[tokio::test]
async fn one_record_a_batch_and_a_thousand_give_the_same_rows() {
    for seed in 0..2 {
        let story = Story::busy(seed, 100);
        let (expected, commits) = rows(&story, 1).await;
        assert_eq!(commits, story.records.len());
        for most in [2, 7, 100, 1_000] {
            let (rows, _) = rows(&story, most).await;
            let differs = rows.iter().zip(&expected).find(|(one, other)| one != other);
            assert!(
                differs.is_none() && rows.len() == expected.len(),
                "seed {seed}, {most} a batch: {differs:?}"
            );
        }
    }
}

/// A record that makes so many rows.
fn large(seq: u64, rows: usize) -> Record {
    let names = vec!["".into(); rows];
    let taken = Event::NamesTaken { namespace: Namespace::Card, names, holder: 1 };
    let (seq, at, operation) = (Seq::new(seq), Timestamp::from_micros(1), Operation::HandInCards);
    Record { seq, at, operation, caller: None, key: None, refusal: None, events: vec![taken] }
}

#[tokio::test]
async fn a_transaction_of_the_store_is_bounded_in_rows_also_when_it_is_brought_forward() {
    const ROWS: usize = 3_500;
    const LAST: Seq = Seq::new(60);
    // 100,000 rows at most.
    const MOST: u64 = 28;
    let bench = Bench::new(1_000).await;
    let expect_bounded = |batches: &[(Seq, Seq)]| {
        assert!(batches.len() >= 3, "{batches:?}");
        assert!(batches.iter().all(|(after, to)| to.get() - after.get() <= MOST), "{batches:?}");
    };
    let records: Vec<_> = (1..=LAST.get()).map(|seq| large(seq, ROWS)).collect();
    bench.append(&records).await;
    bench.stored(LAST).await;
    let written = bench.store.commits();
    expect_bounded(&written);
    assert_eq!(bench.store.rewind(1_000), Seq::ZERO);
    bench.status.suspect();
    while bench.store.watermark() < LAST {
        tokio::task::yield_now().await;
    }
    expect_bounded(&bench.store.commits()[written.len()..]);
}
