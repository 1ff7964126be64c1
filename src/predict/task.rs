//! What a predictor is given, and what it says.

use std::sync::{Arc, Mutex, PoisonError};

use super::design::Design;
use super::gram::Gram;
use super::matrix::Matrix;
use super::split::{Part, Split};
use super::target::Target;
use crate::error::Error;

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
            true => Design::unscaled(&self.matrix, rows),
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

impl Task<'_> {
    /// That a fit is beyond numbers, to features that are `unscaled` or standardised.
    pub(super) fn unsolved(&self, fit: &str, unscaled: bool) -> Error {
        let message = format!("{fit} of `{}` has no solution", self.target.name);
        Error::invalid(message).with_hint(match unscaled {
            true => {
                "features are too large as they are: choose a predictor or a protocol that \
                 standardises them"
            }
            false => {
                "features are too large: choose another set, or leave out models with `--where`"
            }
        })
    }
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
    /// Itself, if all it says is numbers.
    pub(super) fn checked(self) -> Option<Self> {
        let said = self.validation.iter().chain(&self.test);
        said.copied().all(f64::is_finite).then_some(self)
    }

    /// What it says of a part other than the training part.
    pub(super) fn of(&self, part: Part) -> &[f64] {
        match part {
            Part::Train => &[],
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }
}
