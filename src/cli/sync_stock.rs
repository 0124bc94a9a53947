//! `purser sync-stock`: has a running server compare owners, stored rows and movements, and mend rows that drifted.

use super::args::SyncStockArgs;
use super::client::{Call, blocking};
use super::failure::{Exit, Failure};
use super::report::{emit, print_json};
use super::server::running;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Serialize, Deserialize)]
struct Synced {
    checked: u64,
    drifted: Vec<Drift>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Drift {
    product_id: i64,
    owner_stock: i64,
    stored_stock: Option<i64>,
    movements_sum: i64,
    journal_tail: i64,
    rewritten: bool,
}

/// Drift that was mended is a result, not a failure; only a row that could not be rewritten ends with exit code 1.
pub fn run(args: &SyncStockArgs) -> Result<Exit, Failure> {
    let (url, token) = running(&args.server)?;
    let body = args.item_id.map_or_else(|| json!({}), |item| json!({ "item_id": item }));
    let call = Call::post("/api/v1/admin/sync-stock", body).bearer(&token);
    let synced: Synced = blocking(&url, async |client| client.patiently(&call).await)?;
    if args.server.json {
        print_json(&synced);
    } else {
        for drift in &synced.drifted {
            let stored = drift.stored_stock.map_or("no row".into(), |stock| stock.to_string());
            emit(&format!(
                "item {}: owner {}, stored {stored}, movements {} + journal's tail {}: {}\n",
                drift.product_id,
                drift.owner_stock,
                drift.movements_sum,
                drift.journal_tail,
                if drift.rewritten { "rewritten" } else { "NOT rewritten" }
            ));
        }
        emit(&format!("{} items checked, {} drifted\n", synced.checked, synced.drifted.len()));
    }
    Ok(Exit::from_check(synced.drifted.iter().all(|drift| drift.rewritten)))
}
