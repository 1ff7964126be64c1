//! Whole networks against PyTorch, and what an engine promises besides numbers.

use std::cell::Cell;

use candle_core::DType;
use serde::Deserialize;

use super::CandleEngine;
use super::batch::Batch;
use super::fixtures::{self, DRAWS, IMAGES, Summary, WEIGHTS, value};
use super::loss::Tally;
use super::network::CandleNetwork;
use crate::arch::{Arch, TensorKind};
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::train::{Engine, Network, Purpose, Stream, initial_weights};
use crate::zoo::{Activation, Hyper, Init, Optimizer};

fn split(arch: &Arch, images: usize) -> Split {
    let size: usize = arch.input().iter().product();
    let pixels = (0..images * size).map(|i| value(IMAGES, i) as f32);
    Split { images: pixels.collect(), labels: fixtures::labels(images) }
}

fn dataset(arch: &Arch, images: usize) -> Dataset {
    let (train, test) = (split(arch, images), split(arch, images));
    Dataset { name: "fixture", shape: arch.input(), classes: 10, train, val: None, test }
}

/// The weights the fixtures start from.
fn weights(arch: &Arch) -> Vec<f32> {
    let tensors = (WEIGHTS..).zip(arch.layout().tensors());
    tensors
        .flat_map(|(seed, tensor)| {
            (0..tensor.size).map(move |i| match tensor.kind {
                TensorKind::Weight => (value(seed, i) / 4.0) as f32,
                TensorKind::Bias => 0.01,
            })
        })
        .collect()
}

fn hyper(activation: &str, batch_size: usize) -> Hyper {
    Hyper {
        activation: Activation::by_name(activation).unwrap(),
        init: Init::KaimingUniform,
        optimizer: Optimizer::Adam,
        lr: 1e-3,
        weight_decay: 0.0,
        dropout: 0.0,
        momentum: 0.9,
        batch_size,
        epochs: 1,
        seed: 1,
    }
}

/// Never asks to stop.
fn go_on() -> Result<()> {
    Ok(())
}

#[derive(Deserialize)]
struct Case {
    arch: String,
    activation: String,
    batch: usize,
    dropout: f64,
    loss: f64,
    gradients: Vec<Summary>,
}

/// Every gradient of every architecture: in `f64` to 1e-9 of its norm, in `f32`
/// to 2e-5 (PyTorch's own `f32` is 1.2e-5 from its `f64` in one of them).
#[test]
fn gradients_agree_with_pytorch() {
    for case in fixtures::cases::<Case>("networks") {
        let arch = Arch::by_name(&case.arch).unwrap();
        let hyper = Hyper { dropout: case.dropout, ..hyper(&case.activation, case.batch) };
        let dataset = dataset(&arch, case.batch);
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 2e-5)] {
            let what = format!("{} {} {dtype:?}", case.arch, case.activation);
            let network =
                CandleNetwork::new(&arch, &hyper, &dataset, &weights(&arch), dtype).unwrap();
            let indices: Vec<u32> = (0..case.batch as u32).collect();
            let batch = Batch::gather(&dataset.train, arch.input(), &indices, dtype).unwrap();
            let mut draws = (0..).map(|i| ((value(DRAWS, i) + 1.0) / 2.0) as f32);
            let mut tally = Tally::default();
            let gradients =
                network.gradients(batch, &mut || draws.next().unwrap(), &mut tally).unwrap();
            let loss = tally.metrics().loss;
            assert!((loss - case.loss).abs() <= tolerance * case.loss, "{what}: {loss}");
            assert_eq!(network.parameters().len(), case.gradients.len());
            for (i, expected) in case.gradients.iter().enumerate() {
                let gradient = gradients.get(&network.parameters()[i]).unwrap();
                expected.check(gradient, tolerance, &format!("{what}: gradient {i}"));
            }
        }
    }
}

#[derive(Deserialize)]
struct Trajectory {
    arch: String,
    activation: String,
    optimizer: String,
    lr: f64,
    weight_decay: f64,
    momentum: f64,
    batch: usize,
    losses: Vec<f64>,
}

