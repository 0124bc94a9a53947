//! Compares the server with the file: every item's stock and every customer's balance against the independent sums.

use super::plan::Plan;
use super::prepare::{Cast, Ready, each};
use super::sums::Sums;
use crate::cli::api::{self, Item, Page};
use crate::cli::client::{Call, blocking};
use crate::cli::failure::Failure;
use crate::cli::lanes::Lanes;
use crate::cli::report::Check;
use std::collections::HashMap;

/// How many deviations a check spells out.
const SHOWN: usize = 5;

pub fn checks(
    lanes: &Lanes,
    url: &str,
    token: &str,
    plan: &Plan<'_>,
    cast: &Cast,
    sums: &Sums<'_>,
) -> Result<Vec<Check>, Failure> {
    let listed = listed_stock(url, token, &cast.products)?;
    let live = each(lanes, "comparing items", &cast.products, async |client, ready| {
        Ok(api::item(client, token, ready.id).await?.stock)
    })?;
    let balances = each(lanes, "comparing customers", &cast.customers, async |client, ready| {
        Ok(api::balance(client, token, ready.id).await?.amount)
    })?;
    let skus = || plan.products.iter().map(|product| product.sku);
    let expected_stock: Vec<i128> = expected(&cast.products, skus(), &sums.stock);
    let names = || plan.customers.iter().map(|customer| customer.name);
    let expected_balance: Vec<i128> = expected(&cast.customers, names(), &sums.balance);
    let listed: Vec<Option<i64>> = cast.products.iter().map(|ready| listed.get(&ready.id).copied()).collect();
    let live: Vec<Option<i64>> = live.into_iter().map(Some).collect();
    let balances: Vec<Option<i64>> = balances.into_iter().map(Some).collect();
    Ok(vec![
        compare("stock per product = sum over the file", skus(), &expected_stock, &live),
        compare("listed stock per product = sum over the file", skus(), &expected_stock, &listed),
        compare("balance per customer = sum over the file", names(), &expected_balance, &balances),
    ])
}

fn expected<'a>(
    before: &[Ready],
    names: impl Iterator<Item = &'a str>,
    changes: &std::collections::BTreeMap<&str, i128>,
) -> Vec<i128> {
    let change = |name: &str| changes.get(name).copied().unwrap_or(0);
    before.iter().zip(names).map(|(ready, name)| i128::from(ready.amount) + change(name)).collect()
}

fn compare<'a>(
    check: &str,
    names: impl Iterator<Item = &'a str>,
    expected: &[i128],
    actual: &[Option<i64>],
) -> Check {
    let deviations: Vec<String> = names
        .zip(expected.iter().zip(actual))
        .filter(|(_, (expected, actual))| actual.map(i128::from) != Some(**expected))
        .map(|(name, (expected, actual))| {
            let actual = actual.map_or("nothing".into(), |amount| amount.to_string());
            format!("{name} has {actual} instead of {expected}")
        })
        .collect();
    let detail = match deviations.len() {
        0 => format!("{} equal", expected.len()),
        count => {
            format!("{count} of {} differ: {}", expected.len(), deviations[..count.min(SHOWN)].join(", "))
        }
    };
    Check::new(check, deviations.is_empty(), detail)
}

/// The stock that the list of items shows, until all of ours have been seen or the list ends.
fn listed_stock(url: &str, token: &str, wanted: &[Ready]) -> Result<HashMap<i64, i64>, Failure> {
    let mut missing: std::collections::HashSet<i64> = wanted.iter().map(|ready| ready.id).collect();
    let mut stock = HashMap::new();
    blocking(url, async |client| {
        let mut cursor: Option<String> = None;
        while !missing.is_empty() {
            let mut call = Call::get("/api/v1/items").query("limit", "100").bearer(token);
            if let Some(cursor) = cursor.take() {
                call = call.query("cursor", cursor);
            }
            let page: Page<Item> = client.patiently(&call).await?;
            for item in page.data {
                if missing.remove(&item.id) {
                    stock.insert(item.id, item.stock);
                }
            }
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        Ok(stock)
    })
}
