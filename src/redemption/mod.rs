//! Gift cards at work: which account each is exchanged on, how the provider is asked, and how often. Nothing here knows what
//! an exchange does to balances: that is the engine's.

pub mod board;
pub mod breaker;
pub mod course;
pub mod exchanger;
pub mod gateway;
pub mod pace;
pub mod pool;
pub mod pools;

pub use board::{Board, Notice};
pub use breaker::BreakerOptions;
pub use course::{Intent, NotEnded, NotStarted, Steps};
pub use exchanger::{Exchanger, Stats};
pub use pools::Pools;

use std::time::Duration;

/// How the provider is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExchangeOptions {
    /// For one call, after which it is in doubt.
    pub timeout: Duration,
    /// Calls a second, at most; 0 for no limit.
    pub rate_per_second: u32,
    pub breaker: BreakerOptions,
    /// Between two calls for a card that was not taken or is in doubt: the first delay, doubled each time up to the last.
    pub first_delay: Duration,
    pub last_delay: Duration,
}

impl Default for ExchangeOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            rate_per_second: 0,
            breaker: BreakerOptions { failures: 10, pause: Duration::from_secs(5) },
            first_delay: Duration::from_millis(500),
            last_delay: Duration::from_secs(30),
        }
    }
}
