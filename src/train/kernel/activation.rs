//! The activations: value and slope in one pass, so that the way back is a
//! product. PyTorch's definitions.

use super::lanes::Lanes;
use super::math::{erf, exp, sigmoid, tanh};
use crate::zoo::Activation;

/// Replaces `run` numbers from `at` on by their activation. If `TRAIN`, `slopes`
/// gets the derivative.
#[inline(always)]
pub(super) unsafe fn forward<L: Lanes, const TRAIN: bool>(
    activation: Activation,
    values: &mut [f32],
    slopes: &mut [f32],
    at: usize,
    run: usize,
) {
    match activation {
        Activation::Tanh => each::<L, Tanh, TRAIN>(values, slopes, at, run),
        Activation::Sigmoid => each::<L, Sigmoid, TRAIN>(values, slopes, at, run),
        Activation::Relu => each::<L, Relu, TRAIN>(values, slopes, at, run),
        Activation::Gelu => each::<L, Gelu, TRAIN>(values, slopes, at, run),
        Activation::LeakyRelu => each::<L, LeakyRelu, TRAIN>(values, slopes, at, run),
        Activation::Silu => each::<L, Silu, TRAIN>(values, slopes, at, run),
    }
}

#[inline(always)]
unsafe fn each<L: Lanes, F: Function, const TRAIN: bool>(
    values: &mut [f32],
    slopes: &mut [f32],
    at: usize,
    run: usize,
) {
    for i in (at..at + run).step_by(L::WIDTH) {
        let (value, slope) = F::at::<L>(L::load(values, i));
        L::store(values, i, value);
        if TRAIN {
            L::store(slopes, i, slope);
        }
    }
}

/// A function of one number, with its derivative.
trait Function {
    /// Value and slope at `x`.
    unsafe fn at<L: Lanes>(x: L::V) -> (L::V, L::V);
}

struct Tanh;
struct Sigmoid;
struct Relu;
struct Gelu;
struct LeakyRelu;
struct Silu;

impl Function for Tanh {
    #[inline(always)]
    unsafe fn at<L: Lanes>(x: L::V) -> (L::V, L::V) {
        let y = tanh::<L>(x);
        (y, L::sub(L::splat(1.0), L::mul(y, y)))
    }
}

impl Function for Sigmoid {
    #[inline(always)]
    unsafe fn at<L: Lanes>(x: L::V) -> (L::V, L::V) {
        let y = sigmoid::<L>(x);
        (y, L::mul(y, L::sub(L::splat(1.0), y)))
    }
}

impl Function for Relu {
    #[inline(always)]
    unsafe fn at<L: Lanes>(x: L::V) -> (L::V, L::V) {
        let zero = L::splat(0.0);
        // The maximum is the second number if either is NaN. So is the slope.
        let y = L::max(zero, x);
        (y, L::select(L::greater(y, zero), L::splat(1.0), L::mul(y, zero)))
    }
}

impl Function for LeakyRelu {
    #[inline(always)]
    unsafe fn at<L: Lanes>(x: L::V) -> (L::V, L::V) {
        let leak = L::splat(0.01);
        let positive = L::greater(x, L::splat(0.0));
        (L::select(positive, x, L::mul(leak, x)), L::select(positive, L::splat(1.0), leak))
    }
}

/// `x Φ(x)`, and `Φ(x) + x φ(x)`.
impl Function for Gelu {
    #[inline(always)]
    unsafe fn at<L: Lanes>(x: L::V) -> (L::V, L::V) {
        const ROOT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
        /// 1 / √(2π).
        const PEAK: f32 = 0.398_942_3;
        let half = L::splat(0.5);
        let distribution = L::fma(half, erf::<L>(L::mul(x, L::splat(ROOT_HALF))), half);
        let density = exp::<L>(L::mul(L::splat(-0.5), L::mul(x, x)));
        let slope = L::fma(L::mul(x, L::splat(PEAK)), density, distribution);
        (L::mul(x, distribution), slope)
    }
}

/// `x σ(x)`, and `σ(x) (1 + x (1 - σ(x)))`.
impl Function for Silu {
    #[inline(always)]
    unsafe fn at<L: Lanes>(x: L::V) -> (L::V, L::V) {
        let one = L::splat(1.0);
        let s = sigmoid::<L>(x);
        (L::mul(x, s), L::mul(s, L::fma(x, L::sub(one, s), one)))
    }
}

/// Multiplies `run` numbers from `at` on by their factors.
#[inline(always)]
pub(super) unsafe fn scale<L: Lanes>(values: &mut [f32], factors: &[f32], at: usize, run: usize) {
    for i in (at..at + run).step_by(L::WIDTH) {
        L::store(values, i, L::mul(L::load(values, i), L::load(factors, i)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::kernel::isa::{Isa, Kernel};

    /// Values and slopes of an activation at sixteen numbers.
    struct At(Activation, [f32; 16]);

    impl Kernel for At {
        type Output = [[f32; 16]; 2];

        #[inline(always)]
        unsafe fn run<L: Lanes>(self) -> [[f32; 16]; 2] {
            let Self(activation, mut values) = self;
            let mut slopes = [0.0; 16];
            forward::<L, true>(activation, &mut values, &mut slopes, 0, 16);
            [values, slopes]
        }
    }

    /// Far out, where nothing may be left to learn from.
    const FAR: [f32; 8] = [9.02, 13.0, 20.0, 50.0, 100.0, 1e4, 1e6, 1e9];

    #[test]
    fn what_is_saturated_has_no_slope() {
        let x = [FAR, FAR.map(|x| -x)].concat().try_into().unwrap();
        for isa in Isa::available() {
            let [values, slopes] = unsafe { isa.run(At(Activation::Tanh, x)) };
            assert_eq!((values, slopes), (x.map(f32::signum), [0.0; 16]), "{isa:?}");
            let [values, slopes] = unsafe { isa.run(At(Activation::Gelu, x)) };
            for ((x, value), slope) in x.iter().zip(values).zip(slopes) {
                assert_eq!(value, x.max(0.0), "{isa:?} {x}");
                // At -9.02 the slope is -8e-18.
                let end = if *x > 0.0 { 1.0 } else { 0.0 };
                assert!((slope - end).abs() < 1e-17, "{isa:?} {x}: {slope}");
            }
        }
    }
}
