//! `purser plans …`: the plans of redemption accounts, on a running server.

use super::api::{list, new_key};
use super::client::{Call, blocking};
use super::failure::{Exit, Failure};
use super::redemption_args::PlansVerb;
use super::report::{emit, print_json, thousands};
use super::server::running;
use serde_json::{Value, json};

pub fn run(verb: PlansVerb) -> Result<Exit, Failure> {
    match verb {
        PlansVerb::Create { name, target, payout_bps, server } => {
            let (url, token) = running(&server)?;
            let body = json!({ "name": name, "target_amount": target, "payout_bps": payout_bps });
            let call = Call::post("/api/v1/redemption/plans", body).bearer(&token).key(new_key());
            let plan: Value = blocking(&url, async |client| client.patiently(&call).await)?;
            if server.json { print_json(&plan) } else { emit(&line(&plan)) }
        }
        PlansVerb::List { server } => {
            let (url, token) = running(&server)?;
            let call = Call::get("/api/v1/redemption/plans").bearer(&token);
            let plans = blocking(&url, async |client| list(client, &call, "plans").await)?;
            if server.json {
                print_json(&json!({ "data": plans }));
            } else {
                emit(&plans.iter().map(line).collect::<String>());
            }
        }
    }
    Ok(Exit::Clean)
}

fn line(plan: &Value) -> String {
    let target = thousands(plan["target_amount"].as_u64().unwrap_or_default());
    let (id, name) = (plan["id"].as_str().unwrap_or_default(), plan["name"].as_str().unwrap_or_default());
    format!("{id}  target {target}, payout {} bps  {name}\n", plan["payout_bps"])
}
