//! A write-behind that panics, in an engine.

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use purser::domain::Money;
use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::engine::{AdjustRequest, Call, Durability, Engine, EngineOptions, Freshness, NewUserRequest};
use purser::journal::HaltReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Takes notes of nothing, and once broken panics where an engine notes how long a flush took.
#[derive(Clone, Default)]
struct Meters {
    broken: Arc<AtomicBool>,
}

impl HistogramFn for Meters {
    fn record(&self, _: f64) {
        // Other tests of this process have no engine, and so none of its threads.
        let engines = std::thread::current().name() == Some("store");
        assert!(!engines || !self.broken.load(Ordering::SeqCst), "the meter is broken");
    }
}

impl Recorder for Meters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let of_a_flush = key.name() == "purser_store_flush_seconds";
        if of_a_flush { Histogram::from_arc(Arc::new(self.clone())) } else { Histogram::noop() }
    }
}

#[tokio::test]
async fn a_panic_in_the_write_behind_halts_the_engine_and_is_its_reason() {
    let meters = Meters::default();
    metrics::set_global_recorder(meters.clone()).expect("the only test that measures");
    let directory = tempfile::tempdir().expect("a directory");
    let mut options = EngineOptions::embedded(directory.path());
    options.journal.segment_bytes = 4 << 20;
    options.read_timeout = Duration::from_hours(1);
    let engine = Engine::start(options.clone()).await.expect("it starts");
    let ann = NewUserRequest {
        name: Name::parse("Ann").expect("a name"),
        email: Email::parse("ann@example.org").expect("an email"),
        password: None,
        role: Role::User,
        open_session: false,
    };
    let user_id = engine.register(ann).await.expect("registered").user.id;
    let credit = || {
        let amount = Money::new(10).expect("money");
        let call = Call::default().durable_in(Durability::Store);
        let request = AdjustRequest { user_id, amount, reference: None, description: None };
        tokio::time::timeout(Duration::from_secs(30), engine.credit(call, request))
    };
    let stored = credit().await.expect("a reply").expect("credited");
    assert_eq!(stored.durability, Durability::Store);
    meters.broken.store(true, Ordering::SeqCst);
    // The journal has it, and nobody waits for a store that takes in nothing any more.
    let kept = credit().await.expect("a reply").expect("credited");
    assert_eq!(kept.durability, Durability::Journal);
    assert_eq!(engine.halted().await, HaltReason::Panic("the write-behind".into()));
    assert_eq!((engine.health().ready, engine.health().state), (false, "halted"));
    engine.shutdown().await;
    drop(engine);
    meters.broken.store(false, Ordering::SeqCst);
    let engine = Engine::start(options).await.expect("it recovers from disk");
    let balance = engine.balance(user_id, Freshness::default()).await.expect("it exists");
    assert_eq!((balance.value.amount, balance.value.version), (20, 2));
    engine.shutdown().await;
}
