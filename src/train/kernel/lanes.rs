//! Numbers side by side: what a kernel may ask of a processor.
//!
//! Owns the trait and its three implementations. Knows nothing of networks.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;
pub(super) use portable::Portable;

/// The widest vector of any implementation, in numbers. Buffers are padded by it.
pub(super) const WIDEST: usize = 16;

/// A set of vector instructions on `f32`.
///
/// # Safety
/// Every function may be called only on a processor that has the instructions
/// ([`Isa`](super::Isa) sees to it). Functions that take a position read or write
/// `WIDTH` numbers from there, which must lie inside the slice: in tests this is
/// asserted at every call.
///
/// Everything is inlined into functions compiled for the instruction set: without
/// that each operation would be a call.
pub(super) trait Lanes: Copy {
    /// A vector.
    type V: Copy;
    /// A yes or no for each number of a vector.
    type Mask: Copy;
    /// Numbers in a vector.
    const WIDTH: usize;
    /// Output channels that a tile of a convolution holds in registers, for three
    /// vectors of each.
    const TILE: usize;
    /// Registers for vectors.
    const REGISTERS: usize;

    unsafe fn load(values: &[f32], at: usize) -> Self::V;
    unsafe fn store(values: &mut [f32], at: usize, v: Self::V);
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the processor can.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn sqrt(a: Self::V) -> Self::V;
    /// The larger number; `b` where either is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller number; `b` where either is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// To the nearest integer, ties to even.
    unsafe fn round(a: Self::V) -> Self::V;
    /// 2 to the power of each integer `n`, which is between -126 and 127.
    unsafe fn exp2(n: Self::V) -> Self::V;
    /// Where `a > b`; no where either is NaN.
    unsafe fn greater(a: Self::V, b: Self::V) -> Self::Mask;
    /// Where `a == b`.
    unsafe fn equal(a: Self::V, b: Self::V) -> Self::Mask;
    /// Where `a` is NaN.
    unsafe fn is_nan(a: Self::V) -> Self::Mask;
    unsafe fn or(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// `a` where the mask says yes, otherwise `b`.
    unsafe fn select(mask: Self::Mask, a: Self::V, b: Self::V) -> Self::V;
    /// The sum of all numbers.
    unsafe fn sum(a: Self::V) -> f32;

    /// The sum of each of `sums.len()` vectors that lie one after the other.
    #[inline(always)]
    unsafe fn sum_each(vectors: &[f32], sums: &mut [f32]) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = Self::sum(Self::load(vectors, i * Self::WIDTH));
        }
    }

    /// The first `WIDTH` numbers of up to `WIDTH` `rows`, image beside image:
    /// number `i` of row `j` goes to `out[i * stride + j]`.
    #[inline(always)]
    unsafe fn interleave(rows: &[&[f32]], out: &mut [f32], stride: usize) {
        for (j, row) in rows.iter().enumerate() {
            for i in 0..Self::WIDTH {
                put(out, i * stride + j, get(row, i));
            }
        }
    }
}

/// One number.
///
/// # Safety
/// `at` is inside `values`.
#[inline(always)]
pub(super) unsafe fn get(values: &[f32], at: usize) -> f32 {
    check(values, at, 1);
    *values.get_unchecked(at)
}

/// Sets one number.
///
/// # Safety
/// `at` is inside `values`.
#[inline(always)]
pub(super) unsafe fn put(values: &mut [f32], at: usize, x: f32) {
    check(values, at, 1);
    *values.get_unchecked_mut(at) = x;
}

/// In unit tests, that `n` numbers from `at` on lie inside `values`: the one
/// condition of everything that is not checked otherwise. Elsewhere nothing: sizes follow from the
/// plan of a network, and the tests run every plan.
#[inline(always)]
pub(super) fn check(values: &[f32], at: usize, n: usize) {
    if cfg!(any(test, debug_assertions)) {
        assert!(at + n <= values.len(), "{n} numbers from {at} in {}", values.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::kernel::isa::{Isa, Kernel};

    /// Every operation on a few numbers, as bits.
    struct Everything;

    impl Kernel for Everything {
        type Output = Vec<f32>;

        #[inline(always)]
        unsafe fn run<L: Lanes>(self) -> Vec<f32> {
            let x: Vec<f32> = (0..48).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
            let mut all = Vec::new();
            let width = L::WIDTH;
            for at in (0..16).step_by(width) {
                let (a, b, c) = (L::load(&x, at), L::load(&x, at + 16), L::load(&x, at + 32));
                let n = L::round(a);
                let nan = L::div(L::sub(a, a), L::sub(b, b));
                let results = [
                    L::add(a, b),
                    L::sub(a, b),
                    L::mul(a, b),
                    L::div(a, b),
                    L::sqrt(L::mul(a, a)),
                    L::max(a, b),
                    L::min(a, b),
                    n,
                    L::exp2(n),
                    L::select(L::greater(a, b), a, c),
                    L::select(L::equal(a, L::splat(0.0)), b, c),
                    L::select(L::or(L::is_nan(nan), L::greater(a, b)), b, c),
                    L::max(nan, a),
                    L::min(nan, b),
                ];
                let mut out = vec![0.0; width];
                for (i, result) in results.into_iter().enumerate() {
                    L::store(&mut out, 0, result);
                    // Operation by operation, so that widths compare equal.
                    all.resize(results.len() * 16, 0.0);
                    all[i * 16 + at..][..width].copy_from_slice(&out);
                }
            }
            all
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let bits = |isa: Isa| -> Vec<u32> {
            unsafe { isa.run(Everything) }.into_iter().map(f32::to_bits).collect()
        };
        let expected = bits(Isa::PORTABLE);
        for isa in Isa::available() {
            assert_eq!(bits(isa), expected, "{isa:?}");
        }
    }

    /// Sums, fused products and the interleaving of rows.
    struct Together;

    impl Kernel for Together {
        type Output = ();

        #[inline(always)]
        unsafe fn run<L: Lanes>(self) {
            let width = L::WIDTH;
            let x: Vec<f32> = (0..37 * width).map(|i| (i % 101) as f32 - 50.0).collect();
            let mut sums = vec![0.0; 37];
            L::sum_each(&x, &mut sums);
            for (i, sum) in sums.iter().enumerate() {
                assert_eq!(*sum, x[i * width..][..width].iter().sum::<f32>());
            }
            let mut out = vec![0.0; width];
            L::store(&mut out, 0, L::fma(L::load(&x, 0), L::splat(3.0), L::load(&x, 5)));
            for (i, out) in out.iter().enumerate() {
                assert_eq!(*out, x[i] * 3.0 + x[i + 5]);
            }
            for n in 1..=width {
                let rows: Vec<&[f32]> = (0..n).map(|j| &x[j * 19..][..width]).collect();
                let mut out = vec![-1.0; width * (n + 1)];
                L::interleave(&rows, &mut out, n + 1);
                for (at, found) in out.iter().enumerate() {
                    let (i, j) = (at / (n + 1), at % (n + 1));
                    assert_eq!(*found, if j < n { rows[j][i] } else { -1.0 }, "{n} {at}");
                }
            }
        }
    }

    #[test]
    fn sums_and_interleaved_rows_are_exact() {
        for isa in Isa::available() {
            unsafe { isa.run(Together) };
        }
    }
}
