//! The contract, resource by resource, against the real binary.

mod support;

#[path = "api/addresses.rs"]
mod addresses;
#[path = "api/auth.rs"]
mod auth;
#[path = "api/background.rs"]
mod background;
#[path = "api/balances.rs"]
mod balances;
#[path = "api/connections.rs"]
mod connections;
#[path = "api/conventions.rs"]
mod conventions;
#[path = "api/document.rs"]
mod document;
#[path = "api/harness.rs"]
mod harness;
#[path = "api/hostile.rs"]
mod hostile;
#[path = "api/idempotency.rs"]
mod idempotency;
#[path = "api/items.rs"]
mod items;
#[path = "api/lists.rs"]
mod lists;
#[path = "api/operations.rs"]
mod operations;
#[path = "api/order_steps.rs"]
mod order_steps;
#[path = "api/orders.rs"]
mod orders;
#[path = "api/purchase.rs"]
mod purchase;
#[path = "api/returns.rs"]
mod returns;
#[path = "api/webhooks.rs"]
mod webhooks;
#[path = "api/withdrawals.rs"]
mod withdrawals;
