//! The linear maps between pixels, kernels and what Winograd's filtering F(2x2, 3x3)
//! multiplies, in vector instructions. Names of matrices are those of Lavin and Gray
//! (2016, section 4.1).

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::element::Element;
use super::instructions;
use super::tile::WIDTH;
use super::workspace::Lanes;

/// A linear map of `N` numbers to `M`, for many at a time.
pub(super) trait Map<const N: usize, const M: usize> {
    fn map<T: Element, S: Simd>(simd: S, x: [T::Vector<S>; N]) -> [T::Vector<S>; M];
}

/// Of pixels that a tile sees: `Bᵀ`.
pub(super) struct Input;

impl Map<4, 4> for Input {
    #[inline(always)]
    fn map<T: Element, S: Simd>(simd: S, [a, b, c, d]: [T::Vector<S>; 4]) -> [T::Vector<S>; 4] {
        let add = |x, y| T::add_vectors(simd, x, y);
        let subtract = |x, y| T::subtract_vectors(simd, x, y);
        [subtract(a, c), add(b, c), subtract(c, b), subtract(b, d)]
    }
}

/// Of a kernel: `G`.
pub(super) struct Kernel;

impl Map<3, 4> for Kernel {
    #[inline(always)]
    fn map<T: Element, S: Simd>(simd: S, [a, b, c]: [T::Vector<S>; 3]) -> [T::Vector<S>; 4] {
        let half = T::splat(simd, T::from_f64(0.5));
        let outer = T::multiply_vectors(simd, half, T::add_vectors(simd, a, c));
        let inner = T::multiply_vectors(simd, half, b);
        let sum = T::add_vectors(simd, outer, inner);
        [a, sum, T::subtract_vectors(simd, outer, inner), c]
    }
}

/// Of sums of products, to a tile: `Aᵀ`.
pub(super) struct Output;

impl Map<4, 2> for Output {
    #[inline(always)]
    fn map<T: Element, S: Simd>(simd: S, [a, b, c, d]: [T::Vector<S>; 4]) -> [T::Vector<S>; 2] {
        let add = |x, y| T::add_vectors(simd, x, y);
        let subtract = |x, y| T::subtract_vectors(simd, x, y);
        [add(a, add(b, c)), subtract(subtract(b, c), d)]
    }
}

/// Of the gradient of a tile: [`Output`] transposed.
pub(super) struct OutputGradient;

impl Map<2, 4> for OutputGradient {
    #[inline(always)]
    fn map<T: Element, S: Simd>(simd: S, [a, b]: [T::Vector<S>; 2]) -> [T::Vector<S>; 4] {
        let subtract = |x, y| T::subtract_vectors(simd, x, y);
        let zero = T::splat(simd, T::zero());
        [a, T::add_vectors(simd, a, b), subtract(a, b), subtract(zero, b)]
    }
}

/// Of sums of products, to the gradient of a kernel: [`Kernel`] transposed.
pub(super) struct KernelGradient;

impl Map<4, 3> for KernelGradient {
    #[inline(always)]
    fn map<T: Element, S: Simd>(simd: S, [a, b, c, d]: [T::Vector<S>; 4]) -> [T::Vector<S>; 3] {
        let half = T::splat(simd, T::from_f64(0.5));
        let sum = T::multiply_vectors(simd, half, T::add_vectors(simd, b, c));
        let difference = T::multiply_vectors(simd, half, T::subtract_vectors(simd, b, c));
        [T::add_vectors(simd, a, sum), difference, T::add_vectors(simd, sum, d)]
    }
}

/// Squares of lanes, row by row, in a larger piece of memory.
#[derive(Clone, Copy)]
pub(super) struct Strides {
    /// From a square to the next one.
    pub(super) item: usize,
    /// From an entry of a square to the next one.
    pub(super) entry: usize,
}

/// Maps `count` squares of `N`x`N` lanes to squares of `M`x`M`: first their columns,
/// then the rows.
pub(super) fn transform<T: Element, X: Map<N, M>, const N: usize, const M: usize>(
    count: usize,
    from: &[Lanes<T>],
    from_strides: Strides,
    to: &mut [Lanes<T>],
    to_strides: Strides,
) {
    let map = PhantomData::<X>;
    instructions().dispatch(Transform { count, from, from_strides, to, to_strides, map });
}

struct Transform<'a, T, X, const N: usize, const M: usize> {
    count: usize,
    from: &'a [Lanes<T>],
    from_strides: Strides,
    to: &'a mut [Lanes<T>],
    to_strides: Strides,
    map: PhantomData<X>,
}

impl<T: Element, X: Map<N, M>, const N: usize, const M: usize> WithSimd
    for Transform<'_, T, X, N, M>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let from = T::vectors::<S>(self.from.as_flattened());
        let to = T::vectors_mut::<S>(self.to.as_flattened_mut());
        let vectors = WIDTH / T::lanes::<S>();
        let zero = T::splat(simd, T::zero());
        for item in 0..self.count {
            for vector in 0..vectors {
                let at = |strides: Strides, entry: usize| {
                    (item * strides.item + entry * strides.entry) * vectors + vector
                };
                let mut columns = [[zero; N]; N];
                for (i, column) in columns.iter_mut().enumerate() {
                    for (row, value) in column.iter_mut().enumerate() {
                        *value = from[at(self.from_strides, row * N + i)];
                    }
                }
                let mut rows = [[zero; N]; M];
                for (i, column) in columns.into_iter().enumerate() {
                    for (row, value) in X::map::<T, S>(simd, column).into_iter().enumerate() {
                        rows[row][i] = value;
                    }
                }
                for (i, row) in rows.into_iter().enumerate() {
                    for (column, value) in X::map::<T, S>(simd, row).into_iter().enumerate() {
                        to[at(self.to_strides, i * M + column)] = value;
                    }
                }
            }
        }
    }
}
