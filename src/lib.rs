//! Purser sells contended things exactly once.
pub mod domain;
pub mod store;
