//! Lines of goods as orders and returns carry them.

use super::body::Object;
use super::problem::{FieldErrors, Problem};
use super::validate::Checks;
use crate::domain::Rejection;
use crate::engine::{EngineError, LineRequest, Lines};
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineDto {
    product_id: i64,
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
    #[schema(minimum = 0)]
    unit_price: i64,
}

/// Sound lines.
pub fn parse_lines(checks: &mut Checks, lines: Vec<Object<LineDto>>) -> Option<Lines> {
    if lines.is_empty() {
        checks.add("items", "must have at least 1 line");
    } else if lines.len() > Lines::MAX {
        checks.add("items", format!("must have at most {} lines", Lines::MAX));
        return None;
    }
    let count = lines.len();
    let mut parsed = Vec::with_capacity(count);
    for (index, Object(line)) in lines.into_iter().enumerate() {
        let product_id = checks.product_id(format_args!("items.{index}.product_id"), line.product_id);
        let quantity = checks.quantity(format_args!("items.{index}.quantity"), line.quantity);
        let unit_price = checks.money(format_args!("items.{index}.unit_price"), line.unit_price);
        if let (Some(product_id), Some(quantity), Some(unit_price)) = (product_id, quantity, unit_price) {
            parsed.push(LineRequest { product_id, quantity, unit_price });
        }
    }
    if parsed.len() < count {
        return None;
    }
    let lines = (count > 0).then(|| Lines::new(parsed))?;
    if lines.is_none() {
        checks.add("items", "must not be worth more than 2^53-1");
    }
    lines
}

/// Names the lines whose products are unknown.
pub fn blame_lines(error: EngineError, lines: &[LineRequest]) -> Problem {
    let EngineError::Rejected { rejection: Rejection::UnknownProduct { product_id, further }, .. } = &error
    else {
        return error.into();
    };
    let is_unknown =
        |line: &LineRequest| line.product_id == *product_id || further.contains(&line.product_id);
    let guilty = lines.iter().enumerate().filter(|(_, line)| is_unknown(line));
    let message = || vec!["does not exist".to_owned()];
    let errors: FieldErrors =
        guilty.map(|(index, _)| (format!("items.{index}.product_id"), message())).collect();
    if errors.is_empty() { error.into() } else { Problem::validation(errors) }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
