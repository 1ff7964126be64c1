//! Whole networks against PyTorch and against the reference engine, and members
//! against the same networks alone.

use std::num::NonZero;

use candle_core::DType;

use super::PopulationEngine;
use super::dropout::Uniforms;
use super::lockstep::Lockstep;
use crate::arch::Arch;
use crate::dataset::{Augment, Dataset};
use crate::train::candle::fixtures::{
    self, DRAWS, NetworkCase, Summary, Trajectory, dataset, go_on, hyper, value, weights,
};
use crate::train::{CandleEngine, Draws, Engine, Metrics, Population, Together};
use crate::zoo::{Activation, Hyper, Optimizer};

/// Weights that are not those of the fixtures.
fn other_weights(arch: &Arch) -> Vec<f32> {
    weights(arch).iter().map(|weight| 0.02 - weight).collect()
}

/// Every gradient of every architecture, of the second of two members: in `f64` to
/// 1e-9 of its norm, in `f32` to 2e-5, as the reference engine.
#[test]
fn gradients_agree_with_pytorch() {
    let engine = PopulationEngine::cpu();
    for case in fixtures::cases::<NetworkCase>("networks") {
        let arch = Arch::by_name(&case.arch).unwrap();
        let hyper = Hyper { dropout: case.dropout, ..hyper(&case.activation, case.batch) };
        let dataset = dataset(&arch, case.batch);
        let start = [other_weights(&arch), weights(&arch)];
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 2e-5)] {
            let what = format!("{} {} {dtype:?}", case.arch, case.activation);
            let hypers = vec![&hyper, &hyper];
            let networks = Lockstep::new(&engine, dtype, &arch, hypers, &dataset, &start).unwrap();
            let order: Vec<u32> = (0..case.batch as u32).collect();
            let (batch, mut tally) = (networks.first_batch(&[&order, &order]), networks.tally());
            let mut numbers = (0..).map(|i| ((value(DRAWS, i) + 1.0) / 2.0) as f32);
            let mut draws: Uniforms<'_> =
                vec![Box::new(|| 0.5), Box::new(|| numbers.next().unwrap())];
            let tally = tally.as_mut().unwrap();
            let (gradients, _) = networks.gradients(batch.unwrap(), &mut draws, tally).unwrap();
            let loss = tally.metrics().unwrap()[1].loss;
            assert!((loss - case.loss).abs() <= tolerance * case.loss, "{what}: {loss}");
            assert_eq!(gradients.len(), case.gradients.len());
            for (i, (found, expected)) in gradients.iter().zip(&case.gradients).enumerate() {
                let found = found.as_ref().unwrap().get(1).unwrap();
                expected.check(&found, tolerance, &format!("{what}: gradient {i}"));
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct ResidualCase {
    arch: String,
    batch: usize,
    loss: f64,
    gradients: Vec<Summary>,
    statistics: Vec<Summary>,
    evaluated: f64,
}

/// A residual network, the second of two members: every gradient, the running
/// statistics after one batch, and the loss in evaluation with these; in `f64` to
/// 1e-9, in `f32` to 2e-5.
#[test]
fn residual_networks_agree_with_pytorch() {
    let engine = PopulationEngine::cpu();
    let cases = fixtures::cases::<ResidualCase>("residual_networks");
    let case = cases.into_iter().find(|case| case.arch == "resnet_narrow").unwrap();
    let arch = Arch::narrow_resnet();
    // Nothing moves but the running statistics.
    let hyper = Hyper { lr: 1e-30, ..hyper("relu", case.batch) };
    let dataset = dataset(&arch, case.batch);
    let start = [other_weights(&arch), weights(&arch)];
    let order: Vec<u32> = (0..case.batch as u32).collect();
    for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 2e-5)] {
        let hypers = vec![&hyper, &hyper];
        let mut networks = Lockstep::new(&engine, dtype, &arch, hypers, &dataset, &start).unwrap();
        let (batch, mut tally) = (networks.first_batch(&[&order, &order]), networks.tally());
        let mut draws: Uniforms<'_> = vec![Box::new(|| 0.5), Box::new(|| 0.5)];
        let tally = tally.as_mut().unwrap();
        let (gradients, followed) = networks.gradients(batch.unwrap(), &mut draws, tally).unwrap();
        let loss = tally.metrics().unwrap()[1].loss;
        assert!((loss - case.loss).abs() <= tolerance * case.loss, "{dtype:?}: {loss}");
        for (found, expected) in [(gradients, &case.gradients), (followed, &case.statistics)] {
            let found: Vec<_> = found.into_iter().flatten().collect();
            assert_eq!(found.len(), expected.len());
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                expected.check(&found.get(1).unwrap(), tolerance, &format!("{dtype:?} {i}"));
            }
        }
        let mut streams = [1, 2].map(Draws::new);
        networks.train_epoch(&[&order, &order], &mut streams, &go_on).unwrap();
        let loss = networks.evaluate(&dataset.train).unwrap()[1].loss;
        let error = (loss - case.evaluated).abs() / case.evaluated;
        assert!(error <= tolerance, "{dtype:?}: evaluated {loss} ({error:.1e})");
        let moved =
            networks.weights().unwrap()[1].iter().zip(&start[1]).filter(|(a, b)| a != b).count();
        assert_eq!(moved, arch.layout().size() - arch.layout().num_params());
    }
}

