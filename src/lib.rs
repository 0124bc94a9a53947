//! Purser sells contended things exactly once.
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod http;
pub mod journal;
pub mod owners;
pub mod store;
pub mod telemetry;
