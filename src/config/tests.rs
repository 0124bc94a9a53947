//! Layering, origins, masking, and the text of each error.

use super::layers::default_values;
use super::*;
use std::io::Write;
use toml::Value;

fn environment(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(name, text)| (name.into(), text.into())).collect();
    Sources { environment, ..Sources::default() }
}

fn file(text: &str) -> (tempfile::NamedTempFile, Sources) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    let sources = Sources { file: Some(file.path().into()), ..Sources::default() };
    (file, sources)
}

fn error(sources: &Sources) -> String {
    load(sources).expect_err("must be refused").to_string()
}

#[test]
fn the_defaults_are_complete_checked_and_commented() {
    let config = Config::defaults();
    assert_eq!(config.server.listen, "127.0.0.1:8080");
    assert_eq!(config.journal.segment_bytes, 33_554_432);
    assert_eq!(config.orders.shards, 4);
    for (key, value) in default_values() {
        check::value(&key, &value).unwrap_or_else(|reason| panic!("default of {key} {reason}"));
        let is_integer = matches!(value, Value::Integer(_));
        assert_eq!(
            is_integer,
            check::range(&key).is_some(),
            "{key} needs a range if and only if it is a number"
        );
        let is_fraction = matches!(value, Value::Float(_));
        assert_eq!(is_fraction, check::fraction(&key).is_some(), "{key}: the same for fractions");
    }
    let mut previous = "";
    for line in include_str!("../../config/default.toml").lines() {
        let is_setting = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_setting || previous.starts_with('#'), "no comment above: {line}");
        previous = line;
    }
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let (_keep, mut sources) = file("[server]\nlisten = \"0.0.0.0:1\"\nworkers = 3\nbacklog = 7\n");
    sources.environment =
        environment(&[("PURSER_LISTEN", "0.0.0.0:2"), ("PURSER__SERVER__WORKERS", "4")]).environment;
    sources.flags = vec![Flag { name: "--listen", key: "server.listen", text: "0.0.0.0:3".into() }];
    let effective = load(&sources).expect("valid");
    let server = &effective.config.server;
    assert_eq!((server.listen.as_str(), server.workers, server.backlog), ("0.0.0.0:3", 4, 7));
    let origin = |key: &str| effective.settings[key].origin.to_string();
    assert_eq!(origin("server.listen"), "flag --listen");
    assert_eq!(origin("server.workers"), "environment PURSER__SERVER__WORKERS");
    assert!(origin("server.backlog").ends_with(":4"), "{}", origin("server.backlog"));
    assert_eq!(origin("log.level"), "default");
}

#[test]
fn an_unknown_key_names_its_line_and_the_nearest_key() {
    let (_keep, sources) = file("# mine\n[server]\nlisten = \"0.0.0.0:1\"\nworker = 3\n");
    let text = error(&sources);
    assert!(text.contains(":4: in the line `worker = 3`"), "{text}");
    assert!(text.ends_with("unknown setting `server.worker`; did you mean `server.workers`?"), "{text}");
    let (_keep, sources) = file("[colours]\nsky = \"blue\"\n");
    assert!(error(&sources).contains("`purser config print` lists all settings"));
}

#[test]
fn an_empty_section_sets_nothing() {
    let (_keep, sources) = file("[webhook]\n# url = \"\"\n[messages.process_order]\n");
    assert!(load(&sources).is_ok());
}

#[test]
fn an_empty_unknown_section_is_not_overlooked() {
    let (_keep, sources) = file("[colours]\n");
    assert!(error(&sources).contains("unknown setting `colours`"), "{}", error(&sources));
}

#[test]
fn a_wrong_type_says_which_is_expected() {
    let (_keep, sources) = file("[server]\nworkers = \"3\"\n");
    let text = error(&sources);
    assert!(
        text.contains(":2: in the line `workers = \"3\"`: `server.workers` must be a whole number"),
        "{text}"
    );
    let (_keep, sources) = file("server = 3\n");
    assert!(error(&sources).contains("unknown setting `server`"));
    let (_keep, sources) = file("[orders]\nshards = 99999999999999999999\n");
    assert!(error(&sources).contains("`orders.shards` must be a whole number"), "{}", error(&sources));
}

#[test]
fn broken_toml_shows_the_line() {
    let (_keep, sources) = file("[server]\nworkers = = 3\n");
    let text = error(&sources);
    assert!(text.contains(":2: not valid TOML") && text.contains("2 | workers = = 3"), "{text}");
}

