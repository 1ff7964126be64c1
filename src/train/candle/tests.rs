//! Whole networks against PyTorch.

use candle_core::DType;
use serde::Deserialize;

use super::CandleEngine;
use super::batch::Batch;
use super::fixtures::{
    self, DRAWS, NetworkCase, Summary, Trajectory, dataset, go_on, hyper, value, weights,
};
use super::loss::Tally;
use super::network::CandleNetwork;
use crate::arch::Arch;
use crate::dataset::{Augment, Dataset};
use crate::train::{
    Change, Draws, Engine, Network, Observer, Purpose, Stream, Trained, train_model,
};
use crate::zoo::{Hyper, Model, Optimizer, Scheduler};

/// Every gradient of every architecture: in `f64` to 1e-9 of its norm, in `f32`
/// to 2e-5 (PyTorch's own `f32` is 1.2e-5 from its `f64` in one of them).
#[test]
fn gradients_agree_with_pytorch() {
    for case in fixtures::cases::<NetworkCase>("networks") {
        let arch = Arch::by_name(&case.arch).unwrap();
        let hyper = Hyper { dropout: case.dropout, ..hyper(&case.activation, case.batch) };
        let dataset = dataset(&arch, case.batch);
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 2e-5)] {
            let what = format!("{} {} {dtype:?}", case.arch, case.activation);
            let network =
                CandleNetwork::new(&arch, &hyper, &dataset, &weights(&arch), dtype).unwrap();
            let indices: Vec<u32> = (0..case.batch as u32).collect();
            let batch = Batch::gather(&dataset.train, arch.input(), &indices, None, dtype).unwrap();
            let mut draws = (0..).map(|i| ((value(DRAWS, i) + 1.0) / 2.0) as f32);
            let mut tally = Tally::default();
            let gradients =
                network.gradients(batch, &mut || draws.next().unwrap(), &mut tally).unwrap();
            let loss = tally.metrics().loss;
            assert!((loss - case.loss).abs() <= tolerance * case.loss, "{what}: {loss}");
            assert_eq!(network.parameters().len(), case.gradients.len());
            for (i, expected) in case.gradients.iter().enumerate() {
                let gradient = gradients.get(network.parameters()[i]).unwrap();
                expected.check(gradient, tolerance, &format!("{what}: gradient {i}"));
            }
        }
    }
}

/// The first hundred losses of a training run in `f64`, to 1e-9.
#[test]
fn the_first_losses_agree_with_pytorch() {
    for case in fixtures::cases::<Trajectory>("trajectories") {
        let arch = Arch::by_name(&case.arch).unwrap();
        let hyper = case.hyper();
        let dataset = dataset(&arch, 8 * case.batch);
        let start = weights(&arch);
        let mut network = CandleNetwork::new(&arch, &hyper, &dataset, &start, DType::F64).unwrap();
        let mut draws = Draws::new(1);
        for (step, expected) in case.losses.iter().enumerate() {
            let order = case.batch(step);
            let loss = network.train_epoch(&order, &mut draws, &go_on).unwrap().loss;
            let error = (loss - expected).abs();
            assert!(error <= 1e-9, "{} {step}: {error:.1e}", case.arch);
        }
    }
}

#[derive(Deserialize)]
struct ResidualCase {
    arch: String,
    batch: usize,
    loss: f64,
    gradients: Vec<Summary>,
    statistics: Vec<Summary>,
    evaluated: f64,
}

