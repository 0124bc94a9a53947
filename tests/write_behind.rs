//! The write-behind in front of a store that fails in every way a store can.

#[path = "write_behind/answers.rs"]
mod answers;
#[path = "write_behind/panicking.rs"]
mod panicking;
#[path = "write_behind/rewinding.rs"]
mod rewinding;
#[path = "write_behind/rows.rs"]
mod rows;
#[path = "write_behind/simulated_store.rs"]
#[expect(dead_code, reason = "the owners' tests use the rest")]
mod simulated_store;
#[path = "store/story.rs"]
#[expect(dead_code, reason = "the store's tests use more of it")]
mod story;
