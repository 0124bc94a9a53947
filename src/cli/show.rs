//! What a running server answers, shown: one object, or all pages of a list; as JSON, or in a line each.

use super::api::list;
use super::args::ServerArgs;
use super::client::{Call, blocking};
use super::failure::Failure;
use super::report::{emit, print_json};
use super::server::running;
use serde_json::{Value, json};

/// Shows the one object that a call answers with.
pub fn one(server: &ServerArgs, call: &Call<'_>, line: impl Fn(&Value) -> String) -> Result<(), Failure> {
    let (url, token) = running(server)?;
    let call = call.clone().bearer(&token);
    let row: Value = blocking(&url, async |client| client.patiently(&call).await)?;
    print(server, &row, line);
    Ok(())
}

/// Shows all pages of a list.
pub fn many(server: &ServerArgs, call: &Call<'_>, line: impl Fn(&Value) -> String) -> Result<(), Failure> {
    let (url, token) = running(server)?;
    let call = call.clone().bearer(&token);
    let rows = blocking(&url, async |client| list(client, &call, "rows").await)?;
    if server.json {
        print_json(&json!({ "data": rows }));
    } else {
        emit(&rows.iter().map(line).collect::<String>());
    }
    Ok(())
}

/// Shows what is there already.
pub fn print(server: &ServerArgs, row: &Value, line: impl Fn(&Value) -> String) {
    if server.json {
        print_json(row);
    } else {
        emit(&line(row));
    }
}

/// A field as text; empty if there is none.
pub fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}
