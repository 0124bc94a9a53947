//! Purser sells contended things exactly once.
pub mod clock;
pub mod domain;
pub mod engine;
pub mod http;
pub mod journal;
pub mod owners;
pub mod store;
