//! How good predictions are.

use super::rank::{kendall_tau, spearman_rho, tau_ceiling};

/// A measure of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// One minus the mean squared error by the population variance of the truth.
    R2,
    /// Kendall's tau-b.
    Tau,
    /// The largest tau-b of predictions without ties.
    TauCeiling,
    /// Spearman's rho.
    Spearman,
    /// Mean absolute error.
    L1,
    /// Mean squared error.
    Mse,
    /// Share of classes told right.
    Accuracy,
}

impl Metric {
    /// Those of predicted numbers; the first one is the score.
    pub const OF_NUMBERS: [Self; 6] =
        [Self::R2, Self::Tau, Self::TauCeiling, Self::Spearman, Self::L1, Self::Mse];

    /// What a count of one class taken for another is called in tables.
    pub const CONFUSION: &'static str = "confusion";

    /// Those of predicted classes.
    pub const OF_CLASSES: [Self; 1] = [Self::Accuracy];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::R2 => "r2",
            Self::Tau => "tau",
            Self::TauCeiling => "tau_ceiling",
            Self::Spearman => "spearman",
            Self::L1 => "l1",
            Self::Mse => "mse",
            Self::Accuracy => "accuracy",
        }
    }

    /// Its value; classes are their numbers. NaN where it is not defined.
    pub fn of(self, truth: &[f64], predicted: &[f64]) -> f64 {
        match self {
            Self::R2 => r2(truth, predicted),
            Self::Tau => kendall_tau(truth, predicted),
            Self::TauCeiling => tau_ceiling(truth),
            Self::Spearman => spearman_rho(truth, predicted),
            Self::L1 => mean(truth, predicted, |t, p| (t - p).abs()),
            Self::Mse => mse(truth, predicted),
            Self::Accuracy => mean(truth, predicted, |t, p| f64::from(u8::from(t == p))),
        }
    }
}

/// One minus the mean squared error by the population variance of the truth, as
/// `sklearn.metrics.r2_score`; NaN if the truth is constant.
pub fn r2(truth: &[f64], predicted: &[f64]) -> f64 {
    let centre = truth.iter().sum::<f64>() / truth.len() as f64;
    let variance = mean(truth, truth, |t, _| (t - centre) * (t - centre));
    match variance > 0.0 {
        true => 1.0 - mse(truth, predicted) / variance,
        false => f64::NAN,
    }
}

fn mse(truth: &[f64], predicted: &[f64]) -> f64 {
    mean(truth, predicted, |t, p| (t - p) * (t - p))
}

fn mean(truth: &[f64], predicted: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    truth.iter().zip(predicted).map(|(t, p)| of(*t, *p)).sum::<f64>() / truth.len() as f64
}

/// How often each class (row) was taken for each class (column).
pub fn confusion(classes: usize, truth: &[f64], predicted: &[f64]) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; classes]; classes];
    for (truth, predicted) in truth.iter().zip(predicted) {
        counts[*truth as usize][*predicted as usize] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Reference, assert_close};
    use super::*;

    #[test]
    fn metrics_are_those_of_scipy_and_scikit_learn() {
        for case in Reference::read().metrics {
            let found = Metric::OF_NUMBERS.map(|metric| metric.of(&case.truth, &case.predicted));
            let expected = [case.r2, case.tau, case.tau_ceiling, case.spearman, case.l1, case.mse];
            assert_close(&found, &expected, 1e-12);
        }
    }

    #[test]
    fn a_constant_truth_has_no_r2() {
        assert!(r2(&[0.5; 3], &[0.4, 0.5, 0.6]).is_nan());
    }

    #[test]
    fn classes_are_counted_by_truth_and_prediction() {
        let (truth, predicted) = ([0.0, 0.0, 1.0, 2.0], [0.0, 2.0, 1.0, 1.0]);
        assert_eq!(confusion(3, &truth, &predicted), [[1, 0, 1], [0, 1, 0], [0, 1, 0]]);
        assert_eq!(Metric::Accuracy.of(&truth, &predicted), 0.5);
    }
}
