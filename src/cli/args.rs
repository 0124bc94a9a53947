//! The command line's shape: every verb, flag and help line. What they do stands in one file per verb.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "these comments are the text of --help")]

use super::redemption_args::{AccountsVerb, PlansVerb, RedemptionsVerb};
use crate::config::Flag;
use crate::domain::message::MessageKind;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use uuid::Uuid;

/// Sells contended things exactly once: a concurrency engine and HTTP server.
#[derive(Debug, Parser)]
#[command(name = "purser", version, propagate_version = true, subcommand_required = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the server: creates what is missing, migrates, recovers, serves
    Serve(ServeArgs),
    /// Fire thousands of concurrent purchases over HTTP and check that exactly the stock was sold
    Stress(StressArgs),
    /// Replay an order history from a CSV file and compare the result with the file
    Replay(ReplayArgs),
    /// Recompute stock, money, orders, gift cards and journal and compare them with the store
    Audit(AuditArgs),
    /// Compare owners, stored rows and movements; rewrite rows that drifted
    SyncStock(SyncStockArgs),
    /// See how the work in the background stands; retry or purge dead letters
    #[command(subcommand)]
    Messages(MessagesVerb),
    /// Look whether distributors have reached higher levels
    #[command(subcommand)]
    Upgrades(UpgradesVerb),
    /// Create and list the plans of redemption accounts
    #[command(subcommand)]
    Plans(PlansVerb),
    /// See, import, export and operate redemption accounts
    #[command(subcommand)]
    Accounts(AccountsVerb),
    /// Hand in gift cards; see, cancel and settle them
    #[command(subcommand)]
    Redemptions(RedemptionsVerb),
    /// Create users, or access tokens for them
    #[command(subcommand)]
    User(UserVerb),
    /// Look into a stopped server's journal
    #[command(subcommand)]
    Journal(JournalVerb),
    /// Show the settings in force
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Run a simulated gift-card provider in memory, for tests and demonstrations
    ProviderSim(ProviderSimArgs),
    /// Print the HTTP interface's OpenAPI document
    Openapi,
}

/// Flags that stand for settings.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Directory of the journal and the embedded store [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// postgres://… for the store; empty for the embedded one
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
}

impl ServeArgs {
    /// The flags that were given, as the configuration wants them.
    pub fn flags(&self) -> Vec<Flag> {
        let given = [
            ("--listen", "server.listen", &self.listen),
            ("--data-dir", "data.dir", &self.data_dir),
            ("--database-url", "store.database_url", &self.database_url),
        ];
        let flag = |(name, key, text): (&'static str, &'static str, &Option<String>)| {
            text.clone().map(|text| Flag { name, key, text })
        };
        given.into_iter().filter_map(flag).collect()
    }
}

/// How a running server is reached.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// Base URL of the running server [default: where the settings let it listen, http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Directory that holds the server's admin-token, unless PURSER_TOKEN is set [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Configuration file (TOML) of the server, for its address and its data directory
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Machine-readable result on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct StressArgs {
    /// Units for sale, spread over the items
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub stock: u64,
    /// Buyers; each tries to buy one unit
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub buyers: u64,
    /// Requests in flight at the same time, each on its own kept-alive connection
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub concurrency: u64,
    /// Items that the stock is spread over
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub items: u64,
    /// Let the buyers buy again and again for so many seconds, instead of once each
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub duration: Option<u64>,
    #[command(flatten)]
    pub target: TargetArgs,
}

#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Order history with the columns InvoiceNo, StockCode, Description, Quantity, UnitPrice, CustomerID
    #[arg(value_name = "FILE.csv")]
    pub file: PathBuf,
    /// Orders and returns in flight at the same time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub concurrency: u64,
    /// Bring every item to this stock, instead of what the file needs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1_000_000_000_000))]
    pub stock: Option<u64>,
    /// Bring every customer's balance to this amount (minor units), instead of what the file needs
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(0..=1_000_000_000_000_000))]
    pub funds: Option<u64>,
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Which server stress and replay work on: an own one on a free port, unless `--url` names another.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// Use this running server instead of starting one
    #[arg(long, value_name = "URL", conflicts_with = "database_url")]
    pub url: Option<String>,
    /// Store for the own server: postgres://… [default: embedded]
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// The own server's data directory, kept afterwards [default: a temporary one]; with --url, the directory of its
    /// admin-token
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Configuration file (TOML) for the own server
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Machine-readable result on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct AuditArgs {
    /// Base URL of a running server [default: where the settings let it listen, http://127.0.0.1:8080, unless --data-dir
    /// or --database-url is given]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Data directory of a stopped server; with --url, the directory of its admin-token
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Store of a stopped server
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    pub database_url: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Machine-readable result on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct SyncStockArgs {
    /// Only this item
    #[arg(value_name = "ITEM_ID")]
    pub item_id: Option<u64>,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Clone, Debug, Subcommand)]
