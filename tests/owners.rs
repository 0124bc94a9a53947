//! Owners, alone and through the engine's door: whoever waits, vanishes or comes twice gets what is due, and nothing stays
//! behind.

#[path = "owners/engine.rs"]
mod engine;
#[path = "owners/holds.rs"]
mod holds;
#[path = "owners/house.rs"]
mod house;
#[path = "owners/noting.rs"]
mod noting;
#[path = "owners/panicking.rs"]
mod panicking;
#[path = "owners/parked.rs"]
mod parked;
#[path = "owners/reading.rs"]
mod reading;
#[path = "write_behind/simulated_store.rs"]
#[expect(dead_code, reason = "the write-behind's tests use more of it")]
mod simulated_store;
#[path = "owners/starting.rs"]
mod starting;
#[path = "owners/threads.rs"]
mod threads;
#[path = "owners/waiting.rs"]
mod waiting;
