//! Products of a matrix and a panel of 16 columns: what the large products of
//! convolutions are made of.
//!
//! A tile of the result stays in registers while all its terms are added. The
//! instructions are those of the engine; each sum is taken in a fixed order, so that
//! one machine always gives the same bits.

use pulp::{Simd, WithSimd};

use super::element::Element;
use super::instructions;
use super::matmul::Matrix;

/// Columns of a panel.
pub(super) const WIDTH: usize = 16;

/// Terms of a product that are summed at a time: a panel of as many rows stays
/// in the first-level cache.
pub(super) const DEPTH: usize = 288;

/// Rows of the largest tile: 12 sums of 8 values leave registers for the factors.
const ROWS: usize = 6;

/// Adds `a * panel` to the `out` whose rows lie `stride` apart, but for columns
/// from `columns` on. `panel` has a row for each column of `a`.
pub(super) fn add_panel_product<T: Element>(
    out: &mut [T],
    stride: usize,
    columns: usize,
    a: Matrix<'_, T>,
    panel: &[[T; WIDTH]],
) {
    instructions().dispatch(PanelProduct { out, stride, columns, a, panel });
}

struct PanelProduct<'a, T> {
    out: &'a mut [T],
    stride: usize,
    columns: usize,
    a: Matrix<'a, T>,
    panel: &'a [[T; WIDTH]],
}

impl<T: Element> WithSimd for PanelProduct<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A register holds a power of two of values; others do not occur.
        match WIDTH / T::lanes::<S>() {
            1 => self.tiles::<S, 1>(simd),
            2 => self.tiles::<S, 2>(simd),
            4 => self.tiles::<S, 4>(simd),
            8 => self.tiles::<S, 8>(simd),
            _ => self.tiles::<S, WIDTH>(simd),
        }
    }
}

impl<T: Element> PanelProduct<'_, T> {
    /// All tiles, with rows of `V` registers.
    #[inline(always)]
    fn tiles<S: Simd, const V: usize>(mut self, simd: S) {
        let mut row = 0;
        while row < self.a.rows() {
            row += match self.a.rows() - row {
                ROWS.. => self.tile::<S, V, ROWS>(simd, row),
                5 => self.tile::<S, V, 5>(simd, row),
                4 => self.tile::<S, V, 4>(simd, row),
                3 => self.tile::<S, V, 3>(simd, row),
                2 => self.tile::<S, V, 2>(simd, row),
                _ => self.tile::<S, V, 1>(simd, row),
            };
        }
    }

    /// The tile of `R` rows from `row` on; returns `R`.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const R: usize>(&mut self, simd: S, row: usize) -> usize {
        let mut sums = [[T::splat(simd, T::zero()); V]; R];
        let (panel, _) = T::vectors::<S>(self.panel.as_flattened()).as_chunks::<V>();
        let mut rows = [&[][..]; R];
        for (i, factors) in rows.iter_mut().enumerate() {
            // The length is said again for the compiler to drop bounds checks.
            *factors = &self.a.row(row + i)[..panel.len()];
        }
        for (depth, terms) in panel.iter().enumerate() {
            for (sums, factors) in sums.iter_mut().zip(&rows) {
                let factor = T::splat(simd, factors[depth]);
                for (sum, term) in sums.iter_mut().zip(terms) {
                    *sum = T::multiply_add(simd, factor, *term, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(row + i) * self.stride..][..self.columns];
            if self.columns == WIDTH {
                for (out, sum) in T::vectors_mut::<S>(out).iter_mut().zip(sums) {
                    *out = T::add_vectors(simd, *out, *sum);
                }
            } else {
                let mut values = [T::zero(); WIDTH];
                T::vectors_mut::<S>(&mut values).copy_from_slice(sums);
                for (out, value) in out.iter_mut().zip(values) {
                    *out += value;
                }
            }
        }
        R
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every tile height and a panel cut short, on integers: exact.
    #[test]
    fn products_are_exact_on_integers() {
        for (rows, depth, columns) in [(1, 1, 16), (5, 7, 3), (6, 31, 16), (10, 8, 15), (15, 20, 1)]
        {
            let a: Vec<f64> = (0..rows * depth).map(|i| (i * 7 % 11) as f64 - 5.0).collect();
            let entry = |i: usize| (i * 5 % 13) as f64 - 6.0;
            let panel: Vec<[f64; WIDTH]> =
                (0..depth).map(|k| std::array::from_fn(|j| entry(k * WIDTH + j))).collect();
            let expected: Vec<f64> = (0..rows * columns)
                .map(|at| (at / columns, at % columns))
                .map(|(i, j)| (0..depth).map(|k| a[i * depth + k] * panel[k][j]).sum::<f64>() + 1.0)
                .collect();
            let mut out = vec![1.0; rows * columns];
            let matrix = Matrix::new(&a, rows, depth);
            add_panel_product(&mut out, columns, columns, matrix, &panel);
            assert_eq!(out, expected, "{rows} {depth} {columns}");
            let single = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
            let panel: Vec<[f32; WIDTH]> = panel.iter().map(|row| row.map(|v| v as f32)).collect();
            let (a, mut out) = (single(&a), vec![1.0; rows * columns]);
            add_panel_product(&mut out, columns, columns, Matrix::new(&a, rows, depth), &panel);
            assert_eq!(out, single(&expected), "{rows} {depth} {columns} f32");
        }
    }
}
