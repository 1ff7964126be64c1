//! Whole networks against PyTorch and against the candle engine.

use candle_core::{Device, Tensor};

use super::loss::Tally;
use super::network::KernelNetwork;
use super::{Isa, KernelEngine};
use crate::arch::{Arch, Layer, conv};
use crate::dataset::{Augment, Dataset};
use crate::train::candle::fixtures::{
    self, DRAWS, NetworkCase, dataset, go_on, hyper, value, weights,
};
use crate::train::{CandleEngine, Draws, Engine};
use crate::zoo::{Activation, Hyper, Optimizer, Scheduler};

/// Every gradient of every published architecture and activation against float64:
/// to 1e-5 of its norm, but for one network for which PyTorch's own `f32` is no
/// closer than 1.2e-5.
#[test]
fn gradients_agree_with_pytorch() {
    for case in fixtures::cases::<NetworkCase>("networks") {
        let arch = Arch::by_name(&case.arch).unwrap();
        let hyper = Hyper { dropout: case.dropout, ..hyper(&case.activation, case.batch) };
        let dataset = dataset(&arch, case.batch);
        let indices: Vec<u32> = (0..case.batch as u32).collect();
        let hardest = case.arch == "cnn_s" && case.activation == "relu";
        let tolerance = if hardest { 1.5e-5 } else { 1e-5 };
        for isa in Isa::available() {
            let what = format!("{} {} {}", case.arch, case.activation, isa.name());
            let start = weights(&arch);
            let mut network = KernelNetwork::new(isa, &arch, &hyper, &dataset, &start).unwrap();
            let (mut drawn, mut tally) = (0, Tally::default());
            let mut draws = |bytes: &mut [u8]| {
                for bytes in bytes.as_chunks_mut::<4>().0 {
                    let draw = (value(DRAWS, drawn) + 1.0) / 2.0 * f64::from(1 << 24);
                    *bytes = ((draw as u32) << 8).to_le_bytes();
                    drawn += 1;
                }
            };
            network.step(&indices, &mut Draws::new(1).augment, &mut draws, &mut tally).unwrap();
            let loss = tally.metrics().loss;
            assert!((loss - case.loss).abs() <= 1e-6 * case.loss, "{what}: {loss}");
            let tensors = arch.layout().tensors().iter().zip(&case.gradients);
            for (tensor, expected) in tensors {
                let gradient = &network.gradient()[tensor.range()];
                let gradient = Tensor::from_slice(gradient, tensor.size, &Device::Cpu).unwrap();
                expected.check(&gradient, tolerance, &format!("{what}: {}", tensor.name));
            }
        }
    }
}

/// Every gradient of one batch of `size`, by both engines: what a step of plain
/// descent with learning rate 1 takes from the weights.
fn gradients(
    engine: &dyn Engine,
    arch: &Arch,
    hyper: &Hyper,
    size: usize,
    augment: Option<Augment>,
) -> Vec<f32> {
    let hyper = Hyper {
        optimizer: Optimizer::Sgd,
        lr: 1.0,
        momentum: 0.0,
        batch_size: size,
        ..hyper.clone()
    };
    let black = vec![-0.4; arch.input()[0]];
    let dataset = Dataset { augment, black, ..dataset(arch, size) };
    let start = weights(arch);
    let mut network = engine.network(arch, &hyper, &dataset, &start).unwrap();
    let order: Vec<u32> = (0..size as u32).rev().collect();
    let mut draws = Draws::new(3);
    network.train_epoch(&order, &mut draws, &go_on).unwrap();
    start.iter().zip(network.weights().unwrap()).map(|(before, after)| before - after).collect()
}

#[test]
fn batches_of_any_size_agree_with_the_candle_engine() {
    let candle = CandleEngine::cpu();
    let changes =
        [None, Some(Augment::CropFlip { pad: 2 }), Some(Augment::FlipRotate { degrees: 20.0 })];
    for (name, sizes) in [
        ("cnn_s", vec![1, 2, 3, 5, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 40, 64, 70]),
        ("cnn_s_rgb", vec![4, 11]),
        ("cnn_m", vec![1, 6, 10, 13, 32, 45]),
    ] {
        let arch = Arch::by_name(name).unwrap();
        for size in sizes {
            let dropout = if size % 2 == 0 { 0.0 } else { 0.4 };
            let hyper = Hyper { dropout, ..hyper("tanh", size) };
            for augment in changes {
                let expected = gradients(&candle, &arch, &hyper, size, augment);
                for isa in Isa::available() {
                    let found = gradients(&KernelEngine::new(isa), &arch, &hyper, size, augment);
                    let what = format!("{name} {size} {augment:?} {}", isa.name());
                    compare(&arch, &found, &expected, &what);
                }
            }
        }
    }
}

