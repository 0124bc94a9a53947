//! Purser sells contended things exactly once.
pub mod cli;
pub mod config;
pub mod domain;
pub mod store;
pub mod telemetry;
