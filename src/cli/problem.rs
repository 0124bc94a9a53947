//! What can come back from a server instead of an answer: a problem+json, something unreadable, or nothing.

use super::failure::{Exit, Failure};
use serde::Deserialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// A refusal or error as the server describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Problem {
    #[serde(default)]
    pub status: u16,
    pub code: String,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub detail: String,
    #[serde(default)]
    pub errors: BTreeMap<String, Vec<String>>,
    /// Seconds after which it is worth trying again.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// One line: the code, then whatever explains it.
    pub fn explain(&self) -> String {
        let mut text = if self.detail.is_empty() { self.title.clone() } else { self.detail.clone() };
        for (field, reasons) in &self.errors {
            text.push_str(&format!("; {field} {}", reasons.join(", ")));
        }
        if text.is_empty() { self.code.clone() } else { format!("{} ({text})", self.code) }
    }
}

#[derive(Clone, Debug, Error)]
pub enum CallError {
    #[error("no answer from {url}: {reason}")]
    NoAnswer { url: String, reason: String },
    #[error("{method} {path} was answered {status} {}", .problem.explain())]
    Problem { method: String, path: String, status: u16, problem: Box<Problem> },
    #[error("{url} answered {status} with something that is not Purser's: {reason}")]
    Foreign { url: String, status: u16, reason: String },
}

impl CallError {
    /// The problem's code, or a word of our own.
    pub fn code(&self) -> &str {
        match self {
            Self::NoAnswer { .. } => "no_answer",
            Self::Problem { problem, .. } => &problem.code,
            Self::Foreign { .. } => "unreadable_answer",
        }
    }

    /// Seconds to wait if the server said "not now, not executed": the same call may be made again.
    pub fn try_again_after(&self) -> Option<u64> {
        match self {
            Self::Problem { status: 503 | 429, problem, .. } => Some(problem.retry_after.unwrap_or(1)),
            _ => None,
        }
    }

    pub fn is_code(&self, wanted: &str) -> bool {
        self.code() == wanted
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let advice = match &error {
            CallError::NoAnswer { .. } => "; is `purser serve` running there? --url names another address",
            CallError::Problem { status: 401 | 403, .. } => {
                "; give the admin token by PURSER_TOKEN, or the server's directory by --data-dir"
            }
            CallError::Problem { status: 503, .. } => "; try again in a moment",
            CallError::Foreign { .. } => "; check --url",
            CallError::Problem { .. } => "",
        };
        Self::new(Exit::Violation, format!("{error}{advice}"))
    }
}
