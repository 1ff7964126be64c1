//! Predictors: what is fitted to the training part.

use super::target::Target;
use super::task::{Fit, Task};
use super::{boosted, linear, logit_linear, mean, ridge, softmax, statnn};
use crate::error::{Error, Result};

/// A predictor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Predictor {
    /// The mean of the training part, or its most frequent class: what has to be beaten.
    Mean,
    /// Linear regression with a quadratic penalty.
    Ridge,
    /// Linear logits.
    Softmax,
    /// Ridge for numbers, softmax for classes.
    Probe,
    /// Linear logits of numbers in [0, 1], after Unterthiner et al. (2020).
    LogitLinear,
    /// Gradient-boosted trees.
    Gbt,
    /// The multilayer perceptron of Zhou et al. (2023), for numbers in [0, 1].
    StatNn,
}

impl Predictor {
    const ALL: [Self; 7] = [
        Self::Mean,
        Self::Ridge,
        Self::Softmax,
        Self::Probe,
        Self::LogitLinear,
        Self::Gbt,
        Self::StatNn,
    ];

    /// The predictor called `name`.
    ///
    /// # Errors
    /// `Invalid` with the names there are.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|predictor| predictor.name() == name);
        found.ok_or_else(|| Error::not_allowed("predictor", name, &Self::ALL.map(Self::name)))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Ridge => "ridge",
            Self::Softmax => "softmax",
            Self::Probe => "probe",
            Self::LogitLinear => "logit_linear",
            Self::Gbt => "gbt",
            Self::StatNn => "statnn",
        }
    }

    /// What it is for numbers, or for classes: a probe is one of two.
    pub(super) fn resolved(self, of_classes: bool) -> Self {
        match (self, of_classes) {
            (Self::Probe, true) => Self::Softmax,
            (Self::Probe, false) => Self::Ridge,
            (other, _) => other,
        }
    }

    /// Fails if it does not predict what `target` is.
    pub(super) fn expect_suits(self, target: &Target) -> Result<()> {
        let refused = |what: &str, others: &str| {
            let (name, target) = (self.name(), &target.name);
            let error =
                Error::invalid(format!("predictor `{name}` predicts {what}, not `{target}`"));
            Err(error.with_hint(format!("choose {others}")))
        };
        let is_share = || target.values.iter().all(|value| (0.0..=1.0).contains(value));
        match self.resolved(target.is_class()) {
            Self::Ridge | Self::LogitLinear | Self::StatNn if target.is_class() => {
                refused("numbers", "`softmax`, `gbt` or, for either, `probe`")
            }
            Self::Softmax if !target.is_class() => {
                refused("classes", "`ridge`, `gbt` or, for either, `probe`")
            }
            Self::LogitLinear | Self::StatNn if !is_share() => {
                refused("numbers in [0, 1]", "`ridge` or `gbt`")
            }
            _ => Ok(()),
        }
    }

    /// Fits it to the training part of `task`, whose target it suits, chooses its
    /// hyperparameters on the validation part, and predicts this and the test part.
    pub(super) fn fit(self, task: &Task<'_>) -> Result<Fit> {
        match self.resolved(task.target.is_class()) {
            Self::Mean => Ok(mean::fit(task)),
            Self::Ridge | Self::Probe => ridge::fit(task),
            Self::Softmax => softmax::fit(task),
            Self::LogitLinear => logit_linear::fit(task),
            Self::Gbt => Ok(boosted::fit(task)),
            Self::StatNn => statnn::fit(task),
        }
    }

    /// The most bytes that it needs beside the features of so many states while it is fitted, about:
    /// what grows with them.
    pub(super) fn bytes(self, states: usize, columns: usize, classes: usize) -> f64 {
        let (states_f, columns_f) = (states as f64, columns as f64);
        match self {
            Self::Mean => 0.0,
            // Factors; or what a descent remembers, which is less.
            Self::Ridge | Self::Probe => 8.0 * columns_f * columns_f,
            Self::Softmax | Self::LogitLinear => linear::bytes(columns, classes.max(1)),
            Self::Gbt => boosted::bytes(states, columns),
            // Weights, gradients and two moments of the first layer.
            Self::StatNn => 16.0 * 1000.0 * columns_f + 4.0 * states_f,
        }
    }

    /// The bytes that it leaves for other predictors and targets: products of all features.
    pub(super) fn kept_bytes(self, columns: usize) -> f64 {
        match self {
            Self::Ridge => 8.0 * columns as f64 * columns as f64,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_as_each_predictor_does() {
        let bytes = |by: Predictor, columns| by.bytes(50_000, columns, 4);
        // Square matrices of double precision: factors, and products that stay.
        assert_eq!(bytes(Predictor::Ridge, 2464), 8.0 * 2464.0 * 2464.0);
        assert_eq!(Predictor::Ridge.kept_bytes(2464), 8.0 * 2464.0 * 2464.0);
        assert_eq!(Predictor::Gbt.kept_bytes(2464), 0.0);
        // 32 sums of gradients, 10 steps and their turns, and a few more for each class; beside them
        // 16 rows for each thread.
        let of = |classes| Predictor::Softmax.bytes(50_000, 2464, classes);
        assert_eq!(of(5) - of(4), 60.0 * 8.0 * 2464.0);
        // A byte for each feature, and 63 histograms of 739 features, 256 bins, 16 bytes each.
        let histograms = 63.0 * 739.0 * 256.0 * 16.0;
        assert_eq!(bytes(Predictor::Gbt, 2464), 50_000.0 * 2464.0 + histograms);
        assert!(bytes(Predictor::Ridge, 11_173_962) > 9e14, "weights of a ResNet-18");
    }
}
