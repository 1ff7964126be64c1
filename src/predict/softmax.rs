//! Linear logits of classes: logistic regression with several classes.

use faer::{Mat, MatRef};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use rayon::prelude::*;

use super::descent::minimise;
use super::design::Design;
use super::metric::Metric;
use super::predictor::{Fit, Task};
use super::split::Part;
use crate::error::{Error, Result};
use crate::random::shuffle;

/// Penalties per state, from the strongest on, of which one is chosen.
const PENALTIES: [f64; 7] = [1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6];

/// Rows whose gradient one thread takes at a time.
const CHUNK: usize = 512;

/// As of the zoo paper: Adam with PyTorch's defaults but these.
const LEARNING_RATE: f32 = 1e-4;
const WEIGHT_DECAY: f32 = 1e-6;
const EPOCHS: usize = 50;
const BATCH: usize = 10;

/// Fits linear logits: by [`descended`] as published, else by [`penalised`].
pub(super) fn fit(task: &Task<'_>) -> Result<Fit> {
    if task.unscaled { descended(task) } else { Ok(penalised(task)) }
}

/// Minimises mean cross-entropy + λ/2 |W|² over standardised features, with a free intercept,
/// for several λ, and takes the one with the largest accuracy on the validation part; of
/// several the strongest.
fn penalised(task: &Task<'_>) -> Fit {
    let (features, classes) = (task.features.matrix(), task.target.classes.len());
    let train = task.split.rows(Part::Train);
    let design = Design::standardised(features, train);
    let columns = design.columns(features);
    let values = design.rows(features, train);
    let labels = task.target.of(train);
    let objective = Objective { values: &values, labels: &labels, columns, classes };
    let truth = task.target.of(task.split.rows(Part::Validation));
    let predict = |weights: &[f64], part| {
        let matrix =
            MatRef::from_column_major_slice(&weights[..columns * classes], columns, classes);
        let mut logits = design.times(features, task.split.rows(part), matrix);
        for (logits, intercept) in logits.iter_mut().zip(&weights[columns * classes..]) {
            logits.iter_mut().for_each(|logit| *logit += intercept);
        }
        largest(&logits)
    };
    let mut weights = vec![0.0; (columns + 1) * classes];
    let mut best: Option<(f64, f64, Vec<f64>)> = None;
    for penalty in PENALTIES {
        // Each begins where the stronger one ended, which is near.
        weights = minimise(weights, |weights| objective.at(weights, penalty));
        let accuracy = Metric::Accuracy.of(&truth, &predict(&weights, Part::Validation));
        if best.as_ref().is_none_or(|(best, ..)| accuracy > *best) {
            best = Some((accuracy, penalty, weights.clone()));
        }
    }
    let (_, penalty, weights) = best.unwrap_or((0.0, 0.0, weights));
    Fit {
        validation: predict(&weights, Part::Validation),
        test: predict(&weights, Part::Test),
        chosen: format!("lambda={penalty:e}"),
    }
}

/// Mean cross-entropy of linear logits, and its gradient. Weights are those of class 0, of
/// class 1 and so on, then the intercepts.
struct Objective<'a> {
    /// Row by row.
    values: &'a [f64],
    labels: &'a [f64],
    columns: usize,
    classes: usize,
}

impl Objective<'_> {
    fn at(&self, weights: &[f64], penalty: f64) -> (f64, Vec<f64>) {
        let (columns, classes) = (self.columns, self.classes);
        let (matrix, intercepts) = weights.split_at(columns * classes);
        let chunk = |(values, labels): (&[f64], &[f64])| {
            let mut loss = 0.0;
            // Of the logits, then of the weights.
            let mut slopes = Mat::<f64>::zeros(labels.len(), classes);
            let values = MatRef::from_row_major_slice(values, labels.len(), columns);
            let matrix = MatRef::from_column_major_slice(matrix, columns, classes);
            let (add, one) = (faer::Accum::Replace, faer::Par::Seq);
            faer::linalg::matmul::matmul(&mut slopes, add, values, matrix, 1.0, one);
            for (row, label) in labels.iter().enumerate() {
                let logit = |class: usize| slopes[(row, class)] + intercepts[class];
                let logits: Vec<f64> = (0..classes).map(logit).collect();
                let (label, shares) = (*label as usize, softmax(&logits));
                loss -= shares[label].1;
                for (class, (share, _)) in shares.into_iter().enumerate() {
                    slopes[(row, class)] = share - f64::from(u8::from(class == label));
                }
            }
            let mut gradient = Mat::<f64>::zeros(columns, classes);
            let transposed = values.transpose();
            faer::linalg::matmul::matmul(&mut gradient, add, transposed, &slopes, 1.0, one);
            let mut flat: Vec<f64> = Vec::with_capacity(weights.len());
            for class in 0..classes {
                flat.extend_from_slice(gradient.col_as_slice(class));
            }
            flat.extend((0..classes).map(|class| slopes.col_as_slice(class).iter().sum::<f64>()));
            (loss, flat)
        };
        let chunks = self.values.par_chunks((CHUNK * columns).max(1));
        let parts: Vec<(f64, Vec<f64>)> =
            chunks.zip(self.labels.par_chunks(CHUNK)).map(chunk).collect();
        let count = self.labels.len() as f64;
        let loss = parts.iter().map(|(loss, _)| loss).sum::<f64>() / count;
        let mut gradient = vec![0.0; weights.len()];
        for (_, part) in &parts {
            gradient.iter_mut().zip(part).for_each(|(sum, value)| *sum += value / count);
        }
        gradient.iter_mut().zip(matrix).for_each(|(slope, weight)| *slope += penalty * weight);
        (loss + penalty / 2.0 * matrix.iter().map(|w| w * w).sum::<f64>(), gradient)
    }
}

