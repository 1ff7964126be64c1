//! When a run ends before its work does, and how long it then waits.

use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::progress::Progress;
use super::{duration, signal};
use crate::error::{Error, Result};
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
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    /// Ends training at the end of the running epochs.
    pub(super) stop: Stop,
    give_up_at: Arc<OnceLock<Instant>>,
}

impl Ending {
    /// Turns Ctrl-C, SIGTERM or a time limit into a request to stop; a signal
    /// after that ends the process at once.
    pub(super) async fn watch(self, limit: Option<TimeLimit>, progress: Progress) {
        let give_up_at = tokio::select! {
            () = signal::stopped() => {
                progress.note("stopping: what is finished is being kept; once more stops at once");
                Instant::now() + PATIENCE
            }
            limit = expiry(limit) => {
                progress.note("stopping at the time limit: what is finished is being kept");
                limit.give_up_at()
            }
        };
        // Set once: this is the only place that does.
        let _ = self.give_up_at.set(give_up_at);
        self.stop.request();
        signal::stopped().await;
        signal::quit();
    }

    /// Whether what is still running has had its time.
    pub(super) fn is_overdue(&self) -> bool {
        self.give_up_at.get().is_some_and(|at| Instant::now() >= *at)
    }
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
