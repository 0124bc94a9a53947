//! What can be wrong with a setting, said so that the reader knows the place and the remedy.

use super::layers::Origin;
use std::path::PathBuf;
use thiserror::Error;

/// A setting that cannot be used. The process that meets one exits with code 2.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}: {reason}. Give an existing TOML file to --config", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{}:{line}: not valid TOML: {reason}\n  {line} | {text}\nmend this line", .path.display())]
    Syntax { path: PathBuf, line: usize, text: String, reason: String },
    #[error("{place}: unknown setting `{key}`; {remedy}", place = place(.origin))]
    Unknown { origin: Origin, key: String, remedy: String },
    #[error("{place}: `{key}` {reason}", place = place(.origin))]
    Invalid { origin: Origin, key: String, reason: String },
    #[error("{first} and {second} both set `{key}`, to different values; keep one of them")]
    Conflict { first: String, second: String, key: String },
}

/// Where a value stands: for a file the path, line number and the line itself.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::File { path, line, text } => {
            format!("{}:{line}: in the line `{}`", path.display(), text.trim())
        }
        other => other.to_string(),
    }
}
