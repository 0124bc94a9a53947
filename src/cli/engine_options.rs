//! The settings in force as what the engine and the HTTP edge want to be told.

use crate::clock::SystemClock;
use crate::config::{self, Config, MessageProfile};
use crate::engine::{EngineOptions, ProviderChoice, StoreChoice};
use crate::http::HttpOptions;
use crate::journal::JournalOptions;
use crate::messages::webhook::WebhookOptions;
use crate::messages::{OnFailed, Profile, Profiles};
use crate::provider::ProviderOptions;
use crate::redemption::{BreakerOptions, ExchangeOptions};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a request's body.
const BODY_LIMIT: usize = 64 << 10;
/// The same of an order and a return, which have up to 1,000 lines, of a file of accounts and of a batch of gift cards.
const LARGE_BODY_LIMIT: usize = 1 << 20;
/// Failed logins per minute and network address, behind which there may be many people.
const LOGIN_ATTEMPTS_PER_ADDRESS: u32 = 100;
/// Requests that take longer are logged.
const SLOW_REQUEST: Duration = Duration::from_secs(1);

/// What the engine is started with.
pub fn engine_options(config: &Config) -> EngineOptions {
    let store = match config.store.database_url.as_str() {
        "" => StoreChoice::Embedded,
        url => StoreChoice::Postgres {
            url: url.to_owned(),
            readers: config.store.reader_connections,
            connect_timeout: Duration::from_secs(config.store.connect_timeout_seconds),
        },
    };
    let (secret, card_secret) = (&config.auth.secret, &config.provider.card_secret);
    EngineOptions {
        data_dir: config.data.dir.clone(),
        store,
        journal: JournalOptions {
            segment_bytes: config.journal.segment_bytes,
            keep_segments: config.journal.keep_segments,
        },
        secret: (!secret.is_empty()).then(|| secret.as_bytes().to_vec()),
        // HTTP workers lend theirs; this one carries what is needed before they are up.
        arbiters: 1,
        operations_max: config.admission.operations_max,
        operations_per_owner_max: narrow(config.admission.operations_per_owner_max as u64),
        open_cards_per_user_max: config.admission.open_cards_per_user_max,
        residents_max: config.owners.residents_max,
        idle_seconds: narrow(config.owners.idle_seconds),
        sweep_seconds: narrow(config.owners.sweep_seconds),
        batch_records_max: config.write_behind.batch_records_max,
        backlog_records_max: config.write_behind.backlog_records_max,
        backlog_bytes_max: config.write_behind.backlog_bytes_max,
        read_timeout: Duration::from_millis(config.admission.read_timeout_ms),
        shutdown_flush: Duration::from_secs(config.write_behind.shutdown_flush_seconds),
        key_retention_seconds: signed(config.idempotency.retention_hours).saturating_mul(3_600),
        keys_per_caller_max: config.idempotency.keys_per_caller_max,
        session_seconds: signed(config.auth.refresh_token_days).saturating_mul(86_400),
        access_token_seconds: signed(config.auth.access_token_seconds),
        password_concurrency: config.auth.password_hash_concurrency,
        password_queue: config.auth.password_hash_queue,
        profiles: Profiles {
            process_order: profile(&config.messages.process_order),
            order_shipped: profile(&config.messages.order_shipped),
            upgrade_check: profile(&config.messages.upgrade_check),
            redeem_card: profile(&config.messages.redeem_card),
        },
        webhook: webhook(config),
        provider: provider(config),
        card_secret: (!card_secret.is_empty()).then(|| card_secret.as_bytes().to_vec()),
        exchange: exchange(&config.provider),
    }
}

fn provider(config: &Config) -> ProviderChoice {
    let of = &config.provider;
    if of.url.is_empty() {
        return ProviderChoice::None;
    }
    ProviderChoice::Http(ProviderOptions {
        url: of.url.clone(),
        secret: of.secret.clone(),
        timeout: Duration::from_millis(of.timeout_ms),
        ca_file: (!of.ca_file.as_os_str().is_empty()).then(|| of.ca_file.clone()),
    })
}

const fn exchange(of: &config::Provider) -> ExchangeOptions {
    ExchangeOptions {
        timeout: Duration::from_millis(of.timeout_ms),
        rate_per_second: of.rate_per_second,
        breaker: BreakerOptions {
            failures: of.breaker_failures,
            pause: Duration::from_millis(of.breaker_pause_ms),
        },
        first_delay: Duration::from_millis(of.first_delay_ms),
        last_delay: Duration::from_millis(of.last_delay_ms),
    }
}

fn profile(of: &MessageProfile) -> Profile {
    Profile {
        tries: of.tries,
        delay: Duration::from_millis(of.delay_ms),
        multiplier: of.multiplier,
        max_delay: Duration::from_millis(of.max_delay_ms),
        jitter: of.jitter,
        timeout: Duration::from_millis(of.timeout_ms),
        concurrency: of.concurrency,
        on_failed: match of.on_failed {
            config::OnFailed::BlockKey => OnFailed::BlockKey,
            config::OnFailed::PassFailed => OnFailed::PassFailed,
        },
    }
}

fn webhook(config: &Config) -> Option<WebhookOptions> {
    let (url, secret) = (config.webhook.url.clone(), config.webhook.secret.clone());
    (!url.is_empty()).then_some(WebhookOptions { url, secret })
}

/// What the HTTP edge is started with. `secret` is the engine's.
pub fn http_options(config: &Config, secret: &[u8]) -> HttpOptions {
    let workers = match config.server.workers {
        0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        workers => workers,
    };
    HttpOptions {
        workers,
        max_connections: config.server.max_connections.saturating_mul(workers),
        backlog: config.server.backlog,
        client_timeout: Duration::from_millis(config.server.client_timeout_ms),
        body_timeout: Duration::from_millis(config.server.body_timeout_ms),
        write_timeout: Duration::from_millis(config.server.write_timeout_ms),
        replies_bytes_max: config.server.replies_bytes_max,
        keep_alive: Duration::from_secs(config.server.keep_alive_seconds),
        stop_timeout: Duration::from_secs(config.server.shutdown_seconds),
        order_shards: config.orders.shards,
        currency: config.money.currency.clone(),
        access_token_seconds: signed(config.auth.access_token_seconds),
        login_attempts_per_minute: config.auth.login_attempts_per_minute,
        login_attempts_per_minute_per_address: LOGIN_ATTEMPTS_PER_ADDRESS,
        slow_request: SLOW_REQUEST,
        body_limit: BODY_LIMIT,
        large_body_limit: LARGE_BODY_LIMIT,
        secret: token_secret(secret),
        clock: Arc::new(SystemClock),
    }
}

/// Tokens are signed with a digest of the secret, whatever its length.
pub fn token_secret(secret: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret);
    let mut key = [0; 32];
    key.copy_from_slice(digest.as_ref());
    key
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
