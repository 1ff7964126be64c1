//! What networks make of images once they are trained: for those who have the weights
//! of a state.

use candle_core::DType;

use super::candle::{Response, argmax};
use super::kernel::{self, FlushToZero, Isa};
use crate::arch::Arch;
use crate::dataset::Split;
use crate::error::{Error, Result};
use crate::zoo::Activation;

/// How far images are from where a network would tell their label and another class
/// the same, at the input of one of its [steps](crate::arch::Layer::step_name).
#[derive(Debug, Clone, PartialEq)]
pub struct Boundary {
    /// For each image, by how much the logit of its label leads over the best other one,
    /// over `√(1e-6 + |g|²)` with the lead's gradient `g` with respect to the input of
    /// the step (Jiang et al., *Predicting the Generalization Gap in Deep Networks with
    /// Margin Distributions*, ICLR 2019, equation 3, with the constant of their code).
    /// Negative if another class leads.
    pub distances: Vec<f64>,
    /// The sum over the values of the step's input of their variance over the images.
    pub variance: f64,
}

/// The logits `[N, classes]` that the network with the `weights` of a state (layout
/// order) gives to the images of `split`, with dropout off.
///
/// # Errors
/// `Internal` if weights or images are not those of `arch`; `Invalid` if a label is no
/// class of it.
pub fn logits(
    arch: &Arch,
    activation: Activation,
    weights: &[f32],
    split: &Split,
) -> Result<Vec<f32>> {
    let _tiny_is_zero = FlushToZero::on();
    check(arch, weights, split)?;
    match kernel::logits(Isa::best(), arch, activation, weights, split) {
        Some(logits) => Ok(logits),
        None => Response::new(arch, activation, weights, DType::F32)?.logits(split),
    }
}

/// The fraction of images whose largest logit is their label's, as training counts it.
///
/// # Errors
/// As for [`logits`].
pub fn accuracy(
    arch: &Arch,
    activation: Activation,
    weights: &[f32],
    split: &Split,
) -> Result<f64> {
    let logits = logits(arch, activation, weights, split)?;
    let rows = logits.chunks_exact(arch.classes()).zip(&split.labels);
    let correct = rows.filter(|(row, label)| {
        let row: Vec<f64> = row.iter().map(|logit| f64::from(*logit)).collect();
        argmax(&row) == **label as usize
    });
    Ok(correct.count() as f64 / split.len() as f64)
}

/// The distances of the images of `split` from the boundaries of their labels, at each
/// step of the network with the `weights` of a state.
///
/// # Errors
/// As for [`logits`].
pub fn boundaries(
    arch: &Arch,
    activation: Activation,
    weights: &[f32],
    split: &Split,
) -> Result<Vec<Boundary>> {
    let _tiny_is_zero = FlushToZero::on();
    check(arch, weights, split)?;
    Response::new(arch, activation, weights, DType::F32)?.boundaries(split)
}

fn check(arch: &Arch, weights: &[f32], split: &Split) -> Result<()> {
    let (name, size, classes) = (arch.name(), arch.layout().size(), arch.classes());
    if weights.len() != size {
        let found = weights.len();
        return Err(Error::internal(format!("{found} weights for a state of {size}")));
    }
    if split.images.len() != split.len() * arch.input().iter().product::<usize>() {
        let input = arch.input();
        return Err(Error::internal(format!("images are not {input:?}, which `{name}` takes")));
    }
    match split.labels.iter().find(|label| **label as usize >= classes) {
        None => Ok(()),
        Some(label) => Err(Error::invalid(format!(
            "label `{label}` for `{name}`, which tells {classes} classes apart"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::{dataset, hyper, weights};
    use crate::train::{CandleEngine, Engine, KernelEngine};

    /// Logits are those by which engines evaluate: an odd number of images, in both.
    #[test]
    fn predictions_are_those_of_an_evaluation() {
        let [small, medium] = ["cnn_s", "cnn_m"].map(|name| Arch::by_name(name).unwrap());
        for (arch, activation) in
            [(small, "tanh"), (medium, "gelu"), (Arch::narrow_resnet(), "relu")]
        {
            let (dataset, hyper) = (dataset(&arch, 19), hyper(activation, 8));
            let weights = weights(&arch);
            let found = logits(&arch, hyper.activation, &weights, &dataset.test).unwrap();
            assert_eq!(found.len(), 190);
            let correct = accuracy(&arch, hyper.activation, &weights, &dataset.test).unwrap();
            let kernel = KernelEngine::new(Isa::best());
            let engine: &dyn Engine =
                if KernelEngine::knows(&arch) { &kernel } else { &CandleEngine::cpu() };
            let network = engine.network(&arch, &hyper, &dataset, &weights).unwrap();
            assert_eq!(network.evaluate(&dataset.test).unwrap().accuracy, correct);
            let slow = Response::new(&arch, hyper.activation, &weights, DType::F32).unwrap();
            for (fast, slow) in found.iter().zip(slow.logits(&dataset.test).unwrap()) {
                assert!((fast - slow).abs() < 1e-4, "{fast} {slow}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let arch = Arch::by_name("cnn_s").unwrap();
        let (mut split, weights) = (dataset(&arch, 2).test, weights(&arch));
        let ask = |weights: &[f32], split: &Split| {
            logits(&arch, Activation::Tanh, weights, split).unwrap_err().to_string()
        };
        assert_eq!(ask(&weights[1..], &split), "2463 weights for a state of 2464");
        split.labels[1] = 10;
        assert!(ask(&weights, &split).starts_with("label `10` for `cnn_s`"));
        split.labels.pop();
        assert!(ask(&weights, &split).starts_with("images are not [1, 28, 28]"));
    }
}
