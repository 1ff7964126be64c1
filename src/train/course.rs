//! The course of one model: from its seed to its last epoch.

use std::time::Instant;

use super::engine::{Engine, Network};
use super::init::initial_weights;
use super::kernel::FlushToZero;
use super::progress::Observer;
use super::state::{Metrics, State, Trained};
use super::stream::{Draws, Purpose, Stream};
use crate::arch::Arch;
use crate::dataset::Dataset;
use crate::error::{Error, Kind, Result};
use crate::zoo::Model;

/// Trains one model. The same model gives the same weights and metrics whenever
/// and wherever it is trained with one engine; only `seconds` differs.
///
/// # Errors
/// `Interrupted` if `should_stop` said so before a batch. A model that diverges is no error.
pub fn train_model(
    engine: &dyn Engine,
    arch: &Arch,
    dataset: &Dataset,
    model: &Model,
    observer: &dyn Observer,
    should_stop: &dyn Fn() -> bool,
) -> Result<Trained> {
    let _tiny_is_zero = FlushToZero::on();
    let weights = initial_weights(arch.layout(), &model.hyper);
    let mut network = engine.network(arch, &model.hyper, dataset, &weights)?;
    let mut shuffle = Stream::new(model.hyper.seed, Purpose::Shuffle);
    let mut draws = Draws::new(model.hyper.seed);
    let images = u32::try_from(dataset.train.len())
        .map_err(|_| Error::invalid(format!("data set `{}` is too large", dataset.name)))?;
    let mut order: Vec<u32> = (0..images).collect();
    let go_on = || {
        let stopped = || format!("stopped training `{}`", model.name);
        if should_stop() { Err(Error::new(Kind::Interrupted, stopped())) } else { Ok(()) }
    };
    let mut states = Vec::with_capacity(model.hyper.epochs + 1);
    for epoch in 0..=model.hyper.epochs {
        go_on()?;
        let begun = Instant::now();
        let train = if epoch == 0 {
            network.evaluate(&dataset.train)?
        } else {
            shuffle.shuffle(&mut order);
            network.train_epoch(&order, &mut draws, &go_on)?
        };
        states.push(state(network.as_ref(), dataset, epoch, train, begun)?);
        observer.epoch_finished(model, epoch);
    }
    Ok(Trained { model: model.clone(), states })
}

fn state(
    network: &dyn Network,
    dataset: &Dataset,
    epoch: usize,
    train: Metrics,
    begun: Instant,
) -> Result<State> {
    Ok(State {
        epoch,
        train,
        val: dataset.val.as_ref().map(|split| network.evaluate(split)).transpose()?,
        test: network.evaluate(&dataset.test)?,
        weights: network.weights()?,
        seconds: begun.elapsed().as_secs_f64(),
    })
}