/// The first hundred losses of a training run in `f64`, of the first of two members
/// that part, to 1e-9.
#[test]
fn the_first_losses_agree_with_pytorch() {
    let engine = PopulationEngine::cpu();
    for case in fixtures::cases::<Trajectory>("trajectories") {
        let arch = Arch::by_name(&case.arch).unwrap();
        let hyper = case.hyper();
        let other = Hyper { lr: 2.0 * case.lr, weight_decay: 0.5, momentum: 0.1, ..hyper.clone() };
        let dataset = dataset(&arch, 8 * case.batch);
        let start = [weights(&arch), other_weights(&arch)];
        let hypers = vec![&hyper, &other];
        let mut networks =
            Lockstep::new(&engine, DType::F64, &arch, hypers, &dataset, &start).unwrap();
        let mut draws = [1, 2].map(Draws::new);
        for (step, expected) in case.losses.iter().enumerate() {
            let order = case.batch(step);
            let metrics = networks.train_epoch(&[&order, &order], &mut draws, &go_on).unwrap();
            let error = (metrics[0].loss - expected).abs();
            assert!(error <= 1e-9, "{} {step}: {error:.1e}", case.arch);
            assert_ne!(metrics[0].loss, metrics[1].loss);
        }
    }
}

/// Three models that differ in all that members may differ in.
fn three(activation: &str, optimizer: Optimizer, dropout: f64) -> [Hyper; 3] {
    let hyper = Hyper { optimizer, dropout, ..hyper(activation, 5) };
    let second = Hyper { lr: 3e-4, seed: 2, dropout: dropout / 2.0, ..hyper.clone() };
    let third = Hyper { weight_decay: 1e-2, momentum: 0.5, seed: 3, ..hyper.clone() };
    [hyper, second, third]
}

/// Another order for each member.
fn orders(images: u32) -> [Vec<u32>; 3] {
    [1, 3, 5].map(|step| (0..images).map(|i| i * step % images).collect())
}

/// Metrics of two epochs and the weights after them.
type Outcome = (Vec<Metrics>, Vec<f32>);

fn alone(
    engine: &dyn Engine,
    arch: &Arch,
    hyper: &Hyper,
    dataset: &Dataset,
    order: &[u32],
) -> Outcome {
    let mut network = engine.network(arch, hyper, dataset, &weights(arch)).unwrap();
    let mut draws = Draws::new(hyper.seed);
    let mut metrics = vec![network.evaluate(&dataset.train).unwrap()];
    for _ in 0..2 {
        metrics.push(network.train_epoch(order, &mut draws, &go_on).unwrap());
        metrics.push(network.evaluate(&dataset.test).unwrap());
    }
    (metrics, network.weights().unwrap())
}

fn together(
    arch: &Arch,
    hypers: &[Hyper; 3],
    dataset: &Dataset,
    orders: &[Vec<u32>; 3],
) -> Vec<Outcome> {
    let engine = PopulationEngine::cpu();
    let start = vec![weights(arch); 3];
    let mut population = engine.population(arch, hypers.iter().collect(), dataset, &start).unwrap();
    let mut draws: Vec<Draws> = hypers.iter().map(|hyper| Draws::new(hyper.seed)).collect();
    let orders: Vec<&[u32]> = orders.iter().map(Vec::as_slice).collect();
    let mut metrics = vec![population.evaluate(&dataset.train).unwrap()];
    for _ in 0..2 {
        metrics.push(population.train_epoch(&orders, &mut draws, &go_on).unwrap());
        metrics.push(population.evaluate(&dataset.test).unwrap());
    }
    let weights = population.weights().unwrap();
    let of = |member: usize| metrics.iter().map(|metrics| metrics[member]).collect();
    weights.into_iter().enumerate().map(|(member, weights)| (of(member), weights)).collect()
}

