//! How often the provider is asked: so many times a second, evenly, with nothing saved up for later.

use crate::domain::Timestamp;
use std::time::Duration;

/// Hands out moments that are far enough apart.
#[derive(Debug)]
pub struct Pace {
    /// Between two calls; none without a limit.
    gap: Option<Duration>,
    next: Timestamp,
}

impl Pace {
    /// `per_second`: 0 for no limit.
    pub fn new(per_second: u32) -> Self {
        let gap = (per_second > 0).then(|| Duration::from_secs(1) / per_second);
        Self { gap, next: Timestamp::from_micros(0) }
    }

    /// Forgets the turns that were promised: nobody keeps them.
    pub fn reset(&mut self) {
        self.next = Timestamp::from_micros(0);
    }

    /// When the call that asks now may be made. Each answer is a promise to make it.
    pub fn turn(&mut self, now: Timestamp) -> Timestamp {
        let turn = self.next.max(now);
        self.next = self.gap.map_or(turn, |gap| turn.plus(gap));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    #[test]
    fn turns_are_evenly_apart_and_none_are_saved_up() {
        let mut pace = Pace::new(10);
        assert_eq!([(); 3].map(|()| pace.turn(at(1_000))), [at(1_000), at(1_100), at(1_200)]);
        assert_eq!([(); 2].map(|()| pace.turn(at(60_000))), [at(60_000), at(60_100)]);
    }

    #[test]
    fn without_a_limit_every_turn_is_now() {
        let mut pace = Pace::new(0);
        assert_eq!([(); 2].map(|()| pace.turn(at(5))), [at(5), at(5)]);
    }
}