/// Share and its logarithm for each logit.
fn softmax(logits: &[f64]) -> Vec<(f64, f64)> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let share = |logit: &f64| (((logit - largest).exp() / sum), logit - largest - sum.ln());
    logits.iter().map(share).collect()
}

/// The class with the largest logit of each state; of several the first one.
fn largest(logits: &[Vec<f64>]) -> Vec<f64> {
    let of_state = |state: usize| {
        let classes = 0..logits.len();
        let best =
            classes.max_by(|a, b| logits[*a][state].total_cmp(&logits[*b][state]).then(b.cmp(a)));
        best.unwrap_or(0) as f64
    };
    (0..logits.first().map_or(0, Vec::len)).map(of_state).collect()
}

/// The probe of the zoo paper (Schürholt et al. 2022, `def_downstream_module.py`): features as
/// they are, in single precision; weights from `kaiming_normal`, intercepts from 0; Adam, 50
/// epochs of batches of 10 in a new order each. Nothing is chosen.
fn descended(task: &Task<'_>) -> Result<Fit> {
    let (features, classes) = (task.features.matrix(), task.target.classes.len());
    let train = task.split.rows(Part::Train);
    let labels = task.target.of(train);
    let columns = features.columns();
    let single = |row: usize| features.row(row).iter().map(|value| *value as f32);
    let values: Vec<f32> = train.iter().flat_map(|&row| single(row)).collect();
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
            let batch = batch.iter().map(|&index| {
                let index = index as usize;
                (&values[index * columns..][..columns], labels[index] as usize)
            });
            probe.step(&batch.collect::<Vec<_>>());
        }
    }
    let predict = |part| -> Vec<f64> {
        let of = |&row: &usize| probe.class(&single(row).collect::<Vec<_>>()) as f64;
        task.split.rows(part).iter().map(of).collect()
    };
    Ok(Fit {
        validation: predict(Part::Validation),
        test: predict(Part::Test),
        chosen: String::new(),
    })
}

/// Linear logits under Adam; weights lie as those of [`Objective`].
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
        let moments = [zeros.clone(), zeros.clone()];
        Self { columns, classes, weights: zeros.clone(), gradient: zeros, moments, steps: 0 }
    }

    fn logits(&self, values: &[f32]) -> Vec<f64> {
        let (weights, intercepts) = self.weights.split_at(self.columns * self.classes);
        let of = |class: usize| {
            let weights = &weights[class * self.columns..][..self.columns];
            f64::from(intercepts[class] + dot(weights, values))
        };
        (0..self.classes).map(of).collect()
    }

    fn class(&self, values: &[f32]) -> usize {
        let logits: Vec<Vec<f64>> =
            self.logits(values).into_iter().map(|logit| vec![logit]).collect();
        largest(&logits)[0] as usize
    }

    /// One step of Adam, with the penalty added to the gradient.
    fn step(&mut self, batch: &[(&[f32], usize)]) {
        self.gradient.iter_mut().zip(&self.weights).for_each(|(g, w)| *g = WEIGHT_DECAY * w);
        let intercepts = self.columns * self.classes;
        for (values, label) in batch {
            for (class, (share, _)) in softmax(&self.logits(values)).into_iter().enumerate() {
                let slope = share - f64::from(u8::from(class == *label));
                let slope = (slope / batch.len() as f64) as f32;
                let gradient = &mut self.gradient[class * self.columns..][..self.columns];
                gradient.iter_mut().zip(*values).for_each(|(g, value)| *g += slope * value);
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
    use super::super::fixture::{assert_close, task};
    use super::*;

    #[test]
    fn the_minimum_is_that_of_scikit_learn() {
        task(true, false, |reference, task| {
            let features = task.features.matrix();
            let train = task.split.rows(Part::Train);
            let values = Design::standardised(features, train).rows(features, train);
            let labels = task.target.of(train);
            let objective = Objective { values: &values, labels: &labels, columns: 6, classes: 3 };
            for expected in &reference.logistic {
                let at = |weights: &[f64]| objective.at(weights, expected.penalty);
                let weights = minimise(vec![0.0; 21], at);
                assert_close(&[at(&weights).0], &[expected.loss], 1e-9);
                assert_close(&weights[..18], &expected.weights.concat(), 2e-4);
            }
        });
    }

    #[test]
    fn steps_of_the_published_probe_are_those_of_torch() {
        task(true, true, |reference, task| {
            let mut probe = Probe::new(6, 3);
            for (index, weight) in probe.weights[..18].iter_mut().enumerate() {
                *weight = index as f32 / 100.0 - 0.1;
            }
            let single = |row: usize| -> Vec<f32> {
                task.features.matrix().row(row).iter().map(|value| *value as f32).collect()
            };
            let rows: Vec<Vec<f32>> = (0..50).map(single).collect();
            for step in 0..5 {
                let batch = (10 * step..10 * step + 10)
                    .map(|row| (rows[row].as_slice(), reference.labels[row]));
                probe.step(&batch.collect::<Vec<_>>());
            }
            let expected = [reference.probe.weights.concat(), reference.probe.intercepts.clone()];
            let double = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            assert_close(&double(&probe.weights), &double(&expected.concat()), 1e-6);
        });
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
