//! How an engine is set up. Plain values: the configuration file and its layers are the command line's business.

use crate::journal::JournalOptions;
use crate::messages::Profiles;
use crate::messages::webhook::WebhookOptions;
use crate::provider::{Provider, ProviderOptions};
use crate::redemption::ExchangeOptions;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Where the store is.
#[derive(Clone)]
pub enum StoreChoice {
    /// An SQLite file in the data directory.
    Embedded,
    /// A Postgres server, by URL.
    Postgres { url: String, readers: u32, connect_timeout: Duration },
}

/// Who exchanges gift cards.
#[derive(Clone)]
pub enum ProviderChoice {
    None,
    Http(ProviderOptions),
    /// The embedding program's own, made on the thread that it lives on. It answers within the time that calls are given: nobody
    /// cuts it off.
    Own(Arc<dyn Fn() -> Rc<dyn Provider> + Send + Sync>),
}

/// See the module.
#[derive(Clone)]
pub struct EngineOptions {
    /// Holds the lock, the journal, the secret and the embedded store. Made if missing.
    pub data_dir: PathBuf,
    pub store: StoreChoice,
    pub journal: JournalOptions,
    /// At least 32 bytes, or `None` to make one in the data directory. Signs tokens.
    pub secret: Option<Vec<u8>>,
    /// Arbiters of the engine's own; HTTP workers may lend theirs.
    pub arbiters: usize,
    pub operations_max: usize,
    pub operations_per_owner_max: u32,
    /// Gift cards of one user that have not come to an end.
    pub open_cards_per_user_max: usize,
    pub residents_max: usize,
    pub idle_seconds: u32,
    pub sweep_seconds: u32,
    pub batch_records_max: usize,
    pub backlog_records_max: u64,
    pub backlog_bytes_max: u64,
    /// How long a read, or a reply that waits for the store, may wait.
    pub read_timeout: Duration,
    pub shutdown_flush: Duration,
    pub key_retention_seconds: i64,
    pub keys_per_caller_max: usize,
    pub session_seconds: i64,
    pub access_token_seconds: i64,
    pub password_concurrency: usize,
    pub password_queue: usize,
    /// How often messages are tried.
    pub profiles: Profiles,
    /// Who is told of shipped orders.
    pub webhook: Option<WebhookOptions>,
    /// Who exchanges gift cards; without one they wait.
    pub provider: ProviderChoice,
    /// At least 32 bytes, or `None` to make one in the data directory. Names and seals cards' codes; for good, once cards were
    /// handed in.
    pub card_secret: Option<Vec<u8>>,
    /// How the provider is asked.
    pub exchange: ExchangeOptions,
}

impl EngineOptions {
    /// The defaults, in the given directory, with the embedded store.
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            store: StoreChoice::Embedded,
            journal: JournalOptions { segment_bytes: 32 << 20, keep_segments: 2 },
            secret: None,
            arbiters: 1,
            operations_max: 16_384,
            operations_per_owner_max: 8_192,
            open_cards_per_user_max: 50_000,
            residents_max: 1_000_000,
            idle_seconds: 300,
            sweep_seconds: 10,
            batch_records_max: 10_000,
            backlog_records_max: 2_000_000,
            backlog_bytes_max: 512 << 20,
            read_timeout: Duration::from_secs(5),
            shutdown_flush: Duration::from_mins(1),
            key_retention_seconds: 24 * 3_600,
            keys_per_caller_max: 100_000,
            session_seconds: 30 * 86_400,
            access_token_seconds: 900,
            password_concurrency: 2,
            password_queue: 64,
            profiles: Profiles::default(),
            webhook: None,
            provider: ProviderChoice::None,
            card_secret: None,
            exchange: ExchangeOptions::default(),
        }
    }
}
