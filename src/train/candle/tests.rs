//! Whole networks against PyTorch.

use candle_core::DType;

use super::batch::Batch;
use super::fixtures::{
    self, DRAWS, NetworkCase, Trajectory, dataset, go_on, hyper, value, weights,
};
use super::loss::Tally;
use super::network::CandleNetwork;
use crate::arch::Arch;
use crate::train::{Network, Purpose, Stream};
use crate::zoo::{Hyper, Optimizer};

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
