//! Limits failed logins, per account and per address: a bucket of attempts that refills steadily. An attempt that
//! succeeds gives its token back, so nobody is slowed down by logging in often.

use super::problem::Problem;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Beyond so many callers with recent failures the full buckets are forgotten, and then the oldest are.
const TRACKED_MAX: usize = 50_000;

/// Who attempts.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// Email, in lower case.
    Account(&'a str),
    Address(IpAddr),
}

pub struct Throttle {
    per_minute: u32,
    hasher: RandomState,
    /// Keyed hash of who → when its bucket is full again. Later than now by one interval per attempt taken.
    full_at: Mutex<HashMap<u64, Instant>>,
}

impl Throttle {
    /// 0 switches it off.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, hasher: RandomState::new(), full_at: Mutex::default() }
    }

    /// Takes an attempt, or says how long to wait for one.
    pub fn take(&self, who: Who<'_>, now: Instant) -> Result<(), Problem> {
        let Some(interval) = self.interval() else { return Ok(()) };
        let window = Duration::from_mins(1);
        let mut table = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = table.get(&self.key(who)).copied().map_or(now, |at| at.max(now)) + interval;
        if let Some(wait) = (full_at - now).checked_sub(window).filter(|wait| !wait.is_zero()) {
            return Err(Problem::too_many_requests(wait.as_secs() + 1));
        }
        if table.len() >= TRACKED_MAX {
            table.retain(|_, at| *at > now);
        }
        if table.len() >= TRACKED_MAX {
            table.retain(|_, at| *at > now + window / 2);
        }
        table.insert(self.key(who), full_at);
        Ok(())
    }

    /// Gives an attempt back.
    pub fn give_back(&self, who: Who<'_>) {
        let Some(interval) = self.interval() else { return };
        let mut table = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = table.get_mut(&self.key(who)) {
            *at = at.checked_sub(interval).unwrap_or(*at);
        }
    }

    fn interval(&self) -> Option<Duration> {
        Duration::from_mins(1).checked_div(self.per_minute)
    }

    fn key(&self, who: Who<'_>) -> u64 {
        match who {
            Who::Account(email) => self.hasher.hash_one((0_u8, email)),
            Who::Address(address) => self.hasher.hash_one((1_u8, address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_empties_and_refills() {
        let throttle = Throttle::new(3);
        let (now, ann) = (Instant::now(), Who::Account("ann@example.org"));
        for _ in 0..3 {
            assert!(throttle.take(ann, now).is_ok());
        }
        assert!(throttle.take(ann, now).is_err());
        assert!(throttle.take(Who::Account("bob@example.org"), now).is_ok());
        assert!(throttle.take(ann, now + Duration::from_secs(20)).is_ok());
        assert!(throttle.take(ann, now + Duration::from_secs(21)).is_err());
    }

    #[test]
    fn success_costs_nothing() {
        let throttle = Throttle::new(1);
        let (now, ann) = (Instant::now(), Who::Account("ann@example.org"));
        for _ in 0..100 {
            assert!(throttle.take(ann, now).is_ok());
            throttle.give_back(ann);
        }
    }

    #[test]
    fn zero_switches_it_off() {
        let throttle = Throttle::new(0);
        let now = Instant::now();
        assert!((0..1_000).all(|_| throttle.take(Who::Account("ann"), now).is_ok()));
    }
}
