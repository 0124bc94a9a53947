//! `purser audit`, of a running server over HTTP or of a stopped one in its directory.

use super::api;
use super::args::{AuditArgs, ServeArgs, ServerArgs};
use super::engine_options::engine_options;
use super::failure::{Exit, Failure};
use super::report::{Audit, Check, checks_text, emit, print_json, verdict};
use super::server::running;
use crate::engine::offline;

impl AuditArgs {
    /// A stopped server is meant: its directory or store is named, and no address.
    pub fn is_offline(&self) -> bool {
        self.url.is_none() && (self.data_dir.is_some() || self.database_url.is_some())
    }
}

pub fn run(args: &AuditArgs) -> Result<Exit, Failure> {
    let (url, token) = running(&ServerArgs {
        url: args.url.clone(),
        data_dir: args.data_dir.clone(),
        config: args.config.clone(),
        json: args.json,
    })?;
    Ok(show(args, &api::audit(&url, &token)?))
}

/// Audits the directory and the store of a server that does not run.
pub fn run_offline(args: &AuditArgs) -> Result<Exit, Failure> {
    let settings = ServeArgs {
        config: args.config.clone(),
        listen: None,
        data_dir: args.data_dir.clone(),
        database_url: args.database_url.clone(),
    };
    let checks = offline::audit(&engine_options(&super::settings(&settings)?.config))?;
    let checks: Vec<_> =
        checks.into_iter().map(|check| Check::new(&check.name, check.ok, check.detail)).collect();
    Ok(show(args, &Audit { ok: checks.iter().all(|check| check.ok), checks }))
}

fn show(args: &AuditArgs, audit: &Audit) -> Exit {
    if args.json {
        print_json(audit);
    } else {
        emit(&format!("{}{}", checks_text("audit", &audit.checks), verdict(audit.ok)));
    }
    Exit::from_check(audit.ok)
}
