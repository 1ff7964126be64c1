//! Quantiles of sorted values, and the extremes of unsorted ones.

use pulp::{Arch, Simd, WithSimd};

/// Where a quantile of `n` sorted values lies: between two of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) below: usize,
    pub(super) above: usize,
    part: f64,
}

impl Place {
    /// By numpy's rule `linear`: position `(n - 1) fraction`. `n` is at least 1.
    pub(super) fn of(fraction: f64, n: usize) -> Self {
        let position = (n - 1) as f64 * fraction;
        let below = position.floor() as usize;
        Self { below, above: (below + 1).min(n - 1), part: position - position.floor() }
    }

    /// The quantile, from the values at both places, interpolated in `f64`.
    pub(super) fn between(self, low: f32, high: f32) -> f64 {
        let (low, high) = (f64::from(low), f64::from(high));
        // From the nearer neighbour, as numpy does it, which gives NaN beside an
        // infinite value; here that is the limit.
        let value = if self.part == 0.0 || low == high {
            low
        } else if low.is_infinite() || high.is_infinite() {
            low + high
        } else if self.part < 0.5 {
            low + (high - low) * self.part
        } else {
            high - (high - low) * (1.0 - self.part)
        };
        // Zero has no sign.
        value + 0.0
    }
}

/// Whether there is a NaN among the values.
pub(super) fn has_nan(vector: &[f32]) -> bool {
    Arch::new().dispatch(HasNan(vector))
}

struct HasNan<'a>(&'a [f32]);

impl WithSimd for HasNan<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        // The magnitudes of NaNs, as bits, are larger than those of all numbers.
        let mut largest = 0;
        for value in self.0 {
            largest = largest.max(value.to_bits() & !(1 << 31));
        }
        largest > f32::INFINITY.to_bits()
    }
}

/// The smallest and the largest value: infinities if there is none, and NaN if
/// there is one.
pub(super) fn extremes(vector: &[f32]) -> [f64; 2] {
    Arch::new().dispatch(Extremes(vector))
}

struct Extremes<'a>(&'a [f32]);

impl WithSimd for Extremes<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; 2] {
        if HasNan(self.0).with_simd(simd) {
            return [f64::NAN; 2];
        }
        let (chunks, rest) = S::as_simd_f32s(self.0);
        let mut lows = simd.splat_f32s(f32::INFINITY);
        let mut highs = simd.splat_f32s(f32::NEG_INFINITY);
        for &values in chunks {
            lows = simd.min_f32s(lows, values);
            highs = simd.max_f32s(highs, values);
        }
        let low = rest.iter().fold(simd.reduce_min_f32s(lows), |low, &value| low.min(value));
        let high = rest.iter().fold(simd.reduce_max_f32s(highs), |high, &value| high.max(value));
        // Zero has no sign.
        [low, high].map(|value| f64::from(value) + 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(sorted: &[f32], fraction: f64) -> f64 {
        let place = Place::of(fraction, sorted.len());
        place.between(sorted[place.below], sorted[place.above])
    }

    /// Reference: `numpy.quantile([3, 1, 2, 10], [0, .25, .5, .9, 1])`.
    #[test]
    fn interpolates_as_numpy() {
        for (fraction, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 2.5), (1.0, 10.0)] {
            assert_eq!(quantile(&[1.0, 2.0, 3.0, 10.0], fraction), expected);
        }
        assert!((quantile(&[1.0, 2.0, 3.0, 10.0], 0.9) - 7.9).abs() < 1e-12);
        assert_eq!(quantile(&[7.0], 0.3), 7.0);
    }

    #[test]
    fn infinite_neighbours_are_the_limit() {
        let sorted = [f32::NEG_INFINITY, 1.0, f32::INFINITY];
        assert_eq!(quantile(&sorted, 0.5), 1.0);
        assert_eq!(quantile(&sorted, 0.25), f64::NEG_INFINITY);
        assert_eq!(quantile(&sorted, 0.75), f64::INFINITY);
        assert!(quantile(&[f32::NEG_INFINITY, f32::INFINITY], 0.5).is_nan());
    }

    #[test]
    fn extremes_are_found_anywhere() {
        for length in 1..40 {
            for at in 0..length {
                let mut vector = vec![0.5; length];
                vector[at] = -2.0;
                assert_eq!(extremes(&vector)[0], -2.0);
                vector[at] = f32::INFINITY;
                assert_eq!(extremes(&vector)[1], f64::INFINITY);
                for nan in [f32::NAN, -f32::NAN] {
                    vector[at] = nan;
                    assert!(extremes(&vector).iter().all(|value| value.is_nan()));
                }
            }
        }
        assert!(extremes(&[-0.0]).iter().all(|value| value.is_sign_positive()));
    }
}
