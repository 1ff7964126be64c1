//! Linear scores of states, and the gradient of a loss of them.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::descent::minimise;
use super::design::Design;
use super::matrix::Matrix;
use super::split::Part;
use super::task::Task;

/// Rows that one thread takes at a time: they stay in its second-level cache.
const CHUNK: usize = 64;

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
    /// and takes the weights that `value` says most of, of several the first.
    pub(super) fn best(
        &self,
        penalties: &[f64],
        loss: &Loss<'_>,
        value: impl Fn(&[f64]) -> f64,
    ) -> (f64, Vec<f64>) {
        let mut weights = vec![0.0; (self.design.columns() + 1) * self.scores];
        let mut best = (f64::NEG_INFINITY, 0.0, weights.clone());
        for &penalty in penalties {
            // Each begins where the one before it ended, which is near.
            weights = minimise(weights, |weights| self.at(weights, penalty, loss));
            let value = value(&weights);
            if value > best.0 {
                best = (value, penalty, weights.clone());
            }
        }
        (best.1, best.2)
    }

    /// The function that is minimised, and its gradient.
    pub(super) fn at(&self, weights: &[f64], penalty: f64, loss: &Loss<'_>) -> (f64, Vec<f64>) {
        let (matrix, intercepts) = self.parts(weights);
        let columns = self.design.columns();
        let chunk = |values: &mut Vec<f64>, (number, rows): (usize, &[usize])| {
            self.design.fill(self.features, rows, values);
            let values = MatRef::from_row_major_slice(values, rows.len(), columns);
            // Scores, then the derivatives by them.
            let mut slopes = Mat::<f64>::zeros(rows.len(), self.scores);
            matmul(&mut slopes, Accum::Replace, values, matrix, 1.0, Par::Seq);
            let (mut sum, mut of_state) = (0.0, vec![0.0; self.scores]);
            for row in 0..rows.len() {
                let scores = intercepts.iter().enumerate();
                scores.for_each(|(score, intercept)| {
                    of_state[score] = slopes[(row, score)] + intercept
                });
                sum += loss(number * CHUNK + row, &mut of_state);
                of_state
                    .iter()
                    .enumerate()
                    .for_each(|(score, slope)| slopes[(row, score)] = *slope);
            }
            let mut gradient = Mat::<f64>::zeros(columns, self.scores);
            matmul(&mut gradient, Accum::Replace, values.transpose(), &slopes, 1.0, Par::Seq);
            let of_score = |score| gradient.col_as_slice(score).iter().copied();
            let intercepts = (0..self.scores).map(|score| slopes.col_as_slice(score).iter().sum());
            (sum, (0..self.scores).flat_map(of_score).chain(intercepts).collect::<Vec<f64>>())
        };
        let chunks = self.rows.par_chunks(CHUNK).enumerate();
        let chunks: Vec<(f64, Vec<f64>)> = chunks.map_init(Vec::new, chunk).collect();
        let count = self.rows.len() as f64;
        let mut mean = 0.0;
        let mut gradient = vec![0.0; weights.len()];
        for (sum, slopes) in chunks {
            mean += sum / count;
            gradient.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope / count);
        }
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
