//! `purser openapi`: the document that a running server gives at /api/openapi.json.

use super::failure::Exit;
use super::report::emit;

pub fn run(document: &str) -> Exit {
    emit(&format!("{document}\n"));
    Exit::Clean
}
