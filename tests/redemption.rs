//! Redemption: the operator's plans and accounts, and gift cards, each one exchanged once, on one account at a time, with a
//! provider that is not always there.

mod support;

#[path = "redemption/accounts.rs"]
mod accounts;
#[path = "redemption/batches.rs"]
mod batches;
#[path = "redemption/calls.rs"]
mod calls;
#[path = "redemption/card_commands.rs"]
mod card_commands;
#[path = "redemption/card_secret.rs"]
mod card_secret;
#[path = "redemption/cards.rs"]
mod cards;
#[path = "redemption/choosing.rs"]
mod choosing;
#[path = "redemption/codes.rs"]
mod codes;
#[path = "redemption/command_line.rs"]
mod command_line;
#[path = "redemption/contention.rs"]
mod contention;
#[path = "redemption/crash.rs"]
mod crash;
#[path = "redemption/doubt.rs"]
mod doubt;
#[path = "redemption/harness.rs"]
mod harness;
#[path = "redemption/import.rs"]
mod import;
#[path = "redemption/late_store.rs"]
mod late_store;
#[path = "redemption/ledger.rs"]
mod ledger;
#[path = "redemption/lists.rs"]
mod lists;
#[path = "redemption/owed.rs"]
mod owed;
#[path = "redemption/plans.rs"]
mod plans;
#[path = "redemption/resolve.rs"]
mod resolve;
#[path = "redemption/rig.rs"]
mod rig;
#[path = "redemption/scripted.rs"]
mod scripted;
#[path = "redemption/secrecy.rs"]
mod secrecy;
#[path = "redemption/sentences.rs"]
mod sentences;
#[path = "redemption/single.rs"]
mod single;
#[path = "redemption/sparing.rs"]
mod sparing;
#[path = "outage/sql.rs"]
#[expect(dead_code, reason = "the tests of outages use more of it")]
mod sql;
#[path = "redemption/tls.rs"]
mod tls;
#[path = "redemption/traces.rs"]
mod traces;
