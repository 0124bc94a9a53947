//! Purser sells contended things exactly once: an actor-based concurrency engine and HTTP server.
//!
//! Every product's stock, every user's balance and every account that gift cards are exchanged on is owned by one actor that
//! serialises all its mutations through its mailbox; changes go to a journal, are acknowledged once durable, and are written behind to a store. Rust programs embed
//! it through [`Engine`]; `examples/embedded.rs` is a tour.
//!
//! Dependencies point down this list only (`tests/tidy.rs`): `cli`, `http` → [`engine`] → [`owners`] →
//! [`messages`], [`store`] → [`journal`] → [`domain`]; [`config`], [`telemetry`], [`clock`] and [`control`] are leaves.
//! [`canary`] has the bugs that prove that the tests can fail; none of them is in a release.
//! [`auditor`] reads [`domain`]'s records and knows nothing else.
//! [`redemption`] stands beside [`messages`], below [`owners`]; below it [`provider`], which knows [`domain`] and [`clock`] only.

#![deny(clippy::unwrap_used, clippy::expect_used)]

pub mod auditor;
pub mod canary;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod domain;
pub mod engine;
pub mod http;
pub mod journal;
pub mod messages;
pub mod owners;
pub mod provider;
pub mod redemption;
pub mod store;
pub mod telemetry;

pub use engine::Engine;
