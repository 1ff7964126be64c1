//! Predictors: what is fitted to the training part.

use std::sync::{Arc, Mutex, PoisonError};

use super::boosted;
use super::design::{Design, Gram};
use super::matrix::Matrix;
use super::split::{Part, Split};
use super::target::Target;
use super::{mean, ridge, softmax, statnn};
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
    /// Gradient-boosted trees.
    Gbt,
    /// The multilayer perceptron of Zhou et al. (2023), for numbers in [0, 1].
    StatNn,
}

impl Predictor {
    const ALL: [Self; 6] =
        [Self::Mean, Self::Ridge, Self::Softmax, Self::Probe, Self::Gbt, Self::StatNn];

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

    /// Fits it to the training part of `task`, chooses its hyperparameters on the validation
    /// part, and predicts this and the test part.
    pub(super) fn fit(self, task: &Task<'_>) -> Result<Fit> {
        let target = task.target;
        let refused = |what: &str, others: &str| {
            let (name, target) = (self.name(), &target.name);
            let error =
                Error::invalid(format!("predictor `{name}` predicts {what}, not `{target}`"));
            Err(error.with_hint(format!("choose {others}")))
        };
        match self.resolved(target.is_class()) {
            Self::Ridge | Self::StatNn if target.is_class() => {
                refused("numbers", "`softmax`, `gbt` or, for either, `probe`")
            }
            Self::Softmax if !target.is_class() => {
                refused("classes", "`ridge`, `gbt` or, for either, `probe`")
            }
            Self::StatNn if target.values.iter().any(|value| !(0.0..=1.0).contains(value)) => {
                refused("numbers in [0, 1]", "`ridge` or `gbt`")
            }
            Self::Mean => Ok(mean::fit(task)),
            Self::Ridge => ridge::fit(task),
            Self::Softmax | Self::Probe => softmax::fit(task),
            Self::Gbt => Ok(boosted::fit(task)),
            Self::StatNn => statnn::fit(task),
        }
    }
}

/// A matrix of features, and what several fits have in common.
#[derive(Debug)]
pub(super) struct Features {
    matrix: Matrix,
    gram: Mutex<Option<Arc<Gram>>>,
}

impl Features {
    pub(super) fn new(matrix: Matrix) -> Self {
        Self { matrix, gram: Mutex::new(None) }
    }

    pub(super) fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// The products of the features of the states `rows`: those of the last call, if they are
    /// the same.
    pub(super) fn gram(&self, rows: &[usize], unscaled: bool) -> Arc<Gram> {
        let mut last = self.gram.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.as_ref().filter(|gram| gram.design.has_ones() == unscaled);
        if let Some(gram) = known.filter(|gram| gram.rows == rows) {
            return Arc::clone(gram);
        }
        // The old one goes first: it may be large.
        *last = None;
        let design = match unscaled {
            true => Design::unscaled(),
            false => Design::standardised(&self.matrix, rows),
        };
        Arc::clone(last.insert(Gram::new(&self.matrix, design, rows)))
    }
}

/// What is to be fitted.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub(super) features: &'a Features,
    pub(super) target: &'a Target,
    pub(super) split: &'a Split,
    /// Of what a predictor draws.
    pub(super) seed: u64,
    /// Whether linear models see features as they are: see [`super::Protocol::is_unscaled`].
    pub(super) unscaled: bool,
}

/// What a fitted predictor says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// Of the states of the validation part.
    pub(super) validation: Vec<f64>,
    /// Of those of the test part.
    pub(super) test: Vec<f64>,
    /// The hyperparameters it chose, as `name=value`.
    pub(super) chosen: String,
}

impl Fit {
    /// What it says of a part other than the training part.
    pub(super) fn of(&self, part: Part) -> &[f64] {
        match part {
            Part::Train => &[],
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }
}
