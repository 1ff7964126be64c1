//! What PyTorch says, for the tests: `tests/fixtures/gradients`, written by
//! `python/make_gradient_fixtures.py`, and the inputs that belong to it.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::arch::{Arch, TensorKind};
use crate::dataset::{Dataset, Split};
use crate::zoo::{Activation, Hyper, Init, Optimizer, Scheduler};

pub(in crate::train) const IMAGES: u32 = 1;
pub(in crate::train) const LABELS: u32 = 2;
pub(in crate::train) const DRAWS: u32 = 3;
const PROBE: u32 = 4;
pub(in crate::train) const UPSTREAM: u32 = 5;
pub(in crate::train) const WEIGHTS: u32 = 100;

/// The `i`-th of a fixed sequence of numbers in [-1, 1), exact in `f32`.
pub(in crate::train) fn value(seed: u32, i: usize) -> f64 {
    let i = (i as u32).wrapping_add(1);
    let z = i.wrapping_mul(0x9E37_79B1).wrapping_add(seed.wrapping_mul(0x85EB_CA77));
    let z = (z ^ (z >> 15)).wrapping_mul(0x2C1B_3C6D);
    let z = (z ^ (z >> 12)).wrapping_mul(0x297A_2D39);
    let z = z ^ (z >> 15);
    f64::from(z >> 8) / f64::from(1 << 23) - 1.0
}

