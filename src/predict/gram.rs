//! The products X'X of the columns of a design over some states: what all ridge regressions on
//! these states have in common, whatever their target and penalty.

use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;

use super::design::{CHUNK, Design};
use super::matrix::Matrix;

/// Columns that one thread works on at a time.
const PANEL: usize = 128;

#[derive(Debug)]
pub(super) struct Gram {
    pub(super) design: Design,
    pub(super) rows: Vec<usize>,
    /// Its lower triangle.
    products: Mat<f64>,
}

impl Gram {
    /// The products over the states `rows`, whose features are read a few at a time.
    pub(super) fn new(features: &Matrix, design: Design, rows: &[usize]) -> Arc<Self> {
        let columns = design.columns();
        let mut products = Mat::zeros(columns, columns);
        let mut panels = panels(products.as_mut());
        let mut values = Vec::new();
        for rows in rows.chunks(CHUNK) {
            design.fill(features, rows, &mut values);
            let values = MatRef::from_row_major_slice(&values, rows.len(), columns);
            // Each panel is one thread's, so that sums do not depend on their number.
            panels.par_iter_mut().for_each(|(start, panel)| {
                let below = values.subcols(*start, columns - *start).transpose();
                let these = values.subcols(*start, panel.ncols());
                matmul(panel.as_mut(), Accum::Add, below, these, 1.0, Par::Seq);
            });
        }
        Arc::new(Self { design, rows: rows.to_vec(), products })
    }

    /// X'y.
    pub(super) fn times(&self, features: &Matrix, y: &[f64]) -> Vec<f64> {
        let columns = self.design.columns();
        let chunk = |values: &mut Vec<f64>, (rows, y): (&[usize], &[f64])| {
            self.design.fill(features, rows, values);
            let mut product = vec![0.0; columns];
            for (row, y) in values.chunks(columns).zip(y) {
                product.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * y);
            }
            product
        };
        let chunks = self.rows.par_chunks(CHUNK).zip(y.par_chunks(CHUNK));
        let chunks: Vec<Vec<f64>> = chunks.map_init(Vec::new, chunk).collect();
        let mut product = vec![0.0; columns];
        for chunk in chunks {
            product.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
        }
        product
    }

    /// b of (X'X + λ I) b = `product` for each λ of `penalties`, one after the other in the
    /// same memory; `None` if rounding left no positive definite matrix.
    ///
    /// Each λ has its own Cholesky factors. The eigenvectors of X'X would serve all of them, but
    /// of features as they are, whose scales are decades apart, small eigenvalues are lost
    /// in the rounding of large ones; the factors do not mind how columns are scaled.
    pub(super) fn solve(&self, product: &[f64], penalties: &[f64]) -> Vec<Option<Vec<f64>>> {
        let mut matrix = Mat::zeros(product.len(), product.len());
        let solve = |penalty: &f64| {
            for column in 0..product.len() {
                let lower = &self.products.col_as_slice(column)[column..];
                matrix.col_as_slice_mut(column)[column..].copy_from_slice(lower);
                matrix[(column, column)] += penalty;
            }
            factor(matrix.as_mut())?;
            let mut weights = Mat::from_fn(product.len(), 1, |row, _| product[row]);
            let factors = matrix.as_ref();
            solve_lower_triangular_in_place(factors, weights.as_mut(), Par::Seq);
            solve_upper_triangular_in_place(factors.transpose(), weights.as_mut(), Par::Seq);
            Some(weights.col_as_slice(0).to_vec())
        };
        penalties.iter().map(solve).collect()
    }
}

/// Puts L of A = LL' in the place of the lower triangle of A; `None` if A is not positive
/// definite. Threads share the work in a way that does not depend on how many they are.
fn factor(mut matrix: MatMut<'_, f64>) -> Option<()> {
    let size = matrix.ncols();
    for start in (0..size).step_by(PANEL) {
        let width = PANEL.min(size - start);
        let end = start + width;
        let corner = matrix.as_ref().submatrix(start, start, width, width).llt(Side::Lower).ok()?;
        matrix.as_mut().submatrix_mut(start, start, width, width).copy_from(corner.L());
        let (left, right) = matrix.as_mut().split_at_col_mut(end);
        let mut below = left.submatrix_mut(end, start, size - end, width);
        // Of B below the corner: B L'⁻¹, which is (L⁻¹ B')'.
        rows(below.as_mut()).into_par_iter().for_each(|rows| {
            solve_lower_triangular_in_place(corner.L(), rows.transpose_mut(), Par::Seq);
        });
        let below = below.as_ref();
        let rest = panels(right.split_at_row_mut(end).1);
        rest.into_par_iter().for_each(|(at, panel)| {
            let these = below.subrows(at, panel.ncols()).transpose();
            let below = below.subrows(at, panel.nrows());
            matmul(panel, Accum::Add, below, these, -1.0, Par::Seq);
        });
    }
    Some(())
}

/// The columns of a square matrix in panels, from their place on the diagonal downwards.
fn panels(matrix: MatMut<'_, f64>) -> Vec<(usize, MatMut<'_, f64>)> {
    let (mut panels, mut rest, mut start) = (Vec::new(), matrix, 0);
    while rest.ncols() > 0 {
        let width = PANEL.min(rest.ncols());
        let (panel, right) = rest.split_at_col_mut(width);
        panels.push((start, panel.split_at_row_mut(start).1));
        (rest, start) = (right, start + width);
    }
    panels
}

/// The rows of a matrix, some at a time.
fn rows(matrix: MatMut<'_, f64>) -> Vec<MatMut<'_, f64>> {
    let (mut chunks, mut rest) = (Vec::new(), matrix);
    while rest.nrows() > 0 {
        let count = PANEL.min(rest.nrows());
        let (chunk, below) = rest.split_at_row_mut(count);
        chunks.push(chunk);
        rest = below;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Smooth in both indices, with a heavy diagonal: positive definite.
    fn matrix(size: usize) -> Mat<f64> {
        Mat::from_fn(size, size, |i, j| {
            let away = i.abs_diff(j) as f64;
            if i == j { 2.0 } else { 1.0 / (1.0 + away * away) }
        })
    }

    #[test]
    fn factors_of_several_panels_make_the_matrix_again() {
        for size in [1, PANEL, PANEL + 1, 3 * PANEL - 7] {
            let original = matrix(size);
            let mut factors = original.clone();
            factor(factors.as_mut()).unwrap();
            let lower = Mat::from_fn(size, size, |i, j| if i < j { 0.0 } else { factors[(i, j)] });
            let error = &lower * lower.transpose() - &original;
            assert!(error.norm_max() < 1e-13, "{size}: {}", error.norm_max());
        }
        let mut indefinite = matrix(2 * PANEL);
        indefinite[(200, 200)] = -1.0;
        assert!(factor(indefinite.as_mut()).is_none());
    }

    #[test]
    fn the_number_of_threads_decides_nothing() {
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut factors = matrix(4 * PANEL + 3);
            pool.install(|| factor(factors.as_mut())).unwrap();
            factors.col_as_slice(1)[1..].iter().map(|value| value.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(1), bits(3));
    }
}
