//! The business, pure: values in, events or rejections out. Nothing here knows actix, tokio, sqlx, a clock or
//! randomness; time and ids come in as arguments. `decide` is total and changes nothing; `apply` cannot fail.
//!
//! Glossary: a **product** is a thing with a price and a stock; a **balance** is a user's money with the user's profile
//! and orders; a **session** is one login's token family; a **directory** shard owns unique names and hands out ids.
//! A **hold** is an in-memory claim, a **record** one atomic set of **events**, a **rejection** a business "no".

pub mod account;
pub mod balance;
pub mod card;
pub mod cards;
pub mod country;
pub mod directory;
pub mod distributor;
pub mod entity;
pub mod event;
pub mod ids;
pub mod ledger;
pub mod level;
pub mod message;
pub mod money;
pub mod order;
pub mod outcome;
pub mod plan;
pub mod product;
pub mod record;
pub mod redemption;
pub mod rejection;
pub mod session;
pub mod text;
pub mod time;
pub mod user;
pub mod withdrawal;

pub use event::{EntryKind, Event, MovementKind, Posting};
pub use ids::{
    AccountId, BatchId, FamilyId, MessageId, OrderId, PlanId, ProductId, RedemptionId, ReturnId, Seq,
    TransferId, UserId, WithdrawalId,
};
pub use money::{Delta, LIMIT, Money, Quantity, Stock, StockChange};
pub use outcome::Outcome;
pub use record::{KeyUse, Operation, Record, Refusal};
pub use rejection::Rejection;
pub use time::Timestamp;
