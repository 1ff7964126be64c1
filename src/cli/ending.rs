//! When a run ends before its work does, and how long it then waits.

use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::progress::Progress;
use super::{duration, report, signal};
use crate::error::{Error, Kind, Result};
use crate::train::Stop;

/// After a signal, epochs that are running may take this long to end. Then the
/// process does: SLURM and Kubernetes kill it 30 seconds after their SIGTERM, and
/// what is finished must be committed by then.
const PATIENCE: Duration = Duration::from_secs(15);

/// Before a time limit, what is running and the last commit get a tenth of the
/// limit, but at most this.
const RESERVE: Duration = Duration::from_secs(60);

/// How long a run may take, from the moment in which the argument is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLimit {
    begun: Instant,
    length: Duration,
}

impl FromStr for TimeLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(Self { begun: Instant::now(), length: duration::parse(text)? })
    }
}

impl TimeLimit {
    fn reserve(self) -> Duration {
        (self.length / 10).min(RESERVE)
    }

    /// When training is asked to stop.
    fn stop_at(self) -> Instant {
        self.begun + self.length - self.reserve()
    }

    /// When it is no longer waited for.
    fn give_up_at(self) -> Instant {
        self.begun + self.length - self.reserve() / 2
    }
}

/// The early end of a run: a request to stop, and the moment after which nothing
/// is waited for.
#[derive(Clone, Default)]
pub(super) struct Ending {
    /// Ends training before the next batches.
    pub(super) stop: Stop,
    phase: Arc<Mutex<Phase>>,
    give_up_at: Arc<OnceLock<Instant>>,
}

/// How far a run is.
#[derive(Default)]
enum Phase {
    #[default]
    Preparing,
    /// There is something to keep.
    Training(Progress),
    Over,
}

impl Ending {
    /// Watches for Ctrl-C, SIGTERM and the time limit from now on. In training they become a
    /// request to stop, and before it the end of the process, as does a signal after it or
    /// after the request.
    pub(super) fn watch(limit: Option<TimeLimit>) -> Self {
        let ending = Self::default();
        tokio::spawn(ending.clone().end(signal::stopped(), limit));
        ending
    }

    /// Training begins.
    pub(super) fn begin(&self, progress: Progress) {
        *self.phase() = Phase::Training(progress);
    }

    /// Training has ended, and what it made is kept.
    pub(super) fn conclude(&self) {
        *self.phase() = Phase::Over;
    }

    /// Whether what is still running has had its time.
    pub(super) fn is_overdue(&self) -> bool {
        self.give_up_at.get().is_some_and(|at| Instant::now() >= *at)
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn end(self, signalled: impl Future<Output = ()>, limit: Option<TimeLimit>) {
        let in_time = tokio::select! {
            () = signalled => None,
            limit = expiry(limit) => Some(limit),
        };
        let give_up_at = in_time.map_or_else(|| Instant::now() + PATIENCE, TimeLimit::give_up_at);
        match (&*self.phase(), in_time) {
            (Phase::Training(progress), None) => {
                progress.note("stopping: what is finished is being kept; once more stops at once")
            }
            (Phase::Training(progress), Some(_)) => {
                progress.note("stopping at the time limit: what is finished is being kept");
            }
            (Phase::Preparing, _) => {
                report(&interrupted());
                signal::quit();
            }
            (Phase::Over, None) => signal::quit(),
            // What follows training has no limit.
            (Phase::Over, Some(_)) => {}
        }
        // Set once: this is the only place that does.
        let _ = self.give_up_at.set(give_up_at);
        self.stop.request();
        signal::stopped().await;
        signal::quit();
    }
}

/// What is said of a run that ended early.
pub(super) fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted before all models were trained")
        .with_hint("run the same command again to go on")
}

/// Returns when the limit wants training to stop; never if there is none.
async fn expiry(limit: Option<TimeLimit>) -> TimeLimit {
    match limit {
        Some(limit) => {
            tokio::time::sleep_until(limit.stop_at().into()).await;
            limit
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_leaves_time_to_end_cleanly() {
        for (length, stop, give_up) in [("10s", 9_000, 9_500), ("4h", 14_340_000, 14_370_000)] {
            let limit: TimeLimit = length.parse().unwrap();
            assert_eq!((limit.stop_at() - limit.begun).as_millis(), stop);
            assert_eq!((limit.give_up_at() - limit.begun).as_millis(), give_up);
        }
    }
}
