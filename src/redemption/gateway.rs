//! The way to the provider, for all who want to ask it: no faster than agreed, and not while it does not answer. A pass is the
//! right to one call.

use super::ExchangeOptions;
use super::breaker::{Breaker, Gate};
use super::pace::Pace;
use crate::clock::Clock;
use crate::provider::{Answer, Exchange, Provider, Standing};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// See the module.
pub struct Gateway {
    provider: Rc<dyn Provider>,
    clock: Arc<dyn Clock>,
    rate_per_second: u32,
    breaker: RefCell<Breaker>,
    pace: RefCell<Pace>,
    /// Wakes those who wait for a probe to end.
    probed: watch::Sender<()>,
    /// Told when it opens or closes.
    changed: Rc<Notify>,
}

impl Gateway {
    pub fn new(
        provider: Rc<dyn Provider>,
        clock: Arc<dyn Clock>,
        options: &ExchangeOptions,
        changed: Rc<Notify>,
    ) -> Self {
        let breaker = RefCell::new(Breaker::new(options.breaker));
        let pace = RefCell::new(Pace::new(options.rate_per_second));
        let (rate_per_second, probed) = (options.rate_per_second, watch::Sender::new(()));
        Self { provider, clock, rate_per_second, breaker, pace, probed, changed }
    }

    /// How many may reasonably wait for a pass: more would only be bound to their accounts for longer, and stand in the way of
    /// cards in doubt.
    pub fn appetite(&self) -> usize {
        match self.rate_per_second {
            // The one that finds out.
            _ if self.breaker_is_open() => 1,
            0 => usize::MAX,
            rate => rate as usize,
        }
    }

    /// Whether nobody is let through but to see whether the provider answers again.
    pub fn breaker_is_open(&self) -> bool {
        self.breaker.borrow().is_open()
    }

    /// Returns when the provider may be asked.
    pub async fn pass(&self) -> Pass<'_> {
        loop {
            let mut probed = self.probed.subscribe();
            let gate = self.breaker.borrow_mut().enter(self.clock.now());
            let is_probe = match gate {
                Gate::Go => false,
                Gate::Probe => true,
                Gate::Wait(Some(until)) => {
                    self.clock.until(until).await;
                    continue;
                }
                Gate::Wait(None) => {
                    // The sender is ours, so this cannot fail.
                    let _ = probed.changed().await;
                    continue;
                }
            };
            let pass = Pass { gateway: self, is_probe: Cell::new(is_probe) };
            let turn = self.pace.borrow_mut().turn(self.clock.now());
            self.clock.until(turn).await;
            // While the turn was waited for, others may have found that the provider does not answer.
            if is_probe || !self.breaker_is_open() {
                return pass;
            }
        }
    }

    fn heard(&self, has_answered: bool) {
        let was_open = self.breaker_is_open();
        {
            let (now, mut breaker) = (self.clock.now(), self.breaker.borrow_mut());
            if has_answered { breaker.succeeded() } else { breaker.failed(now) }
        }
        match (was_open, self.breaker_is_open()) {
            (false, true) => tracing::error!(
                "the provider failed too often in a row (no answer, none that was agreed on, or none but that it takes no \
                 cards): cards wait until it answers again"
            ),
            (true, false) => tracing::info!("the provider answers again"),
            _ => {}
        }
        if was_open != self.breaker_is_open() {
            // Turns that others wait for are not taken now.
            self.pace.borrow_mut().reset();
            self.changed.notify_one();
        }
        self.probed.send_replace(());
    }
}

/// The right to one call. A probe that is not made is left to the next one.
pub struct Pass<'a> {
    gateway: &'a Gateway,
    is_probe: Cell<bool>,
}

impl Pass<'_> {
    pub async fn exchange(self, exchange: &Exchange) -> Answer {
        let answer = self.gateway.provider.exchange(exchange).await;
        self.is_probe.set(false);
        self.gateway.heard(matches!(answer, Answer::Taken { .. } | Answer::Refused { .. }));
        answer
    }

    pub async fn status(self, redemption_id: Uuid) -> Standing {
        let standing = self.gateway.provider.status(redemption_id).await;
        // One that has never seen a card may still take none: whether it does the next call finds out.
        if standing != Standing::Unknown {
            self.is_probe.set(false);
            self.gateway.heard(!matches!(standing, Standing::NoAnswer { .. }));
        }
        standing
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe.get() {
            self.gateway.breaker.borrow_mut().abandoned(self.gateway.clock.now());
            self.gateway.probed.send_replace(());
        }
    }
}
