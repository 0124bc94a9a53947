//! CSV files that a verb sends row by row: each row with its line, so that what is said of it can be found.

use super::failure::Failure;
use crate::http::Lines;
use std::fmt::Display;
use std::path::Path;

/// A row of the file: its line, and its fields in the columns asked for.
pub type Row<const N: usize> = (u64, [Vec<u8>; N]);

pub fn unusable(file: &Path, error: &dyn Display) -> Failure {
    Failure::usage(format!("{}: {error}", file.display()))
}

/// The first `needed` of the columns must be there, in whatever order; a field of the others is empty if they are not.
pub fn read<const N: usize>(file: &Path, columns: [&str; N], needed: usize) -> Result<Vec<Row<N>>, Failure> {
    let failed = |error: &dyn Display| unusable(file, error);
    let text = std::fs::read(file).map_err(|error| failed(&error))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::Headers).from_reader(&text[..]);
    let header = reader.byte_headers().map_err(|error| failed(&error))?.clone();
    let places = columns.map(|name| header.iter().position(|column| column == name.as_bytes()));
    for (place, name) in places.iter().zip(columns).take(needed) {
        if place.is_none() {
            return Err(failed(&format!("the header must name the column {name}")));
        }
    }
    let mut lines = Lines::of(&text);
    let mut rows = Vec::new();
    for record in reader.byte_records() {
        let record = record.map_err(|error| failed(&error))?;
        let line = lines.row_at(record.position().map_or(0, csv::Position::byte));
        let field = |place: Option<usize>| place.and_then(|place| record.get(place)).unwrap_or_default();
        rows.push((line, places.map(|place| field(place).to_vec())));
    }
    Ok(rows)
}
