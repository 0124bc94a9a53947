//! Redemption accounts as CSV files: read in chunk by chunk, so that progress is seen and a call stays small; and written out.

use super::api::new_key;
use super::args::ServerArgs;
use super::client::{Call, blocking};
use super::failure::{Exit, Failure};
use super::lanes::{progress, spinner};
use super::report::{emit, print_json, thousands};
use super::server::running;
use serde::Deserialize;
use serde_json::json;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Rows sent at once.
const CHUNK: usize = 500;

#[derive(Deserialize)]
struct Imported {
    imported: u64,
    rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
struct Rejected {
    line: u64,
    error: String,
}

/// Creates an account for each row. Exit 1 when rows were rejected.
pub fn import(file: &Path, server: &ServerArgs) -> Result<Exit, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).from_path(file).map_err(|error| unreadable(&error))?;
    let header = reader.byte_headers().map_err(|error| unreadable(&error))?.clone();
    let rows = reader.byte_records().collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(&error))?;
    let (url, token) = running(server)?;
    let bar = progress("importing accounts", rows.len());
    let (mut imported, mut rejected) = (0, Vec::new());
    for chunk in rows.chunks(CHUNK) {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        let written = std::iter::once(&header).chain(chunk).try_for_each(|row| writer.write_byte_record(row));
        written.map_err(|error| unreadable(&error))?;
        let part = writer.into_inner().map_err(|error| unreadable(&error))?;
        let call = Call::post_csv("/api/v1/redemption/accounts/import", part).bearer(&token).key(new_key());
        let answer: Imported = blocking(&url, async |client| client.patiently(&call).await)?;
        imported += answer.imported;
        for Rejected { line, error } in answer.rejected {
            // The chunk's line 2 is its first row.
            let row = usize::try_from(line).ok().and_then(|line| chunk.get(line.checked_sub(2)?));
            let line = row.and_then(|row| row.position()).map_or(line, csv::Position::line);
            rejected.push((line, error));
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    if server.json {
        let lines = rejected.iter().map(|(line, error)| json!({ "line": line, "error": error }));
        print_json(&json!({ "imported": imported, "rejected": lines.collect::<Vec<_>>() }));
    } else {
        for (line, error) in &rejected {
            emit(&format!("line {line}: {error}\n"));
        }
        let (created, left) = (thousands(imported), thousands(rejected.len() as u64));
        emit(&format!("{created} accounts were created, {left} rows rejected\n"));
    }
    Ok(if rejected.is_empty() { Exit::Clean } else { Exit::Violation })
}

/// Writes all accounts to a file, or to stdout.
pub fn export(output: Option<&Path>, server: &ServerArgs) -> Result<(), Failure> {
    let (url, token) = running(server)?;
    let call = Call::get("/api/v1/redemption/accounts/export").bearer(&token);
    let name = output.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
    let failed = |error: io::Error| Failure::usage(format!("{name}: {error}"));
    let mut file: Box<dyn Write> = match output {
        None => Box::new(io::stdout().lock()),
        Some(path) => Box::new(File::create(path).map_err(failed)?),
    };
    let bar = spinner("writing accounts");
    let told = |bytes| bar.set_message(format!("writing accounts: {} bytes", thousands(bytes)));
    let copied = blocking(&url, async |client| client.copy(&call, &mut file, told).await)?;
    copied.and_then(|()| file.flush()).map_err(failed)?;
    bar.finish_and_clear();
    Ok(())
}
