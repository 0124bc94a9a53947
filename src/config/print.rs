//! `config print`: every effective value with its origin, secrets masked.

use super::layers::Effective;
use std::fmt::Write;
use toml::Value;

const MASK: &str = "********";

impl Effective {
    /// One line per setting in TOML's notation, its origin as a comment.
    pub fn to_text(&self) -> String {
        let width =
            self.settings.iter().map(|(key, setting)| line(key, &setting.value).chars().count()).max();
        let mut text = String::new();
        let mut section = "";
        for (key, setting) in &self.settings {
            let (head, name) = key.rsplit_once('.').unwrap_or(("", key));
            if head != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}[{head}]");
                section = head;
            }
            let shown = line(name, &masked(key, &setting.value));
            let _ =
                writeln!(text, "{shown:<width$}  # {}", setting.origin, width = width.unwrap_or(0).min(48));
        }
        text
    }

    /// `{"section.key": {"value": …, "origin": "…"}}`.
    pub fn to_json(&self) -> serde_json::Value {
        let entries = self.settings.iter().map(|(key, setting)| {
            let entry = serde_json::json!({
                "value": masked(key, &setting.value),
                "origin": setting.origin.to_string(),
            });
            (key.clone(), entry)
        });
        serde_json::Value::Object(entries.collect())
    }
}

fn line(name: &str, value: &Value) -> String {
    format!("{name} = {value}")
}

/// The value as it may be shown. An empty secret is shown as empty: that it is not set is worth knowing.
fn masked(key: &str, value: &Value) -> Value {
    let Value::String(text) = value else { return value.clone() };
    let name = key.rsplit('.').next().unwrap_or(key);
    let shown = match name {
        _ if text.is_empty() => String::new(),
        "secret" | "password" => MASK.to_owned(),
        _ if name.ends_with("url") => without_password(text),
        _ => text.clone(),
    };
    Value::String(shown)
}

/// Masks the password of `scheme://user:password@host/…`, and whatever follows a `?`, where one may stand too.
fn without_password(url: &str) -> String {
    let (address, has_query) = url.split_once('?').map_or((url, false), |(address, _)| (address, true));
    let tail = if has_query { format!("?{MASK}") } else { String::new() };
    let Some((scheme, rest)) = address.split_once("://") else { return MASK.to_owned() };
    // The last `@` ends the credentials: a password may hold one, a host may not.
    match rest.rsplit_once('@') {
        Some((credentials, host)) => {
            let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
            let secret = if credentials.contains(':') { format!(":{MASK}") } else { String::new() };
            format!("{scheme}://{user}{secret}@{host}{tail}")
        }
        None => format!("{scheme}://{rest}{tail}"),
    }
}
