//! Threads that owners live on and operations run on, and that a test can hold up: whatever comes to such a thread waits
//! there, in order, until it is let go. So what is "at once" elsewhere is one step after the other here.

use actix_rt::{Arbiter, ArbiterHandle, System};
use purser::engine::Engine;
use std::sync::mpsc;
use tokio::sync::oneshot;

/// More steps than any operation takes between two threads.
const STEPS: usize = 100;

pub struct Thread {
    arbiter: ArbiterHandle,
    lent: Option<System>,
}

impl Thread {
    /// The engine's own (there must be one only): where owners live whose first caller had no such thread.
    pub async fn of(engine: &Engine) -> Self {
        let arbiter = engine.run_beside_owners(async { Arbiter::current() }).await;
        Self { arbiter: arbiter.expect("the engine runs"), lent: None }
    }

    /// A thread that is lent to the engine: owners live there that are first needed there.
    pub async fn lent_to(engine: &Engine) -> Self {
        let (tell, told) = oneshot::channel();
        let engine = engine.clone();
        std::thread::spawn(move || {
            let runner = System::new();
            runner.block_on(async move {
                engine.lend_this_arbiter();
                tell.send(System::current()).expect("somebody waits");
            });
            runner.run().expect("the system runs until it is stopped");
        });
        let system = told.await.expect("the thread starts");
        Self { arbiter: system.arbiter().clone(), lent: Some(system) }
    }

    /// Runs something there.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (reply, answer) = oneshot::channel();
        let run = async move { drop(reply.send(future.await)) };
        assert!(self.arbiter.spawn(run), "the thread lives");
        answer.await.expect("it did not panic")
    }

    /// Returns when everything there has gone as far as it can without another thread.
    pub async fn settle(&self) {
        let steps = async {
            for _ in 0..STEPS {
                tokio::task::yield_now().await;
            }
        };
        self.run(steps).await;
    }

    /// Nothing happens there until the answer is dropped.
    pub async fn hold_up(&self) -> HeldUp {
        let (tell, told) = oneshot::channel();
        let (gate, opened) = mpsc::channel::<()>();
        let wait = move || {
            tell.send(()).expect("somebody waits");
            // Nothing is ever sent: the gate opens when its other end is dropped.
            let _ = opened.recv();
        };
        assert!(self.arbiter.spawn_fn(wait), "the thread lives");
        told.await.expect("it is held up");
        HeldUp { _gate: gate }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(system) = &self.lent {
            system.stop();
        }
    }
}

/// A thread that stands still for as long as this lives.
pub struct HeldUp {
    _gate: mpsc::Sender<()>,
}
