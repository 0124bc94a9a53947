//! `purser messages …`: how a running server's work in the background stands, and what is done with its dead letters.

use super::api::{list, new_key};
use super::args::MessagesVerb;
use super::client::{Call, Client, blocking};
use super::failure::{Exit, Failure};
use super::lanes::{Lanes, Until, interruption, progress};
use super::problem::CallError;
use super::report::{emit, print_json, thousands};
use super::server::running;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Dead letters put back at the same time.
const AT_ONCE: u64 = 16;

pub fn run(verb: &MessagesVerb) -> Result<Exit, Failure> {
    match verb {
        MessagesVerb::Stats { server } => {
            let (url, token) = running(server)?;
            let stats = one(&url, &Call::get("/api/v1/messages/stats").bearer(&token))?;
            say(server.json, &stats, stats_text);
        }
        MessagesVerb::Failed { kind, server } => {
            let (url, token) = running(server)?;
            let letters = blocking(&url, async |client| dead_letters(client, &token, kind.as_deref()).await)?;
            say(server.json, &json!({ "data": letters }), |_| list_text(&letters));
        }
        MessagesVerb::Show { id, server } => {
            let (url, token) = running(server)?;
            let letter = one(&url, &Call::get(path_of(*id)).bearer(&token))?;
            say(server.json, &letter, show_text);
        }
        MessagesVerb::Retry { id: Some(id), server, .. } => {
            let (url, token) = running(server)?;
            let answer = one(&url, &retry(&token, *id))?;
            say(server.json, &answer, |_| format!("{id} is tried again\n"));
        }
        MessagesVerb::Retry { id: None, kind, server, .. } => {
            let (url, token) = running(server)?;
            let retried = retry_all(&url, &token, kind.as_deref())?;
            let text = |_: &Value| format!("{} dead letters are tried again\n", thousands(retried));
            say(server.json, &json!({ "retried": retried }), text);
        }
        MessagesVerb::Purge { id, server } => {
            let (url, token) = running(server)?;
            one(&url, &Call::delete(path_of(*id)).bearer(&token).key(new_key()))?;
            say(server.json, &json!({ "id": id, "purged": true }), |_| format!("{id} is purged\n"));
        }
    }
    Ok(Exit::Clean)
}

fn path_of(id: Uuid) -> String {
    format!("/api/v1/messages/failed/{id}")
}

fn retry(token: &str, id: Uuid) -> Call<'_> {
    Call::post(format!("{}/retry", path_of(id)), json!({})).bearer(token).key(new_key())
}

fn one(url: &str, call: &Call<'_>) -> Result<Value, Failure> {
    Ok(blocking(url, async |client| client.patiently(call).await)?)
}

/// All there are, the newest first.
async fn dead_letters(client: &Client, token: &str, kind: Option<&str>) -> Result<Vec<Value>, CallError> {
    let mut call = Call::get("/api/v1/messages/failed").bearer(token);
    if let Some(kind) = kind {
        call = call.query("kind", kind);
    }
    list(client, &call, "dead letters").await
}

/// Those that are dead letters now, and no one that becomes one meanwhile: each once, and those with one key one after the
/// other, the oldest first.
fn retry_all(url: &str, token: &str, kind: Option<&str>) -> Result<u64, Failure> {
    let letters = blocking(url, async |client| dead_letters(client, token, kind).await)?;
    let mut keys: BTreeMap<(&str, &str), Vec<Uuid>> = BTreeMap::new();
    for letter in letters.iter().rev() {
        if let Ok(id) = text(letter, "id").parse() {
            keys.entry((text(letter, "kind"), text(letter, "key"))).or_default().push(id);
        }
    }
    let keys: Vec<_> = keys.into_values().collect();
    let (retried, bar) = (AtomicU64::new(0), progress("retrying", keys.len()));
    Lanes::new(url, AT_ONCE, interruption()).run(Until::Count(keys.len()), &bar, async |client, index| {
        for id in &keys[index] {
            match client.patiently::<Value>(&retry(token, *id)).await {
                Ok(_) => drop(retried.fetch_add(1, Ordering::Relaxed)),
                // Somebody else dealt with it meanwhile.
                Err(error) if error.is_code("not_found") => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })?;
    Ok(retried.into_inner())
}

fn say(as_json: bool, result: &Value, in_words: impl FnOnce(&Value) -> String) {
    if as_json {
        print_json(result);
    } else {
        emit(&in_words(result));
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn stats_text(stats: &Value) -> String {
    let columns = ["ready", "delayed", "running", "failed", "succeeded_total"];
    let line = |name: &str, cells: [String; 5]| {
        let [ready, delayed, running, failed, succeeded] = cells;
        format!("{name:<14} {ready:>10} {delayed:>10} {running:>10} {failed:>10} {succeeded:>16}\n")
    };
    let counted = |counts: &Value| columns.map(|column| thousands(counts[column].as_u64().unwrap_or(0)));
    let mut lines = line("", columns.map(str::to_owned));
    for (kind, counts) in stats["by_kind"].as_object().into_iter().flatten() {
        lines.push_str(&line(kind, counted(counts)));
    }
    lines.push_str(&line("all", counted(stats)));
    let oldest = stats["oldest_ready_seconds"].as_f64().unwrap_or(0.0);
    lines + &format!("the oldest ready one has been ready for {oldest:.1} s\n")
}

fn list_text(letters: &[Value]) -> String {
    let mut lines = String::new();
    for letter in letters {
        let error = letter["errors"].as_array().and_then(|errors| errors.last());
        lines.push_str(&format!(
            "{} {:<14} key {} made {} attempts {}: {}\n",
            text(letter, "id"),
            text(letter, "kind"),
            text(letter, "key"),
            text(letter, "created_at"),
            letter["attempts"],
            error.map_or("", |error| text(error, "error")),
        ));
    }
    lines + &format!("{} dead letters\n", thousands(letters.len() as u64))
}

fn show_text(letter: &Value) -> String {
    let mut lines = String::new();
    for name in ["id", "kind", "key", "status", "created_at"] {
        lines.push_str(&format!("{name:<11} {}\n", text(letter, name)));
    }
    lines.push_str(&format!(
        "{:<11} {}\n{:<11} {}\n",
        "payload", letter["payload"], "attempts", letter["attempts"]
    ));
    for error in letter["errors"].as_array().into_iter().flatten() {
        lines.push_str(&format!(
            "  {} attempt {}: {}\n",
            text(error, "at"),
            error["attempt"],
            text(error, "error")
        ));
    }
    lines
}
