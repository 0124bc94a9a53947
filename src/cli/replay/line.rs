//! Judges each row of the history: a sale, a return, or a line that cannot be sold, with the reason.

use super::decimal::{DecimalError, Mark, exact};
use super::file::{History, Row};
use thiserror::Error;

/// The customer of lines without one.
pub const GUEST: &str = "guest";
/// Bounds of the HTTP interface.
const UNITS_MAX: i64 = 1_000_000;
const NAME_MAX: usize = 200;
pub const AMOUNT_MAX: i64 = (1 << 53) - 1;
/// Decimal places of the currency.
const PLACES: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Order,
    Return,
}

/// A row that can be sold or returned.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    pub row: &'a Row,
    pub kind: Kind,
    pub customer: &'a str,
    /// Always positive, for returns as well.
    pub quantity: i64,
    /// Minor units, positive.
    pub price: i64,
}

impl Line<'_> {
    pub fn amount(&self) -> i64 {
        // Within AMOUNT_MAX: `judge` has multiplied them before.
        self.quantity * self.price
    }
}

/// Why a row cannot be sold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Reason {
    #[error("not as many fields as the first line")]
    Width,
    #[error("no invoice number")]
    NoInvoice,
    #[error("no stock code")]
    NoStockCode,
    #[error("a name longer than 200 characters or with U+0000")]
    Unstorable,
    #[error("the quantity is not a whole number")]
    QuantityUnreadable,
    #[error("the quantity is 0")]
    QuantityZero,
    #[error("a negative quantity outside a return")]
    QuantityNegative,
    #[error("a positive quantity in a return")]
    QuantityPositive,
    #[error("more than 1,000,000 units")]
    QuantityTooLarge,
    #[error("the price is not a number")]
    PriceUnreadable,
    #[error("the price is finer than the currency's minor unit")]
    PriceTooFine,
    #[error("the price is 0")]
    PriceZero,
    #[error("the price is negative")]
    PriceNegative,
    #[error("the amount is beyond the limit")]
    AmountTooLarge,
}

/// A row that was left out.
#[derive(Clone, Debug)]
pub struct Unsellable<'a> {
    pub row: &'a Row,
    pub reason: Reason,
}

/// All rows, judged, in the file's order.
pub fn judge_all(history: &History) -> (Vec<Line<'_>>, Vec<Unsellable<'_>>) {
    let mut lines = Vec::with_capacity(history.rows.len());
    let mut unsellable = Vec::new();
    for row in &history.rows {
        match judge(row, history.mark) {
            Ok(line) => lines.push(line),
            Err(reason) => unsellable.push(Unsellable { row, reason }),
        }
    }
    (lines, unsellable)
}

fn judge(row: &Row, mark: Mark) -> Result<Line<'_>, Reason> {
    if row.excess != 0 {
        return Err(Reason::Width);
    }
    if row.invoice.is_empty() {
        return Err(Reason::NoInvoice);
    }
    if row.sku.is_empty() {
        return Err(Reason::NoStockCode);
    }
    let customer = if row.customer.is_empty() { GUEST } else { &row.customer };
    if [&row.sku, customer].iter().any(|name| name.contains('\0') || name.chars().count() > NAME_MAX) {
        return Err(Reason::Unstorable);
    }
    let kind = if row.invoice.starts_with(['C', 'c']) { Kind::Return } else { Kind::Order };
    let signed = exact(&row.quantity, 0, mark).map_err(|_| Reason::QuantityUnreadable)?;
    let quantity = match (kind, signed) {
        (_, 0) => return Err(Reason::QuantityZero),
        (Kind::Order, ..0) => return Err(Reason::QuantityNegative),
        (Kind::Return, 1..) => return Err(Reason::QuantityPositive),
        _ => signed.checked_abs().filter(|units| *units <= UNITS_MAX).ok_or(Reason::QuantityTooLarge)?,
    };
    let price = exact(&row.price, PLACES, mark).map_err(|error| match error {
        DecimalError::TooFine(_) => Reason::PriceTooFine,
        DecimalError::TooLarge => Reason::AmountTooLarge,
        DecimalError::NotANumber => Reason::PriceUnreadable,
    })?;
    match price {
        0 => return Err(Reason::PriceZero),
        ..0 => return Err(Reason::PriceNegative),
        _ => {}
    }
    quantity.checked_mul(price).filter(|amount| *amount <= AMOUNT_MAX).ok_or(Reason::AmountTooLarge)?;
    Ok(Line { row, kind, customer, quantity, price })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(invoice: &str, quantity: &str, price: &str) -> Row {
        Row {
            invoice: invoice.into(),
            sku: "A".into(),
            quantity: quantity.into(),
            price: price.into(),
            ..Row::default()
        }
    }

    #[test]
    fn every_reason_is_found() {
        for (invoice, quantity, price, reason) in [
            ("", "1", "1", Reason::NoInvoice),
            ("1", "x", "1", Reason::QuantityUnreadable),
            ("1", "1.5", "1", Reason::QuantityUnreadable),
            ("1", "0", "1", Reason::QuantityZero),
            ("1", "-10", "0", Reason::QuantityNegative),
            ("C1", "3", "1", Reason::QuantityPositive),
            ("1", "1000001", "1", Reason::QuantityTooLarge),
            ("1", "1", "free", Reason::PriceUnreadable),
            ("1", "1", "0.001", Reason::PriceTooFine),
            ("1", "1", "0.00", Reason::PriceZero),
            ("C1", "-1", "0", Reason::PriceZero),
            ("1", "1", "-11062.06", Reason::PriceNegative),
            ("1", "1000000", "90071992547.41", Reason::AmountTooLarge),
        ] {
            let row = row(invoice, quantity, price);
            assert_eq!(judge(&row, Mark::Point).err(), Some(reason), "{row:?}");
        }
        assert_eq!(judge(&Row::default(), Mark::Point).err(), Some(Reason::NoInvoice));
        let long = Row { sku: "x".repeat(201), ..row("1", "1", "1") };
        assert_eq!(judge(&long, Mark::Point).err(), Some(Reason::Unstorable));
        let wide = Row { excess: 1, ..row("1", "1", "1") };
        assert_eq!(judge(&wide, Mark::Point).err(), Some(Reason::Width));
    }

    #[test]
    fn a_return_counts_positively_and_a_blank_customer_is_the_guest() {
        let row = row("C536379", "-12", "1.65");
        let line = judge(&row, Mark::Point).expect("a return");
        assert_eq!((line.kind, line.quantity, line.amount(), line.customer), (Kind::Return, 12, 1980, GUEST));
    }
}
