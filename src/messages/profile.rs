//! How often and when a kind of message is tried.

use crate::domain::message::{MessageKind, OpenMessage};
use crate::domain::{MessageId, Timestamp};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// What a dead letter means for the messages behind it with the same key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFailed {
    /// They wait until it is put back or given up.
    BlockKey,
    /// They are done without it.
    PassFailed,
}

/// One kind's settings.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Profile {
    /// Attempts in all.
    pub tries: u32,
    /// From the first failure to the second attempt.
    pub delay: Duration,
    /// Each further delay is so many times the one before …
    pub multiplier: f64,
    /// … up to this.
    pub max_delay: Duration,
    /// A delay is longer by up to this share of it, so that what failed together is not tried together.
    pub jitter: f64,
    /// For one attempt.
    pub timeout: Duration,
    /// Attempts at the same time.
    pub concurrency: usize,
    pub on_failed: OnFailed,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            tries: 4,
            delay: Duration::from_secs(1),
            multiplier: 5.0,
            max_delay: Duration::from_secs(30),
            jitter: 0.1,
            timeout: Duration::from_secs(10),
            concurrency: 64,
            on_failed: OnFailed::PassFailed,
        }
    }
}

impl Profile {
    /// When a message is tried again after its current attempt failed; `None` when that was the last one.
    pub fn next_attempt(&self, open: &OpenMessage, now: Timestamp) -> Option<Timestamp> {
        let failures = open.attempt() - open.forgiven;
        (failures < self.tries).then(|| now.plus(self.delay_after(failures, open.message.id)))
    }

    /// The delay after so many failures in a row.
    fn delay_after(&self, failures: u32, id: MessageId) -> Duration {
        let grown =
            self.delay.as_secs_f64() * self.multiplier.powi(failures.saturating_sub(1).min(1_000) as i32);
        let capped = grown.min(self.max_delay.as_secs_f64());
        Duration::from_secs_f64(capped * (1.0 + self.jitter * share(id, failures)))
    }
}

/// From 0 to 1, different for each attempt of each message.
fn share(id: MessageId, failures: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (id, failures).hash(&mut hasher);
    hasher.finish() as f64 / u64::MAX as f64
}

/// The settings of every kind.
#[derive(Clone, Copy, Debug)]
pub struct Profiles {
    pub process_order: Profile,
    pub order_shipped: Profile,
    pub upgrade_check: Profile,
    pub redeem_card: Profile,
}

impl Default for Profiles {
    fn default() -> Self {
        let usual = Profile::default();
        Self {
            // Many that wait are decided as fast as many callers would be served.
            process_order: Profile { concurrency: 256, ..usual },
            order_shipped: usual,
            // Few at once: while payouts come in, those of one distributor gather behind the first and are checked together.
            upgrade_check: Profile { concurrency: 16, ..usual },
            redeem_card: Profile { concurrency: 16, ..usual },
        }
    }
}

impl Profiles {
    /// Attempts of all kinds at the same time.
    pub fn attempts_max(&self) -> usize {
        MessageKind::ALL.into_iter().map(|kind| self.of(kind).concurrency).sum()
    }

    pub const fn of(&self, kind: MessageKind) -> &Profile {
        match kind {
            MessageKind::ProcessOrder => &self.process_order,
            MessageKind::OrderShipped => &self.order_shipped,
            MessageKind::UpgradeCheck => &self.upgrade_check,
            MessageKind::RedeemCard => &self.redeem_card,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn by_default_the_retries_come_after_1_5_and_25_seconds_and_never_after_more_than_30() {
        let profile = Profile::default();
        for id in (0..50).map(|id| MessageId::new(Uuid::from_u128(id))) {
            for (failures, seconds) in
                [(1, 1.0), (2, 5.0), (3, 25.0), (4, 30.0), (40, 30.0), (u32::MAX, 30.0)]
            {
                let delay = profile.delay_after(failures, id).as_secs_f64();
                assert!((seconds..=seconds * 1.1).contains(&delay), "{failures} failures: {delay} s");
            }
        }
    }
}
