//! Where finished models go: into a store, several in one commit.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::demand::COMMIT_BYTES;
use super::display::thousands;
use super::ending::{Ending, interrupted};
use super::progress::{Progress, note};
use super::{report, signal};
use crate::error::Result;
use crate::store::Writer;
use crate::train::{Sink, Status, Trained};

/// Collects finished models and commits them in batches.
pub(super) struct StoreSink {
    writer: Writer,
    waiting: Vec<Trained>,
    waiting_bytes: usize,
    since: Instant,
    commit_after: Duration,
    counts: Counts,
    /// Models to train in this run.
    wanted: usize,
    progress: Progress,
    ending: Ending,
}

/// What became of the models of a run.
#[derive(Default)]
struct Counts {
    added: usize,
    already_there: usize,
    diverged: usize,
}

impl StoreSink {
    pub(super) fn new(
        writer: Writer,
        commit_after: Duration,
        wanted: usize,
        progress: Progress,
        ending: Ending,
    ) -> Self {
        Self {
            writer,
            waiting: Vec::new(),
            waiting_bytes: 0,
            since: Instant::now(),
            commit_after,
            counts: Counts::default(),
            wanted,
            progress,
            ending,
        }
    }

    /// Says what became of the run.
    pub(super) fn conclude(&self) {
        let took = self.progress.finish();
        note(&self.counts.summary(self.wanted, took));
    }

    /// Stores what waits.
    pub(super) fn commit(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let commit = Handle::current().block_on(self.writer.commit(&self.waiting, "train"))?;
        self.counts.added += commit.added;
        self.counts.already_there += commit.already_there;
        self.waiting.drain(..).for_each(Trained::discard);
        self.waiting_bytes = 0;
        Ok(())
    }
}

impl Sink for StoreSink {
    fn accept(&mut self, trained: Trained) {
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        self.counts.diverged += usize::from(trained.status() == Status::Diverged);
        self.waiting_bytes += trained.weight_bytes();
        self.waiting.push(trained);
    }

    fn tick(&mut self) -> Result<()> {
        if self.ending.is_overdue() {
            // Threads in the middle of a long epoch end with the process only.
            self.commit()?;
            if self.counts.added + self.counts.already_there < self.wanted {
                self.conclude();
                report(&interrupted());
                signal::quit();
            }
        }
        if self.waiting_bytes >= COMMIT_BYTES || self.since.elapsed() >= self.commit_after {
            self.commit()?;
        }
        Ok(())
    }
}

impl Counts {
    fn summary(&self, missing: usize, took: Duration) -> String {
        let mut text = format!(
            "trained and stored {} of {} models in {:.1} s",
            thousands(self.added as u64),
            thousands(missing as u64),
            took.as_secs_f64()
        );
        if self.diverged > 0 {
            text += &format!("; {} diverged", thousands(self.diverged as u64));
        }
        if self.already_there > 0 {
            text += &format!("; {} stored by another writer", thousands(self.already_there as u64));
        }
        text
    }
}
