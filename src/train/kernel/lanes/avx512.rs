//! AVX-512: sixteen numbers, thirty-two registers.

use std::arch::x86_64::*;

use super::{Lanes, check};

/// Needs `avx512f`, `avx512bw`, `avx512dq`, `avx512vl`, `avx2` and `fma`.
#[derive(Clone, Copy)]
pub(in crate::train::kernel) struct Avx512;

impl Lanes for Avx512 {
    type V = __m512;
    type Mask = __mmask16;
    const WIDTH: usize = 16;
    const TILE: usize = 8;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn load(values: &[f32], at: usize) -> __m512 {
        check(values, at, Self::WIDTH);
        _mm512_loadu_ps(values.as_ptr().add(at))
    }
    #[inline(always)]
    unsafe fn store(values: &mut [f32], at: usize, v: __m512) {
        check(values, at, Self::WIDTH);
        _mm512_storeu_ps(values.as_mut_ptr().add(at), v);
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        _mm512_set1_ps(x)
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        _mm512_add_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        _mm512_sub_ps(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        _mm512_mul_ps(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        _mm512_div_ps(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        _mm512_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn sqrt(a: __m512) -> __m512 {
        _mm512_sqrt_ps(a)
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        _mm512_max_ps(a, b)
    }
    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        _mm512_min_ps(a, b)
    }
    #[inline(always)]
    unsafe fn round(a: __m512) -> __m512 {
        _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a)
    }
    #[inline(always)]
    unsafe fn exp2(n: __m512) -> __m512 {
        let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
        _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
    }
    #[inline(always)]
    unsafe fn greater(a: __m512, b: __m512) -> __mmask16 {
        _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn equal(a: __m512, b: __m512) -> __mmask16 {
        _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn is_nan(a: __m512) -> __mmask16 {
        _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a)
    }
    #[inline(always)]
    unsafe fn or(a: __mmask16, b: __mmask16) -> __mmask16 {
        a | b
    }
    #[inline(always)]
    unsafe fn select(mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        _mm512_mask_blend_ps(mask, b, a)
    }
    #[inline(always)]
    unsafe fn sum(a: __m512) -> f32 {
        _mm512_reduce_add_ps(a)
    }

    /// Sixteen vectors at a time, as the transposed vectors' sum.
    #[inline(always)]
    unsafe fn sum_each(vectors: &[f32], sums: &mut [f32]) {
        let (sixteens, rest) = sums.as_chunks_mut::<16>();
        let whole = sixteens.len() * 16;
        for (i, sixteen) in sixteens.iter_mut().enumerate() {
            let first = i * 16;
            let a = sum_of_quarters(sum_of_four(vectors, first), sum_of_four(vectors, first + 4));
            let b =
                sum_of_quarters(sum_of_four(vectors, first + 8), sum_of_four(vectors, first + 12));
            Self::store(sixteen, 0, sum_of_quarters(a, b));
        }
        for (i, sum) in rest.iter_mut().enumerate() {
            *sum = Self::sum(Self::load(vectors, (whole + i) * 16));
        }
    }

    /// A transposition of 16 x 16 numbers in registers.
    #[inline(always)]
    unsafe fn interleave(rows: &[&[f32]], out: &mut [f32], stride: usize) {
        let mut v = [_mm512_setzero_ps(); 16];
        for (v, row) in v.iter_mut().zip(rows) {
            *v = Self::load(row, 0);
        }
        // Quarters of 4 x 4 numbers: t[4 * q + i] has number 4 * k + i of rows
        // 4 * q to 4 * q + 3 in its quarter k.
        let mut t = [_mm512_setzero_ps(); 16];
        for q in 0..4 {
            let (a, b, c, d) = (v[4 * q], v[4 * q + 1], v[4 * q + 2], v[4 * q + 3]);
            let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
            (t[4 * q], t[4 * q + 1]) = (low_pairs(ab, cd), high_pairs(ab, cd));
            let (ab, cd) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
            (t[4 * q + 2], t[4 * q + 3]) = (low_pairs(ab, cd), high_pairs(ab, cd));
        }
        let n = rows.len().min(16);
        check(out, 15 * stride, n);
        let wanted = ((1_u32 << n) - 1) as __mmask16;
        for i in 0..4 {
            let (a, b) = (t[i], t[4 + i]);
            let (c, d) = (t[8 + i], t[12 + i]);
            let (ab_even, ab_odd) = (even_quarters(a, b), odd_quarters(a, b));
            let (cd_even, cd_odd) = (even_quarters(c, d), odd_quarters(c, d));
            let columns = [
                even_quarters(ab_even, cd_even),
                even_quarters(ab_odd, cd_odd),
                odd_quarters(ab_even, cd_even),
                odd_quarters(ab_odd, cd_odd),
            ];
            for (k, column) in columns.into_iter().enumerate() {
                let to = out.as_mut_ptr().add((4 * k + i) * stride);
                _mm512_mask_storeu_ps(to, wanted, column);
            }
        }
    }
}

/// Quarters 0 and 2 of `a`, then of `b`.
#[inline(always)]
unsafe fn even_quarters(a: __m512, b: __m512) -> __m512 {
    _mm512_shuffle_f32x4::<0x88>(a, b)
}

/// Quarters 1 and 3 of `a`, then of `b`.
#[inline(always)]
unsafe fn odd_quarters(a: __m512, b: __m512) -> __m512 {
    _mm512_shuffle_f32x4::<0xdd>(a, b)
}

/// The even pairs of numbers of `a` and `b`, in turn.
#[inline(always)]
unsafe fn low_pairs(a: __m512, b: __m512) -> __m512 {
    _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
}

/// The odd pairs of numbers of `a` and `b`, in turn.
#[inline(always)]
unsafe fn high_pairs(a: __m512, b: __m512) -> __m512 {
    _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
}

/// In each quarter, the sums of that quarter of four vectors, from vector `first`
/// on.
#[inline(always)]
unsafe fn sum_of_four(vectors: &[f32], first: usize) -> __m512 {
    let (a, b) = (Avx512::load(vectors, first * 16), Avx512::load(vectors, (first + 1) * 16));
    let (c, d) = (Avx512::load(vectors, (first + 2) * 16), Avx512::load(vectors, (first + 3) * 16));
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    _mm512_add_ps(low_pairs(ab, cd), high_pairs(ab, cd))
}

/// Neighbouring quarters of `a` added, then those of `b`.
#[inline(always)]
unsafe fn sum_of_quarters(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(even_quarters(a, b), odd_quarters(a, b))
}
