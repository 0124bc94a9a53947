//! A simulated engine: disk, store, clock and clients from one seed.

mod chance;
mod clients;
mod clock;
mod life;
mod plan;
pub mod run;
pub mod store;
