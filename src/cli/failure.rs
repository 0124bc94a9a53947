//! How a verb ends: the documented exit codes, and the one line for a person when it could not do its work.

use crate::config::ConfigError;
use crate::engine::StartError;
use crate::engine::offline::OfflineError;
use std::process::ExitCode;

/// The process's exit codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done, nothing wrong.
    Clean,
    /// A check found a violation, or the work could not be done.
    Violation,
    /// Wrong usage or configuration.
    Usage,
    /// Refused to start: locked, fenced or corrupt.
    Refused,
    /// The engine halted.
    Halted,
    /// Stopped by Ctrl-C, as shells number it.
    Interrupted,
}

impl Exit {
    /// `Clean` if it is, else `Violation`.
    pub fn from_check(is_clean: bool) -> Self {
        if is_clean { Self::Clean } else { Self::Violation }
    }

    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Violation => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Halted => 4,
            Self::Interrupted => 130,
        }
    }

    /// The meaning of a child's exit code.
    pub fn from_code(code: i32) -> Self {
        match code {
            0 => Self::Clean,
            2 => Self::Usage,
            3 => Self::Refused,
            4 => Self::Halted,
            130 => Self::Interrupted,
            _ => Self::Violation,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb could not do its work. The message says what to do next.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted")
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(Exit::Refused, error.to_string())
    }
}

impl From<OfflineError> for Failure {
    fn from(error: OfflineError) -> Self {
        match error {
            OfflineError::Missing(_) | OfflineError::NoStore(_) => Self::usage(error.to_string()),
            OfflineError::Start(error) => error.into(),
        }
    }
}
