//! A simulated engine: disk, store, provider, clock and clients from one seed.

mod chance;
mod clients;
mod clock;
pub mod database;
mod life;
mod line;
mod plan;
pub mod provider;
pub mod run;
pub mod store;
