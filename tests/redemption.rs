//! Redemption: the operator's plans and accounts.

mod support;

#[path = "redemption/accounts.rs"]
mod accounts;
#[path = "redemption/command_line.rs"]
mod command_line;
#[path = "redemption/import.rs"]
mod import;
#[path = "redemption/plans.rs"]
mod plans;
#[path = "redemption/sentences.rs"]
mod sentences;