/// Residual networks: every gradient, the running statistics after one batch, and
/// the loss in evaluation with these; in `f64` to 1e-9, in `f32` to 2e-5. One value
/// rounded to the other side of a `relu` in the last block of ResNet-18 moves all
/// gradients below by some thousandths, as it does in PyTorch.
#[test]
fn residual_networks_agree_with_pytorch() {
    for case in fixtures::cases::<ResidualCase>("residual_networks") {
        let arch = match case.arch.as_str() {
            "resnet_narrow" => Arch::narrow_resnet(),
            name => Arch::by_name(name).unwrap(),
        };
        let hyper = hyper("relu", case.batch);
        let dataset = dataset(&arch, case.batch);
        let single = if arch.name() == "resnet_narrow" { 2e-5 } else { 1e-2 };
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, single)] {
            let what = format!("{} {dtype:?}", case.arch);
            let network =
                CandleNetwork::new(&arch, &hyper, &dataset, &weights(&arch), dtype).unwrap();
            let indices: Vec<u32> = (0..case.batch as u32).collect();
            let batch = Batch::gather(&dataset.train, arch.input(), &indices, None, dtype).unwrap();
            let mut tally = Tally::default();
            let gradients = network.gradients(batch, &mut || 0.0, &mut tally).unwrap();
            let loss = tally.metrics().loss;
            assert!((loss - case.loss).abs() <= tolerance * case.loss, "{what}: {loss}");
            let parameters = network.parameters();
            assert_eq!(parameters.len(), case.gradients.len());
            for (i, expected) in case.gradients.iter().enumerate() {
                let gradient = gradients.get(parameters[i]).unwrap();
                expected.check(gradient, tolerance, &format!("{what}: gradient {i}"));
            }
            let statistics = network.statistics();
            assert_eq!(statistics.len(), case.statistics.len());
            for (i, (found, expected)) in statistics.iter().zip(&case.statistics).enumerate() {
                expected.check(found, tolerance, &format!("{what}: statistics {i}"));
            }
            let loss = network.evaluate(&dataset.train).unwrap().loss;
            let error = (loss - case.evaluated).abs() / case.evaluated;
            assert!(error <= tolerance, "{what}: evaluated {loss} ({error:.1e})");
        }
    }
}

/// A change of the data set's images is drawn from its own stream, in their order.
#[test]
fn augmented_images_are_those_that_were_drawn() {
    let arch = Arch::narrow_resnet();
    let hyper = hyper("relu", 4);
    let mut plain = dataset(&arch, 4);
    let augmented = Dataset {
        augment: Some(Augment::CropFlip { pad: 2 }),
        black: vec![-0.5, 0.0, 0.25],
        ..plain.clone()
    };
    let losses = |dataset: &Dataset, seed| {
        let engine = CandleEngine::cpu();
        let mut network = engine.network(&arch, &hyper, dataset, &weights(&arch)).unwrap();
        network.train_epoch(&[2, 0, 1, 3], &mut Draws::new(seed), &go_on).unwrap().loss
    };
    let mut stream = Stream::new(7, Purpose::Augment);
    let mut images = vec![Vec::new(); 4];
    for index in [2, 0, 1, 3] {
        let change = Change::draw(Augment::CropFlip { pad: 2 }, &mut stream);
        let image = plain.train.images[index * 192..][..192].chunks(64);
        for (plane, black) in image.zip(&augmented.black) {
            change.append(plane, 8, *black, &mut images[index]);
        }
    }
    assert_ne!(losses(&augmented, 7), losses(&plain, 7));
    assert_ne!(losses(&augmented, 7), losses(&augmented, 8));
    plain.train.images = images.concat();
    assert_eq!(losses(&augmented, 7), losses(&plain, 7));
}

/// Augmented, in one cycle, with batches of uneven size: the whole protocol of the
/// published ResNets on a small scale.
#[test]
fn a_residual_network_learns_and_replays() {
    let arch = Arch::narrow_resnet();
    let mut digits = crate::dataset::load("digits", arch.input(), None).unwrap();
    digits.augment = Some(Augment::CropFlip { pad: 1 });
    let hyper = Hyper {
        optimizer: Optimizer::Sgd,
        scheduler: Scheduler::OneCycle,
        lr: 0.1,
        weight_decay: 5e-4,
        epochs: 8,
        ..hyper("relu", 25)
    };
    let model = Model::new("small", 0, "digits", arch.name(), hyper);
    let run = || {
        let engine = CandleEngine::cpu();
        train_model(&engine, &arch, &digits, &model, None, &Blind, &|| false).unwrap()
    };
    let trained = run();
    let accuracy: Vec<f64> = trained.states.iter().map(|state| state.test.accuracy).collect();
    assert!(accuracy[0] < 0.3 && accuracy[8] > 0.7, "{accuracy:?}");
    let weights = |trained: &Trained| trained.states[8].weights.clone();
    assert_eq!(weights(&run()), weights(&trained));
}

/// Watches nothing.
struct Blind;

impl Observer for Blind {
    fn epoch_finished(&self, _model: &Model, _epoch: usize) {}
}
