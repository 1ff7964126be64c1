//! Elementary functions, many numbers at a time.
//!
//! Plain arithmetic, the same on every instruction set but for one thing: a product
//! and a sum are rounded once or twice ([`Lanes::fma`]). NaN goes through all of them.

use super::lanes::Lanes;

/// e to the power of `x`, within two units in the last place; `x` below -87.3 counts as
/// that (a result of 1e-38), above 88.3 likewise (2e38). After Cephes' `expf`.
#[inline(always)]
pub(super) unsafe fn exp<L: Lanes>(x: L::V) -> L::V {
    let x = L::min(L::splat(88.3), L::max(L::splat(-87.3), x));
    let n = L::round(L::mul(x, L::splat(std::f32::consts::LOG2_E)));
    // x - n ln 2, with ln 2 in two parts.
    let r = L::fma(n, L::splat(-0.693_359_4), x);
    let r = L::fma(n, L::splat(2.121_944_4e-4), r);
    let mut p = L::splat(1.987_569_1e-4);
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = L::fma(p, r, L::splat(c));
    }
    let p = L::add(L::fma(p, L::mul(r, r), r), L::splat(1.0));
    L::mul(p, L::exp2(n))
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(super) unsafe fn sigmoid<L: Lanes>(x: L::V) -> L::V {
    let one = L::splat(1.0);
    L::div(one, L::add(one, exp::<L>(L::sub(L::splat(0.0), x))))
}

/// Hyperbolic tangent within four units in the last place, and exactly ±1 where no
/// other number is nearer: the rational function of Eigen and XLA.
#[inline(always)]
pub(super) unsafe fn tanh<L: Lanes>(x: L::V) -> L::V {
    /// Here the quotient is exactly 1, its steps rounded once or twice; a larger number
    /// counts as this one.
    const END: f32 = 7.995_11;
    /// Of x¹³, x¹¹, …, x.
    const ABOVE: [f32; 7] = [
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297_3e-8,
        1.485_722_4e-5,
        6.372_619_4e-4,
        4.893_524_6e-3,
    ];
    /// Of x⁶, x⁴, x², 1.
    const BELOW: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_7e-3, 4.893_525_3e-3];
    let x = L::min(L::splat(END), L::max(L::splat(-END), x));
    let square = L::mul(x, x);
    L::div(L::mul(x, polynomial::<L>(&ABOVE, square)), polynomial::<L>(&BELOW, square))
}

/// Error function within five units in the last place, and exactly ±1 where no other
/// number is nearer: the rational function of Eigen and XLA.
#[inline(always)]
pub(super) unsafe fn erf<L: Lanes>(x: L::V) -> L::V {
    /// As that of [`tanh`].
    const END: f32 = 3.660_43;
    /// Of x¹³, x¹¹, …, x.
    const ABOVE: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    /// Of x⁸, x⁶, …, 1.
    const BELOW: [f32; 5] =
        [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let x = L::min(L::splat(END), L::max(L::splat(-END), x));
    let square = L::mul(x, x);
    L::div(L::mul(x, polynomial::<L>(&ABOVE, square)), polynomial::<L>(&BELOW, square))
}

/// The polynomial with these coefficients, highest power first.
#[inline(always)]
unsafe fn polynomial<L: Lanes>(coefficients: &[f32], x: L::V) -> L::V {
    let mut sum = L::splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = L::fma(sum, x, L::splat(*coefficient));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::kernel::isa::{Isa, Kernel};

    /// The functions at each `x`, sixteen at a time.
    struct At(Vec<f32>);

    impl Kernel for At {
        type Output = Vec<[f32; 4]>;

        #[inline(always)]
        unsafe fn run<L: Lanes>(self) -> Vec<[f32; 4]> {
            let mut all = vec![[0.0; 4]; self.0.len()];
            let mut out = [0.0; 16];
            for at in (0..self.0.len()).step_by(L::WIDTH) {
                let x = L::load(&self.0, at);
                let results = [exp::<L>(x), sigmoid::<L>(x), tanh::<L>(x), erf::<L>(x)];
                for (function, result) in results.into_iter().enumerate() {
                    L::store(&mut out, 0, result);
                    for (all, out) in all[at..].iter_mut().zip(&out[..L::WIDTH]) {
                        all[function] = *out;
                    }
                }
            }
            all
        }
    }

    #[test]
    fn functions_are_within_a_few_units_in_the_last_place() {
        let x: Vec<f32> = (-800_000..800_000).map(|i| i as f32 * 1.25e-5).collect();
        for isa in Isa::available() {
            let found = unsafe { isa.run(At(x.clone())) };
            for (x, found) in x.iter().zip(found) {
                let x = f64::from(*x);
                let exact = [
                    x.exp(),
                    1.0 / (1.0 + (-x).exp()),
                    x.tanh(),
                    candle_core::cpu::erf::erf_f64(x),
                ];
                for ((found, exact), units) in
                    found.into_iter().zip(exact).zip([2.0, 3.0, 4.0, 5.0])
                {
                    let error = (f64::from(found) - exact).abs() / exact.abs().max(1e-30);
                    let allowed = units * f64::from(f32::EPSILON);
                    assert!(error <= allowed, "{isa:?} {x}: {found}, not {exact} ({error:.1e})");
                }
                for (found, exact) in found.into_iter().zip(exact).skip(2) {
                    let nearest = exact as f32;
                    assert!(nearest.abs() < 1.0 || found == nearest, "{isa:?} {x}: {found}");
                }
            }
        }
    }

    #[test]
    fn ends_and_nan() {
        let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 100.0, -100.0, 1e30, -1e30];
        for isa in Isa::available() {
            let found = unsafe { isa.run(At([x, x].concat())) };
            assert!(found[0].iter().all(|value| value.is_nan()), "{isa:?}");
            for (high, low) in [(1, 2), (4, 5), (6, 7)] {
                assert_eq!([&found[high][2..], &found[low][2..]], [[1.0; 2], [-1.0; 2]], "{isa:?}");
                assert_eq!(found[high][1], 1.0, "{isa:?}");
                assert!(found[high][0] > 1e38 && found[low][0] < 2e-38, "{isa:?}");
                assert!(found[low][1] < 2e-38, "{isa:?}");
            }
            assert_eq!(found[3], [1.0, 0.5, 0.0, 0.0], "{isa:?}");
        }
    }
}
