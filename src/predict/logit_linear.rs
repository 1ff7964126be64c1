//! The logit-linear predictor of Unterthiner et al. (2020, `dnn_predict_accuracy`): one dense
//! layer and a sigmoid, for numbers in [0, 1].
//!
//! Theirs sees features as they are, and is trained by an optimiser, a learning rate and a
//! penalty found by search, as long as the error on the test half falls. This one descends to a
//! minimum of the same error, which is not convex, from weights of 0 under a strong penalty and on
//! to weaker ones, of which the validation part chooses, so that nothing is left to a search;
//! features are standardised so that one penalty suits all.

use super::linear::{Best, Linear};
use super::metric::Metric;
use super::split::Part;
use super::task::{Fit, Task};
use crate::error::Result;

/// Penalties per state, from the strongest on, of which one is chosen. Weaker ones predict no
/// better, and take thousands of steps.
const PENALTIES: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];

/// Minimises the mean of (σ(w·x + b) − y)² + λ/2 |w|² for several λ, and takes the one with the
/// smallest error on the validation part; of several the strongest.
pub(super) fn fit(task: &Task<'_>) -> Result<Fit> {
    let linear = Linear::new(task, 1);
    let truth = task.target.of(task.split.rows(Part::Train));
    let predict = |weights: &[f64], part| -> Vec<f64> {
        let logits = linear.scores(weights, task.split.rows(part)).concat();
        logits.into_iter().map(sigmoid).collect()
    };
    let judges = task.target.of(task.split.rows(Part::Validation));
    let value = |weights: &[f64]| -Metric::Mse.of(&judges, &predict(weights, Part::Validation));
    let loss = |state: usize, score: &mut [f64]| squared_error(truth[state], score);
    let unsolved = || task.unsolved("logit-linear regression", false);
    let Best { weights, chosen } = linear.best(&PENALTIES, &loss, value).ok_or_else(unsolved)?;
    let [validation, test] = [Part::Validation, Part::Test].map(|part| predict(&weights, part));
    Fit { validation, test, chosen }.checked().ok_or_else(unsolved)
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// (σ(z) − y)², and its derivative by z in the place of z.
fn squared_error(truth: f64, score: &mut [f64]) -> f64 {
    let mut loss = 0.0;
    for score in score {
        let share = sigmoid(*score);
        loss += (share - truth) * (share - truth);
        *score = 2.0 * (share - truth) * share * (1.0 - share);
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{assert_close, task};
    use super::super::target::Target;
    use super::*;

    #[test]
    fn it_is_at_the_minimum_that_scipy_finds() {
        task(false, false, |reference, task| {
            let expected = &reference.logit_linear;
            let shares = expected.target.iter().copied().map(Some).collect();
            let target = Target::numbers("share", shares).unwrap();
            let fit = fit(&Task { target: &target, ..*task }).unwrap();
            assert_eq!(fit.chosen, format!("lambda={:e}", expected.penalty));
            assert_close(&fit.test, &expected.test, 1e-4);
        });
    }
}
