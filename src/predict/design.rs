//! Features as a linear model sees them: standardised, or as they are beside a column of ones.

use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::matrix::Matrix;

/// Rows that are prepared at a time: a few megabytes of the widest features.
const CHUNK: usize = 512;

/// Columns of a Gram matrix that one thread works on at a time.
const PANEL: usize = 128;

/// The columns of a linear model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Design {
    /// Taken from each feature, and then divided by; `None` for features as they are, with
    /// a column of ones behind them.
    scaling: Option<Vec<(f64, f64)>>,
}

impl Design {
    /// Features as they are, and a one.
    pub(super) fn unscaled() -> Self {
        Self { scaling: None }
    }

    /// Features less their mean by their population deviation, both over the states `rows`.
    /// Those that are constant there become 0.
    pub(super) fn standardised(features: &Matrix, rows: &[usize]) -> Self {
        let count = rows.len() as f64;
        let mut means = vec![0.0; features.columns()];
        for &row in rows {
            means.iter_mut().zip(features.row(row)).for_each(|(mean, value)| *mean += value);
        }
        means.iter_mut().for_each(|mean| *mean /= count);
        let mut squares = vec![0.0; features.columns()];
        for &row in rows {
            for ((square, value), mean) in squares.iter_mut().zip(features.row(row)).zip(&means) {
                *square += (value - mean) * (value - mean);
            }
        }
        let scale = |(mean, square): (&f64, &f64)| {
            let deviation = (square / count).sqrt();
            // What rounding leaves of a constant is none of its variation.
            let varies = deviation > 1e-12 * mean.abs();
            (*mean, if varies { deviation } else { f64::INFINITY })
        };
        Self { scaling: Some(means.iter().zip(&squares).map(scale).collect()) }
    }

    /// Whether the intercept is one of the columns, and penalised with them.
    pub(super) fn has_ones(&self) -> bool {
        self.scaling.is_none()
    }

    /// Number of columns.
    pub(super) fn columns(&self, features: &Matrix) -> usize {
        features.columns() + usize::from(self.has_ones())
    }

    /// The rows of the states `rows`, one after the other.
    pub(super) fn rows(&self, features: &Matrix, rows: &[usize]) -> Vec<f64> {
        let mut values = Vec::with_capacity(rows.len() * self.columns(features));
        for &row in rows {
            let row = features.row(row);
            match &self.scaling {
                Some(scaling) => {
                    let scaled = row
                        .iter()
                        .zip(scaling)
                        .map(|(value, (mean, deviation))| (value - mean) / deviation);
                    values.extend(scaled);
                }
                None => {
                    values.extend_from_slice(row);
                    values.push(1.0);
                }
            }
        }
        values
    }

    /// The states `rows` times each column of `weights`: a vector for each of these.
    pub(super) fn times(
        &self,
        features: &Matrix,
        rows: &[usize],
        weights: MatRef<'_, f64>,
    ) -> Vec<Vec<f64>> {
        let columns = self.columns(features);
        let chunk = |rows: &[usize]| {
            let values = self.rows(features, rows);
            let values = MatRef::from_row_major_slice(&values, rows.len(), columns);
            let mut product = Mat::zeros(rows.len(), weights.ncols());
            matmul(&mut product, Accum::Replace, values, weights, 1.0, Par::Seq);
            product
        };
        let chunks: Vec<Mat<f64>> = rows.par_chunks(CHUNK).map(chunk).collect();
        let column = |index| chunks.iter().flat_map(move |chunk| chunk.col_as_slice(index));
        (0..weights.ncols()).map(|index| column(index).copied().collect()).collect()
    }
}

/// The products X'X of the columns of a design over some states: what all ridge regressions on
/// them have in common, whatever their target and penalty.
#[derive(Debug)]
pub(super) struct Gram {
    pub(super) design: Design,
    pub(super) rows: Vec<usize>,
    /// Its lower triangle.
    pub(super) products: Mat<f64>,
}

impl Gram {
    /// The products over the states `rows`. Takes the memory of its result twice, however
    /// many states there are.
    pub(super) fn new(features: &Matrix, design: Design, rows: &[usize]) -> Arc<Self> {
        let columns = design.columns(features);
        let starts: Vec<usize> = (0..columns).step_by(PANEL).collect();
        let width = |start: usize| PANEL.min(columns - start);
        let mut panels: Vec<Mat<f64>> =
            starts.iter().map(|&start| Mat::zeros(columns - start, width(start))).collect();
        for rows in rows.chunks(CHUNK) {
            let values = design.rows(features, rows);
            let values = MatRef::from_row_major_slice(&values, rows.len(), columns);
            // Each panel is one thread's, so that sums do not depend on their number.
            panels.par_iter_mut().zip(&starts).for_each(|(panel, &start)| {
                let below = values.subcols(start, columns - start).transpose();
                let these = values.subcols(start, width(start));
                matmul(panel, Accum::Add, below, these, 1.0, Par::Seq);
            });
        }
        let mut products = Mat::zeros(columns, columns);
        for (panel, &start) in panels.iter().zip(&starts) {
            let mut place = products.submatrix_mut(start, start, panel.nrows(), panel.ncols());
            place.copy_from(panel);
        }
        Arc::new(Self { design, rows: rows.to_vec(), products })
    }

    /// X'y.
    pub(super) fn times(&self, features: &Matrix, y: &[f64]) -> Vec<f64> {
        let columns = self.design.columns(features);
        let mut product = vec![0.0; columns];
        for (rows, y) in self.rows.chunks(CHUNK).zip(y.chunks(CHUNK)) {
            let values = self.design.rows(features, rows);
            for (row, y) in values.chunks(columns).zip(y) {
                product.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * y);
            }
        }
        product
    }
}
