//! Reads an order history: comma, semicolon or tab, quotes, a byte order mark, text that is not quite UTF-8. Rows come
//! out as text; whether one can be sold is judged in [`super::line`].

use super::decimal::Mark;
use crate::cli::failure::Failure;
use std::path::Path;

/// One line of the history, its fields trimmed.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Line number in the file, from 1.
    pub line: u64,
    pub invoice: String,
    pub sku: String,
    pub description: String,
    pub quantity: String,
    pub price: String,
    pub customer: String,
    /// How many fields the row has too many or too few.
    pub excess: i64,
}

#[derive(Debug)]
pub struct History {
    pub rows: Vec<Row>,
    pub mark: Mark,
}

/// The columns, with the names that other versions of the same history use.
const COLUMNS: [(&str, &[&str]); 6] = [
    ("InvoiceNo", &["invoiceno", "invoice"]),
    ("StockCode", &["stockcode"]),
    ("Quantity", &["quantity"]),
    ("UnitPrice", &["unitprice", "price"]),
    ("CustomerID", &["customerid"]),
    ("Description", &["description"]),
];

pub fn read(path: &Path) -> Result<History, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    parse(&bytes).map_err(|reason| Failure::usage(format!("{}: {reason}", path.display())))
}

pub fn parse(bytes: &[u8]) -> Result<History, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(bytes))
        .flexible(true)
        .has_headers(false)
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let broken = |error: csv::Error| format!("not a CSV file: {error}");
    if !reader.read_byte_record(&mut record).map_err(broken)? {
        return Err("the file is empty; its first line must name the columns".into());
    }
    let width = record.len();
    let places = columns(&record)?;
    let mut rows = Vec::new();
    while reader.read_byte_record(&mut record).map_err(broken)? {
        let field = |index: usize| {
            places[index]
                .and_then(|place| record.get(place))
                .map_or_else(String::new, |bytes| String::from_utf8_lossy(bytes).trim().to_owned())
        };
        rows.push(Row {
            line: record.position().map_or(0, csv::Position::line),
            invoice: field(0),
            sku: field(1),
            quantity: field(2),
            price: field(3),
            customer: field(4),
            description: field(5),
            excess: record.len() as i64 - width as i64,
        });
    }
    let mark = Mark::of(rows.iter().map(|row| row.price.as_str()));
    Ok(History { rows, mark })
}

/// The separator that stands most often in the first line, outside quotes.
fn delimiter(bytes: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut is_quoted = false;
    for byte in bytes.iter().take_while(|byte| **byte != b'\n') {
        is_quoted ^= *byte == b'"';
        for (candidate, count) in &mut counts {
            *count += usize::from(!is_quoted && candidate == byte);
        }
    }
    // The first of equals wins, so a file of one column is read with commas.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(candidate, _)| *candidate)
}

/// Where each of [`COLUMNS`] stands. Only the description may be missing.
fn columns(header: &csv::ByteRecord) -> Result<[Option<usize>; 6], String> {
    let plain = |bytes: &[u8]| -> String {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        text.chars().filter(|c| c.is_alphanumeric()).collect()
    };
    let names: Vec<String> = header.iter().map(plain).collect();
    let mut places = [None; 6];
    for (place, (column, spellings)) in places.iter_mut().zip(COLUMNS) {
        *place = names.iter().position(|name| spellings.contains(&name.as_str()));
        if place.is_none() && column != "Description" {
            return Err(format!(
                "line 1 has no column {column}; it must name InvoiceNo, StockCode, Description, \
                                Quantity, UnitPrice and CustomerID"
            ));
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    #[test]
    fn quotes_and_line_numbers_are_kept() {
        let text = format!("{HEADER}1,A,\"a, \"\"b\"\"\nc\",6,2010-12-01,2.55,17850,UK\n2,B,,1,,1,,\n");
        let history = parse(text.as_bytes()).expect("valid");
        assert_eq!(history.rows[0].description, "a, \"b\"\nc");
        assert_eq!((history.rows[0].line, history.rows[1].line), (2, 4));
        assert_eq!(history.rows[1].customer, "");
    }

    #[test]
    fn semicolons_decimal_commas_marks_and_foreign_bytes_are_read() {
        let mut bytes =
            b"\xef\xbb\xbf\"InvoiceNo\";StockCode;Description;Quantity;UnitPrice;Customer ID\r\n".to_vec();
        bytes.extend_from_slice(b"1; A ;caf\xe9;6;2,55;17850\r\n");
        let history = parse(&bytes).expect("valid");
        assert_eq!(history.mark, Mark::Comma);
        assert_eq!(history.rows[0].sku, "A");
        assert_eq!(history.rows[0].description, "caf\u{fffd}");
        assert_eq!(history.rows[0].price, "2,55");
    }

    #[test]
    fn rows_of_another_width_are_marked() {
        let history = parse(format!("{HEADER}1,A,x,6,d,2,55,17850,UK\n1,A,x\n").as_bytes()).expect("valid");
        assert_eq!((history.rows[0].excess, history.rows[1].excess), (1, -5));
    }

    #[test]
    fn a_file_without_the_columns_says_which() {
        assert!(parse(b"").expect_err("empty").contains("empty"));
        let text = parse(b"InvoiceNo,StockCode,Quantity,CustomerID\n").expect_err("no price");
        assert!(text.starts_with("line 1 has no column UnitPrice"), "{text}");
    }
}
