//! The shape of the verbs about redemption.
#![allow(clippy::doc_markdown, reason = "these comments are the text of --help")]

use super::args::ServerArgs;
use crate::domain::account::{AccountStatus, LoginStatus};
use crate::domain::redemption::RedemptionStatus;
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;
use uuid::Uuid;

#[derive(Clone, Debug, Subcommand)]
pub enum PlansVerb {
    /// Create a plan; it never changes
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// An account that has redeemed this much is completed
        #[arg(long, value_name = "AMOUNT", value_parser = clap::value_parser!(i64).range(1..))]
        target: i64,
        /// The user's share of each card, in hundredths of a percent
        #[arg(long, value_name = "BPS", value_parser = clap::value_parser!(u32).range(0..=10_000))]
        payout_bps: u32,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List the plans, newest first
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum AccountsVerb {
    /// Create an account on a plan
    Create {
        #[arg(long)]
        label: String,
        /// Two letters, such as DE
        #[arg(long)]
        country: String,
        #[arg(long, value_name = "PLAN_ID")]
        plan: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List accounts, newest first
    List {
        #[arg(long, value_parser = statuses())]
        status: Option<String>,
        #[arg(long, value_parser = logins())]
        login_status: Option<String>,
        #[arg(long)]
        country: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show an account
    Show {
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List all that became of an account, newest first
    Transitions {
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Say that somebody is logged in at the provider: the account may be chosen
    Login {
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Say that nobody is logged in at the provider: the account is not chosen
    Logout {
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// End an account before its plan's target is reached
    Complete {
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Create an account for each row of a CSV file with the columns label, country and plan_id
    Import {
        file: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Write all accounts as CSV
    Export {
        /// Where to; without it, to stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum RedemptionsVerb {
    /// List gift cards, the newest first: all for an admin, else one's own
    List {
        #[arg(long, value_parser = card_statuses())]
        status: Option<String>,
        /// Only this user's
        #[arg(long, value_name = "USER_ID")]
        user: Option<u64>,
        /// Only of this batch
        #[arg(long, value_name = "BATCH_ID")]
        batch: Option<Uuid>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show a gift card
    Show {
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Take a gift card back that has not started
    Cancel {
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Settle a gift card in doubt, by what the provider's own records say
    Resolve {
        id: Uuid,
        /// succeeded, if the provider has taken it
        #[arg(long, value_parser = ["succeeded", "failed"])]
        outcome: String,
        /// What it was worth, if it succeeded
        #[arg(long, required_if_eq("outcome", "succeeded"), value_parser = clap::value_parser!(i64).range(1..))]
        amount: Option<i64>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Hand in a gift card, whose code is the first line of stdin, for the user whose token it is
    HandIn {
        /// Two letters, such as DE
        #[arg(long)]
        country: String,
        /// What it is said to be worth
        #[arg(long, value_name = "AMOUNT", value_parser = clap::value_parser!(i64).range(1..))]
        face_value: Option<i64>,
        /// Wait so long for its end; exit 1 unless it has succeeded by then
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        wait: Option<u64>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Hand in each row of a CSV file with the columns code, country and perhaps face_value, for the user whose token it is
    Batch {
        #[arg(value_name = "FILE.csv")]
        file: PathBuf,
        /// Wait until all have ended; exit 1 unless all have succeeded
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show how many gift cards of a batch stand how
    BatchStatus {
        #[arg(value_name = "BATCH_ID")]
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Take all gift cards of a batch back that have not started
    BatchCancel {
        #[arg(value_name = "BATCH_ID")]
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
}

fn statuses() -> PossibleValuesParser {
    use AccountStatus::{Completed, Locking, Processing, Waiting};
    [Waiting, Processing, Locking, Completed].map(AccountStatus::word).into()
}

fn logins() -> PossibleValuesParser {
    [LoginStatus::Active, LoginStatus::Inactive].map(LoginStatus::word).into()
}

fn card_statuses() -> PossibleValuesParser {
    use RedemptionStatus::{Cancelled, Failed, InDoubt, Locking, Queued, Succeeded};
    [Queued, Locking, Succeeded, Failed, InDoubt, Cancelled].map(RedemptionStatus::word).into()
}
