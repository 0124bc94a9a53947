//! The process: how it starts, refuses to start, and ends; in exit codes and in one clear line each.

mod support;

#[path = "process/damage.rs"]
mod damage;
#[path = "process/draining.rs"]
mod draining;
#[path = "process/first_start.rs"]
mod first_start;
#[path = "process/refusals.rs"]
mod refusals;
#[path = "process/stopping.rs"]
mod stopping;
