//! Ridge regression: (X'X + λ I) b = X'y, in double precision.

use faer::Mat;

use super::split::Part;
use super::task::{Fit, Task};
use crate::error::Result;

/// The penalties of the zoo paper (Schürholt et al. 2022, `def_downstream_module.py`), from
/// the strongest on.
pub const PENALTIES: [f64; 17] =
    [1e3, 3e2, 1e2, 3e1, 1e1, 3e0, 1e0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5];

/// Fits ridge regressions of every penalty to the training part, and takes the one with the
/// largest R² on the validation part.
///
/// Either features are standardised and the penalty is per state (λ = n times one of
/// [`PENALTIES`]), with a free intercept; or, as published, features are as they are, the
/// intercept is the weight of a column of ones and penalised with the others, and λ is one
/// of [`PENALTIES`].
pub(super) fn fit(task: &Task<'_>) -> Result<Fit> {
    let features = task.features.matrix();
    let train = task.split.rows(Part::Train);
    let gram = task.features.gram(train, task.unscaled);
    let y = task.target.of(train);
    // The mean of the others is the intercept: their columns have the mean 0.
    let intercept = match task.unscaled {
        true => 0.0,
        false => y.iter().sum::<f64>() / y.len() as f64,
    };
    let centred: Vec<f64> = y.iter().map(|y| y - intercept).collect();
    let product = gram.times(features, &centred);
    let per_state = if task.unscaled { 1.0 } else { train.len() as f64 };
    let solutions = gram.solve(&product, &PENALTIES.map(|penalty| penalty * per_state));
    let weights: Vec<(f64, Vec<f64>)> =
        PENALTIES.into_iter().zip(solutions).filter_map(|(p, found)| Some((p, found?))).collect();

    let columns = Mat::from_fn(product.len(), weights.len(), |row, of| weights[of].1[row]);
    let validation = task.split.rows(Part::Validation);
    let truth = task.target.of(validation);
    let guesses = gram.design.times(features, validation, columns.as_ref());
    // Of the same states, the largest R² is the smallest squared error.
    let error = |guess: &Vec<f64>| -> f64 {
        guess.iter().zip(&truth).map(|(guess, truth)| (guess + intercept - truth).powi(2)).sum()
    };
    let best = guesses.iter().map(error).enumerate();
    let best = best.filter(|(_, error)| error.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1));
    let Some((best, _)) = best else {
        return Err(task.unsolved("ridge regression", task.unscaled));
    };
    let column = columns.subcols(best, 1);
    let predict = |part| -> Vec<f64> {
        let products = gram.design.times(features, task.split.rows(part), column);
        products.concat().iter().map(|product| product + intercept).collect()
    };
    Ok(Fit {
        validation: predict(Part::Validation),
        test: predict(Part::Test),
        chosen: format!("lambda={:e}", weights[best].0),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{assert_close, task};
    use super::*;

    #[test]
    fn standardised_ridge_is_that_of_scikit_learn() {
        task(false, false, |reference, task| {
            let fit = fit(task).unwrap();
            assert_eq!(fit.chosen, format!("lambda={:e}", reference.ridge.penalty));
            assert_close(&fit.test, &reference.ridge.test, 1e-10);
        });
    }

    #[test]
    fn published_ridge_is_its_closed_form() {
        task(false, true, |reference, task| {
            let fit = fit(task).unwrap();
            let expected = &reference.ridge_modelzoos_v1;
            assert_eq!(fit.chosen, format!("lambda={:e}", expected.penalty));
            assert_close(&fit.test, &expected.test, 1e-8);
        });
    }

    #[test]
    fn products_are_computed_once_for_all_targets() {
        task(false, true, |_, task| {
            let train = task.split.rows(Part::Train);
            let gram = |rows, unscaled| task.features.gram(rows, unscaled);
            let first = gram(train, true);
            assert!(std::sync::Arc::ptr_eq(&first, &gram(train, true)));
            assert!(!std::sync::Arc::ptr_eq(&first, &gram(&train[1..], true)));
            assert_ne!(gram(train, false).design, first.design);
        });
    }
}