/// The first losses of a training run: a hundred in `f64` to 1e-9, fifty in `f32`
/// to 1e-5. Later, rounding may move the maximum of a pooling window to another
/// place, and with it a gradient: from there on two `f32` runs part.
#[test]
fn the_first_losses_agree_with_pytorch() {
    for case in fixtures::cases::<Trajectory>("trajectories") {
        let arch = Arch::by_name(&case.arch).unwrap();
        let hyper = Hyper {
            optimizer: Optimizer::by_name(&case.optimizer).unwrap(),
            lr: case.lr,
            weight_decay: case.weight_decay,
            momentum: case.momentum,
            ..hyper(&case.activation, case.batch)
        };
        let dataset = dataset(&arch, 8 * case.batch);
        for (dtype, steps, tolerance) in [(DType::F64, 100, 1e-9), (DType::F32, 50, 1e-5)] {
            let mut network =
                CandleNetwork::new(&arch, &hyper, &dataset, &weights(&arch), dtype).unwrap();
            let mut dropout = Stream::new(1, Purpose::Dropout);
            for (step, expected) in case.losses.iter().enumerate().take(steps) {
                let first = (step % 8 * case.batch) as u32;
                let order: Vec<u32> = (first..first + case.batch as u32).collect();
                let loss = network.train_epoch(&order, &mut dropout, &go_on).unwrap().loss;
                let error = (loss - expected).abs();
                assert!(error <= tolerance, "{} {dtype:?} {step}: {error:.1e}", case.arch);
            }
        }
    }
}

/// Weights and metrics, as bits, of two epochs on `order`.
fn train(arch: &Arch, hyper: &Hyper, dataset: &Dataset, order: &[u32]) -> Vec<u64> {
    let engine = CandleEngine::cpu();
    let start = initial_weights(arch.layout(), hyper);
    let mut network = engine.network(arch, hyper, dataset, &start).unwrap();
    let mut dropout = Stream::new(hyper.seed, Purpose::Dropout);
    let mut bits = Vec::new();
    for _ in 0..2 {
        let train = network.train_epoch(order, &mut dropout, &go_on).unwrap();
        let test = network.evaluate(&dataset.test).unwrap();
        let metrics = [train.loss, train.accuracy, test.loss, test.accuracy];
        bits.extend(metrics.map(f64::to_bits));
    }
    bits.extend(network.weights().unwrap().iter().map(|weight| u64::from(weight.to_bits())));
    bits
}

#[test]
fn training_replays_bit_for_bit_beside_others() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let dataset = dataset(&arch, 23);
    let hyper = Hyper { dropout: 0.3, ..hyper("gelu", 5) };
    let order: Vec<u32> = (0..23).rev().collect();
    let alone = train(&arch, &hyper, &dataset, &order);
    let together: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let run = || train(&arch, &hyper, &dataset, &order);
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(together.iter().all(|bits| *bits == alone));
}

#[test]
fn the_last_batch_may_be_smaller_and_an_epoch_may_be_empty() {
    let arch = Arch::by_name("cnn_m").unwrap();
    let dataset = dataset(&arch, 7);
    let hyper = hyper("relu", 3);
    let engine = CandleEngine::cpu();
    let start = weights(&arch);
    let mut network = engine.network(&arch, &hyper, &dataset, &start).unwrap();
    assert_eq!(network.weights().unwrap(), start);
    let mut dropout = Stream::new(1, Purpose::Dropout);
    assert!(network.train_epoch(&[], &mut dropout, &go_on).unwrap().loss.is_nan());
    let metrics = network.train_epoch(&[0, 1, 2, 3, 4, 5, 6], &mut dropout, &go_on).unwrap();
    assert!((metrics.accuracy * 7.0).fract().abs() < 1e-9, "{metrics:?}");
    assert_ne!(network.weights().unwrap(), start);
}

