//! Linear logits of classes: logistic regression with several classes.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::design::Design;
use super::linear::{Best, Linear};
use super::metric::Metric;
use super::split::Part;
use super::task::{Fit, Task};
use crate::error::{Error, Result};
use crate::random::shuffle;

/// Penalties per state, from the strongest on, of which one is chosen. Weaker ones predict no
/// better, and take thousands of steps.
const PENALTIES: [f64; 5] = [1e0, 1e-1, 1e-2, 1e-3, 1e-4];

/// As of the zoo paper: Adam with PyTorch's defaults but these, and what intercepts begin with.
const LEARNING_RATE: f32 = 1e-4;
const WEIGHT_DECAY: f32 = 1e-6;
const EPOCHS: usize = 50;
const BATCH: usize = 10;
const INTERCEPT: f32 = 0.01;

/// Fits linear logits: by [`descended`] as published, else by [`penalised`].
pub(super) fn fit(task: &Task<'_>) -> Result<Fit> {
    if task.unscaled { descended(task) } else { penalised(task) }
}

/// Minimises mean cross-entropy + λ/2 |W|² over standardised features, with a free intercept,
/// for several λ, and takes the one with the largest accuracy on the validation part; of
/// several the strongest.
fn penalised(task: &Task<'_>) -> Result<Fit> {
    let linear = Linear::new(task, task.target.classes.len());
    let labels = task.target.of(task.split.rows(Part::Train));
    let predict = |weights: &[f64], part| largest(&linear.scores(weights, task.split.rows(part)));
    let truth = task.target.of(task.split.rows(Part::Validation));
    let value = |weights: &[f64]| Metric::Accuracy.of(&truth, &predict(weights, Part::Validation));
    let loss = |state: usize, scores: &mut [f64]| cross_entropy(labels[state], scores);
    let unsolved = || task.unsolved("softmax regression", false);
    let Best { weights, chosen } = linear.best(&PENALTIES, &loss, value).ok_or_else(unsolved)?;
    let [validation, test] = [Part::Validation, Part::Test].map(|part| predict(&weights, part));
    Fit { validation, test, chosen }.checked().ok_or_else(unsolved)
}

/// The cross-entropy of logits, and its derivatives by them in their place.
fn cross_entropy(label: f64, logits: &mut [f64]) -> f64 {
    let shares = softmax(logits);
    for (class, (logit, (share, _))) in logits.iter_mut().zip(&shares).enumerate() {
        *logit = share - f64::from(u8::from(class == label as usize));
    }
    -shares[label as usize].1
}

/// Share and its logarithm for each logit.
fn softmax(logits: &[f64]) -> Vec<(f64, f64)> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let share = |logit: &f64| (((logit - largest).exp() / sum), logit - largest - sum.ln());
    logits.iter().map(share).collect()
}

/// The class with the largest logit of each state, of several the first one; NaN where a logit is
/// beyond numbers.
fn largest(logits: &[Vec<f64>]) -> Vec<f64> {
    let of_state = |state: usize| {
        if logits.iter().any(|logits| !logits[state].is_finite()) {
            return f64::NAN;
        }
        let classes = 0..logits.len();
        let best =
            classes.max_by(|a, b| logits[*a][state].total_cmp(&logits[*b][state]).then(b.cmp(a)));
        best.unwrap_or(0) as f64
    };
    (0..logits.first().map_or(0, Vec::len)).map(of_state).collect()
}

/// The probe of the zoo paper (Schürholt et al. 2022, `def_downstream_module.py`): features as
/// they are, in single precision; weights from `kaiming_normal`, intercepts from 0.01
/// (`def_net.py`); Adam, 50 epochs of batches of 10 in a new order each. Nothing is chosen.
fn descended(task: &Task<'_>) -> Result<Fit> {
    let (features, classes) = (task.features.matrix(), task.target.classes.len());
    let train = task.split.rows(Part::Train);
    let labels = task.target.of(train);
    let columns = features.columns();
    let design = Design::unscaled(features, train);
    let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
    let deviation = (2.0 / columns.max(1) as f32).sqrt();
    let normal = Normal::new(0.0, deviation)
        .map_err(|error| Error::internal("initial weights of a probe").with_source(error))?;
    let mut probe = Probe::new(columns, classes);
    probe.weights[..columns * classes].fill_with(|| normal.sample(&mut rng));
    let mut order: Vec<u32> = (0..train.len() as u32).collect();
    for _ in 0..EPOCHS {
        shuffle(&mut rng, &mut order);
        for batch in order.chunks(BATCH) {
            let state = |&index: &u32| {
                let index = index as usize;
                (design.single(features, train[index]), labels[index] as usize)
            };
            probe.step(&batch.iter().map(state).collect::<Vec<_>>());
        }
    }
    let predict = |part| -> Vec<f64> {
        let of = |&row: &usize| probe.class(&design.single(features, row));
        task.split.rows(part).iter().map(of).collect()
    };
    let [validation, test] = [Part::Validation, Part::Test].map(predict);
    let fit = Fit { validation, test, chosen: String::new() };
    fit.checked().ok_or_else(|| task.unsolved("softmax regression", true))
}

/// Linear logits under Adam; weights lie as those of [`Linear`].
struct Probe {
    columns: usize,
    classes: usize,
    weights: Vec<f32>,
    gradient: Vec<f32>,
    /// First and second moments.
    moments: [Vec<f32>; 2],
    steps: i32,
}

