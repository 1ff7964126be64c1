//! Features as a linear model sees them: standardised, or as they are beside a column of ones.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::matrix::Matrix;

/// Rows that are prepared at a time: a few megabytes of the widest features.
pub(super) const CHUNK: usize = 256;

/// The columns of a linear model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Design {
    /// Of each feature over the training states that have it: what stands for it in others.
    means: Vec<f64>,
    /// What features are divided by after their mean is taken from them; `None` for features as
    /// they are, with a column of ones behind them.
    deviations: Option<Vec<f64>>,
}

impl Design {
    /// Features as they are, and a one.
    pub(super) fn unscaled(features: &Matrix, rows: &[usize]) -> Self {
        Self { means: means(features, rows).0, deviations: None }
    }

    /// Features less their mean by their population deviation, both over the states `rows`.
    /// Those that are constant there become 0.
    pub(super) fn standardised(features: &Matrix, rows: &[usize]) -> Self {
        let (means, counts) = means(features, rows);
        let mut squares = vec![0.0; features.columns()];
        let mut values = vec![0.0; features.columns()];
        for &row in rows {
            features.read(row, &mut values);
            for ((square, value), mean) in squares.iter_mut().zip(&values).zip(&means) {
                *square += if value.is_nan() { 0.0 } else { (value - mean) * (value - mean) };
            }
        }
        let deviation = |((square, count), mean): ((&f64, &f64), &f64)| {
            let deviation = (square / count.max(1.0)).sqrt();
            // What rounding leaves of a constant is none of its variation.
            if deviation > 1e-12 * mean.abs() { deviation } else { f64::INFINITY }
        };
        let deviations = squares.iter().zip(&counts).zip(&means).map(deviation).collect();
        Self { means, deviations: Some(deviations) }
    }

    /// Whether the intercept is one of the columns, and penalised with them.
    pub(super) fn has_ones(&self) -> bool {
        self.deviations.is_none()
    }

    /// Number of columns.
    pub(super) fn columns(&self) -> usize {
        self.means.len() + usize::from(self.has_ones())
    }

    /// The rows of the states `rows`, one after the other, in place of what `values` had.
    pub(super) fn fill(&self, features: &Matrix, rows: &[usize], values: &mut Vec<f64>) {
        self.fill_undivided(features, rows, values);
        let Some(deviations) = &self.deviations else { return };
        for values in values.chunks_mut(self.columns().max(1)) {
            values.iter_mut().zip(deviations).for_each(|(value, deviation)| *value /= deviation);
        }
    }

    /// The same before deviations divide them: weights and slopes can be divided instead, once
    /// for all states ([`Self::divided`]). Means do go from each value: taken from sums, they
    /// would cancel where a feature is large against its deviation.
    pub(super) fn fill_undivided(&self, features: &Matrix, rows: &[usize], values: &mut Vec<f64>) {
        // Ones stay where features do not go.
        if self.has_ones() {
            values.clear();
        }
        values.resize(rows.len() * self.columns(), 1.0);
        Arch::new().dispatch(Fill { design: self, features, rows, values });
    }

    /// Weights of the columns, a score's after another's, as weights of undivided ones; or slopes
    /// along undivided columns as slopes along these.
    pub(super) fn divided(&self, mut values: Mat<f64>) -> Mat<f64> {
        let Some(deviations) = &self.deviations else { return values };
        for score in 0..values.ncols() {
            let values = values.col_as_slice_mut(score).iter_mut().zip(deviations);
            values.for_each(|(value, deviation)| *value /= deviation);
        }
        values
    }

    /// The features of a state in single precision, without the one.
    pub(super) fn single(&self, features: &Matrix, row: usize) -> Vec<f32> {
        let mut values = Vec::new();
        self.fill(features, &[row], &mut values);
        values.truncate(self.means.len());
        values.into_iter().map(|value| value as f32).collect()
    }

    /// The states `rows` times each column of `weights`: a vector for each of these.
    pub(super) fn times(
        &self,
        features: &Matrix,
        rows: &[usize],
        weights: MatRef<'_, f64>,
    ) -> Vec<Vec<f64>> {
        let weights = self.divided(weights.to_owned());
        let chunk = |values: &mut Vec<f64>, rows: &[usize]| {
            self.fill_undivided(features, rows, values);
            let values = MatRef::from_row_major_slice(values, rows.len(), self.columns());
            let mut product = Mat::zeros(rows.len(), weights.ncols());
            matmul(&mut product, Accum::Replace, values, &weights, 1.0, Par::Seq);
            product
        };
        let chunks: Vec<Mat<f64>> = rows.par_chunks(CHUNK).map_init(Vec::new, chunk).collect();
        let column = |index| chunks.iter().flat_map(move |chunk| chunk.col_as_slice(index));
        (0..weights.ncols()).map(|index| column(index).copied().collect()).collect()
    }
}

/// Reads rows in the widest vector instructions there are.
struct Fill<'a> {
    design: &'a Design,
    features: &'a Matrix,
    rows: &'a [usize],
    values: &'a mut [f64],
}

impl WithSimd for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { design: Design { means, .. }, features, rows, values } = self;
        let columns = self.design.columns();
        for (index, row) in rows.iter().enumerate() {
            let values = &mut values[index * columns..][..means.len()];
            match self.design.has_ones() {
                true => features.read_known::<false>(*row, means, values),
                false => features.read_known::<true>(*row, means, values),
            }
        }
    }
}

/// The mean of each feature over those of the states `rows` that have it, and how many these
/// are; 0 of none.
fn means(features: &Matrix, rows: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let mut sums = vec![0.0; features.columns()];
    let mut counts = vec![0.0; features.columns()];
    let mut values = vec![0.0; features.columns()];
    for &row in rows {
        features.read(row, &mut values);
        for ((sum, count), value) in sums.iter_mut().zip(&mut counts).zip(&values) {
            let is_there = !value.is_nan();
            *sum += if is_there { *value } else { 0.0 };
            *count += f64::from(u8::from(is_there));
        }
    }
    let mean = |(sum, count): (&f64, &f64)| sum / count.max(1.0);
    (sums.iter().zip(&counts).map(mean).collect(), counts)
}
