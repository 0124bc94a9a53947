//! A simulated engine: disk, store, provider, clock and clients from one seed.

mod chance;
mod clients;
mod clock;
pub mod database;
pub mod figures;
mod fold;
mod life;
mod line;
mod plan;
pub mod provider;
mod rot;
mod rows;
pub mod run;
pub mod store;