#[test]
fn a_network_that_diverges_says_so_in_numbers() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let dataset = dataset(&arch, 20);
    for optimizer in [Optimizer::Sgd, Optimizer::Adam] {
        for activation in Activation::NAMES {
            let hyper = Hyper { optimizer, lr: 1e30, ..hyper(activation, 5) };
            let engine = CandleEngine::cpu();
            let start = weights(&arch);
            let mut network = engine.network(&arch, &hyper, &dataset, &start).unwrap();
            let mut dropout = Stream::new(1, Purpose::Dropout);
            let order: Vec<u32> = (0..20).collect();
            for _ in 0..3 {
                network.train_epoch(&order, &mut dropout, &go_on).unwrap();
                network.evaluate(&dataset.test).unwrap();
            }
            let spoilt = vec![f32::NAN; start.len()];
            let network = engine.network(&arch, &hyper, &dataset, &spoilt).unwrap();
            let metrics = network.evaluate(&dataset.test).unwrap();
            assert!(metrics.loss.is_nan());
            let zeros = dataset.test.labels.iter().filter(|label| **label == 0).count();
            assert_eq!(metrics.accuracy, zeros as f64 / 20.0);
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let (data, hyper) = (dataset(&arch, 4), hyper("tanh", 2));
    let engine = CandleEngine::cpu();
    assert!(engine.network(&arch, &hyper, &data, &[0.0; 3]).is_err());
    let other = Arch::by_name("cnn_m").unwrap();
    assert!(engine.network(&other, &hyper, &data, &weights(&other)).is_err());
    let start = weights(&arch);
    let mut network = engine.network(&arch, &hyper, &data, &start).unwrap();
    let mut dropout = Stream::new(1, Purpose::Dropout);
    let error = network.train_epoch(&[4], &mut dropout, &go_on).unwrap_err();
    assert!(error.to_string().contains("`4`"), "{error}");
}

#[test]
fn a_network_goes_on_from_its_memory_bit_for_bit() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let dataset = dataset(&arch, 23);
    let order: Vec<u32> = (0..23).collect();
    let engine = CandleEngine::cpu();
    for optimizer in [Optimizer::Adam, Optimizer::Sgd] {
        let hyper = Hyper { optimizer, dropout: 0.2, ..hyper("tanh", 5) };
        let mut dropout = Stream::new(1, Purpose::Dropout);
        let mut whole = engine.network(&arch, &hyper, &dataset, &weights(&arch)).unwrap();
        whole.train_epoch(&order, &mut dropout, &go_on).unwrap();
        let start = whole.weights().unwrap();
        let mut resumed = engine.network(&arch, &hyper, &dataset, &start).unwrap();
        resumed.remember(&whole.memory().unwrap()).unwrap();
        let mut same_draws = dropout.clone();
        let metrics = whole.train_epoch(&order, &mut dropout, &go_on).unwrap();
        assert_eq!(resumed.train_epoch(&order, &mut same_draws, &go_on).unwrap(), metrics);
        assert_eq!(resumed.weights().unwrap(), whole.weights().unwrap());
        assert_eq!(resumed.memory().unwrap(), whole.memory().unwrap());

        let mut other = whole.memory().unwrap();
        other.moments[0].pop();
        assert!(resumed.remember(&other).is_err());
        other.moments.clear();
        assert!(resumed.remember(&other).is_err());
    }
}

#[test]
fn an_epoch_stops_between_batches() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let (dataset, hyper) = (dataset(&arch, 23), hyper("tanh", 5));
    let engine = CandleEngine::cpu();
    let mut network = engine.network(&arch, &hyper, &dataset, &weights(&arch)).unwrap();
    let batches = Cell::new(0);
    let stop_at_third = || {
        batches.set(batches.get() + 1);
        if batches.get() == 3 { Err(Error::invalid("enough")) } else { Ok(()) }
    };
    let order: Vec<u32> = (0..23).collect();
    let mut dropout = Stream::new(1, Purpose::Dropout);
    let error = network.train_epoch(&order, &mut dropout, &stop_at_third).unwrap_err();
    assert_eq!((error.to_string().as_str(), batches.get()), ("enough", 3));
}