pub(in crate::train) fn values(seed: u32, shape: &[usize]) -> Tensor {
    let values: Vec<f64> = (0..shape.iter().product()).map(|i| value(seed, i)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(in crate::train) fn labels(n: usize) -> Vec<u32> {
    (0..n).map(|i| ((value(LABELS, i) + 1.0) / 2.0 * 10.0) as u32).collect()
}

pub(in crate::train) fn split(arch: &Arch, images: usize) -> Split {
    let size: usize = arch.input().iter().product();
    let pixels = (0..images * size).map(|i| value(IMAGES, i) as f32);
    Split { images: pixels.collect(), labels: labels(images) }
}

pub(in crate::train) fn dataset(arch: &Arch, images: usize) -> Dataset {
    let (train, test) = (split(arch, images), split(arch, images));
    Dataset {
        name: "fixture".to_owned(),
        shape: arch.input(),
        classes: 10,
        train,
        val: None,
        test,
        augment: None,
        black: vec![0.0; arch.input()[0]],
    }
}

/// The weights the fixtures start from.
pub(in crate::train) fn weights(arch: &Arch) -> Vec<f32> {
    let tensors = (WEIGHTS..).zip(arch.layout().tensors());
    tensors
        .flat_map(|(seed, tensor)| {
            (0..tensor.size).map(move |i| match tensor.kind {
                TensorKind::Weight | TensorKind::Shift => (value(seed, i) / 4.0) as f32,
                TensorKind::Scale => (1.0 + value(seed, i) / 4.0) as f32,
                TensorKind::Bias => 0.01,
                TensorKind::Mean => 0.0,
                TensorKind::Variance => 1.0,
            })
        })
        .collect()
}

pub(in crate::train) fn hyper(activation: &str, batch_size: usize) -> Hyper {
    Hyper {
        activation: Activation::by_name(activation).unwrap(),
        init: Init::KaimingUniform,
        optimizer: Optimizer::Adam,
        scheduler: Scheduler::Constant,
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
pub(in crate::train) fn go_on() -> crate::Result<()> {
    Ok(())
}

/// The cases of one kind of fixture.
pub(in crate::train) fn cases<T: DeserializeOwned>(kind: &str) -> Vec<T> {
    let text = match kind {
        "boundaries" => include_str!("../../../tests/fixtures/gradients/boundaries.json"),
        "cross_entropy" => include_str!("../../../tests/fixtures/gradients/cross_entropy.json"),
        "layers" => include_str!("../../../tests/fixtures/gradients/layers.json"),
        "networks" => include_str!("../../../tests/fixtures/gradients/networks.json"),
        "residual_networks" => {
            include_str!("../../../tests/fixtures/gradients/residual_networks.json")
        }
        "optimizers" => include_str!("../../../tests/fixtures/gradients/optimizers.json"),
        "trajectories" => include_str!("../../../tests/fixtures/gradients/trajectories.json"),
        _ => panic!("no fixtures called {kind}"),
    };
    serde_json::from_str(text).unwrap()
}

/// Enough of a tensor to tell it from any other.
#[derive(Deserialize)]
pub(in crate::train) struct Summary {
    size: usize,
    norm: f64,
    dot: f64,
    first: Vec<f64>,
}

impl Summary {
    /// Holds `tensor` against this; errors may be `tolerance` times the norm.
    pub(in crate::train) fn check(&self, tensor: &Tensor, tolerance: f64, what: &str) {
        let tensor = tensor.to_dtype(DType::F64).and_then(|tensor| tensor.flatten_all());
        let values = tensor.unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(values.len(), self.size, "{what}: size");
        let close = |found: f64, expected: f64, of: &str| {
            let error = (found - expected).abs() / self.norm.max(1e-300);
            assert!(error <= tolerance, "{what}: {of} is {found}, not {expected} ({error:.1e})");
        };
        let probed = values.iter().enumerate().map(|(i, v)| v * value(PROBE, i)).sum();
        close(values.iter().map(|v| v * v).sum::<f64>().sqrt(), self.norm, "norm");
        close(probed, self.dot, "dot product");
        for (found, expected) in values.iter().zip(&self.first) {
            close(*found, *expected, "entry");
        }
    }
}

/// One layer and its loss `sum(out * upstream)`.
#[derive(Deserialize)]
pub(in crate::train) struct Case {
    pub(in crate::train) layer: String,
    pub(in crate::train) shapes: Vec<Vec<usize>>,
    pub(in crate::train) out: Summary,
    pub(in crate::train) gradients: Vec<Summary>,
}

/// The inputs of a layer case with tensors of `shapes`.
pub(in crate::train) fn inputs(shapes: &[Vec<usize>]) -> Vec<Tensor> {
    (WEIGHTS..).zip(shapes).map(|(seed, shape)| values(seed, shape)).collect()
}

/// Checks the layer called `layer`: output and gradients of every case, in `f64`
/// to 1e-10 of the norm and in `f32` to 1e-6.
pub(in crate::train) fn check_layer(
    layer: &str,
    inputs: impl Fn(&[Vec<usize>]) -> Vec<Tensor>,
    run: impl Fn(&[Var]) -> Result<Tensor>,
) {
    let cases = cases::<Case>("layers").into_iter().filter(|case| case.layer == layer);
    let mut checked = 0;
    for case in cases {
        for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-6)] {
            let variable = |input: &Tensor| Var::from_tensor(&input.to_dtype(dtype).unwrap());
            let inputs: Vec<Var> =
                inputs(&case.shapes).iter().map(|input| variable(input).unwrap()).collect();
            let out = run(&inputs).unwrap();
            let gradients = backward(&out);
            let what = format!("{layer} {:?} {dtype:?}", case.shapes);
            case.out.check(&out, tolerance, &what);
            for (i, (input, expected)) in inputs.iter().zip(&case.gradients).enumerate() {
                let found = gradients.get(input).unwrap();
                expected.check(found, tolerance, &format!("{what}: gradient {i}"));
            }
        }
        checked += 1;
    }
    assert!(checked > 0, "no case of {layer}");
}

/// Gradients of `sum(out * upstream)`.
fn backward(out: &Tensor) -> GradStore {
    let upstream = values(UPSTREAM, out.dims()).to_dtype(out.dtype()).unwrap();
    (out * upstream).unwrap().sum_all().unwrap().backward().unwrap()
}

/// A network, and the gradients of one batch.
#[derive(Deserialize)]
pub(in crate::train) struct NetworkCase {
    pub(in crate::train) arch: String,
    pub(in crate::train) activation: String,
    pub(in crate::train) batch: usize,
    pub(in crate::train) dropout: f64,
    pub(in crate::train) loss: f64,
    pub(in crate::train) gradients: Vec<Summary>,
}

/// A network, and the losses of its first steps.
#[derive(Deserialize)]
pub(in crate::train) struct Trajectory {
    pub(in crate::train) arch: String,
    pub(in crate::train) activation: String,
    pub(in crate::train) optimizer: String,
    pub(in crate::train) lr: f64,
    pub(in crate::train) weight_decay: f64,
    pub(in crate::train) momentum: f64,
    pub(in crate::train) batch: usize,
    pub(in crate::train) losses: Vec<f64>,
}

impl Trajectory {
    /// The hyperparameters of the run.
    pub(in crate::train) fn hyper(&self) -> Hyper {
        Hyper {
            optimizer: Optimizer::by_name(&self.optimizer).unwrap(),
            lr: self.lr,
            weight_decay: self.weight_decay,
            momentum: self.momentum,
            ..hyper(&self.activation, self.batch)
        }
    }

    /// The images of a step: batch after batch, round and round.
    pub(in crate::train) fn batch(&self, step: usize) -> Vec<u32> {
        let first = (step % 8 * self.batch) as u32;
        (first..first + self.batch as u32).collect()
    }
}
