//! Figures and how they are printed.

use std::fmt;

/// The median of several measurements, with the least and the greatest.
#[derive(Clone, Debug, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn add(&mut self, value: f64) {
        let place = self.0.partition_point(|known| *known < value);
        self.0.insert(place, value);
    }

    pub fn median(&self) -> f64 {
        let (count, middle) = (self.0.len(), self.0.len() / 2);
        match count {
            0 => f64::NAN,
            _ if count % 2 == 1 => self.0[middle],
            _ => f64::midpoint(self.0[middle - 1], self.0[middle]),
        }
    }

    fn ends(&self) -> (f64, f64) {
        (self.0.first().copied().unwrap_or(f64::NAN), self.0.last().copied().unwrap_or(f64::NAN))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.ends();
        write!(out, "{} ({}–{}, n = {})", rounded(self.median()), rounded(least), rounded(most), self.0.len())
    }
}

/// Three digits that count, thousands apart.
pub fn rounded(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut apart = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0
            && digit.is_ascii_digit()
            && (whole.len() - place).is_multiple_of(3)
            && !apart.ends_with('-')
        {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart + rest
}

/// Seconds over a count, as microseconds each.
pub fn micros(seconds: f64, count: u64) -> f64 {
    seconds * 1e6 / count.max(1) as f64
}

/// Rows of text under headings, in columns as wide as needed.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn of<const COLUMNS: usize>(headings: [&str; COLUMNS]) -> Self {
        Self { rows: vec![headings.map(str::to_owned).to_vec()] }
    }

    pub fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.to_vec());
    }

    pub fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
            println!("|{}|", cells.collect::<Vec<_>>().join("|"));
            if number == 0 {
                let lines: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
                println!("|{}|", lines.join("|"));
            }
        }
        println!();
    }
}
