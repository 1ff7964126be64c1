//! Models in lockstep: which ones, and their common course.

use std::time::Instant;

use super::course::unshuffled;
use super::engine::{Engine, Together};
use super::init::initial_weights;
use super::progress::Observer;
use super::state::{State, Trained};
use super::stream::{Draws, Purpose, Stream};
use super::work::Workplace;
use crate::arch::Arch;
use crate::dataset::Dataset;
use crate::error::{Error, Kind, Result};
use crate::zoo::Model;

/// `models` in groups that train at the same time, in the order of their first
/// ones: single models, unless `engine` gains by training several together. Long models are
/// left alone: each can keep its epochs on disk, where a population has all states in memory.
pub(super) fn groups<'m>(
    engine: &dyn Engine,
    arch: &Arch,
    models: &'m [Model],
) -> Vec<Vec<&'m Model>> {
    let Some(together) = engine.together() else {
        return models.iter().map(|model| vec![model]).collect();
    };
    let mut alike: Vec<Vec<&Model>> = Vec::new();
    let size = arch.layout().size();
    for model in models {
        let fits = |group: &&mut Vec<&Model>| group[0].hyper.trains_with(&model.hyper);
        match alike.iter_mut().find(fits) {
            Some(group) if !Workplace::is_long(model, size) => group.push(model),
            _ => alike.push(vec![model]),
        }
    }
    let cut = |group: Vec<&'m Model>| {
        let room = together.room(arch, &group[0].hyper).get();
        // Of equal size, rather than a small one at the end.
        let size = group.len().div_ceil(group.len().div_ceil(room));
        group.chunks(size).map(<[_]>::to_vec).collect::<Vec<_>>()
    };
    alike.into_iter().flat_map(cut).collect()
}

/// How many of `models` train at the same time on one thread, or in one population, at most.
pub fn members(engine: &dyn Engine, arch: &Arch, models: &[Model]) -> usize {
    groups(engine, arch, models).iter().map(Vec::len).max().unwrap_or(1)
}

/// Trains the `models` of a group, each to the same end as
/// [`train_model`](super::train_model) would to rounding. The `seconds` of an
/// epoch are those of all of them.
///
/// # Errors
/// As that; `Interrupted` if `should_stop` said so before a batch: no model is finished
/// before the others.
pub(super) fn train_together(
    together: &dyn Together,
    arch: &Arch,
    dataset: &Dataset,
    models: &[&Model],
    observer: &dyn Observer,
    should_stop: &dyn Fn() -> bool,
) -> Result<Vec<Trained>> {
    arch.check_classes(&dataset.name, dataset.classes)?;
    let hypers: Vec<_> = models.iter().map(|model| &model.hyper).collect();
    let weights: Vec<_> =
        hypers.iter().map(|hyper| initial_weights(arch.layout(), hyper)).collect();
    let mut population = together.population(arch, hypers, dataset, &weights)?;
    let seeds = || models.iter().map(|model| model.hyper.seed);
    let mut shuffles: Vec<Stream> =
        seeds().map(|seed| Stream::new(seed, Purpose::Shuffle)).collect();
    let mut draws: Vec<Draws> = seeds().map(Draws::new).collect();
    let mut orders = vec![unshuffled(dataset)?; models.len()];
    let mut trained: Vec<Trained> =
        models.iter().map(|&model| Trained { model: model.clone(), states: Vec::new() }).collect();
    let go_on = || {
        let stopped = || Error::new(Kind::Interrupted, "stopped training a population");
        if should_stop() { Err(stopped()) } else { Ok(()) }
    };
    for epoch in 0..=models.first().map_or(0, |model| model.hyper.epochs) {
        go_on()?;
        let begun = Instant::now();
        let train = if epoch == 0 {
            population.evaluate(&dataset.train)?
        } else {
            shuffles
                .iter_mut()
                .zip(&mut orders)
                .for_each(|(shuffle, order)| shuffle.shuffle(order));
            let orders: Vec<&[u32]> = orders.iter().map(Vec::as_slice).collect();
            population.train_epoch(&orders, &mut draws, &go_on)?
        };
        let val = dataset.val.as_ref().map(|split| population.evaluate(split)).transpose()?;
        let test = population.evaluate(&dataset.test)?;
        let weights = population.weights()?;
        let seconds = begun.elapsed().as_secs_f64();
        for (member, (trained, weights)) in trained.iter_mut().zip(weights).enumerate() {
            let (train, test, weights) = (train[member], test[member], weights.into());
            let val = val.as_ref().map(|val| val[member]);
            trained.states.push(State { epoch, train, val, test, weights, seconds });
            observer.epoch_finished(&trained.model, epoch);
        }
    }
    Ok(trained)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{CandleEngine, PopulationEngine};
    use crate::zoo::Zoo;
    use std::num::NonZero;

    #[test]
    fn groups_are_alike_of_one_size_and_complete() {
        let spec = "name = \"g\"\ndataset = \"digits\"\narch = \"cnn_s\"\nepochs = 1\n\
            seeds = { from = 1, to = 5 }\n[hyper]\nactivation = [\"tanh\", \"relu\"]\n\
            init = \"normal\"\noptimizer = \"adam\"\nlr = 1e-3\ndropout = [0, 0.1]\n";
        let zoo = Zoo::from_toml(spec).unwrap();
        let models = zoo.models();
        let single = groups(&CandleEngine::cpu(), zoo.arch(), &models);
        assert!(single.len() == 20 && single.iter().all(|group| group.len() == 1));
        let engine = PopulationEngine::cpu().with_members(NonZero::new(4).unwrap());
        let long = Zoo::from_toml(&spec.replace("epochs = 1", "epochs = 7000")).unwrap();
        let long_models = long.models();
        let alone = groups(&engine, long.arch(), &long_models);
        assert!(alone.len() == 20 && alone.iter().all(|group| group.len() == 1), "long models");
        let found = groups(&engine, zoo.arch(), &models);
        let sizes: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 2, 3, 2, 3, 2, 3, 2]);
        for group in &found {
            assert!(group.iter().all(|model| group[0].hyper.trains_with(&model.hyper)));
        }
        let mut ids: Vec<i64> = found.concat().iter().map(|model| model.id).collect();
        ids.sort_unstable();
        let mut all: Vec<i64> = models.iter().map(|model| model.id).collect();
        all.sort_unstable();
        assert_eq!(ids, all);
    }
}
