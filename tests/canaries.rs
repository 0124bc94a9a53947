//! Each deliberate bug of `purser::canary` is found by the simulation: a check that cannot fail shows nothing. The runs that it took
//! are printed. Needs the feature `canaries`.

#[path = "simulation/mod.rs"]
mod simulation;

use purser::canary::Canary;
use simulation::database::Removed;
use simulation::run::run;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// More runs than any of the bugs needs.
const MOST: u64 = 300;

/// What is wrong with the first run that shows it, and that run's seed.
fn found(canary: Canary) -> Option<(u64, String)> {
    let _removed = Removed;
    (1..=MOST).find_map(|seed| {
        let verdict = catch_unwind(AssertUnwindSafe(|| canary.let_out(|| run(seed))));
        let wrong = verdict.map_or_else(|_| Some("a panic".into()), |verdict| verdict.wrong);
        wrong.map(|wrong| (seed, wrong))
    })
}

macro_rules! each {
    ($($name:ident: $canary:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let (runs, wrong) = found(Canary::$canary).expect("it is found");
                assert_eq!(run(runs).wrong, None, "it is not the canary that is found");
                println!("proof: tier=canary what={} runs={runs} wrong={wrong:.160}", stringify!($canary));
            }
        )*

        #[test]
        fn every_canary_has_its_test() {
            assert_eq!(Canary::ALL, [$(Canary::$canary),*]);
        }
    };
}

each! {
    an_acknowledgement_before_its_sync_is_found: AcknowledgedBeforeSync,
    a_sync_that_is_tried_again_is_found: SyncRetried,
    a_directory_that_is_not_synced_is_found: DirectoryNotSynced,
    a_recovery_that_goes_on_in_the_old_segment_is_found: RecoveryNotCopied,
    a_segment_that_goes_too_early_is_found: SegmentDroppedEarly,
    a_batch_that_is_applied_again_after_an_ambiguous_commit_is_found: AmbiguousCommitRepeated,
    a_batch_that_is_believed_stored_after_an_ambiguous_commit_is_found: AmbiguousCommitTrusted,
    a_hold_that_is_not_released_is_found: HoldLeaked,
    a_key_that_is_not_written_down_is_found: KeyNotWritten,
    one_more_sold_than_there_is_is_found: StockEdge,
    a_success_told_before_it_is_durable_is_found: ReplyBeforeDurable,
    a_refusal_told_before_its_reason_is_durable_is_found: RefusalBeforeDurable,
    a_read_of_what_is_not_durable_is_found: ReadBeforeDurable,
    an_owner_that_rests_before_the_store_has_all_of_it_is_found: PassivatedBeforeStored,
    units_that_are_held_twice_are_found: UnitsHeldTwice,
    keys_that_are_not_loaded_are_found: KeysNotLoaded,
    a_watermark_apart_from_its_rows_is_found: WatermarkApart,
    a_card_in_doubt_that_counts_as_refused_is_found: DoubtRefused,
}
