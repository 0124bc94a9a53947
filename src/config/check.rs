//! The range of every setting, and the remedy for a key that does not exist.

use std::ops::RangeInclusive;
use toml::Value;

const HOUR: i64 = 3600;
const YEAR_HOURS: i64 = 24 * 366;

/// What an integer setting may be. A test makes sure that each one is listed.
pub(super) fn range(key: &str) -> Option<RangeInclusive<i64>> {
    Some(match key {
        "server.workers" => 0..=1024,
        "server.max_connections" => 1..=1_000_000,
        "server.backlog" => 1..=65_535,
        "server.client_timeout_ms" | "server.body_timeout_ms" | "server.write_timeout_ms" => {
            100..=HOUR * 1000
        }
        "server.replies_bytes_max" => (1 << 20)..=(1 << 50),
        "server.keep_alive_seconds" => 1..=HOUR,
        "server.shutdown_seconds" => 1..=HOUR,
        "store.connect_timeout_seconds" => 0..=24 * HOUR,
        "store.reader_connections" => 1..=1000,
        // The largest record (10,000 gift cards) has to fit, and a segment has to stay quick to check.
        "journal.segment_bytes" => (4 << 20)..=(4 << 30),
        "journal.keep_segments" => 0..=100_000,
        "write_behind.batch_records_max" => 1..=1_000_000,
        "write_behind.backlog_records_max" => 1..=10_000_000_000,
        "write_behind.backlog_bytes_max" => (1 << 20)..=(1 << 50),
        "write_behind.shutdown_flush_seconds" => 0..=24 * HOUR,
        "owners.residents_max" => 1_000..=1_000_000_000,
        "owners.idle_seconds" => 0..=24 * HOUR,
        "owners.sweep_seconds" => 1..=HOUR,
        "admission.operations_max" => 1..=10_000_000,
        "admission.operations_per_owner_max" => 1..=10_000_000,
        // Room for the largest batch.
        "admission.open_cards_per_user_max" => 10_000..=1_000_000,
        "admission.read_timeout_ms" => 1..=600_000,
        "idempotency.retention_hours" => 24..=YEAR_HOURS,
        "idempotency.keys_per_caller_max" => 1..=100_000_000,
        "auth.access_token_seconds" => 1..=24 * HOUR,
        "auth.refresh_token_days" => 1..=3650,
        "auth.password_hash_concurrency" => 1..=1024,
        "auth.password_hash_queue" => 0..=1_000_000,
        "auth.login_attempts_per_minute" => 1..=1_000_000,
        "orders.shards" => 1..=1_000_000,
        "provider.timeout_ms" => 1..=HOUR * 1000,
        "provider.rate_per_second" => 0..=1_000_000,
        "provider.breaker_failures" => 1..=1_000_000,
        "provider.breaker_pause_ms" | "provider.first_delay_ms" | "provider.last_delay_ms" => 1..=HOUR * 1000,
        _ => match message_setting(key)? {
            "tries" => 1..=1_000,
            "delay_ms" | "max_delay_ms" => 0..=24 * HOUR * 1000,
            "timeout_ms" => 1..=HOUR * 1000,
            "concurrency" => 1..=100_000,
            _ => return None,
        },
    })
}

/// What a fraction may be.
pub(super) fn fraction(key: &str) -> Option<RangeInclusive<f64>> {
    Some(match message_setting(key)? {
        "multiplier" => 1.0..=1000.0,
        "jitter" => 0.0..=1.0,
        _ => return None,
    })
}

/// Behind the kind: each kind of message has the same settings.
fn message_setting(key: &str) -> Option<&str> {
    key.strip_prefix("messages.")?.split_once('.').map(|(_, setting)| setting)
}

/// Checks one value of the right type; the error completes the sentence "`key` …".
pub(super) fn value(key: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Integer(number) => match range(key) {
            Some(range) if !range.contains(number) => {
                Err(format!("must be from {} to {}, not {number}", range.start(), range.end()))
            }
            _ => Ok(()),
        },
        Value::Float(number) => match fraction(key) {
            Some(range) if !range.contains(number) => {
                Err(format!("must be from {} to {}, not {number}", range.start(), range.end()))
            }
            _ => Ok(()),
        },
        Value::String(text) => string(key, text),
        _ => Ok(()),
    }
}

