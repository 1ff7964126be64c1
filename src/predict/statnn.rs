//! StatNN: the multilayer perceptron of Zhou et al. (2023, arXiv 2302.14040; `nfn`).
//!
//! Two hidden layers of 1000 with ReLU, a sigmoid; binary cross-entropy against the number;
//! Adam with 1e-3, 50 epochs of batches of 8; of the epochs the one with the largest
//! Kendall tau on the validation part, and where that decides nothing with the smallest error.
//! Features are as they are.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::design::Design;
use super::matrix::Matrix;
use super::metric::Metric;
use super::rank::kendall_tau;
use super::split::Part;
use super::task::{Fit, Task};
use crate::error::{Error, Result};
use crate::random::shuffle;

/// How the network is and how it is trained.
#[derive(Debug, Clone, Copy)]
struct Shape {
    hidden: usize,
    epochs: usize,
    batch: usize,
}

const PUBLISHED: Shape = Shape { hidden: 1000, epochs: 50, batch: 8 };

/// States that are predicted at a time.
const CHUNK: usize = 1024;

/// Trains the network on the training part.
pub(super) fn fit(task: &Task<'_>) -> Result<Fit> {
    let fit = train(task, PUBLISHED)
        .map_err(|error| Error::internal(format!("training StatNN: {error}")).with_source(error))?;
    fit.ok_or_else(|| task.unsolved("StatNN", true))
}

/// What the best epoch says; `None` if each is beyond numbers.
fn train(task: &Task<'_>, shape: Shape) -> candle_core::Result<Option<Fit>> {
    let inputs = Inputs::new(task);
    let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
    let network = Network::new(inputs.features.columns(), shape.hidden, &mut rng)?;
    let mut optimizer = network.adam()?;
    let mut order: Vec<u32> = task.split.rows(Part::Train).iter().map(|&row| row as u32).collect();
    let (validation, test) = (task.split.rows(Part::Validation), task.split.rows(Part::Test));
    let truth = task.target.of(validation);
    let mut best: Option<([f64; 2], Fit)> = None;
    for epoch in 1..=shape.epochs {
        shuffle(&mut rng, &mut order);
        for batch in order.chunks(shape.batch) {
            let rows: Vec<usize> = batch.iter().map(|&row| row as usize).collect();
            let truth = task.target.of(&rows);
            optimizer.backward_step(&network.loss(&inputs.of(&rows)?, truth)?)?;
        }
        let predicted = network.predict(&inputs, validation)?;
        let value = value(&truth, &predicted);
        if best.as_ref().is_none_or(|(best, _)| value > *best) {
            let test = network.predict(&inputs, test)?;
            let fit = Fit { validation: predicted, test, chosen: format!("epoch={epoch}") };
            if let Some(fit) = fit.checked() {
                best = Some((value, fit));
            }
        }
    }
    Ok(best.map(|(_, fit)| fit))
}

/// What the best epoch has most of: tau, and of the same tau the negative error. Where nothing
/// has an order, as a network that says the same of all, tau is the least there is.
fn value(truth: &[f64], predicted: &[f64]) -> [f64; 2] {
    let tau = kendall_tau(truth, predicted);
    [if tau.is_nan() { -1.0 } else { tau }, -Metric::Mse.of(truth, predicted)]
}

/// Features of states as tensors.
struct Inputs<'a> {
    features: &'a Matrix,
    design: Design,
}

impl<'a> Inputs<'a> {
    fn new(task: &'a Task<'_>) -> Self {
        let features = task.features.matrix();
        Self { features, design: Design::unscaled(features, task.split.rows(Part::Train)) }
    }

    /// A row for each of the states `rows`.
    fn of(&self, rows: &[usize]) -> candle_core::Result<Tensor> {
        let values = rows.iter().flat_map(|&row| self.design.single(self.features, row));
        let shape = (rows.len(), self.features.columns());
        Tensor::from_vec(values.collect::<Vec<f32>>(), shape, &Device::Cpu)
    }
}

/// Weights and biases of three linear layers.
struct Network(Vec<Var>);

impl Network {
    /// As PyTorch's `nn.Linear` begins: uniform in ±1/sqrt(inputs), biases too.
    fn new(inputs: usize, hidden: usize, rng: &mut ChaCha8Rng) -> candle_core::Result<Self> {
        let mut tensors = Vec::new();
        for (inputs, outputs) in [(inputs, hidden), (hidden, hidden), (hidden, 1)] {
            let bound = 1.0 / (inputs.max(1) as f32).sqrt();
            for shape in [(inputs, outputs), (1, outputs)] {
                let unit = |bits: u32| (bits >> 8) as f32 / (1 << 24) as f32;
                let values =
                    (0..shape.0 * shape.1).map(|_| bound * (2.0 * unit(rng.next_u32()) - 1.0));
                tensors.push(Var::from_vec(values.collect::<Vec<f32>>(), shape, &Device::Cpu)?);
            }
        }
        Ok(Self(tensors))
    }

