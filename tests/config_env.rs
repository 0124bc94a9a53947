//! The binary against its real environment, in a process of its own: layers, origins, and exit code 2 with one clear
//! line for whatever cannot be used.

use purser::config::Config;
use purser::engine::EngineOptions;
use std::io::Write;
use std::process::{Command, Output};
use std::time::Duration;

fn purser(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purser"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PURSER_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(environment.iter().copied()).output().expect("the binary runs")
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn config_print_shows_values_with_their_origins() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(file, "[server]\nworkers = 3\nbacklog = 99").expect("written");
    let path = file.path().display().to_string();
    let output = purser(
        &["config", "print", "--json", "--config", &path, "--listen", "127.0.0.1:9"],
        &[
            ("PURSER_LISTEN", "127.0.0.1:8"),
            ("PURSER__SERVER__WORKERS", "5"),
            ("PURSER_ADMIN_PASSWORD", "a secret"),
        ],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["server.listen"]["value"], "127.0.0.1:9");
    assert_eq!(shown["server.listen"]["origin"], "flag --listen");
    assert_eq!(shown["server.workers"]["value"], 5);
    assert_eq!(shown["server.workers"]["origin"], "environment PURSER__SERVER__WORKERS");
    assert_eq!(shown["server.backlog"]["origin"], format!("file {path}:3"));
    assert_eq!(shown["log.level"]["origin"], "default");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("a secret"));
}

#[test]
fn config_print_as_text_is_toml() {
    let output = purser(&["config", "print"], &[]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let table: toml::Table = text.parse().expect("TOML");
    assert_eq!(table["server"]["listen"].as_str(), Some("127.0.0.1:8080"));
}

#[test]
fn an_embedded_engine_is_started_with_the_defaults_of_the_file() {
    let (file, options) = (Config::defaults(), EngineOptions::embedded("unused"));
    let seconds = |seconds: u64| i64::try_from(seconds).expect("a number of seconds");
    assert_eq!(options.journal.segment_bytes, file.journal.segment_bytes);
    assert_eq!(options.journal.keep_segments, file.journal.keep_segments);
    assert_eq!(options.batch_records_max, file.write_behind.batch_records_max);
    assert_eq!(options.backlog_records_max, file.write_behind.backlog_records_max);
    assert_eq!(options.backlog_bytes_max, file.write_behind.backlog_bytes_max);
    assert_eq!(options.shutdown_flush.as_secs(), file.write_behind.shutdown_flush_seconds);
    assert_eq!(options.residents_max, file.owners.residents_max);
    assert_eq!(u64::from(options.idle_seconds), file.owners.idle_seconds);
    assert_eq!(u64::from(options.sweep_seconds), file.owners.sweep_seconds);
    assert_eq!(options.operations_max, file.admission.operations_max);
    assert_eq!(options.operations_per_owner_max as usize, file.admission.operations_per_owner_max);
    assert_eq!(options.open_cards_per_user_max, file.admission.open_cards_per_user_max);
    assert_eq!(options.read_timeout.as_millis(), u128::from(file.admission.read_timeout_ms));
    assert_eq!(options.key_retention_seconds, seconds(file.idempotency.retention_hours * 3_600));
    assert_eq!(options.keys_per_caller_max, file.idempotency.keys_per_caller_max);
    assert_eq!(options.access_token_seconds, seconds(file.auth.access_token_seconds));
    assert_eq!(options.session_seconds, seconds(file.auth.refresh_token_days * 86_400));
    assert_eq!(options.password_concurrency, file.auth.password_hash_concurrency);
    assert_eq!(options.password_queue, file.auth.password_hash_queue);
    let (exchange, millis) = (options.exchange, |millis| Duration::from_millis(millis));
    assert_eq!(exchange.timeout, millis(file.provider.timeout_ms));
    assert_eq!(exchange.rate_per_second, file.provider.rate_per_second);
    assert_eq!(exchange.breaker.failures, file.provider.breaker_failures);
    assert_eq!(exchange.breaker.pause, millis(file.provider.breaker_pause_ms));
    assert_eq!(exchange.first_delay, millis(file.provider.first_delay_ms));
    assert_eq!(exchange.last_delay, millis(file.provider.last_delay_ms));
    assert!(
        file.provider.url.is_empty() && file.provider.card_secret.is_empty() && options.card_secret.is_none()
    );
    let (profile, listed) = (options.profiles.redeem_card, file.messages.redeem_card);
    assert_eq!((profile.tries, profile.concurrency), (listed.tries, listed.concurrency));
    assert_eq!((profile.delay, profile.max_delay), (millis(listed.delay_ms), millis(listed.max_delay_ms)));
    assert_eq!((profile.multiplier, profile.jitter), (listed.multiplier, listed.jitter));
    assert_eq!(profile.timeout, millis(listed.timeout_ms));
}

#[test]
fn a_variable_that_no_setting_has_ends_with_code_2() {
    let text = error(&purser(&["config", "print"], &[("PURSER__SERVER__WORKRS", "1")]));
    assert!(
        text.contains("PURSER__SERVER__WORKRS") && text.contains("did you mean `server.workers`?"),
        "{text}"
    );
}

#[test]
fn a_wrong_line_in_a_file_ends_with_code_2_and_shows_it() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(file, "[server]\n\nworkers = \"many\"").expect("written");
    let path = file.path().display().to_string();
    let text = error(&purser(&["config", "print", "--config", &path], &[]));
    assert!(text.contains(&format!("{path}:3:")) && text.contains("workers = \"many\""), "{text}");
}

#[test]
fn wrong_usage_ends_with_code_2_and_is_named() {
    for (arguments, named) in [
        (&["serve", "--lisen", "x"][..], "--lisen"),
        (&["fly"], "fly"),
        (&[], "Usage: purser"),
        (&["stress", "--buyers", "0"], "--buyers"),
        (&["stress", "--url", "ftp://x"], "--url"),
        (&["replay", "/nowhere/orders.csv"], "/nowhere/orders.csv"),
        (&["journal", "adopt"], "--accept-loss"),
        (&["config", "print", "--listen", "nowhere"], "--listen"),
        (&["audit", "--url", "http://127.0.0.1:1", "--data-dir", "/nowhere"], "/nowhere/admin-token"),
    ] {
        let text = error(&purser(arguments, &[]));
        assert!(text.contains(named), "{arguments:?}: {text}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    let output = purser(&["audit", "--url", "http://127.0.0.1:1"], &[("PURSER_TOKEN", "x")]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("no answer from http://127.0.0.1:1") && text.contains("purser serve"), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
}
