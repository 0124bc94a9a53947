//! Decimal text to integers, exactly: no floats, no rounding, no guessing.

use thiserror::Error;

/// What separates whole units from fractions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    Point,
    Comma,
}

#[derive(Debug, PartialEq, Eq, Error)]
pub enum DecimalError {
    #[error("is not a number")]
    NotANumber,
    #[error("has more than {0} decimal places")]
    TooFine(usize),
    #[error("is too large")]
    TooLarge,
}

impl Mark {
    fn character(self) -> char {
        if self == Self::Point { '.' } else { ',' }
    }
    fn other(self) -> char {
        if self == Self::Point { ',' } else { '.' }
    }

    /// The mark that a column of numbers uses. A number shows it if it holds both characters (the last one is the
    /// mark), or one that is not followed by exactly three digits; `1,234` alone could be either. The majority
    /// decides, and the point if nothing does.
    pub fn of<'a>(numbers: impl Iterator<Item = &'a str>) -> Self {
        let (mut points, mut commas) = (0usize, 0usize);
        for text in numbers {
            let Some(at) = text.rfind(['.', ',']) else { continue };
            let (head, tail) = text.split_at(at);
            let is_certain = tail.len() != 4 || head.contains(['.', ',']) && !head.contains(&tail[..1]);
            match &tail[..1] {
                "." if is_certain => points += 1,
                "," if is_certain => commas += 1,
                _ => {}
            }
        }
        if commas > points { Self::Comma } else { Self::Point }
    }
}

/// Reads `text` in units of 10^-`places`. The other character may separate thousands, in groups of three. Further
/// decimal places may only be zeros.
pub fn exact(text: &str, places: usize, mark: Mark) -> Result<i64, DecimalError> {
    let text = text.trim();
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once(mark.character()).unwrap_or((digits, ""));
    let whole = without_groups(whole, mark.other()).ok_or(DecimalError::NotANumber)?;
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(&whole) || !are_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(DecimalError::NotANumber);
    }
    let (kept, rest) = fraction.split_at(fraction.len().min(places));
    if rest.bytes().any(|byte| byte != b'0') {
        return Err(DecimalError::TooFine(places));
    }
    let scaled = format!("0{whole}{kept:0<places$}");
    let number: i64 = scaled.parse().map_err(|_| DecimalError::TooLarge)?;
    Ok(if is_negative { -number } else { number })
}

/// `1,234,567` → `1234567`; `None` if the groups are not of three digits.
fn without_groups(whole: &str, separator: char) -> Option<String> {
    let mut groups = whole.split(separator);
    let first = groups.next()?;
    let mut joined = first.to_owned();
    let mut is_grouped = false;
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        is_grouped = true;
        joined.push_str(group);
    }
    let is_valid = !is_grouped || (1..=3).contains(&first.len());
    is_valid.then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_minor_units_exactly() {
        for (text, minor) in [
            ("2.55", 255),
            ("2.1", 210),
            ("18", 1800),
            ("0", 0),
            (".5", 50),
            ("-11062.06", -1_106_206),
            ("2.550", 255),
        ] {
            assert_eq!(exact(text, 2, Mark::Point), Ok(minor), "{text}");
        }
        for (text, minor) in [("2,55", 255), ("1.234,5", 123_450), ("1.234", 123_400), ("+3", 300)] {
            assert_eq!(exact(text, 2, Mark::Comma), Ok(minor), "{text}");
        }
        assert_eq!(exact("1,234,567.89", 2, Mark::Point), Ok(123_456_789));
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for text in
            ["", "-", ".", "abc", "1e3", "£2", "1.2.3", "12,34.5", "1,2345", "--1", "NaN", "1 000", ",123"]
        {
            assert_eq!(exact(text, 2, Mark::Point), Err(DecimalError::NotANumber), "{text}");
        }
        assert_eq!(exact("2.555", 2, Mark::Point), Err(DecimalError::TooFine(2)));
        assert_eq!(exact("6.5", 0, Mark::Point), Err(DecimalError::TooFine(0)));
        assert_eq!(exact("6.0", 0, Mark::Point), Ok(6));
        assert_eq!(exact("92233720368547758.08", 2, Mark::Point), Err(DecimalError::TooLarge));
    }

    #[test]
    fn a_column_tells_its_decimal_mark() {
        let mark = |numbers: &[&str]| Mark::of(numbers.iter().copied());
        assert_eq!(mark(&["2,55", "1.234,50", "3"]), Mark::Comma);
        assert_eq!(mark(&["2.55", "1,234.50", "1,234"]), Mark::Point);
        assert_eq!(mark(&["1,234", "7"]), Mark::Point);
        assert_eq!(mark(&["1.234,567"]), Mark::Comma);
        assert_eq!(mark(&[]), Mark::Point);
    }
}
