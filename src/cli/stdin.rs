//! What is secret is read from stdin: an argument would stand in the list of processes and in the shell's history.

use super::failure::Failure;
use std::io::{BufRead, IsTerminal, stdin};

/// The first line. A person at a terminal is told `what` to type.
pub fn first_line(what: &str) -> Result<String, Failure> {
    if stdin().is_terminal() {
        eprint!("{what}: ");
    }
    let mut line = String::new();
    let read = stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::usage(format!("cannot read {what} from stdin: {error}")))?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(Failure::usage(format!("{what} is expected on the first line of stdin")));
    }
    Ok(line.to_owned())
}
