//! The gift-card provider: its simulator, rule by rule over real HTTP, and the engine's client against it.

mod support;

#[path = "provider/client.rs"]
mod client;
#[path = "provider/repeating.rs"]
mod repeating;
#[path = "provider/rules.rs"]
mod rules;
#[path = "provider/signing.rs"]
mod signing;
