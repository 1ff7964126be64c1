//! Linear scores of states, and the gradient of a loss of them.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::descent::{End, MEMORY, minimise};
use super::design::Design;
use super::matrix::Matrix;
use super::split::Part;
use super::task::Task;

/// Rows of which a product of matrices is made: they stay in the second-level cache.
const CHUNK: usize = 16;

/// Sums of gradients, each over neighbouring rows and added up in order: so many threads at most
/// share the work, and the same numbers come of any number of them.
const SUMS: usize = 32;

/// A slope is flat that is so much smaller than the steepest one where all weights are 0.
const FLAT: f64 = 1e-6;

/// What turns the scores of a state, whose place among the training states is given, into the
/// derivatives of its loss by each of them; returns the loss.
pub(super) type Loss<'a> = dyn Fn(usize, &mut [f64]) -> f64 + Sync + 'a;

/// Scores of states from standardised features. Weights are those of the first score, of the
/// second and so on, then the intercepts.
pub(super) struct Linear<'a> {
    features: &'a Matrix,
    rows: &'a [usize],
    design: Design,
    scores: usize,
}

/// The weights that were chosen.
pub(super) struct Best {
    pub(super) weights: Vec<f64>,
    /// Their penalty, and whether they are short of its minimum.
    pub(super) chosen: String,
}

impl<'a> Linear<'a> {
    /// So many scores of each state, learnt from the training part.
    pub(super) fn new(task: &'a Task<'_>, scores: usize) -> Self {
        let (features, rows) = (task.features.matrix(), task.split.rows(Part::Train));
        Self { features, rows, design: Design::standardised(features, rows), scores }
    }

    /// The scores of the states `rows`: a vector for each score.
    pub(super) fn scores(&self, weights: &[f64], rows: &[usize]) -> Vec<Vec<f64>> {
        let (matrix, intercepts) = self.parts(weights);
        let mut scores = self.design.times(self.features, rows, matrix);
        for (scores, intercept) in scores.iter_mut().zip(intercepts) {
            scores.iter_mut().for_each(|score| *score += intercept);
        }
        scores
    }

    /// Minimises the mean of `loss` + λ/2 |W|² (intercepts are free) for each λ of `penalties`,
    /// and takes the weights that `value` says most of, of several the first; `None` if all of
    /// them are beyond numbers.
    pub(super) fn best(
        &self,
        penalties: &[f64],
        loss: &Loss<'_>,
        value: impl Fn(&[f64]) -> f64,
    ) -> Option<Best> {
        let mut weights = vec![0.0; (self.design.columns() + 1) * self.scores];
        let flat = self.flat(loss);
        let mut best: Option<(f64, Best)> = None;
        for &penalty in penalties {
            // Each begins where the one before it ended, which is near.
            let end = self.descend(weights, flat, penalty, loss);
            weights = end.point;
            let value = value(&weights);
            let is_number = weights.iter().all(|weight| weight.is_finite());
            if is_number && best.as_ref().is_none_or(|(best, _)| value > *best) {
                let short = if end.has_converged { "" } else { ", not converged" };
                let chosen = format!("lambda={penalty:e}{short}");
                best = Some((value, Best { weights: weights.clone(), chosen }));
            }
        }
        best.map(|(_, best)| best)
    }

    /// A slope that is flat: no penalty changes the steepest one where all weights are 0.
    pub(super) fn flat(&self, loss: &Loss<'_>) -> f64 {
        let zeros = vec![0.0; (self.design.columns() + 1) * self.scores];
        let (_, slopes) = self.at(&zeros, 0.0, loss);
        FLAT * slopes.iter().fold(0.0, |steepest: f64, slope| steepest.max(slope.abs()))
    }

    /// The minimum of [`Self::at`], sought from `weights` on, until slopes are `flat`.
    pub(super) fn descend(
        &self,
        weights: Vec<f64>,
        flat: f64,
        penalty: f64,
        loss: &Loss<'_>,
    ) -> End {
        minimise(weights, flat, |weights| self.at(weights, penalty, loss))
    }

    /// The function that is minimised, and its gradient.
    pub(super) fn at(&self, weights: &[f64], penalty: f64, loss: &Loss<'_>) -> (f64, Vec<f64>) {
        let (matrix, intercepts) = self.parts(weights);
        let undivided = self.design.divided(matrix.to_owned());
        let columns = self.design.columns();
        let size = self.rows.len().div_ceil(SUMS).next_multiple_of(CHUNK);
        let sums = self.rows.par_chunks(size).enumerate().map(|(number, rows)| {
            let mut sum = Sum {
                loss: 0.0,
                slopes: Mat::zeros(columns, self.scores),
                intercepts: vec![0.0; self.scores],
            };
            let mut values = Vec::new();
            for (place, rows) in rows.chunks(CHUNK).enumerate() {
                self.design.fill_undivided(self.features, rows, &mut values);
                let values = MatRef::from_row_major_slice(&values, rows.len(), columns);
                let first = number * size + place * CHUNK;
                sum.add(values, undivided.as_ref(), intercepts, &|row, scores| {
                    loss(first + row, scores)
                });
            }
            sum
        });
        // All of them before any is added: in order.
        let sums: Vec<Sum> = sums.collect();
        let count = self.rows.len() as f64;
        let mut mean = 0.0;
        let mut slopes = Mat::<f64>::zeros(columns, self.scores);
        let mut of_intercepts = vec![0.0; self.scores];
        for sum in sums {
            mean += sum.loss / count;
            slopes += sum.slopes;
            of_intercepts.iter_mut().zip(sum.intercepts).for_each(|(sum, slope)| *sum += slope);
        }
        let slopes = self.design.divided(slopes);
        let of_score = |score| slopes.col_as_slice(score).iter().copied();
        let all = (0..self.scores).flat_map(of_score).chain(of_intercepts);
        let mut gradient: Vec<f64> = all.map(|slope| slope / count).collect();
        let penalised = &weights[..columns * self.scores];
        gradient.iter_mut().zip(penalised).for_each(|(slope, weight)| *slope += penalty * weight);
        (mean + penalty / 2.0 * penalised.iter().map(|w| w * w).sum::<f64>(), gradient)
    }