    /// Adam with PyTorch's defaults and 1e-3.
    fn adam(&self) -> candle_core::Result<AdamW> {
        let settings = ParamsAdamW { lr: 1e-3, weight_decay: 0.0, ..ParamsAdamW::default() };
        AdamW::new(self.0.clone(), settings)
    }

    /// The loss of a batch.
    fn loss(&self, inputs: &Tensor, truth: Vec<f64>) -> candle_core::Result<Tensor> {
        let truth: Vec<f32> = truth.into_iter().map(|truth| truth as f32).collect();
        let truth = Tensor::from_vec(truth, (inputs.dim(0)?, 1), &Device::Cpu)?;
        cross_entropy(&self.logits(inputs)?, &truth)
    }

    /// A logit for each row of `inputs`.
    fn logits(&self, inputs: &Tensor) -> candle_core::Result<Tensor> {
        let mut values = inputs.clone();
        let layers = self.0.chunks(2);
        let last = layers.len() - 1;
        for (index, layer) in layers.enumerate() {
            values = values.matmul(&layer[0])?.broadcast_add(&layer[1])?;
            if index < last {
                values = values.relu()?;
            }
        }
        Ok(values)
    }

    fn predict(&self, inputs: &Inputs<'_>, rows: &[usize]) -> candle_core::Result<Vec<f64>> {
        let mut predicted = Vec::with_capacity(rows.len());
        for rows in rows.chunks(CHUNK) {
            let logits = self.logits(&inputs.of(rows)?)?.detach();
            let logits = logits.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            predicted.extend(logits.into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())));
        }
        Ok(predicted)
    }
}

/// Mean binary cross-entropy of logits z against y: max(z, 0) - z y + ln(1 + exp(-|z|)), which
/// overflows nowhere.
fn cross_entropy(logits: &Tensor, truth: &Tensor) -> candle_core::Result<Tensor> {
    let rest = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    ((logits.relu()? - (logits * truth)?)? + rest)?.mean_all()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{assert_close, task};
    use super::super::target::Target;
    use super::*;

    #[test]
    fn steps_are_those_of_torch() {
        task(false, true, |reference, task| {
            let layer = |(inputs, outputs): (usize, usize)| {
                let weights: Vec<f32> =
                    (0..inputs * outputs).map(|index| 0.5 * (index as f32).sin()).collect();
                let weights = Var::from_vec(weights, (inputs, outputs), &Device::Cpu).unwrap();
                let biases = Var::from_vec(vec![0.1_f32; outputs], (1, outputs), &Device::Cpu);
                [weights, biases.unwrap()]
            };
            let network = Network([(6, 4), (4, 4), (4, 1)].map(layer).concat());
            let mut adam = network.adam().unwrap();
            let inputs = Inputs::new(task);
            for step in 0..5 {
                let rows: Vec<usize> = (8 * step..8 * step + 8).collect();
                let share = |y: f64| 1.0 / (1.0 + (-y).exp());
                let truth = task.target.of(&rows).into_iter().map(share).collect();
                let loss = network.loss(&inputs.of(&rows).unwrap(), truth).unwrap();
                adam.backward_step(&loss).unwrap();
            }
            let found = network.predict(&inputs, task.split.rows(Part::Test)).unwrap();
            assert_close(&found, &reference.perceptron, 1e-5);
        });
    }

    #[test]
    fn the_epoch_with_the_best_order_is_taken() {
        task(false, true, |reference, task| {
            let share = |y: &f64| Some(1.0 / (1.0 + (-y).exp()));
            let target = Target::numbers("share", reference.numbers.iter().map(share).collect());
            let target = target.unwrap();
            let task = Task { target: &target, ..*task };
            let shape = Shape { hidden: 8, epochs: 3, batch: 8 };
            let fit = train(&task, shape).unwrap().unwrap();
            assert_eq!(fit, train(&task, shape).unwrap().unwrap(), "the seed decides");
            assert!(fit.chosen.starts_with("epoch="));
            assert!(fit.test.iter().all(|share| (0.0..=1.0).contains(share)));
        });
    }

    /// One loss beyond numbers reaches every weight.
    #[test]
    fn a_network_that_diverged_says_nothing() {
        task(false, true, |reference, task| {
            let mut target = reference.numbers();
            target.values[0] = f64::NAN;
            let task = Task { target: &target, ..*task };
            let shape = Shape { hidden: 8, epochs: 2, batch: 8 };
            assert_eq!(train(&task, shape).unwrap(), None);
        });
    }

    /// Two states of the same truth have no order, so that errors decide.
    #[test]
    fn where_no_order_can_be_told_the_smaller_error_is_taken() {
        let truth = [0.5, 0.5];
        assert!(value(&truth, &[0.4, 0.6]) > value(&truth, &[0.1, 0.9]));
        assert!(value(&[0.1, 0.2], &[0.8, 0.9]) > value(&[0.1, 0.2], &[0.15, 0.15]), "tau first");
    }
}
