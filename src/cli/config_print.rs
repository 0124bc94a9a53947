//! `purser config print`: every setting in force and where it came from.

use super::args::ServeArgs;
use super::failure::{Exit, Failure};
use super::report::{emit, print_json};

pub fn run(args: &ServeArgs, json: bool) -> Result<Exit, Failure> {
    let effective = super::settings(args)?;
    if json {
        print_json(&effective.to_json());
    } else {
        emit(&effective.to_text());
    }
    Ok(Exit::Clean)
}
