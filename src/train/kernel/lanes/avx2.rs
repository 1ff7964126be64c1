//! AVX2 with FMA: eight numbers, sixteen registers.

use std::arch::x86_64::*;

use super::{Lanes, check};

/// Needs `avx2` and `fma`.
#[derive(Clone, Copy)]
pub(in crate::train::kernel) struct Avx2;

impl Lanes for Avx2 {
    type V = __m256;
    type Mask = __m256;
    const WIDTH: usize = 8;
    const TILE: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn load(values: &[f32], at: usize) -> __m256 {
        check(values, at, Self::WIDTH);
        _mm256_loadu_ps(values.as_ptr().add(at))
    }
    #[inline(always)]
    unsafe fn store(values: &mut [f32], at: usize, v: __m256) {
        check(values, at, Self::WIDTH);
        _mm256_storeu_ps(values.as_mut_ptr().add(at), v);
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        _mm256_set1_ps(x)
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        _mm256_add_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        _mm256_sub_ps(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        _mm256_mul_ps(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        _mm256_div_ps(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        _mm256_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn sqrt(a: __m256) -> __m256 {
        _mm256_sqrt_ps(a)
    }
    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        _mm256_max_ps(a, b)
    }
    #[inline(always)]
    unsafe fn min(a: __m256, b: __m256) -> __m256 {
        _mm256_min_ps(a, b)
    }
    #[inline(always)]
    unsafe fn round(a: __m256) -> __m256 {
        _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a)
    }
    #[inline(always)]
    unsafe fn exp2(n: __m256) -> __m256 {
        let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
    }
    #[inline(always)]
    unsafe fn greater(a: __m256, b: __m256) -> __m256 {
        _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn equal(a: __m256, b: __m256) -> __m256 {
        _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn is_nan(a: __m256) -> __m256 {
        _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a)
    }
    #[inline(always)]
    unsafe fn or(a: __m256, b: __m256) -> __m256 {
        _mm256_or_ps(a, b)
    }
    #[inline(always)]
    unsafe fn select(mask: __m256, a: __m256, b: __m256) -> __m256 {
        _mm256_blendv_ps(b, a, mask)
    }
    #[inline(always)]
    unsafe fn sum(a: __m256) -> f32 {
        let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
        _mm_cvtss_f32(_mm_add_ss(a, _mm_shuffle_ps::<1>(a, a)))
    }

    /// Eight vectors at a time: pairs are added until one vector holds all sums.
    #[inline(always)]
    unsafe fn sum_each(vectors: &[f32], sums: &mut [f32]) {
        let (eights, rest) = sums.as_chunks_mut::<8>();
        let whole = eights.len() * 8;
        for (i, eight) in eights.iter_mut().enumerate() {
            let (low, high) = (sum_of_four(vectors, i * 8), sum_of_four(vectors, i * 8 + 4));
            let left = _mm256_permute2f128_ps::<0x20>(low, high);
            let right = _mm256_permute2f128_ps::<0x31>(low, high);
            Self::store(eight, 0, _mm256_add_ps(left, right));
        }
        for (i, sum) in rest.iter_mut().enumerate() {
            *sum = Self::sum(Self::load(vectors, (whole + i) * 8));
        }
    }
}

/// In each half, the sums of that half of four vectors, from vector `first` on.
#[inline(always)]
unsafe fn sum_of_four(vectors: &[f32], first: usize) -> __m256 {
    let (a, b) = (Avx2::load(vectors, first * 8), Avx2::load(vectors, (first + 1) * 8));
    let (c, d) = (Avx2::load(vectors, (first + 2) * 8), Avx2::load(vectors, (first + 3) * 8));
    _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d))
}
