//! What a caller sees of a run, and how it stops one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::state::Trained;
use crate::error::{Error, Result};
use crate::zoo::Model;

/// A request to stop, shared between threads: the run ends soon after, and what
/// it had finished is kept.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the run to stop. Async-signal-safe, and may be called twice.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to stop.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Who is told of a run's progress, from its worker threads.
pub trait Observer: Sync {
    /// `model` finished an epoch (0 is the state before training).
    fn epoch_finished(&self, model: &Model, epoch: usize);

    /// `model` goes on after `epoch`, which an earlier run left on disk.
    fn resumed(&self, _model: &Model, _epoch: usize) {}

    /// What an earlier run left of `model` is damaged or not its own, for the
    /// reason given: it is not used, and neither is what came after it.
    fn distrusted(&self, _model: &Model, _problem: &Error) {}
}

/// Who takes the finished models, on the thread that called the runner.
pub trait Sink {
    /// Takes a finished model, even after [`Sink::tick`] failed.
    fn accept(&mut self, trained: Trained);

    /// Called after every finished model and about once a second: time to write
    /// what has been waiting.
    ///
    /// # Errors
    /// An error ends the run; no tick follows.
    fn tick(&mut self) -> Result<()>;
}
