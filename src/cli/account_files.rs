//! Redemption accounts as CSV files: read in part by part, so that progress is seen and a call stays small; and written out.

use super::api::new_key;
use super::args::ServerArgs;
use super::client::{Call, blocking};
use super::csv_file::{Row, read, unusable};
use super::failure::{Exit, Failure};
use super::lanes::{progress, spinner};
use super::report::{emit, print_json, thousands};
use super::server::running;
use serde::Deserialize;
use serde_json::json;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Rows sent at once: with the longest labels they stay below the limit of a body.
const PART: usize = 500;
const COLUMNS: [&str; 3] = ["label", "country", "plan_id"];

#[derive(Deserialize)]
struct Imported {
    imported: u64,
    rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
struct Rejected {
    row: usize,
    error: String,
}

fn part(rows: &[Row<3>]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (_, fields) in rows {
        writer.write_record(fields)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Creates an account for each row. Exit 1 when rows were rejected, or when it ended early; then it says where to go on.
pub fn import(file: &Path, server: &ServerArgs) -> Result<Exit, Failure> {
    let rows = read(file, COLUMNS, COLUMNS.len())?;
    let (url, token) = running(server)?;
    let bar = progress("importing accounts", rows.len());
    let (mut imported, mut rejected, mut ended_early) = (0, Vec::new(), None);
    for rows in rows.chunks(PART) {
        let body = part(rows).map_err(|error| unusable(file, &error))?;
        let call = Call::post_csv("/api/v1/redemption/accounts/import", body).bearer(&token).key(new_key());
        let answer: Imported = match blocking(&url, async |client| client.patiently(&call).await) {
            Ok(answer) => answer,
            Err(error) => {
                ended_early = rows.first().map(|(line, _)| (*line, Failure::from(error)));
                break;
            }
        };
        imported += answer.imported;
        let line = |row: usize| row.checked_sub(1).and_then(|row| rows.get(row)).map_or(0, |(line, _)| *line);
        rejected.extend(answer.rejected.into_iter().map(|told| (line(told.row), told.error)));
        bar.inc(rows.len() as u64);
    }
    bar.finish_and_clear();
    report(imported, &rejected, server);
    match ended_early {
        Some((line, failure)) => {
            let message = format!("{}; nothing from line {line} on was imported", failure.message);
            Err(Failure::new(failure.exit, message))
        }
        None => Ok(Exit::from_check(rejected.is_empty())),
    }
}

fn report(imported: u64, rejected: &[(u64, String)], server: &ServerArgs) {
    if server.json {
        let lines = rejected.iter().map(|(line, error)| json!({ "line": line, "error": error }));
        print_json(&json!({ "imported": imported, "rejected": lines.collect::<Vec<_>>() }));
        return;
    }
    for (line, error) in rejected {
        emit(&format!("line {line}: {error}\n"));
    }
    let (created, left) = (thousands(imported), thousands(rejected.len() as u64));
    emit(&format!("{created} accounts were created, {left} rows rejected\n"));
}

/// Writes all accounts to a file, or to stdout. A file that is there is replaced only by a whole one.
pub fn export(output: Option<&Path>, server: &ServerArgs) -> Result<(), Failure> {
    let (url, token) = running(server)?;
    let call = Call::get("/api/v1/redemption/accounts/export").bearer(&token);
    let Some(path) = output else { return write(&url, &call, &mut io::stdout().lock(), Path::new("stdout")) };
    let beside = path.with_extension("part");
    let mut file = File::create(&beside).map_err(|error| unusable(&beside, &error))?;
    write(&url, &call, &mut file, &beside)?;
    let kept = file.sync_all().and_then(|()| std::fs::rename(&beside, path));
    kept.map_err(|error| unusable(path, &error))
}

fn write(url: &str, call: &Call<'_>, into: &mut dyn Write, name: &Path) -> Result<(), Failure> {
    let bar = spinner("writing accounts");
    let told = |bytes| bar.set_message(format!("writing accounts: {} bytes", thousands(bytes)));
    let copied = blocking(url, async |client| client.copy(call, &mut *into, told).await)?;
    bar.finish_and_clear();
    copied.and_then(|()| into.flush()).map_err(|error| unusable(name, &error))
}
