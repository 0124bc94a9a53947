//! `purser openapi`: the document that a running server gives at /api/openapi.json.

use super::failure::{Exit, Failure};
use super::report::emit;

pub fn run(document: &str) -> Result<Exit, Failure> {
    emit(&format!("{document}\n"));
    Ok(Exit::Clean)
}
