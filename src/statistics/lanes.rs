//! Puts vectors into the lanes of vector registers, one beside the other: transposes.

/// Row by row the first value of each vector, the second of each, and so on. There are at most
/// `LANES` vectors, each as long as there are rows; lanes without one get those of the last.
pub(super) fn side_by_side<const LANES: usize>(vectors: &[&[f32]], rows: &mut [[f32; LANES]]) {
    let vectors: [&[f32]; LANES] =
        std::array::from_fn(|lane| &vectors[lane.min(vectors.len() - 1)][..rows.len()]);
    #[cfg(target_arch = "x86_64")]
    let done = squares(vectors, rows);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for (at, row) in rows.iter_mut().enumerate().skip(done) {
        for (value, vector) in row.iter_mut().zip(vectors) {
            *value = vector[at];
        }
    }
}

/// Lanes and rows of the squares that are transposed in registers.
#[cfg(target_arch = "x86_64")]
const SIDE: usize = 8;

/// Fills the rows that make up squares, where the processor can; how many they are.
#[cfg(target_arch = "x86_64")]
fn squares<const LANES: usize>(vectors: [&[f32]; LANES], rows: &mut [[f32; LANES]]) -> usize {
    let Some(simd) = pulp::x86::V3::try_new().filter(|_| LANES.is_multiple_of(SIDE)) else {
        return 0;
    };
    let (bands, _) = rows.as_chunks_mut::<SIDE>();
    for first in (0..LANES).step_by(SIDE) {
        let columns: [&[[f32; SIDE]]; SIDE] =
            std::array::from_fn(|lane| vectors[first + lane].as_chunks().0);
        simd.vectorize(
            #[inline(always)]
            || {
                for (at, rows) in bands.iter_mut().enumerate() {
                    let mut square = [[0.0; SIDE]; SIDE];
                    for (values, column) in square.iter_mut().zip(&columns) {
                        *values = column[at];
                    }
                    for (row, values) in rows.iter_mut().zip(transposed(simd, square)) {
                        row[first..first + SIDE].copy_from_slice(&values);
                    }
                }
            },
        );
    }
    bands.len() * SIDE
}

/// Pairs of values, then pairs of pairs, then halves change places: 24 shuffles.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transposed(simd: pulp::x86::V3, square: [[f32; SIDE]; SIDE]) -> [[f32; SIDE]; SIDE] {
    use std::arch::x86_64::__m256;

    let avx = simd.avx;
    let [a, b, c, d, e, f, g, h]: [__m256; SIDE] = pulp::cast(square);
    let pairs = |a, b| [avx._mm256_unpacklo_ps(a, b), avx._mm256_unpackhi_ps(a, b)];
    let fours = |[a, b]: [__m256; 2], [c, d]: [__m256; 2]| {
        [
            avx._mm256_shuffle_ps::<0x44>(a, c),
            avx._mm256_shuffle_ps::<0xee>(a, c),
            avx._mm256_shuffle_ps::<0x44>(b, d),
            avx._mm256_shuffle_ps::<0xee>(b, d),
        ]
    };
    let [a, b, c, d] = fours(pairs(a, b), pairs(c, d));
    let [e, f, g, h] = fours(pairs(e, f), pairs(g, h));
    let low = |a, b| avx._mm256_permute2f128_ps::<0x20>(a, b);
    let high = |a, b| avx._mm256_permute2f128_ps::<0x31>(a, b);
    let low = [low(a, e), low(b, f), low(c, g), low(d, h)];
    let high = [high(a, e), high(b, f), high(c, g), high(d, h)];
    pulp::cast([low, high])
}
