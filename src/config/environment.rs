//! Settings from environment variables: a few short names, and `PURSER__SECTION__KEY` for everything.

use super::error::ConfigError;
use super::layers::Origin;
use std::ffi::OsString;
use toml::Value;

const SHORT: [(&str, &str); 5] = [
    ("PURSER_LISTEN", "server.listen"),
    ("PURSER_DATA_DIR", "data.dir"),
    ("PURSER_DATABASE_URL", "store.database_url"),
    ("PURSER_ADMIN_EMAIL", "admin.email"),
    ("PURSER_ADMIN_PASSWORD", "admin.password"),
];
const PREFIX: &str = "PURSER__";

/// One variable that sets something.
pub(super) struct Variable {
    pub name: String,
    pub key: String,
    pub text: String,
}

/// Picks our variables out of the environment, in name order. Names with a single underscore that are none of the
/// short ones are left alone: orchestrators put such names (`PURSER_SERVICE_HOST`) there by themselves.
pub(super) fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Variable>, ConfigError> {
    let mut found = Vec::new();
    for (name, text) in environment {
        let name = name.to_string_lossy().into_owned();
        let key = match SHORT.iter().find(|(short, _)| *short == name) {
            Some((_, key)) => (*key).to_owned(),
            None => match name.strip_prefix(PREFIX) {
                Some(rest) => rest.to_lowercase().replace("__", "."),
                None => continue,
            },
        };
        let text = text.into_string().map_err(|_| ConfigError::Invalid {
            origin: Origin::Environment(name.clone()),
            key: key.clone(),
            reason: "is not valid UTF-8; set it to plain text".into(),
        })?;
        found.push(Variable { name, key, text });
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

/// Reads a text as the type that the setting's default has.
pub(super) fn typed(text: &str, default: &Value) -> Result<Value, String> {
    match default {
        Value::Integer(_) => text
            .trim()
            .parse()
            .map(Value::Integer)
            .map_err(|_| format!("must be a whole number, not `{text}`")),
        Value::Boolean(_) => text
            .trim()
            .parse()
            .map(Value::Boolean)
            .map_err(|_| format!("must be true or false, not `{text}`")),
        _ => Ok(Value::String(text.to_owned())),
    }
}