#[test]
fn values_out_of_range_say_the_range() {
    let text = error(&environment(&[("PURSER__IDEMPOTENCY__RETENTION_HOURS", "23")]));
    assert_eq!(
        text,
        "environment PURSER__IDEMPOTENCY__RETENTION_HOURS: `idempotency.retention_hours` must be from 24 to 8784, not 23"
    );
    for (name, text) in [
        ("PURSER_LISTEN", "8080"),
        ("PURSER_LISTEN", "::1:8080"),
        ("PURSER_LISTEN", "127.0.0.1:70000"),
        ("PURSER_DATABASE_URL", "mysql://x"),
        ("PURSER_DATA_DIR", ""),
        ("PURSER_ADMIN_EMAIL", "nobody"),
        ("PURSER_ADMIN_PASSWORD", "short"),
        ("PURSER__AUTH__SECRET", "short"),
        ("PURSER__LOG__LEVEL", "loud"),
        ("PURSER__LOG__FORMAT", "xml"),
        ("PURSER__MONEY__CURRENCY", "euro"),
        ("PURSER__SERVER__WORKERS", "-1"),
        ("PURSER__SERVER__WORKERS", "two"),
    ] {
        let message = error(&environment(&[(name, text)]));
        assert!(
            message.starts_with(&format!("environment {name}: `")) && message.contains("must"),
            "{message}"
        );
    }
}

#[test]
fn unknown_variables_are_refused_and_foreign_ones_left_alone() {
    let text = error(&environment(&[("PURSER__SERVER__LISTN", "x")]));
    assert!(text.contains("environment PURSER__SERVER__LISTN") && text.contains("`server.listen`"), "{text}");
    let foreign = [("PURSER_SERVICE_HOST", "10.0.0.1"), ("PURSER_PORT", "tcp://x"), ("PURSER_TOKEN", "x")];
    assert!(load(&environment(&foreign)).is_ok());
    assert_eq!(environment(&foreign).strangers(), Vec::<String>::new());
    let strangers =
        environment(&[("PURSER_NOPE", "1"), ("PURSER_LISTEN", "x"), ("PATH", "/bin")]).strangers();
    assert_eq!(strangers.len(), 1);
    assert!(
        strangers[0].starts_with("PURSER_NOPE ") && strangers[0].contains("PURSER_LISTEN"),
        "{strangers:?}"
    );
}

#[test]
fn two_variables_for_one_setting_must_agree() {
    let both = |second| environment(&[("PURSER_LISTEN", "a:1"), ("PURSER__SERVER__LISTEN", second)]);
    assert!(load(&both("a:1")).is_ok());
    let text = error(&both("b:1"));
    assert_eq!(
        text,
        "PURSER_LISTEN and PURSER__SERVER__LISTEN both set `server.listen`, to different values; keep one of them"
    );
}

#[test]
fn a_missing_file_is_named() {
    let sources = Sources { file: Some("/nowhere/purser.toml".into()), ..Sources::default() };
    assert!(error(&sources).starts_with("cannot read the configuration file /nowhere/purser.toml"));
}

#[test]
fn a_webhooks_secret_is_base64_behind_its_mark_or_any_text() {
    for (secret, is_sound) in [("whsec_aGVsbG8=", true), ("plain ?", true), ("", true), ("whsec_?", false)] {
        let loaded = load(&environment(&[("PURSER__WEBHOOK__SECRET", secret)]));
        assert_eq!(loaded.is_ok(), is_sound, "{secret}");
    }
}

#[test]
fn a_webhooks_address_names_a_host() {
    for (url, is_sound) in [
        ("", true),
        ("https://shop.example/hook", true),
        ("http://[::1]:9", true),
        ("http://", false),
        ("http:///hook", false),
        ("ftp://shop.example", false),
    ] {
        let loaded = load(&environment(&[("PURSER__WEBHOOK__URL", url)]));
        assert_eq!(loaded.is_ok(), is_sound, "{url}");
    }
}

#[test]
fn secrets_never_appear() {
    let secret = "0123456789abcdef0123456789abcdef";
    let effective = load(&environment(&[
        ("PURSER__AUTH__SECRET", secret),
        ("PURSER_ADMIN_PASSWORD", "hunter2-hunter2"),
        ("PURSER_DATABASE_URL", "postgres://shop:p@ss@db.example/purser?password=other"),
    ]))
    .expect("valid");
    let shown = format!("{}{}{:?}", effective.to_text(), effective.to_json(), effective.config);
    for hidden in [secret, "hunter2", "p@ss", "other"] {
        assert!(!shown.contains(hidden), "{hidden} is shown");
    }
    assert!(shown.contains("postgres://shop:********@db.example/purser"), "{shown}");
    assert!(effective.to_text().contains("# environment PURSER__AUTH__SECRET"));
    let (_keep, sources) = file("[auth]\nsecret = \"tooshort\"\n");
    assert!(!error(&sources).contains("tooshort"));
}
