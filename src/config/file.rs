//! A TOML file as a flat list of dotted keys, each with the line that it stands on.

use super::error::ConfigError;
use std::path::Path;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// One `key = value` of a file. A section that holds nothing is not an entry.
pub(super) struct Entry {
    pub key: String,
    pub value: Value,
    pub line: usize,
    pub text: String,
}

/// Reads `text`; `path` is only named in errors.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| {
        let (line, content) = line_at(text, error.span().map_or(0, |span| span.start));
        let reason = error.message().replace('\n', ", ");
        ConfigError::Syntax { path: path.into(), line, text: content, reason }
    })?;
    let mut entries = Vec::new();
    flatten("", table.get_ref(), text, &mut entries);
    Ok(entries)
}

fn flatten(prefix: &str, table: &DeTable<'_>, text: &str, entries: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(&key, inner, text, entries),
            other => {
                let (line, content) = line_at(text, name.span().start);
                entries.push(Entry { key, value: plain(other), line, text: content });
            }
        }
    }
}

/// The value without its position. Whatever is no string, boolean or 64-bit integer keeps a type that no setting has,
/// so the type check that follows refuses it.
fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
            .map_or_else(|_| Value::Float(f64::INFINITY), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Datetime(when) => Value::Datetime(*when),
        DeValue::Array(_) => Value::Array(Vec::new()),
        DeValue::Table(_) => Value::Table(toml::Table::new()),
    }
}

/// The line that byte `offset` lies on: its number from 1, and its text. A secret's value is not part of the text:
/// errors end up in logs.
fn line_at(text: &str, offset: usize) -> (usize, String) {
    let offset = (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let number = text[..offset].matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let name = line.split('=').next().unwrap_or_default();
    let is_secret = ["secret", "password", "database_url"].iter().any(|word| name.contains(word));
    let shown = if is_secret && line.contains('=') { format!("{name}= …") } else { line.to_owned() };
    (number, shown)
}
