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
/// Read by the verbs themselves.
const TOKEN: &str = "PURSER_TOKEN";
/// Put there by orchestrators for a service of our name, without anybody's doing.
const FOREIGN: [&str; 2] = ["PURSER_SERVICE_", "PURSER_PORT"];
const PREFIX: &str = "PURSER__";

/// One variable that sets something.
pub(super) struct Variable {
    pub name: String,
    pub key: String,
    pub text: String,
}

/// Names that look like ours, are none, and are not set by an orchestrator: with a line for each that says so. They are no
/// reason to refuse, because whoever starts us may have a use for them.
pub(super) fn strangers<'a>(environment: impl IntoIterator<Item = &'a (OsString, OsString)>) -> Vec<String> {
    let names = environment.into_iter().map(|(name, _)| name.to_string_lossy().into_owned());
    let is_strange = |name: &String| {
        let is_known =
            name == TOKEN || name.starts_with(PREFIX) || SHORT.iter().any(|(short, _)| short == name);
        name.starts_with("PURSER_") && !is_known && !FOREIGN.iter().any(|foreign| name.starts_with(foreign))
    };
    let known = SHORT.map(|(short, _)| short).join(", ");
    let mut strangers: Vec<_> = names.filter(is_strange).collect();
    strangers.sort();
    let line = |name| {
        format!("{name} means nothing and is ignored; known are {known}, {TOKEN} and {PREFIX}SECTION__KEY")
    };
    strangers.into_iter().map(line).collect()
}

/// Picks our variables out of the environment, in name order.
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
        Value::Float(_) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(format!("must be a number, not `{text}`")),
        },
        Value::Boolean(_) => text
            .trim()
            .parse()
            .map(Value::Boolean)
            .map_err(|_| format!("must be true or false, not `{text}`")),
        _ => Ok(Value::String(text.to_owned())),
    }
}
