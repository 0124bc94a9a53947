//! The command line: one file per verb. [`run`] is the whole process; a verb answers with an [`Exit`] or a
//! [`Failure`], whose one line goes to stderr.

mod account_files;
mod accounts;
mod admin;
mod api;
mod args;
mod audit;
mod card_files;
mod client;
mod config_print;
mod csv_file;
mod engine_options;
mod failure;
mod gauges;
mod journal;
mod lanes;
mod messages;
mod openapi;
mod plans;
mod problem;
mod provider_sim;
mod redemption_args;
mod redemptions;
mod replay;
mod report;
mod serve;
mod server;
mod show;
mod stdin;
mod stress;
mod sync_stock;
mod upgrades;
mod user;

pub use args::{AuditArgs, CommandLine, JournalArgs, JournalVerb, ServeArgs};
pub use failure::{Exit, Failure};

use crate::config::{self, Effective, Sources};
use args::{ConfigVerb, Verb};
use clap::Parser;
use std::process::ExitCode;

/// Reads the arguments, runs the verb, and says how it ended. A wrong flag ends the process with code 2 right here.
pub fn run() -> ExitCode {
    let command_line = CommandLine::parse();
    match dispatch(command_line.verb) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("purser: {}", failure.message);
            failure.exit.into()
        }
    }
}

fn dispatch(verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Stress(args) => stress::run(&args),
        Verb::Replay(args) => replay::run(&args),
        Verb::Audit(args) if args.is_offline() => audit::run_offline(&args),
        Verb::Audit(args) => audit::run(&args),
        Verb::SyncStock(args) => sync_stock::run(&args),
        Verb::Messages(verb) => messages::run(&verb),
        Verb::Upgrades(verb) => upgrades::run(&verb),
        Verb::Plans(verb) => plans::run(verb),
        Verb::Accounts(verb) => accounts::run(verb),
        Verb::Redemptions(verb) => redemptions::run(verb),
        Verb::User(verb) => user::run(verb),
        Verb::Config(ConfigVerb::Print { settings, json }) => config_print::run(&settings, json),
        Verb::Serve(args) => serve::run(&args),
        Verb::Journal(verb) => journal::run(verb),
        Verb::ProviderSim(args) => provider_sim::run(&args),
        Verb::Openapi => Ok(openapi::run(&crate::http::openapi_json())),
    }
}

/// Says which environment variables look like settings and are none.
pub fn warn_of_strangers() {
    let sources = Sources { environment: std::env::vars_os().collect(), ..Sources::default() };
    for line in sources.strangers() {
        eprintln!("purser: warning: {line}");
    }
}

/// The settings in force for these flags and this process's environment.
pub fn settings(args: &ServeArgs) -> Result<Effective, Failure> {
    let environment = std::env::vars_os().collect();
    let sources = Sources { file: args.config.clone(), environment, flags: args.flags() };
    Ok(config::load(&sources)?)
}
