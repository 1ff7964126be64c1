//! Confidence intervals by resampling models.
//!
//! States of one model are alike, so that resampling states would make intervals too
//! narrow: models are drawn, with all their states.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::metric::Metric;
use crate::random::below;

/// Resamples: enough for two digits of an interval's ends.
const RESAMPLES: u64 = 1000;

/// What an interval leaves out at either end.
const TAIL: f64 = 0.025;

/// The quantile of a normal distribution that leaves this out.
const NORMAL: f64 = 1.959_963_984_540_054;

/// Resamples that differ by less than this share say the same, but for rounding.
const ROUNDING: f64 = 1e-12;

/// The 95 % percentile interval (Efron 1979) of each of `metrics`, from 1000 resamples of the
/// models whose ids are `model_ids`, one for each prediction; `None` if there are fewer than two
/// models, where a metric is defined for less than half of the resamples, and where resampling
/// changes what it measures.
///
/// Where all resamples say the same, they do not tell how much is by chance: the interval of an
/// accuracy is that of Wilson (1927), of as many draws as there are models, and others have none.
pub fn intervals(
    metrics: &[Metric],
    model_ids: &[i64],
    truth: &[f64],
    predicted: &[f64],
    seed: u64,
) -> Vec<Option<(f64, f64)>> {
    let mut models: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (row, id) in model_ids.iter().enumerate() {
        models.entry(*id).or_default().push(row);
    }
    let models: Vec<Vec<usize>> = models.into_values().collect();
    if models.len() < 2 {
        return vec![None; metrics.len()];
    }
    let resample = |number: u64| -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let drawn =
            (0..models.len()).flat_map(|_| &models[below(&mut rng, models.len() as u32) as usize]);
        let rows: Vec<usize> = drawn.copied().collect();
        let of = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<f64>>();
        let (truth, predicted) = (of(truth), of(predicted));
        metrics.iter().map(|metric| metric.of(&truth, &predicted)).collect()
    };
    let resamples: Vec<Vec<f64>> = (0..RESAMPLES).into_par_iter().map(resample).collect();
    let interval = |index: usize| {
        let values = resamples.iter().map(|values| values[index]);
        let mut values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let enough = values.len() as u64 * 2 >= RESAMPLES;
        // A model that is drawn twice is tied with itself, so that resamples have lower ceilings.
        let is_fair = metrics[index] != Metric::TauCeiling;
        let [first, .., last] = values.as_slice() else { return None };
        let differ = last - first > ROUNDING * last.abs();
        match metrics[index] {
            _ if !enough || !is_fair => None,
            _ if differ => Some((quantile(&values, TAIL), quantile(&values, 1.0 - TAIL))),
            Metric::Accuracy => Some(wilson(*first, models.len())),
            _ => None,
        }
    };
    (0..metrics.len()).map(interval).collect()
}

/// The interval of a share of so many draws (Wilson 1927).
fn wilson(share: f64, draws: usize) -> (f64, f64) {
    let (n, square) = (draws as f64, NORMAL * NORMAL);
    let middle = share + square / (2.0 * n);
    let half = NORMAL * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    let end = |end: f64| end / (1.0 + square / n);
    // It holds the share, but for rounding.
    (end(middle - half).clamp(0.0, share), end(middle + half).clamp(share, 1.0))
}

/// A quantile of sorted values, interpolated as numpy's default.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_as_wide_as_theory_says() {
        // 400 models right with probability 0.8: standard error sqrt(0.16 / 400) = 0.02.
        let ids: Vec<i64> = (0..400).collect();
        let truth = vec![1.0; 400];
        let predicted: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 5 != 0))).collect();
        let interval = |seed| intervals(&[Metric::Accuracy], &ids, &truth, &predicted, seed);
        let (low, high) = interval(3)[0].unwrap();
        assert!((low - (0.8 - 1.96 * 0.02)).abs() < 0.005, "{low}");
        assert!((high - (0.8 + 1.96 * 0.02)).abs() < 0.005, "{high}");
        assert_eq!(interval(3), interval(3));
        assert_ne!(interval(3), interval(4));
    }

    #[test]
    fn states_of_a_model_count_once() {
        // Each model ten times over: no narrower.
        let truth = vec![1.0; 1000];
        let predicted: Vec<f64> = (0..1000).map(|i| f64::from(u8::from(i % 5 != 0))).collect();
        let width = |ids: Vec<i64>| {
            let (low, high) =
                intervals(&[Metric::Accuracy], &ids, &truth, &predicted, 1)[0].unwrap();
            high - low
        };
        let alone = width((0..1000).collect());
        // Rows i, i + 100, … are of model i, and right or wrong together.
        let together = width((0..1000).map(|row| row % 100).collect());
        assert!((together / alone - 10_f64.sqrt()).abs() < 0.5, "{together} {alone}");
        assert_eq!(intervals(&[Metric::R2], &[7, 7], &[0.0, 1.0], &[0.0, 1.0], 1), [None]);
    }

    #[test]
    fn the_ceiling_of_tau_has_no_interval() {
        // All differ: the ceiling is 1, and that of every resample with a model twice below it.
        let truth: Vec<f64> = (0..20).map(f64::from).collect();
        let ids: Vec<i64> = (0..20).collect();
        let found = intervals(&[Metric::TauCeiling, Metric::Tau], &ids, &truth, &truth, 1);
        assert_eq!(found[0], None);
        assert_eq!(found[1], None, "1 in every resample, since ties in both do not count");
    }

    /// What scipy's `binomtest(k, 7).proportion_ci(method="wilson")` says of 0 and 7.
    #[test]
    fn a_share_that_no_resample_changes_is_still_by_chance() {
        let interval = |right: bool| {
            let ids: Vec<i64> = (0..14).map(|row| row / 2).collect();
            let truth = [1.0; 14];
            let predicted = [f64::from(u8::from(right)); 14];
            intervals(&[Metric::Accuracy, Metric::Mse], &ids, &truth, &predicted, 1)
        };
        // 7 models of two states.
        for (right, low, high) in
            [(false, 0.0, 0.354_330_435_066_687_4), (true, 0.645_669_564_933_312_6, 1.0)]
        {
            let found = interval(right);
            let (a, b) = found[0].unwrap();
            assert!((a - low).abs() < 1e-12 && (b - high).abs() < 1e-12, "{a} {b}");
            assert!(a == 0.0 || b == 1.0, "{a} {b}");
            assert_eq!(found[1], None);
        }
    }

    #[test]
    fn ends_of_shares_are_shares() {
        for draws in 1..200 {
            assert_eq!(wilson(0.0, draws).0, 0.0, "{draws}");
            assert_eq!(wilson(1.0, draws).1, 1.0, "{draws}");
        }
    }
}
