//! The course of one model: from its seed to its last epoch.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::engine::{Engine, Network};
use super::init::initial_weights;
use super::progress::Observer;
use super::state::{Metrics, State, Trained};
use super::stream::{Draws, Purpose, Stream};
use super::work::{Checkpoint, Found, Workplace};
use crate::arch::Arch;
use crate::dataset::Dataset;
use crate::error::{Error, Kind, Result};
use crate::zoo::Model;

/// Trains one model. The same model gives the same weights and metrics whenever it is
/// trained by an engine of one [`name`](Engine::name) and one build of zoolake, and
/// however often it is interrupted; only `seconds` differs.
///
/// A long model leaves each epoch in the `workplace`, if there is one, and goes
/// on from what an earlier call left there. Its states' weights stay there until
/// [`Trained::discard`].
///
/// # Errors
/// `Invalid` if the data set has more classes than the network tells apart;
/// `Interrupted` if `should_stop` said so before a batch; `Conflict` if another
/// process trains the model in the same workplace; `Unavailable` if the workplace
/// cannot be read or written. A model that diverges is no
/// error.
pub fn train_model(
    engine: &dyn Engine,
    arch: &Arch,
    dataset: &Dataset,
    model: &Model,
    workplace: Option<&Workplace>,
    observer: &dyn Observer,
    should_stop: &dyn Fn() -> bool,
) -> Result<Trained> {
    arch.check_classes(&dataset.name, dataset.classes)?;
    let (hyper, size) = (&model.hyper, arch.layout().size());
    let desk = match workplace {
        Some(workplace) => workplace.desk(model, engine.name(), size)?.map(Arc::new),
        None => None,
    };
    let go_on = || {
        let stopped = || format!("stopped training `{}`", model.name);
        if should_stop() { Err(Error::new(Kind::Interrupted, stopped())) } else { Ok(()) }
    };
    let found = desk.as_ref().map(|desk| desk.find(size, hyper.epochs)).transpose()?;
    let Found { mut states, checkpoint, problem } = found.unwrap_or_default();
    if let Some(problem) = problem {
        observer.distrusted(model, &problem);
    }
    let mut course = Course::begin(engine, arch, dataset, model, states.last())?;
    if let Some((checkpoint, state)) = checkpoint.zip(states.last()) {
        course.resume(&checkpoint, state.epoch)?;
        observer.resumed(model, state.epoch);
    }
    for epoch in states.len()..=hyper.epochs {
        go_on()?;
        let mut state = course.epoch(epoch, &go_on)?;
        if let Some(desk) = &desk {
            state = desk.leave(state, &course.checkpoint()?)?;
        }
        states.push(state);
        observer.epoch_finished(model, epoch);
    }
    Ok(Trained { model: model.clone(), states })
}

/// The training images in the order of the data set: what the first epoch shuffles.
pub(super) fn unshuffled(dataset: &Dataset) -> Result<Vec<u32>> {
    let images = u32::try_from(dataset.train.len())
        .map_err(|_| Error::invalid(format!("data set `{}` is too large", dataset.name)))?;
    Ok((0..images).collect())
}

/// A network in training and the draws it is trained with.
struct Course<'a> {
    network: Box<dyn Network + 'a>,
    dataset: &'a Dataset,
    shuffle: Stream,
    draws: Draws,
    /// Shuffled in place, epoch by epoch.
    order: Vec<u32>,
}

impl<'a> Course<'a> {
    /// With the weights of `state`, or initial ones.
    fn begin(
        engine: &'a dyn Engine,
        arch: &'a Arch,
        dataset: &'a Dataset,
        model: &'a Model,
        state: Option<&State>,
    ) -> Result<Self> {
        let hyper = &model.hyper;
        let weights = match state {
            Some(state) => state.weights.read()?,
            None => Cow::Owned(initial_weights(arch.layout(), hyper)),
        };
        Ok(Self {
            network: engine.network(arch, hyper, dataset, &weights)?,
            dataset,
            shuffle: Stream::new(hyper.seed, Purpose::Shuffle),
            draws: Draws::new(hyper.seed),
            order: unshuffled(dataset)?,
        })
    }

    /// Goes on as after `epoch`.
    fn resume(&mut self, checkpoint: &Checkpoint, epoch: usize) -> Result<()> {
        for _ in 0..epoch {
            self.shuffle.shuffle(&mut self.order);
        }
        self.draws.seek(checkpoint.draws);
        self.network.remember(&checkpoint.memory)
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        Ok(Checkpoint { memory: self.network.memory()?, draws: self.draws.position() })
    }

    fn epoch(&mut self, epoch: usize, go_on: &dyn Fn() -> Result<()>) -> Result<State> {
        let begun = Instant::now();
        let train = if epoch == 0 {
            self.network.evaluate(&self.dataset.train)?
        } else {
            self.shuffle.shuffle(&mut self.order);
            self.network.train_epoch(&self.order, &mut self.draws, go_on)?
        };
        self.state(epoch, train, begun)
    }

    fn state(&self, epoch: usize, train: Metrics, begun: Instant) -> Result<State> {
        let Self { network, dataset, .. } = self;
        Ok(State {
            epoch,
            train,
            val: dataset.val.as_ref().map(|split| network.evaluate(split)).transpose()?,
            test: network.evaluate(&dataset.test)?,
            weights: network.weights()?.into(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }
}
