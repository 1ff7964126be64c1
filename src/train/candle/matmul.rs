//! Products of small matrices, on one thread.
//!
//! Not candle's: on Linux its `matmul` reads `/proc/cpuinfo` at every call to
//! count cores, then wakes a thread pool for products of this size, while every
//! core already trains a model of its own. Here each sum is taken in a fixed
//! order, so that the same input gives the same bits on any number of threads.
//!
//! The loops are written so that the compiler turns them into vector code.

use super::element::Element;

/// Sums of a dot product taken side by side.
const WIDTH: usize = 8;

/// A matrix in row-major order whose rows lie `stride` values apart.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, T: Element> Matrix<'a, T> {
    /// All of `values`, row by row.
    pub(super) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self { values, rows, columns, stride: columns }
    }

    /// `columns` columns from `first` on of a matrix with rows of `stride`.
    pub(super) fn columns_of(
        values: &'a [T],
        rows: usize,
        stride: usize,
        first: usize,
        columns: usize,
    ) -> Self {
        Self { values: &values[first..], rows, columns, stride }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub(super) fn row(&self, index: usize) -> &'a [T] {
        &self.values[index * self.stride..][..self.columns]
    }
}

/// `values` (row-major, `rows` x `columns`) with rows and columns swapped.
pub(super) fn transposed<T: Element>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    let column = |j| (0..rows).map(move |i| values[i * columns + j]);
    (0..columns).flat_map(column).collect()
}

/// Adds `a * b` to the `out` whose rows lie `stride` apart.
pub(super) fn add_product<T: Element>(
    out: &mut [T],
    stride: usize,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
) {
    let mut depth = 0;
    while depth < b.rows {
        depth += match b.rows - depth {
            4.. => add_terms::<T, 4>(out, stride, a, b, depth),
            2.. => add_terms::<T, 2>(out, stride, a, b, depth),
            _ => add_terms::<T, 1>(out, stride, a, b, depth),
        };
    }
}

/// Adds to every sum of the product the `DEPTH` terms that start at `depth`;
/// returns `DEPTH`. Rows of `b` that are read stay in the cache meanwhile.
#[inline(always)]
fn add_terms<T: Element, const DEPTH: usize>(
    out: &mut [T],
    stride: usize,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    depth: usize,
) -> usize {
    let terms: [&[T]; DEPTH] = std::array::from_fn(|i| b.row(depth + i));
    for row in 0..a.rows {
        let factors: [T; DEPTH] = std::array::from_fn(|i| a.row(row)[depth + i]);
        let out = &mut out[row * stride..][..b.columns];
        for (column, sum) in out.iter_mut().enumerate() {
            for i in 0..DEPTH {
                *sum += factors[i] * terms[i][column];
            }
        }
    }
    DEPTH
}

/// Adds `a * transpose(b)` to the `out` whose rows lie `stride` apart.
pub(super) fn add_product_transposed<T: Element>(
    out: &mut [T],
    stride: usize,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
) {
    let mut row = 0;
    while row < a.rows {
        let height = if row + 2 <= a.rows { 2 } else { 1 };
        let mut column = 0;
        while column < b.rows {
            let out = &mut out[row * stride + column..];
            column += match (height, b.rows - column) {
                (2, 2..) => add_dots::<T, 2, 2>(out, stride, a, row, b, column),
                (2, _) => add_dots::<T, 2, 1>(out, stride, a, row, b, column),
                _ => add_dots::<T, 1, 1>(out, stride, a, row, b, column),
            };
        }
        row += height;
    }
}

/// Adds the dot products of `ROWS` rows of `a` and `COLUMNS` rows of `b` to
/// `out`; returns `COLUMNS`.
#[inline(always)]
fn add_dots<T: Element, const ROWS: usize, const COLUMNS: usize>(
    out: &mut [T],
    stride: usize,
    a: Matrix<'_, T>,
    row: usize,
    b: Matrix<'_, T>,
    column: usize,
) -> usize {
    let left = std::array::from_fn(|i| a.row(row + i).as_chunks::<WIDTH>());
    let right = std::array::from_fn(|j| b.row(column + j).as_chunks::<WIDTH>());
    let left: [(&[[T; WIDTH]], &[T]); ROWS] = left;
    let right: [(&[[T; WIDTH]], &[T]); COLUMNS] = right;
    let mut sums = [[[T::zero(); WIDTH]; COLUMNS]; ROWS];
    for depth in 0..a.columns / WIDTH {
        for (sums, (left, _)) in sums.iter_mut().zip(&left) {
            for (sums, (right, _)) in sums.iter_mut().zip(&right) {
                for lane in 0..WIDTH {
                    sums[lane] += left[depth][lane] * right[depth][lane];
                }
            }
        }
    }
    for (i, (sums, (_, left))) in sums.iter().zip(&left).enumerate() {
        for (j, (sums, (_, right))) in sums.iter().zip(&right).enumerate() {
            let rest = left.iter().zip(*right).fold(T::zero(), |sum, (x, y)| sum + *x * *y);
            out[i * stride + j] += sums.iter().fold(rest, |total, sum| total + *sum);
        }
    }
    COLUMNS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every tile shape, against the definition, on integers: exact.
    #[test]
    fn products_are_exact_on_integers() {
        for (m, n, k) in [(1, 1, 1), (3, 7, 5), (4, 8, 2), (9, 31, 17), (6, 16, 25), (15, 9, 8)] {
            let a: Vec<f64> = (0..m * k).map(|i| (i * 7 % 11) as f64 - 5.0).collect();
            let b: Vec<f64> = (0..k * n).map(|i| (i * 5 % 13) as f64 - 6.0).collect();
            let expected: Vec<f64> = (0..m * n)
                .map(|at| (0..k).map(|p| a[at / n * k + p] * b[p * n + at % n]).sum::<f64>() + 1.0)
                .collect();
            let mut out = vec![1.0; m * n];
            add_product(&mut out, n, Matrix::new(&a, m, k), Matrix::new(&b, k, n));
            assert_eq!(out, expected, "{m} {n} {k}");
            let mut out = vec![1.0; m * n];
            let b = transposed(&b, k, n);
            add_product_transposed(&mut out, n, Matrix::new(&a, m, k), Matrix::new(&b, n, k));
            assert_eq!(out, expected, "{m} {n} {k} transposed");
        }
    }
}
