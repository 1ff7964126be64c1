//! Prediction: how well properties of models can be told from features of their states.
//!
//! Owns targets, splits, predictors, metrics and their intervals, published protocols, and what
//! the tables `results` and `predictions` say. It does not compute features (`features`), and
//! does not print (`cli`).
//!
//! An [`Experiment`] says what is predicted from what; running it yields [`Outcome`]s. Models
//! are dealt to parts as a whole, predictors see the training part, their hyperparameters are
//! chosen on the validation part, and the test part only judges.

mod boosted;
mod bootstrap;
mod collector;
mod descent;
mod design;
mod experiment;
mod figure;
#[cfg(test)]
mod fixture;
mod gram;
mod leakage;
mod linear;
mod logit_linear;
mod matrix;
mod mean;
mod memory;
mod metric;
mod predictor;
mod protocol;
mod rank;
mod record;
mod ridge;
mod softmax;
mod split;
mod states;
mod statnn;
mod target;
mod task;

pub use bootstrap::intervals;
pub use experiment::{Count, Experiment, Findings, Judged, Outcome, Score};
pub use figure::figure;
pub use matrix::Matrix;
pub use metric::{Metric, confusion, r2};
pub use predictor::Predictor;
pub use protocol::Protocol;
pub use rank::{kendall_tau, spearman_rho, tau_ceiling};
pub use record::Run;
pub use ridge::PENALTIES;
pub use split::{Part, Split, Splitting};
pub use states::{Selection, States};
pub use target::Target;