impl Probe {
    fn new(columns: usize, classes: usize) -> Self {
        let zeros = vec![0.0; (columns + 1) * classes];
        let mut weights = zeros.clone();
        weights[columns * classes..].fill(INTERCEPT);
        let moments = [zeros.clone(), zeros.clone()];
        Self { columns, classes, weights, gradient: zeros, moments, steps: 0 }
    }

    fn logits(&self, values: &[f32]) -> Vec<f64> {
        let (weights, intercepts) = self.weights.split_at(self.columns * self.classes);
        let of = |class: usize| {
            let weights = &weights[class * self.columns..][..self.columns];
            f64::from(intercepts[class] + dot(weights, values))
        };
        (0..self.classes).map(of).collect()
    }

    fn class(&self, values: &[f32]) -> f64 {
        let logits: Vec<Vec<f64>> =
            self.logits(values).into_iter().map(|logit| vec![logit]).collect();
        largest(&logits)[0]
    }

    /// One step of Adam, with the penalty added to the gradient.
    fn step(&mut self, batch: &[(Vec<f32>, usize)]) {
        self.gradient.iter_mut().zip(&self.weights).for_each(|(g, w)| *g = WEIGHT_DECAY * w);
        let intercepts = self.columns * self.classes;
        for (values, label) in batch {
            for (class, (share, _)) in softmax(&self.logits(values)).into_iter().enumerate() {
                let slope = share - f64::from(u8::from(class == *label));
                let slope = (slope / batch.len() as f64) as f32;
                let gradient = &mut self.gradient[class * self.columns..][..self.columns];
                gradient.iter_mut().zip(values).for_each(|(g, value)| *g += slope * value);
                self.gradient[intercepts + class] += slope;
            }
        }
        self.steps += 1;
        let rate = LEARNING_RATE / (1.0 - 0.9_f32.powi(self.steps));
        let correction = (1.0 - 0.999_f32.powi(self.steps)).sqrt();
        let [first, second] = &mut self.moments;
        let moments = first.iter_mut().zip(second);
        for ((weight, slope), (m, v)) in self.weights.iter_mut().zip(&self.gradient).zip(moments) {
            *m = 0.9 * *m + 0.1 * slope;
            *v = 0.999 * *v + 0.001 * slope * slope;
            *weight -= rate * *m / (v.sqrt() / correction + 1e-8);
        }
    }
}

/// The inner product in eight sums, which the compiler makes vectors of.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, rest_a) = a.as_chunks::<8>();
    let (b, rest_b) = b.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Reference, assert_close, task};
    use super::*;

    #[test]
    fn the_minimum_is_that_of_scikit_learn() {
        task(true, false, |reference, task| {
            let linear = Linear::new(task, 3);
            let labels = task.target.of(task.split.rows(Part::Train));
            let loss = |state: usize, scores: &mut [f64]| cross_entropy(labels[state], scores);
            for expected in &reference.logistic {
                let flat = linear.flat(&loss);
                let end = linear.descend(vec![0.0; 21], flat, expected.penalty, &loss);
                let (value, _) = linear.at(&end.point, expected.penalty, &loss);
                assert!(end.has_converged);
                assert_close(&[value], &[expected.loss], 1e-9);
                assert_close(&end.point[..18], &expected.weights.concat(), 2e-4);
            }
        });
    }

    #[test]
    fn steps_of_the_published_probe_are_those_of_torch() {
        task(true, true, |reference, task| {
            let features = task.features.matrix();
            let design = Design::unscaled(features, task.split.rows(Part::Train));
            let mut probe = Probe::new(6, 3);
            for (index, weight) in probe.weights[..18].iter_mut().enumerate() {
                *weight = index as f32 / 100.0 - 0.1;
            }
            for step in 0..5 {
                let state = |row| (design.single(features, row), reference.labels[row]);
                probe.step(&(10 * step..10 * step + 10).map(state).collect::<Vec<_>>());
            }
            let expected = [reference.probe.weights.concat(), reference.probe.intercepts.clone()];
            let double = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            assert_close(&double(&probe.weights), &double(&expected.concat()), 1e-6);
        });
    }

    /// Adam's weights are NaN after a step over features beyond single precision.
    #[test]
    fn a_probe_that_diverged_says_no_class() {
        task(true, true, |reference, task| {
            let mut values = reference.features.concat();
            values[3] = 1e39;
            let error = fit(&Task { features: &Reference::of(values), ..*task }).unwrap_err();
            assert_eq!(error.to_string(), "softmax regression of `class` has no solution");
            let hint = "features are too large as they are: choose a predictor or a protocol that \
                        standardises them";
            assert_eq!(error.hint(), Some(hint));
        });
        assert!(largest(&[vec![1.0], vec![f64::NAN], vec![2.0]])[0].is_nan());
    }

    #[test]
    fn classes_are_told_apart() {
        task(true, false, |_, task| {
            let fit = fit(task).unwrap();
            let truth = task.target.of(task.split.rows(Part::Test));
            let accuracy = Metric::Accuracy.of(&truth, &fit.test);
            // One class in three would be guessed right.
            assert!(accuracy >= 0.6, "{accuracy}");
            assert!(fit.chosen.starts_with("lambda="));
        });
    }

    #[test]
    fn the_seed_decides_what_the_published_probe_learns() {
        task(true, true, |_, task| {
            let told = fit(task).unwrap();
            assert_eq!(told, fit(task).unwrap());
            assert_ne!(told, fit(&Task { seed: 2, ..*task }).unwrap());
        });
    }
}
