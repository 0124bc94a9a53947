//! A circuit breaker for the provider: after so many failures in a row nobody is sent there for a while; then one is, to see
//! whether it answers again. A card that meets an open breaker waits; it does not fail.

use crate::domain::Timestamp;
use std::time::Duration;

/// When it opens, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerOptions {
    /// Failures in a row.
    pub failures: u32,
    pub pause: Duration,
}

/// What may be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    Go,
    /// As the one that shows whether the provider answers again.
    Probe,
    /// Not before then; or, without a time, not before the probe that runs has ended.
    Wait(Option<Timestamp>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Timestamp },
    Probing,
}

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    options: BreakerOptions,
    state: State,
}

impl Breaker {
    pub const fn new(options: BreakerOptions) -> Self {
        Self { options, state: State::Closed { failures: 0 } }
    }

    /// For one call; a probe must be followed by its outcome.
    pub fn enter(&mut self, now: Timestamp) -> Gate {
        match self.state {
            State::Closed { .. } => Gate::Go,
            State::Open { until } if until <= now => {
                self.state = State::Probing;
                Gate::Probe
            }
            State::Open { until } => Gate::Wait(Some(until)),
            State::Probing => Gate::Wait(None),
        }
    }

    /// The provider answered, whatever it said.
    pub fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// It did not, or said that it cannot.
    pub fn failed(&mut self, now: Timestamp) {
        let failures = match self.state {
            State::Closed { failures } => failures + 1,
            // Those that were under way when it opened tell nothing new.
            State::Open { .. } => return,
            State::Probing => self.options.failures,
        };
        self.state = if failures >= self.options.failures {
            State::Open { until: now.plus(self.options.pause) }
        } else {
            State::Closed { failures }
        };
    }

    /// The probe was not made after all: the next one may.
    pub fn abandoned(&mut self, now: Timestamp) {
        if self.state == State::Probing {
            self.state = State::Open { until: now };
        }
    }

    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(0).plus_seconds(second)
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerOptions { failures: 3, pause: Duration::from_secs(10) })
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_only_then() {
        let mut breaker = breaker();
        for _ in 0..5 {
            breaker.failed(at(0));
            breaker.failed(at(0));
            breaker.succeeded();
        }
        assert_eq!(breaker.enter(at(0)), Gate::Go);
        (0..3).for_each(|_| breaker.failed(at(1)));
        assert_eq!(breaker.enter(at(5)), Gate::Wait(Some(at(11))));
        breaker.failed(at(9));
        assert_eq!(breaker.enter(at(10)), Gate::Wait(Some(at(11))), "stragglers do not prolong it");
    }

    #[test]
    fn one_probe_decides_whether_it_closes() {
        let mut breaker = breaker();
        (0..3).for_each(|_| breaker.failed(at(0)));
        assert_eq!((breaker.enter(at(10)), breaker.enter(at(10))), (Gate::Probe, Gate::Wait(None)));
        breaker.failed(at(12));
        assert_eq!(breaker.enter(at(13)), Gate::Wait(Some(at(22))));
        assert_eq!(breaker.enter(at(22)), Gate::Probe);
        breaker.succeeded();
        assert_eq!((breaker.enter(at(22)), breaker.is_open()), (Gate::Go, false));
    }

    #[test]
    fn a_probe_that_is_not_made_is_left_to_the_next() {
        let mut breaker = breaker();
        (0..3).for_each(|_| breaker.failed(at(0)));
        assert_eq!(breaker.enter(at(10)), Gate::Probe);
        breaker.abandoned(at(10));
        assert_eq!((breaker.enter(at(10)), breaker.is_open()), (Gate::Probe, true));
    }
}
