//! Many jobs at once: a number of lanes, each taking the next job when its last one is done, spread over a few
//! threads with a client each. One slow job holds up its own lane only.

use super::client::Client;
use super::failure::Failure;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// How jobs are run against one server.
pub struct Lanes {
    url: String,
    count: usize,
    threads: usize,
    interrupted: Arc<AtomicBool>,
}

/// When to stop handing out jobs.
#[derive(Clone, Copy)]
pub enum Until {
    /// Jobs `0..n`, once each.
    Count(usize),
    /// Jobs `0..n` over and over until the moment.
    Moment { jobs: usize, end: Instant },
}

impl Lanes {
    /// `lanes` jobs in flight. Half of the cores drive them: the server needs the other half when it is our own.
    pub fn new(url: &str, lanes: u64, interrupted: Arc<AtomicBool>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = usize::try_from(lanes).unwrap_or(usize::MAX);
        Self { url: url.to_owned(), count: lanes, threads: (cores / 2).clamp(1, 8).min(lanes), interrupted }
    }

    /// Runs the jobs. The first failure, or Ctrl-C, lets running jobs finish and starts no more.
    pub fn run<J>(&self, until: Until, bar: &ProgressBar, job: J) -> Result<(), Failure>
    where
        J: AsyncFn(&Client, usize) -> Result<(), Failure> + Sync,
    {
        let next = AtomicUsize::new(0);
        let failed: Mutex<Option<Failure>> = Mutex::new(None);
        let stopped = AtomicBool::new(false);
        let take = || {
            if stopped.load(Ordering::Relaxed) || self.interrupted.load(Ordering::Relaxed) {
                return None;
            }
            let index = next.fetch_add(1, Ordering::Relaxed);
            match until {
                Until::Count(count) => (index < count).then_some(index),
                Until::Moment { jobs, end } => (Instant::now() < end).then_some(index % jobs.max(1)),
            }
        };
        let lane = async |client: &Client| {
            while let Some(index) = take() {
                if let Err(failure) = job(client, index).await {
                    stopped.store(true, Ordering::Relaxed);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
                }
                bar.inc(1);
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..self.threads {
                let lanes = self.count / self.threads + usize::from(thread < self.count % self.threads);
                let lane = &lane;
                scope.spawn(move || {
                    actix_rt::System::new().block_on(async {
                        let client = Client::new(&self.url, lanes);
                        let mut running: FuturesUnordered<_> = (0..lanes).map(|_| lane(&client)).collect();
                        // Otherwise all lanes share one task's budget of I/O steps, and always the same ones get it.
                        tokio::task::unconstrained(async { while running.next().await.is_some() {} }).await;
                    });
                });
            }
        });
        bar.finish_and_clear();
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Failure::interrupted());
        }
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// A flag that Ctrl-C and SIGTERM raise, so that a running verb can stop its server and remove its temporary directory.
pub fn interruption() -> Arc<AtomicBool> {
    let raised = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&raised);
    // Without this thread a signal ends the process at once; that is all that is lost if it cannot be started.
    let _ = std::thread::Builder::new().name("interruption".into()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
            let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
            let was_raised = tokio::select! {
                result = tokio::signal::ctrl_c() => result.is_ok(),
                _ = terminate.recv() => true,
            };
            flag.store(was_raised, Ordering::Relaxed);
        });
    });
    raised
}

/// A progress bar on stderr; invisible when that is no terminal.
pub fn progress(what: &'static str, length: usize) -> ProgressBar {
    ProgressBar::new(length as u64).with_message(what).with_style(bar_style())
}

/// How every bar looks.
pub fn bar_style() -> ProgressStyle {
    let template = "{msg:<22} {bar:32} {human_pos}/{human_len} {per_sec} {eta}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A spinner for work without a known end.
pub fn spinner(what: impl Into<std::borrow::Cow<'static, str>>) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::Exit;

    fn lanes(count: u64, interrupted: bool) -> Lanes {
        Lanes::new("http://127.0.0.1:1", count, Arc::new(AtomicBool::new(interrupted)))
    }

    #[test]
    fn every_job_runs_once_however_many_lanes_there_are() {
        for count in [1, 7, 200] {
            let seen: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
            let result =
                lanes(count, false).run(Until::Count(100), &ProgressBar::hidden(), async |_, index| {
                    tokio::task::yield_now().await;
                    seen[index].fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
            assert!(result.is_ok());
            assert!(seen.iter().all(|times| times.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn the_first_failure_stops_the_rest_and_is_reported() {
        let started = AtomicUsize::new(0);
        let result = lanes(2, false).run(Until::Count(1_000), &ProgressBar::hidden(), async |_, index| {
            started.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            if index == 3 { Err(Failure::usage("the third")) } else { Ok(()) }
        });
        assert_eq!(result.expect_err("job 3 failed").message, "the third");
        assert!(started.load(Ordering::Relaxed) < 10);
    }

    #[test]
    fn nothing_starts_after_an_interruption() {
        let result =
            lanes(4, true).run(Until::Count(10), &ProgressBar::hidden(), async |_, _| panic!("started"));
        assert_eq!(result.expect_err("interrupted").exit, Exit::Interrupted);
    }
}