fn string(key: &str, text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("must not contain U+0000".into());
    }
    match key {
        "server.listen" => listen(text),
        "data.dir" if text.is_empty() => Err("must name a directory, such as ./data".into()),
        // The value is not repeated: it may hold a password.
        "store.database_url" if !text.is_empty() && !is_postgres(text) => {
            Err("must begin with postgres:// or be empty for the embedded store".into())
        }
        "auth.secret" | "provider.card_secret" if !text.is_empty() && text.chars().count() < 32 => {
            Err("must be at least 32 characters, or empty to have one created".into())
        }
        "admin.email" if !is_email(text) => {
            Err(format!("must be an email address such as admin@localhost, not `{text}`"))
        }
        "admin.password" if !text.is_empty() && !(8..=1024).contains(&text.chars().count()) => {
            Err("must be 8 to 1024 characters, or empty to have one created".into())
        }
        "webhook.url" if !text.is_empty() && !is_web_address(text) => {
            Err("must be http:// or https:// and a host, or be empty to tell nobody".into())
        }
        "provider.url" if !text.is_empty() && !is_web_address(text) => {
            Err("must be http:// or https:// and a host, or be empty to let gift cards wait".into())
        }
        "webhook.secret" if !is_webhook_secret(text) => {
            Err("must be base64 behind whsec_, or any other text".into())
        }
        _ if message_setting(key) == Some("on_failed") && !["block_key", "pass_failed"].contains(&text) => {
            Err(format!("must be block_key or pass_failed, not `{text}`"))
        }
        "money.currency" if text.len() != 3 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            Err(format!("must be an ISO 4217 code such as EUR, not `{text}`"))
        }
        "log.level" => level(text),
        "log.format" if !["auto", "text", "json"].contains(&text) => {
            Err(format!("must be auto, text or json, not `{text}`"))
        }
        _ => Ok(()),
    }
}

fn listen(text: &str) -> Result<(), String> {
    let wrong = || Err(format!("must be ADDRESS:PORT such as 127.0.0.1:8080, not `{text}`"));
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            // An IPv6 address needs its brackets, or its last group would be taken for the port.
            let bracketed = host.starts_with('[') && host.ends_with(']');
            if host.contains(':') && !bracketed { wrong() } else { Ok(()) }
        }
        _ => wrong(),
    }
}

fn level(text: &str) -> Result<(), String> {
    let fits = !text.trim().is_empty() && tracing_subscriber::EnvFilter::try_new(text).is_ok();
    // A filter takes any single word for the name of a module, so a misspelt level has to be looked for.
    let words = ["trace", "debug", "info", "warn", "error", "off"];
    let misspelt = text
        .split(',')
        .any(|part| !part.contains('=') && !words.contains(&part.trim().to_lowercase().as_str()));
    if fits && !misspelt {
        Ok(())
    } else {
        Err(format!(
            "must be trace, debug, info, warn, error or a filter such as info,purser::store=debug, not `{text}`"
        ))
    }
}

fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(char::is_whitespace)
    })
}

/// What to do about a key that does not exist: the nearest one that does, or where to find them all.
pub(super) fn remedy<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> String {
    let nearest = known.map(|candidate| (distance(key, candidate), candidate)).min();
    match nearest {
        Some((steps, candidate)) if steps <= 3 => format!("did you mean `{candidate}`?"),
        _ => "remove it; `purser config print` lists all settings".into(),
    }
}

/// Levenshtein's edit distance over bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_alphanumeric() || first == '['))
}

fn is_webhook_secret(text: &str) -> bool {
    use base64::Engine as _;
    let standard = base64::engine::general_purpose::STANDARD;
    text.strip_prefix("whsec_").is_none_or(|encoded| standard.decode(encoded).is_ok())
}
