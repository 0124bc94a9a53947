//! The journal over a disk that loses power, fails, fills up and rots.

#[path = "journal/damage.rs"]
mod damage;
#[path = "journal/decoding.rs"]
mod decoding;
#[path = "journal/failing.rs"]
mod failing;
#[path = "journal/golden.rs"]
mod golden;
#[path = "journal/golden_files.rs"]
mod golden_files;
#[path = "journal/golden_records.rs"]
mod golden_records;
#[path = "journal/live.rs"]
mod live;
#[path = "journal/power.rs"]
mod power;
#[path = "journal/retirement.rs"]
mod retirement;
#[path = "journal/rig.rs"]
mod rig;
#[path = "journal/space.rs"]
mod space;
#[path = "store/story.rs"]
#[expect(dead_code, reason = "the store's tests use more of it")]
mod story;
#[path = "journal/tail.rs"]
mod tail;
