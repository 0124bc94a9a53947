//! Lays flags over environment over file over defaults, and remembers where each value came from.

use super::check;
use super::environment::{self, typed};
use super::error::ConfigError;
use super::{Config, file};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Value;

const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize, text: String },
    Environment(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line, .. } => write!(out, "file {}:{line}", path.display()),
            Self::Environment(name) => write!(out, "environment {name}"),
            Self::Flag(name) => write!(out, "flag {name}"),
        }
    }
}

/// A command line flag that was given, with the setting that it stands for.
#[derive(Clone, Debug)]
pub struct Flag {
    pub name: &'static str,
    pub key: &'static str,
    pub text: String,
}

/// What [`load`] reads besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    pub environment: Vec<(OsString, OsString)>,
    pub flags: Vec<Flag>,
}

impl Sources {
    /// A line for each environment variable that looks like a setting and is none.
    pub fn strangers(&self) -> Vec<String> {
        environment::strangers(&self.environment)
    }
}

/// One effective value and its origin.
#[derive(Clone, Debug)]
pub struct Setting {
    pub value: Value,
    pub origin: Origin,
}

/// The settings in force, and each one's origin under its dotted key.
#[derive(Clone, Debug)]
pub struct Effective {
    pub config: Config,
    pub settings: BTreeMap<String, Setting>,
}

/// Reads all sources and checks every value. The first thing wrong is reported, with its place.
pub fn load(sources: &Sources) -> Result<Effective, ConfigError> {
    let defaults = default_values();
    let mut settings: BTreeMap<String, Setting> = defaults
        .iter()
        .map(|(key, value)| (key.clone(), Setting { value: value.clone(), origin: Origin::Default }))
        .collect();
    let mut set = |key: &str, value: Value, origin: Origin| -> Result<(), ConfigError> {
        check::value(key, &value).map_err(|reason| ConfigError::Invalid {
            origin: origin.clone(),
            key: key.into(),
            reason,
        })?;
        settings.insert(key.to_owned(), Setting { value, origin });
        Ok(())
    };

    if let Some(path) = &sources.file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.clone(), reason: error.to_string() })?;
        for entry in file::parse(path, &text)? {
            // A section of ours of which nothing is set.
            let section = format!("{}.", entry.key);
            if entry.value.is_table() && defaults.keys().any(|key| key.starts_with(&section)) {
                continue;
            }
            let origin = Origin::File { path: path.clone(), line: entry.line, text: entry.text };
            let default = known(&defaults, &entry.key, &origin)?;
            let value = widened(entry.value, default);
            if !value.same_type(default) {
                let reason = format!("must be {}, not {}", type_name(default), type_name(&value));
                return Err(ConfigError::Invalid { origin, key: entry.key, reason });
            }
            set(&entry.key, value, origin)?;
        }
    }

    let mut seen: BTreeMap<String, (String, String)> = BTreeMap::new();
    for variable in environment::variables(sources.environment.iter().cloned())? {
        let origin = Origin::Environment(variable.name.clone());
        let default = known(&defaults, &variable.key, &origin)?;
        if let Some((first, text)) = seen.get(&variable.key)
            && *text != variable.text
        {
            let first = first.clone();
            return Err(ConfigError::Conflict { first, second: variable.name, key: variable.key });
        }
        let value = typed(&variable.text, default).map_err(|reason| ConfigError::Invalid {
            origin: origin.clone(),
            key: variable.key.clone(),
            reason,
        })?;
        set(&variable.key, value, origin)?;
        seen.insert(variable.key, (variable.name, variable.text));
    }

    for flag in &sources.flags {
        let origin = Origin::Flag(flag.name.to_owned());
        let default = known(&defaults, flag.key, &origin)?;
        let value = typed(&flag.text, default).map_err(|reason| ConfigError::Invalid {
            origin: origin.clone(),
            key: flag.key.into(),
            reason,
        })?;
        set(flag.key, value, origin)?;
    }

    let config = assemble(settings.iter().map(|(key, setting)| (key, &setting.value)));
    Ok(Effective { config, settings })
}

pub(super) fn defaults() -> Config {
    assemble(default_values().iter())
}

/// The flattened `config/default.toml`: the one list of the settings that exist, with their types.
pub(super) fn default_values() -> BTreeMap<String, Value> {
    // The text is compiled in and a test reads it, so it cannot be wrong in a build that passed.
    let entries = file::parse(Path::new("config/default.toml"), DEFAULTS)
        .unwrap_or_else(|error| panic!("the compiled-in defaults cannot be read: {error}"));
    entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

/// Where a fraction is expected, a whole number is one too.
fn widened(value: Value, default: &Value) -> Value {
    match (value, default) {
        (Value::Integer(whole), Value::Float(_)) => Value::Float(whole as f64),
        (value, _) => value,
    }
}

fn known<'a>(
    defaults: &'a BTreeMap<String, Value>,
    key: &str,
    origin: &Origin,
) -> Result<&'a Value, ConfigError> {
    defaults.get(key).ok_or_else(|| ConfigError::Unknown {
        origin: origin.clone(),
        key: key.to_owned(),
        remedy: check::remedy(key, defaults.keys()),
    })
}

fn assemble<'a>(values: impl Iterator<Item = (&'a String, &'a Value)>) -> Config {
    let mut root = toml::Table::new();
    for (key, value) in values {
        insert(&mut root, key, value);
    }
    // Keys and types were compared with the defaults, ranges are checked, and a test builds the defaults.
    root.try_into().unwrap_or_else(|error| panic!("checked settings do not fit the Config structs: {error}"))
}

fn insert(table: &mut toml::Table, key: &str, value: &Value) {
    let Some((head, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value.clone());
        return;
    };
    let section = table.entry(head).or_insert_with(|| Value::Table(toml::Table::new()));
    if let Value::Table(section) = section {
        insert(section, rest, value);
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string in quotes",
        Value::Integer(_) => "a whole number without quotes",
        Value::Boolean(_) => "true or false",
        Value::Float(_) => "a number, with a point if it is a fraction",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}