    /// Weights as a matrix with a column for each score, and the intercepts.
    fn parts<'w>(&self, weights: &'w [f64]) -> (MatRef<'w, f64>, &'w [f64]) {
        let columns = self.design.columns();
        let (weights, intercepts) = weights.split_at(columns * self.scores);
        (MatRef::from_column_major_slice(weights, columns, self.scores), intercepts)
    }
}

/// Losses of some states, and their derivatives by weights of undivided features and by intercepts.
struct Sum {
    loss: f64,
    slopes: Mat<f64>,
    intercepts: Vec<f64>,
}

impl Sum {
    /// Adds states with these features.
    fn add(
        &mut self,
        values: MatRef<'_, f64>,
        weights: MatRef<'_, f64>,
        intercepts: &[f64],
        loss: &dyn Fn(usize, &mut [f64]) -> f64,
    ) {
        // Scores, then the derivatives by them.
        let mut slopes = Mat::<f64>::zeros(values.nrows(), weights.ncols());
        matmul(&mut slopes, Accum::Replace, values, weights, 1.0, Par::Seq);
        let mut of_state = vec![0.0; intercepts.len()];
        for row in 0..values.nrows() {
            for (score, intercept) in intercepts.iter().enumerate() {
                of_state[score] = slopes[(row, score)] + intercept;
            }
            self.loss += loss(row, &mut of_state);
            for (score, slope) in of_state.iter().enumerate() {
                slopes[(row, score)] = *slope;
                self.intercepts[score] += slope;
            }
        }
        matmul(&mut self.slopes, Accum::Add, values.transpose(), &slopes, 1.0, Par::Seq);
    }
}

/// The most bytes that descending takes beside the features, for so many scores of each state:
/// sums of gradients, remembered steps and points on the way, and the rows that threads look at.
pub(super) fn bytes(columns: usize, scores: usize) -> f64 {
    let vectors = SUMS + 2 * MEMORY + 8;
    let rows = CHUNK * rayon::current_num_threads().min(SUMS);
    8.0 * columns as f64 * (vectors * scores + rows) as f64
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Reference, task};
    use super::*;

    #[test]
    fn the_number_of_threads_decides_nothing() {
        task(false, false, |_, task| {
            let linear = Linear::new(task, 2);
            let loss = |state: usize, scores: &mut [f64]| {
                scores.iter_mut().for_each(|score| *score = (*score + state as f64).sin());
                scores[0]
            };
            let bits = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let (value, slopes) = pool.install(|| linear.at(&[0.3; 14], 1e-3, &loss));
                let all = slopes.into_iter().chain([value]);
                all.map(f64::to_bits).collect::<Vec<_>>()
            };
            assert_eq!(bits(1), bits(3));
        });
    }

    /// Slopes are differences of values, of features far from 0, too.
    #[test]
    fn slopes_are_those_of_the_value() {
        task(false, false, |reference, task| {
            let mut values = reference.features.concat();
            values.iter_mut().step_by(6).for_each(|value| *value += 1e6);
            let features = Reference::of(values);
            let task = Task { features: &features, ..*task };
            let linear = Linear::new(&task, 1);
            let loss = |state: usize, score: &mut [f64]| {
                let away = score[0] - state as f64 / 160.0;
                score[0] = 2.0 * away;
                away * away
            };
            let weights = [0.3, -0.2, 0.1, 0.4, 0.5, -0.6, 0.7];
            let (_, slopes) = linear.at(&weights, 1e-2, &loss);
            for (index, slope) in slopes.iter().enumerate() {
                let at = |step: f64| {
                    let mut weights = weights;
                    weights[index] += step;
                    linear.at(&weights, 1e-2, &loss).0
                };
                let difference = (at(1e-3) - at(-1e-3)) / 2e-3;
                assert!((slope - difference).abs() < 1e-9, "{index}: {slope}, {difference}");
            }
        });
    }

    /// Nothing holds the intercept, and so this falls for ever.
    #[test]
    fn what_is_short_of_its_minimum_says_so() {
        task(false, false, |_, task| {
            let linear = Linear::new(task, 1);
            let endless = |_: usize, score: &mut [f64]| {
                let loss = -score[0];
                score[0] = -1.0;
                loss
            };
            let best = linear.best(&[0.0], &endless, |_| 0.0).unwrap();
            assert_eq!(best.chosen, "lambda=0e0, not converged");
        });
    }
}
