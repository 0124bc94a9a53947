//! `purser plans …`: the plans of redemption accounts, on a running server.

use super::api::new_key;
use super::client::Call;
use super::failure::{Exit, Failure};
use super::redemption_args::PlansVerb;
use super::report::thousands;
use super::show::{many, one, text};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/redemption/plans";

pub fn run(verb: PlansVerb) -> Result<Exit, Failure> {
    match verb {
        PlansVerb::Create { name, target, payout_bps, server } => {
            let body = json!({ "name": name, "target_amount": target, "payout_bps": payout_bps });
            one(&server, &Call::post(PATH, body).key(new_key()), line)?;
        }
        PlansVerb::List { server } => many(&server, &Call::get(PATH), line)?,
    }
    Ok(Exit::Clean)
}

fn line(plan: &Value) -> String {
    let target = thousands(plan["target_amount"].as_u64().unwrap_or_default());
    let (id, name) = (text(plan, "id"), text(plan, "name"));
    format!("{id}  target {target}, payout {} bps  {name}\n", plan["payout_bps"])
}
