//! `purser openapi`: the document that a running server gives at /api/openapi.json.

use super::failure::{Exit, Failure};

pub fn run(document: &str) -> Result<Exit, Failure> {
    println!("{document}");
    Ok(Exit::Clean)
}