fn assert_close(found: &Outcome, expected: &Outcome, what: &str) {
    for (found, expected) in found.0.iter().zip(&expected.0) {
        let error = (found.loss - expected.loss).abs();
        assert!(error <= 1e-5 * expected.loss, "{what}: {found:?}, not {expected:?}");
        assert!((found.accuracy - expected.accuracy).abs() < 1e-9, "{what}: {found:?}");
    }
    let distance: f32 = found.1.iter().zip(&expected.1).map(|(x, y)| (x - y) * (x - y)).sum();
    assert!(distance.sqrt() < 1e-3, "{what}: weights are {} apart", distance.sqrt());
}

/// Networks together, networks alone and the reference engine, over two epochs
/// whose last batch is smaller, with and without dropout and augmentation.
#[test]
fn members_train_as_they_would_alone() {
    let crop = Some(Augment::CropFlip { pad: 3 });
    for (arch, activation, optimizer, dropout, augment) in [
        ("cnn_s", "gelu", Optimizer::Adam, 0.4, None),
        ("cnn_s", "tanh", Optimizer::Sgd, 0.0, None),
        ("cnn_m", "silu", Optimizer::Adam, 0.2, crop),
    ] {
        let arch = Arch::by_name(arch).unwrap();
        let black = vec![-0.5, 0.0, 0.5];
        let dataset = Dataset { augment, black, ..dataset(&arch, 17) };
        let orders = orders(17);
        let hypers = three(activation, optimizer, dropout);
        let found = together(&arch, &hypers, &dataset, &orders);
        for ((hyper, order), found) in hypers.iter().zip(&orders).zip(&found) {
            let what = format!("{} {activation} {}", arch.name(), hyper.seed);
            let single = alone(&PopulationEngine::cpu(), &arch, hyper, &dataset, order);
            assert_close(found, &single, &what);
            let reference = alone(&CandleEngine::cpu(), &arch, hyper, &dataset, order);
            assert_close(found, &reference, &format!("{what}, reference"));
        }
        assert_ne!(found[0].1, found[1].1);
    }
}

#[test]
fn a_member_that_diverges_touches_no_other() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let (dataset, orders) = (dataset(&arch, 17), orders(17));
    for optimizer in [Optimizer::Sgd, Optimizer::Adam] {
        for activation in Activation::NAMES {
            let sound = three(activation, optimizer, 0.0);
            let mut spoilt = sound.clone();
            spoilt[1].lr = 1e30;
            let expected = together(&arch, &sound, &dataset, &orders);
            let found = together(&arch, &spoilt, &dataset, &orders);
            assert_eq!((&found[0], &found[2]), (&expected[0], &expected[2]), "{activation}");
            assert_ne!(found[1].1, expected[1].1);
        }
    }
}

#[test]
fn members_that_do_not_fit_are_an_error() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let (data, hyper) = (dataset(&arch, 4), hyper("tanh", 2));
    let engine = PopulationEngine::cpu();
    let both = vec![weights(&arch), weights(&arch)];
    assert!(engine.population(&arch, vec![], &data, &[]).is_err());
    assert!(engine.population(&arch, vec![&hyper], &data, &both).is_err());
    let other = Hyper { batch_size: 3, ..hyper.clone() };
    assert!(engine.population(&arch, vec![&hyper, &other], &data, &both).is_err());
    let mut wrong = data.clone();
    wrong.test.labels[3] = 10;
    assert!(engine.population(&arch, vec![&hyper, &hyper], &wrong, &both).is_err());

    let mut population = engine.population(&arch, vec![&hyper, &hyper], &data, &both).unwrap();
    let mut draws = [1, 2].map(Draws::new);
    let mut train = |orders: &[&[u32]]| population.train_epoch(orders, &mut draws, &go_on);
    assert!(train(&[&[0]]).is_err());
    assert!(train(&[&[0, 1], &[0]]).is_err());
    assert!(train(&[&[0], &[4]]).unwrap_err().to_string().contains("`4`"));
    assert!(train(&[&[0], &[3]]).is_ok());
}

#[test]
fn a_population_is_as_large_as_memory_lets_it_be() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let engine = PopulationEngine::cpu();
    let (few, many) =
        (engine.room(&arch, &hyper("tanh", 10)), engine.room(&arch, &hyper("tanh", 1)));
    assert!(few < many, "{few} {many}");
    let huge = hyper("tanh", 1_000_000);
    assert_eq!(engine.room(&arch, &huge), NonZero::<usize>::MIN);
    let seven = NonZero::new(7).unwrap();
    assert_eq!(engine.with_members(seven).room(&arch, &huge), seven);
}
