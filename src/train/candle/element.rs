//! The numbers the operations compute with: `f32` to train, `f64` to check
//! gradients against a reference to more digits than `f32` has.

use std::cell::RefCell;
use std::thread::LocalKey;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result, WithDType, bail};
use pulp::Simd;

use super::instructions;

/// A floating-point number an operation can be run in.
pub(super) trait Element: WithDType {
    /// Natural exponential.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Error function.
    fn erf(self) -> Self;
    /// The values of a storage of this type.
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;

    /// What [`with_workspace`](super::workspace::with_workspace) keeps for a thread.
    fn workspace() -> &'static LocalKey<RefCell<Vec<Self>>>;

    /// Values side by side in a register.
    type Vector<S: Simd>: Copy;
    /// How many there are in one.
    fn lanes<S: Simd>() -> usize;
    /// The same value in every lane.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// `a + b`.
    fn add_vectors<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a - b`.
    fn subtract_vectors<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// `a * b`.
    fn multiply_vectors<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// `a * b + c`, rounded once where the processor does that in one step.
    fn multiply_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// Values as registers; those that do not fill one are left out.
    fn vectors<S: Simd>(values: &[Self]) -> &[Self::Vector<S>];
    /// The same, to be changed.
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [Self::Vector<S>];

    /// Whether this is not a number.
    #[expect(clippy::eq_op, reason = "NaN alone differs from itself")]
    fn is_nan(self) -> bool {
        self != self
    }
}

/// What [`Element`] has of `pulp`, for one type.
macro_rules! vectors {
    ($vector:ident, $lanes:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $multiply_add:ident, $vectors:ident, $vectors_mut:ident) => {
        type Vector<S: Simd> = S::$vector;
        #[inline(always)]
        fn lanes<S: Simd>() -> usize {
            S::$lanes
        }
        #[inline(always)]
        fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
            simd.$splat(value)
        }
        #[inline(always)]
        fn add_vectors<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$add(a, b)
        }
        #[inline(always)]
        fn subtract_vectors<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$sub(a, b)
        }
        #[inline(always)]
        fn multiply_vectors<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$mul(a, b)
        }
        #[inline(always)]
        fn multiply_add<S: Simd>(
            simd: S,
            a: S::$vector,
            b: S::$vector,
            c: S::$vector,
        ) -> S::$vector {
            simd.$multiply_add(a, b, c)
        }
        #[inline(always)]
        fn vectors<S: Simd>(values: &[Self]) -> &[S::$vector] {
            S::$vectors(values).0
        }
        #[inline(always)]
        fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [S::$vector] {
            S::$vectors_mut(values).0
        }
    };
}

impl Element for f32 {
    vectors!(
        f32s,
        F32_LANES,
        splat_f32s,
        add_f32s,
        sub_f32s,
        mul_f32s,
        mul_add_e_f32s,
        as_simd_f32s,
        as_mut_simd_f32s
    );
    fn exp(self) -> Self {
        self.exp()
    }
    fn ln(self) -> Self {
        self.ln()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn tanh(self) -> Self {
        tanh(self)
    }
    fn erf(self) -> Self {
        candle_core::cpu::erf::erf_f32(self)
    }
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        if let CpuStorage::F32(values) = storage { Some(values) } else { None }
    }
    fn workspace() -> &'static LocalKey<RefCell<Vec<Self>>> {
        thread_local! {
            static WORKSPACE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
        }
        &WORKSPACE
    }
}

/// Hyperbolic tangent by the rational function that Eigen and XLA use: plain
/// arithmetic, so that it becomes vector code, which a call into the C library
/// does not, and has the same bits everywhere.
fn tanh(x: f32) -> f32 {
    /// From here on the result is 1 in `f32`.
    const END: f32 = 7.905_311;
    /// Of x, x³, x⁵, ….
    const ABOVE: [f32; 7] = [
        4.893_524_6e-3,
        6.372_619_4e-4,
        1.485_722_4e-5,
        5.122_297_3e-8,
        -8.604_672e-11,
        2.000_188e-13,
        -2.760_768_5e-16,
    ];
    /// Of 1, x², x⁴, ….
    const BELOW: [f32; 4] = [4.893_525_3e-3, 2.268_434_7e-3, 1.185_347_1e-4, 1.198_258_4e-6];
    // Comparisons are turned so that NaN goes through.
    let x = if x > END { END } else { x };
    let x = if x < -END { -END } else { x };
    let square = x * x;
    let at_square = |sum: f32, coefficient: &f32| sum * square + coefficient;
    let above = x * ABOVE.iter().rev().fold(0.0, at_square);
    let below = BELOW.iter().rev().fold(0.0, at_square);
    above / below
}

impl Element for f64 {
    vectors!(
        f64s,
        F64_LANES,
        splat_f64s,
        add_f64s,
        sub_f64s,
        mul_f64s,
        mul_add_e_f64s,
        as_simd_f64s,
        as_mut_simd_f64s
    );
    fn exp(self) -> Self {
        self.exp()
    }
    fn ln(self) -> Self {
        self.ln()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn tanh(self) -> Self {
        self.tanh()
    }
    fn erf(self) -> Self {
        candle_core::cpu::erf::erf_f64(self)
    }
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        if let CpuStorage::F64(values) = storage { Some(values) } else { None }
    }
    fn workspace() -> &'static LocalKey<RefCell<Vec<Self>>> {
        thread_local! {
            static WORKSPACE: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
        }
        &WORKSPACE
    }
}

/// Runs plain loops in the vector instructions of the engine. The closure,
/// and what it calls, must be inlined: what is not is compiled for every processor.
pub(super) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    instructions().dispatch(work)
}

/// Sets `out` to what `rule` makes of the values at the same place of `x` and `y`.
pub(super) fn zip_into<T: Element>(out: &mut [T], x: &[T], y: &[T], rule: impl Fn(T, T) -> T) {
    vectorized(
        #[inline(always)]
        || {
            for (out, (x, y)) in out.iter_mut().zip(x.iter().zip(y)) {
                *out = rule(*x, *y);
            }
        },
    );
}

/// Runs an expression with a type name bound to the element type of a dtype.
macro_rules! with_element {
    ($dtype:expr, $element:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $element = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $element = f64;
                $body
            }
            other => candle_core::bail!("expected f32 or f64, not {other:?}"),
        }
    };
}
pub(super) use with_element;

/// `values` as a tensor stores them.
pub(super) fn storage<T: Element>(values: Vec<T>) -> CpuStorage {
    T::to_cpu_storage_owned(values)
}

/// The values of a contiguous tensor.
pub(super) fn values<'a, T: Element>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<T>()?[start..end]),
        None => bail!("expected a contiguous tensor, not strides {:?}", layout.stride()),
    }
}

/// The values of a contiguous tensor, to be changed in place.
pub(super) fn values_mut<'a, T: Element>(
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> Result<&'a mut [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("expected a contiguous tensor, not strides {:?}", layout.stride())
    };
    let found = storage.dtype();
    match T::slice_mut(storage) {
        Some(all) => Ok(&mut all[start..end]),
        None => bail!("expected {:?}, not {found:?}", T::DTYPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_within_a_few_units_in_the_last_place() {
        for i in -2_000_000..=2_000_000 {
            let x = i as f32 * 5e-6;
            let (found, exact) = (f64::from(tanh(x)), f64::from(x).tanh());
            let error = (found - exact).abs() / exact.abs().max(1e-30);
            assert!(error <= 4.0 * f64::from(f32::EPSILON), "tanh({x}) = {found} ({error:.1e})");
        }
        assert_eq!([tanh(f32::INFINITY), tanh(-1e30), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert!(tanh(f32::NAN).is_nan());
    }
}
