//! Plain arithmetic, four numbers at a time, which compilers turn into vector
//! code on every processor.

use super::{Lanes, check};

/// No instructions beyond those the program is compiled for.
#[derive(Clone, Copy)]
pub(in crate::train::kernel) struct Portable;

type V = [f32; 4];

#[inline(always)]
fn each(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

#[inline(always)]
fn compare(a: V, b: V, f: impl Fn(&f32, &f32) -> bool) -> [bool; 4] {
    [f(&a[0], &b[0]), f(&a[1], &b[1]), f(&a[2], &b[2]), f(&a[3], &b[3])]
}

impl Lanes for Portable {
    type V = V;
    type Mask = [bool; 4];
    const WIDTH: usize = 4;
    const TILE: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn load(values: &[f32], at: usize) -> V {
        check(values, at, Self::WIDTH);
        values.as_ptr().add(at).cast::<V>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store(values: &mut [f32], at: usize, v: V) {
        check(values, at, Self::WIDTH);
        values.as_mut_ptr().add(at).cast::<V>().write_unaligned(v);
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> V {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: V, b: V) -> V {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: V, b: V) -> V {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: V, b: V) -> V {
        each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn fma(a: V, b: V, c: V) -> V {
        // Where there is no such instruction, `mul_add` would be a slow call.
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
        } else {
            std::array::from_fn(|i| a[i] * b[i] + c[i])
        }
    }
    #[inline(always)]
    unsafe fn sqrt(a: V) -> V {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    unsafe fn max(a: V, b: V) -> V {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(a: V, b: V) -> V {
        each(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn round(a: V) -> V {
        /// Adding and taking away this rounds what is small beside it.
        const SHIFT: f32 = (3 << 22) as f32;
        a.map(|a| (a + SHIFT) - SHIFT)
    }
    #[inline(always)]
    unsafe fn exp2(n: V) -> V {
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn greater(a: V, b: V) -> [bool; 4] {
        compare(a, b, |a, b| a > b)
    }
    #[inline(always)]
    unsafe fn equal(a: V, b: V) -> [bool; 4] {
        compare(a, b, |a, b| a == b)
    }
    #[inline(always)]
    unsafe fn is_nan(a: V) -> [bool; 4] {
        a.map(f32::is_nan)
    }
    #[inline(always)]
    unsafe fn or(a: [bool; 4], b: [bool; 4]) -> [bool; 4] {
        std::array::from_fn(|i| a[i] | b[i])
    }
    #[inline(always)]
    unsafe fn select(mask: [bool; 4], a: V, b: V) -> V {
        std::array::from_fn(|i| if mask[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn sum(a: V) -> f32 {
        (a[0] + a[1]) + (a[2] + a[3])
    }
}
