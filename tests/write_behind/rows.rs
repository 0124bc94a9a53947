//! However records are grouped into batches, the rows come out the same.

use crate::simulated_store::{Bench, Rows};
use crate::story::Story;

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