pub enum MessagesVerb {
    /// Count messages by kind and status
    Stats {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List dead letters, the newest first
    Failed {
        /// Only of this kind
        #[arg(long, value_parser = kinds())]
        kind: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show a dead letter with all that went wrong
    Show {
        #[arg(value_name = "ID")]
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Put a dead letter back, or all that there are: each is tried at once, and as often as a new message
    #[command(group(clap::ArgGroup::new("which").required(true)))]
    Retry {
        /// A UUID; `purser messages failed` lists them
        #[arg(value_name = "ID", group = "which")]
        id: Option<Uuid>,
        /// All that are dead letters now, the oldest first
        #[arg(long, group = "which")]
        all: bool,
        /// Only of this kind
        #[arg(long, requires = "all", value_parser = kinds())]
        kind: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Give a dead letter up; an order that waits for it ends as failed. A payout that is owed cannot be given up
    Purge {
        /// A UUID; `purser messages failed` lists them
        #[arg(value_name = "ID")]
        id: Uuid,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum UpgradesVerb {
    /// Queue checks of many distributors that have withdrawn something, by ascending user id
    BatchCheck {
        /// Only of those on this rank
        #[arg(long, value_name = "RANK")]
        level: Option<u32>,
        /// How many at most; more than 1,000 are asked for in batches
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// Behind this user: where a run before said to go on
        #[arg(long, value_name = "USER_ID")]
        after: Option<u64>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

fn kinds() -> PossibleValuesParser {
    MessageKind::ALL.map(MessageKind::word).into()
}

#[derive(Clone, Debug, Subcommand)]
pub enum UserVerb {
    /// Create a user; without a password it cannot log in, only `user token` opens it
    Create {
        /// Email address, by which the user logs in; no two users have the same
        #[arg(long, value_name = "EMAIL")]
        email: String,
        /// With the admin role
        #[arg(long)]
        admin: bool,
        /// Display name; without one, the email's part before the @
        #[arg(long)]
        name: Option<String>,
        /// Read the password from the first line of stdin
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Print an access token for a user
    Token {
        /// Email address of the user, in upper or lower case
        #[arg(long, value_name = "EMAIL")]
        email: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum JournalVerb {
    /// Show segments, positions and the last records
    Inspect(JournalArgs),
    /// Check every frame; exit 3 on damage, naming segment and offset
    Verify(JournalArgs),
    /// Take over a store that another journal held and did not release
    Adopt {
        /// What the other journal had not stored yet is lost; say so
        #[arg(long, required = true)]
        accept_loss: bool,
        /// The store to take over: postgres://… [default: the embedded one in the data directory]
        #[arg(long, value_name = "URL")]
        database_url: Option<String>,
        #[command(flatten)]
        journal: JournalArgs,
    },
}

#[derive(Clone, Debug, Args)]
pub struct JournalArgs {
    /// Data directory of a stopped server [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Machine-readable result on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print every effective value and its origin, secrets masked
    Print {
        #[command(flatten)]
        settings: ServeArgs,
        /// Machine-readable result on stdout
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Debug, Args)]
#[command(after_help = PROVIDER_RULES)]
pub struct ProviderSimArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Milliseconds that every exchange takes
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,
    /// Answer 401 to calls that are not signed with this secret
    #[arg(long, value_name = "SECRET", default_value = "", hide_default_value = true)]
    pub secret: String,
}

const PROVIDER_RULES: &str = "\
What becomes of a card is told from how its code begins:
  OK<amount>X          taken
  TWICE<amount>X       taken; the status call answers it a second time
  SLOW<ms>X<amount>X   taken and answered after so many milliseconds
  DROPB<amount>X       the connection is closed before taking; taken the next time
  DROPA<amount>X       the connection is closed after taking
  R429<amount>X        answered 429 and not taken; taken the next time
  E500<amount>X        answered 500 and not taken; taken the next time
  USED                 refused: used before
  INVALID, any other   refused: invalid
A redemption_id that has ended is told its first result again. A card that was taken is refused to any other.

GET /ledger lists every exchange attempt: running, taken, refused, repeated, dropped_before, not_taken_429 or \
error_500. Its http_status is what was answered, null when the connection was closed instead. \
GET /inquiries lists who asked how a redemption ended, and what was answered. GET /health answers 200.";
