//! Settings as plain structs. Their names and defaults stand in `config/default.toml` only, which is compiled in;
//! [`load`] lays the other sources over it. A leaf: this module knows no other module of ours.

mod check;
mod environment;
mod error;
mod file;
mod layers;
mod print;
#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub use layers::{Effective, Flag, Origin, Setting, Sources, load};

use serde::Deserialize;
use std::path::PathBuf;

/// Every setting in force. Units stand in the names; meanings in `config/default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub data: Data,
    pub store: Store,
    pub journal: Journal,
    pub write_behind: WriteBehind,
    pub owners: Owners,
    pub admission: Admission,
    pub idempotency: Idempotency,
    pub auth: Auth,
    pub admin: Admin,
    pub orders: Orders,
    pub messages: Messages,
    pub webhook: Webhook,
    pub provider: Provider,
    pub money: Money,
    pub log: Log,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: String,
    /// 0 = one per core.
    pub workers: usize,
    pub max_connections: usize,
    pub backlog: u32,
    pub client_timeout_ms: u64,
    pub body_timeout_ms: u64,
    pub write_timeout_ms: u64,
    pub replies_bytes_max: usize,
    pub keep_alive_seconds: u64,
    pub shutdown_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    pub dir: PathBuf,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Empty = the embedded SQLite file in the data directory.
    pub database_url: String,
    pub connect_timeout_seconds: u64,
    pub reader_connections: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    pub segment_bytes: u64,
    pub keep_segments: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteBehind {
    pub batch_records_max: usize,
    pub backlog_records_max: u64,
    pub backlog_bytes_max: u64,
    pub shutdown_flush_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owners {
    pub residents_max: usize,
    pub idle_seconds: u64,
    pub sweep_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    pub operations_max: usize,
    pub operations_per_owner_max: usize,
    pub open_cards_per_user_max: usize,
    pub read_timeout_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    pub retention_hours: u64,
    pub keys_per_caller_max: usize,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Empty = created in the data directory.
    pub secret: String,
    pub access_token_seconds: u64,
    pub refresh_token_days: u64,
    pub password_hash_concurrency: usize,
    pub password_hash_queue: usize,
    pub login_attempts_per_minute: u32,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    pub email: String,
    /// Empty = created in the data directory.
    pub password: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    pub shards: u32,
}

/// Settings of each kind of message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    pub process_order: MessageProfile,
    pub order_shipped: MessageProfile,
    pub upgrade_check: MessageProfile,
    pub redeem_card: MessageProfile,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageProfile {
    pub tries: u32,
    pub delay_ms: u64,
    pub multiplier: f64,
    pub max_delay_ms: u64,
    pub jitter: f64,
    pub timeout_ms: u64,
    pub concurrency: usize,
    pub on_failed: OnFailed,
}

/// What a dead letter means for the messages behind it with the same key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailed {
    BlockKey,
    PassFailed,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Empty = nobody is told.
    pub url: String,
    pub secret: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Empty = gift cards wait.
    pub url: String,
    pub secret: String,
    /// Empty = the public authorities.
    pub ca_file: PathBuf,
    pub timeout_ms: u64,
    /// 0 = no limit.
    pub rate_per_second: u32,
    pub breaker_failures: u32,
    pub breaker_pause_ms: u64,
    pub first_delay_ms: u64,
    pub last_delay_ms: u64,
    /// Empty = created in the data directory.
    pub card_secret: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    pub currency: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// How log lines are written; `Auto` is text on a terminal and JSON elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

/// Structs that carry secrets show which section they are and nothing of its content, so that no log line can.
macro_rules! silent {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
silent!(Store, Auth, Admin, Webhook, Provider);

impl Config {
    /// The compiled-in defaults, for embedding and tests.
    pub fn defaults() -> Self {
        layers::defaults()
    }
}