/// Rows and columns that pooling drops in the first block and in a later one, of images that are
/// no squares.
#[test]
fn odd_sides_agree_with_the_candle_engine() {
    let fc = Layer::Linear { name: "fc", in_features: 12, out_features: 10 };
    let candle = CandleEngine::cpu();
    for (height, width) in [(14, 17), (15, 16), (14, 16), (15, 17)] {
        // 11 or 12 x 13 or 14, pooled to 5 or 6 x 6 or 7; then 3 or 4 x 4 or 5, pooled to 1 or 2 x 2.
        let mut layers = vec![conv("conv1", 2, 5, 4), Layer::MaxPool2d, Layer::Activation];
        let pooled = [height, width].map(|side: usize| ((side - 3) / 2 - 2) / 2);
        let channels = 12 / (pooled[0] * pooled[1]);
        layers.extend([conv("conv2", 5, channels, 3), Layer::MaxPool2d, Layer::Activation]);
        layers.extend([Layer::Dropout, Layer::Flatten, fc.clone()]);
        let arch = Arch::of_layers([2, height, width], 10, layers);
        for size in [1, 9, 32] {
            let hyper = Hyper { dropout: 0.3, ..hyper("gelu", size) };
            let expected = gradients(&candle, &arch, &hyper, size, None);
            for isa in Isa::available() {
                let found = gradients(&KernelEngine::new(isa), &arch, &hyper, size, None);
                compare(
                    &arch,
                    &found,
                    &expected,
                    &format!("{height} {width} {size} {}", isa.name()),
                );
            }
        }
    }
}

/// Tensor by tensor, to 3e-5 of the norm.
fn compare(arch: &Arch, found: &[f32], expected: &[f32], what: &str) {
    let norm = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
    };
    for tensor in arch.layout().tensors() {
        let (found, expected) = (&found[tensor.range()], &expected[tensor.range()]);
        let difference = found.iter().zip(expected).map(|(a, b)| a - b);
        let error = norm(&mut { difference }) / norm(&mut expected.iter().copied());
        assert!(error < 3e-5, "{what} {}: {error:.1e}", tensor.name);
    }
}

/// Five epochs with dropout beside the candle engine for every activation, a hundred steps;
/// and one, in one cycle, for both optimisers. Later the two part by rounding.
#[test]
fn a_hundred_losses_agree_with_the_candle_engine() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let dataset = dataset(&arch, 200);
    let order: Vec<u32> = (0..200).collect();
    let losses = |engine: &dyn Engine, hyper: &Hyper| -> Vec<f64> {
        let mut network = engine.network(&arch, hyper, &dataset, &weights(&arch)).unwrap();
        let mut draws = Draws::new(1);
        let batches = order.chunks(hyper.batch_size).cycle().take(20 * hyper.epochs);
        batches.map(|batch| network.train_epoch(batch, &mut draws, &go_on).unwrap().loss).collect()
    };
    let constant = |activation| Hyper {
        dropout: 0.25,
        weight_decay: 1e-3,
        epochs: 5,
        ..hyper(activation, 10)
    };
    let (scheduler, epochs) = (Scheduler::OneCycle, 1);
    let in_one_cycle = |optimizer| Hyper { optimizer, scheduler, epochs, ..constant("tanh") };
    let cycles = [Optimizer::Adam, Optimizer::Sgd].map(in_one_cycle);
    for hyper in Activation::NAMES.iter().map(|name| constant(name)).chain(cycles) {
        let expected = losses(&CandleEngine::cpu(), &hyper);
        for isa in Isa::available() {
            let found = losses(&KernelEngine::new(isa), &hyper);
            for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let error = (found - expected).abs();
                assert!(error <= 2e-5, "{hyper:?} {} {step}: {error:.1e}", isa.name());
            }
        }
    }
}

#[test]
fn evaluation_agrees_with_the_candle_engine() {
    for name in ["cnn_s", "cnn_m"] {
        let arch = Arch::by_name(name).unwrap();
        let dataset = dataset(&arch, 37);
        for activation in Activation::NAMES {
            let hyper = hyper(activation, 10);
            let evaluate = |engine: &dyn Engine| {
                let network = engine.network(&arch, &hyper, &dataset, &weights(&arch)).unwrap();
                network.evaluate(&dataset.test).unwrap()
            };
            let expected = evaluate(&CandleEngine::cpu());
            for isa in Isa::available() {
                let found = evaluate(&KernelEngine::new(isa));
                assert!((found.loss - expected.loss).abs() < 1e-6, "{name} {activation}");
                assert_eq!(found.accuracy, expected.accuracy, "{name} {activation}");
            }
        }
    }
}
