//! `purser audit` of a running server. A stopped one is audited by the engine itself.

use super::api;
use super::args::{AuditArgs, ServerArgs};
use super::failure::{Exit, Failure};
use super::report::{checks_text, emit, print_json, verdict};
use super::server::running;

const DEFAULT_URL: &str = "http://127.0.0.1:8080";

impl AuditArgs {
    /// A stopped server is meant: its directory or store is named, and no address.
    pub fn is_offline(&self) -> bool {
        self.url.is_none() && (self.data_dir.is_some() || self.database_url.is_some())
    }
}

pub fn run(args: &AuditArgs) -> Result<Exit, Failure> {
    let (url, token) = running(&ServerArgs {
        url: args.url.clone().unwrap_or_else(|| DEFAULT_URL.into()),
        data_dir: args.data_dir.clone(),
        config: args.config.clone(),
        json: args.json,
    })?;
    let audit = api::audit(&url, &token)?;
    if args.json {
        print_json(&audit);
    } else {
        emit(&format!("{}{}", checks_text("audit", &audit.checks), verdict(audit.ok)));
    }
    Ok(Exit::from_check(audit.ok))
}
