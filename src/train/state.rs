//! What training yields: states, their metrics, and the trained model.

use super::weights::Weights;
use crate::zoo::Model;

/// Mean loss and accuracy over one pass of a split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// Mean cross-entropy per image, in nats. Not finite once a model diverges.
    pub loss: f64,
    /// Fraction of images whose largest logit is the label's, in [0, 1].
    pub accuracy: f64,
}

/// A model at one epoch: its metrics and its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// 0 before training, then 1 to the number of epochs.
    pub epoch: usize,
    /// Running mean over the epoch in train mode (dropout on, weights moving),
    /// as the published zoos report it; at epoch 0 an evaluation.
    pub train: Metrics,
    /// Evaluation on the validation split, if the data set has one.
    pub val: Option<Metrics>,
    /// Evaluation on the test split.
    pub test: Metrics,
    /// All parameters and running statistics, flattened in layout order.
    pub weights: Weights,
    /// Wall-clock seconds of the epoch: training and evaluation.
    pub seconds: f64,
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Every weight and loss of the last state is finite.
    Ok,
    /// A weight or loss is NaN or infinite: recorded, not hidden.
    Diverged,
}

impl Status {
    /// The value of the `status` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Diverged => "diverged",
        }
    }
}

/// A model and every state it went through, epoch 0 first.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Which model.
    pub model: Model,
    /// One state per epoch, and the one before training.
    pub states: Vec<State>,
}

impl Trained {
    /// How training ended.
    pub fn status(&self) -> Status {
        let finite = |state: &State| {
            state.train.loss.is_finite()
                && state.val.is_none_or(|val| val.loss.is_finite())
                && state.test.loss.is_finite()
                && state.weights.is_finite()
        };
        if self.states.last().is_none_or(finite) { Status::Ok } else { Status::Diverged }
    }

    /// Bytes of weights, in memory or on disk.
    pub fn weight_bytes(&self) -> usize {
        self.states.iter().map(|state| state.weights.bytes()).sum()
    }

    /// Clears the disk of states that were kept there, for when they are stored.
    pub fn discard(self) {
        if let Some(Weights::Kept(kept)) = self.states.first().map(|state| &state.weights) {
            kept.desk.clear();
        }
    }
}
