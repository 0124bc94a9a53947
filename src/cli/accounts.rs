//! `purser accounts …`: redemption accounts on a running server.

use super::account_files;
use super::api::new_key;
use super::args::ServerArgs;
use super::client::Call;
use super::failure::{Exit, Failure};
use super::redemption_args::AccountsVerb;
use super::report::thousands;
use super::show::{many, one, text};
use serde_json::{Value, json};
use uuid::Uuid;

const PATH: &str = "/api/v1/redemption/accounts";

pub fn run(verb: AccountsVerb) -> Result<Exit, Failure> {
    match verb {
        AccountsVerb::Create { label, country, plan, server } => {
            let body = json!({ "label": label, "country": country, "plan_id": plan });
            one(&server, &Call::post(PATH, body).key(new_key()), account_line)?;
        }
        AccountsVerb::List { status, login_status, country, server } => {
            let mut call = Call::get(PATH);
            let filters = [("status", status), ("login_status", login_status), ("country", country)];
            for (name, value) in filters {
                if let Some(value) = value {
                    call = call.query(name, value);
                }
            }
            many(&server, &call, account_line)?;
        }
        AccountsVerb::Show { id, server } => one(&server, &Call::get(format!("{PATH}/{id}")), account_line)?,
        AccountsVerb::Transitions { id, server } => {
            many(&server, &Call::get(format!("{PATH}/{id}/transitions")), transition_line)?;
        }
        AccountsVerb::Login { id, server } => step(&server, id, "login")?,
        AccountsVerb::Logout { id, server } => step(&server, id, "logout")?,
        AccountsVerb::Complete { id, server } => step(&server, id, "complete")?,
        AccountsVerb::Import { file, server } => return account_files::import(&file, &server),
        AccountsVerb::Export { output, server } => account_files::export(output.as_deref(), &server)?,
    }
    Ok(Exit::Clean)
}

fn step(server: &ServerArgs, id: Uuid, step: &str) -> Result<(), Failure> {
    one(server, &Call::post(format!("{PATH}/{id}/{step}"), json!({})).key(new_key()), account_line)
}

fn account_line(account: &Value) -> String {
    let redeemed = thousands(account["redeemed_total"].as_u64().unwrap_or_default());
    let (status, login) = (text(account, "status"), text(account, "login_status"));
    let (country, label) = (text(account, "country"), text(account, "label"));
    let id = text(account, "id");
    format!("{id}  {country}  {status:<10}  {login:<8}  redeemed {redeemed:>12}  {label}\n")
}

fn transition_line(row: &Value) -> String {
    let (from, to) = (text(row, "from"), text(row, "to"));
    let (at, login, reason) = (text(row, "created_at"), text(row, "login_status"), text(row, "reason"));
    let card = row["redemption_id"].as_str().map_or_else(String::new, |id| format!("  card {id}"));
    format!("{:>6}  {at}  {from} -> {to}, {login}: {reason}{card}\n", row["version"])
}
