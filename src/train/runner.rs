//! Many models in parallel: one per thread, or one group of models that the engine
//! trains together.

use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::course::train_model;
use super::engine::Engine;
use super::progress::{Observer, Sink, Stop};
use super::state::Trained;
use super::together::{groups, train_together};
use super::work::Workplace;
use crate::arch::Arch;
use crate::dataset::Dataset;
use crate::error::{Kind, Result, panicked};
use crate::zoo::Model;

/// Training of many models of one architecture on one data set.
///
/// Memory: the data set, and for each job a network and the states of a model in training, a
/// finished one that waits for the sink, and one that it holds until its next tick; of
/// populations, as many for each member. States in the workplace are not in memory.
pub struct Runner<'a> {
    /// How networks are trained.
    pub engine: &'a dyn Engine,
    /// The architecture of every model.
    pub arch: &'a Arch,
    /// What they are trained on.
    pub dataset: &'a Dataset,
    /// Models in training at the same time, or groups of models that the engine
    /// trains together; each on one thread.
    pub jobs: NonZero<usize>,
    /// Where long models leave their finished epochs. Without one, all states
    /// are in memory, and an interrupted model starts over.
    pub workplace: Option<&'a Workplace>,
    /// Told of every epoch.
    pub observer: &'a dyn Observer,
    /// Ends the run early.
    pub stop: &'a Stop,
}

impl Runner<'_> {
    /// Trains `models` in their order, as far as no engine groups them, and hands each
    /// one to `sink` when it is finished. Returns when all are, or soon after a stop
    /// was requested or something failed; finished models reach the sink in any case.
    ///
    /// # Errors
    /// `Interrupted` after a stop; otherwise the first failure of a model or of
    /// the sink; `Conflict` if all that is missing is in training by another
    /// process that shares the workplace.
    pub fn run(&self, models: &[Model], sink: &mut dyn Sink) -> Result<()> {
        let groups = groups(self.engine, self.arch, models);
        let next = AtomicUsize::new(0);
        let failed = Stop::default();
        thread::scope(|scope| {
            // Made in here, so that a panic drops the receiver and frees the workers.
            let (finished, received) = sync_channel(self.jobs.get());
            for _ in 0..self.jobs.get().min(groups.len()) {
                let (finished, groups, next, failed) = (finished.clone(), &groups, &next, &failed);
                scope.spawn(move || self.work(groups, next, failed, &finished));
            }
            drop(finished);
            let mut outcome = Ok(());
            let mut elsewhere = Ok(());
            let mut sink_works = true;
            loop {
                let mut take = |result: Result<Vec<Trained>>| match result {
                    Ok(models) => models.into_iter().for_each(|trained| sink.accept(trained)),
                    Err(error) if error.kind() == Kind::Conflict => {
                        if elsewhere.is_ok() {
                            elsewhere = Err(error);
                        }
                    }
                    Err(error) => {
                        failed.request();
                        if outcome.is_ok() {
                            outcome = Err(error);
                        }
                    }
                };
                match received.recv_timeout(Duration::from_secs(1)) {
                    Ok(result) => {
                        take(result);
                        // All that is finished, since a tick may be the last.
                        received.try_iter().for_each(take);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return outcome.and(elsewhere),
                }
                if sink_works && let Err(error) = sink.tick() {
                    sink_works = false;
                    failed.request();
                    outcome = outcome.and(Err(error));
                }
            }
        })
    }

    /// Trains groups until there are none left, or something failed.
    fn work(
        &self,
        groups: &[Vec<&Model>],
        next: &AtomicUsize,
        failed: &Stop,
        finished: &SyncSender<Result<Vec<Trained>>>,
    ) {
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            let stop = || self.stop.is_requested() || failed.is_requested();
            // A bug in one model must not cost the others that wait to be stored.
            let trained = panic::catch_unwind(AssertUnwindSafe(|| self.train(group, &stop)))
                .unwrap_or_else(|panic| Err(panicked("training", panic.as_ref())))
                .map_err(|error| match error.kind() {
                    Kind::Interrupted => error,
                    _ => error.context(title(group)),
                });
            let go_on = trained.as_ref().err().is_none_or(|error| error.kind() == Kind::Conflict);
            // With nobody there to receive it, the run has failed otherwise.
            if finished.send(trained).is_err() || !go_on {
                return;
            }
        }
    }

    /// Trains the models of a group.
    fn train(&self, group: &[&Model], stop: &dyn Fn() -> bool) -> Result<Vec<Trained>> {
        let Self { engine, arch, dataset, workplace, observer, .. } = *self;
        match (engine.together(), group) {
            (Some(together), [_, _, ..]) => {
                train_together(together, arch, dataset, group, observer, stop)
            }
            _ => group
                .iter()
                .map(|model| train_model(engine, arch, dataset, model, workplace, observer, stop))
                .collect(),
        }
    }
}

/// What to call a group in an error.
fn title(group: &[&Model]) -> String {
    match group {
        [model] => format!("model `{}`", model.name),
        [first, ..] => format!("model `{}` and {} more", first.name, group.len() - 1),
        [] => "no model".to_owned(),
    }
}
