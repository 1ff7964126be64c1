//! Sums over a vector, and what follows from them.

use pulp::{Arch, Simd, WithSimd};

use super::statistic::Statistic;

/// Running sums: enough for the vector registers, few enough to stay in them. Their
/// number is part of the result, since it is the order of additions.
const RUNNING: usize = 16;

/// Which sums are taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    mean: bool,
    norms: bool,
    variance: bool,
    higher: bool,
}

impl Wanted {
    /// Those that some statistics need.
    pub(super) fn by(statistics: &[Statistic]) -> Self {
        let mut wanted = Self::default();
        for statistic in statistics {
            match statistic {
                Statistic::Mean => wanted.mean = true,
                Statistic::L1Norm | Statistic::L2Norm => wanted.norms = true,
                Statistic::Variance | Statistic::SampleVariance | Statistic::Deviation => {
                    wanted.variance = true;
                }
                Statistic::Skewness | Statistic::Kurtosis => wanted.higher = true,
                Statistic::Min | Statistic::Max | Statistic::Quantile(_) => {}
            }
        }
        wanted
    }
}

/// Sums over a vector of `n` values; 0 where not wanted.
#[derive(Debug, Default)]
pub(super) struct Moments {
    n: f64,
    mean: f64,
    absolute: f64,
    squares: f64,
    /// Of the second, third and fourth powers of the deviations from the mean.
    central: [f64; 3],
}

impl Moments {
    /// Two passes: exact where the one-pass formula of the variance cancels.
    pub(super) fn of(vector: &[f32], wanted: Wanted) -> Self {
        Arch::new().dispatch(Passes { vector, wanted })
    }

    /// The statistic, if it is one of moments and the vector has it.
    pub(super) fn get(&self, statistic: Statistic) -> Option<f64> {
        let Self { n, mean, central: [second, third, fourth], .. } = *self;
        let variance = second / n;
        // What rounding leaves of equal values is none: the limit is scipy's.
        let flat = variance <= (1e-15 * mean).powi(2);
        let found = match statistic {
            Statistic::L1Norm => return Some(self.absolute),
            Statistic::L2Norm => return Some(self.squares.sqrt()),
            Statistic::Mean => Some(mean),
            Statistic::Variance => Some(variance),
            Statistic::SampleVariance => (n > 1.0).then(|| second / (n - 1.0)),
            Statistic::Deviation => Some(variance.sqrt()),
            Statistic::Skewness => (!flat).then(|| third / n / (variance * variance.sqrt())),
            Statistic::Kurtosis => (!flat).then(|| fourth / n / (variance * variance) - 3.0),
            Statistic::Min | Statistic::Max | Statistic::Quantile(_) => None,
        };
        found.filter(|_| n > 0.0)
    }
}

struct Passes<'a> {
    vector: &'a [f32],
    wanted: Wanted,
}

impl WithSimd for Passes<'_> {
    type Output = Moments;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Moments {
        // A register holds a power of two of values; others do not occur.
        match RUNNING / S::F64_LANES {
            2 => self.moments(Sums::<S, 2> { simd }),
            4 => self.moments(Sums::<S, 4> { simd }),
            8 => self.moments(Sums::<S, 8> { simd }),
            _ => self.moments(Sums::<S, RUNNING> { simd }),
        }
    }
}

impl Passes<'_> {
    #[inline(always)]
    fn moments<S: Simd, const R: usize>(self, sums: Sums<S, R>) -> Moments {
        let Self { vector, wanted } = self;
        let simd = sums.simd;
        let n = vector.len() as f64;
        let mut moments = Moments { n, ..Moments::default() };
        let central = wanted.variance || wanted.higher;
        let sum = if wanted.norms {
            let terms = |x| [x, simd.abs_f64s(x), simd.mul_f64s(x, x)];
            let [sum, absolute, squares] = sums.of(vector, 0.0, terms);
            (moments.absolute, moments.squares) = (absolute, squares);
            sum
        } else if wanted.mean || central {
            sums.of(vector, 0.0, |x| [x])[0]
        } else {
            0.0
        };
        moments.mean = sum / n;
        let mean = simd.splat_f64s(moments.mean);
        if wanted.higher {
            moments.central = sums.of(vector, moments.mean, |x| {
                let deviation = simd.sub_f64s(x, mean);
                let square = simd.mul_f64s(deviation, deviation);
                [square, simd.mul_f64s(square, deviation), simd.mul_f64s(square, square)]
            });
        } else if wanted.variance {
            [moments.central[0]] = sums.of(vector, moments.mean, |x| {
                let deviation = simd.sub_f64s(x, mean);
                [simd.mul_f64s(deviation, deviation)]
            });
        }
        moments
    }
}

/// Adds up with `RUNNING` sums in `R` registers.
#[derive(Clone, Copy)]
struct Sums<S, const R: usize> {
    simd: S,
}

impl<S: Simd, const R: usize> Sums<S, R> {
    /// The sums of several terms over a vector. `nothing` is a value whose terms
    /// are zero: it fills up the last registers.
    #[inline(always)]
    fn of<const N: usize>(
        self,
        vector: &[f32],
        nothing: f64,
        terms: impl Fn(S::f64s) -> [S::f64s; N],
    ) -> [f64; N] {
        let mut running = [[self.simd.splat_f64s(0.0); R]; N];
        let (chunks, rest) = vector.as_chunks::<RUNNING>();
        for chunk in chunks {
            self.add(&mut running, chunk.map(f64::from), &terms);
        }
        if !rest.is_empty() {
            self.add(&mut running, self.filled(rest, nothing), &terms);
        }
        let mut totals = [0.0; N];
        for (total, running) in totals.iter_mut().zip(&running) {
            let mut sums = [0.0; RUNNING];
            S::as_mut_simd_f64s(&mut sums).0.copy_from_slice(running);
            let mut count = RUNNING;
            while count > 1 {
                count /= 2;
                let (left, right) = sums.split_at_mut(count);
                left.iter_mut().zip(right).for_each(|(left, right)| *left += *right);
            }
            *total = sums[0];
        }
        totals
    }

    /// The last values of a vector, and `nothing` behind them. Written one by one, they would
    /// have to be in the cache before a register could read them.
    #[inline(always)]
    fn filled(self, rest: &[f32], nothing: f64) -> [f64; RUNNING] {
        let mut singles = [0.0; RUNNING];
        let (registers, _) = S::as_mut_simd_f32s(&mut singles);
        for (register, rest) in registers.iter_mut().zip(rest.chunks(S::F32_LANES)) {
            *register = self.simd.partial_load_f32s(rest);
        }
        let mut values = [nothing; RUNNING];
        for (at, (value, single)) in values.iter_mut().zip(singles).enumerate() {
            if at < rest.len() {
                *value = f64::from(single);
            }
        }
        values
    }

    #[inline(always)]
    fn add<const N: usize>(
        self,
        running: &mut [[S::f64s; R]; N],
        values: [f64; RUNNING],
        terms: impl Fn(S::f64s) -> [S::f64s; N],
    ) {
        let (values, _) = S::as_simd_f64s(&values);
        for (register, &values) in values.iter().enumerate() {
            for (running, term) in running.iter_mut().zip(terms(values)) {
                running[register] = self.simd.add_f64s(running[register], term);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Scalar, Scalar128b, Scalar256b, Scalar512b};

    use super::*;

    fn get(vector: &[f32], statistic: Statistic) -> Option<f64> {
        Moments::of(vector, Wanted::by(&[statistic])).get(statistic)
    }

    #[test]
    fn accumulates_in_f64() {
        let mut vector = vec![1.0_f32; 20_000_001];
        vector[0] = 1e8;
        // In f32 every 1.0 would vanish beside 1e8.
        let expected = (1e8 + 20_000_000.0) / 20_000_001.0;
        assert!((get(&vector, Statistic::Mean).unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn variance_does_not_cancel_far_from_zero() {
        let vector = [1e7, 1e7 + 1.0, 1e7 + 2.0];
        assert_eq!(get(&vector, Statistic::Variance), Some(2.0 / 3.0));
        assert_eq!(get(&vector, Statistic::SampleVariance), Some(1.0));
    }

    /// By hand: deviations of [0, 0, 0, 4] are -1, -1, -1, 3.
    #[test]
    fn higher_moments_are_those_of_scipy() {
        let vector = [0.0, 0.0, 0.0, 4.0];
        let skewness = get(&vector, Statistic::Skewness).unwrap();
        assert!((skewness - 6.0 / 3.0_f64.powf(1.5)).abs() < 1e-15);
        assert_eq!(get(&vector, Statistic::Kurtosis), Some(21.0 / 9.0 - 3.0));
    }

    /// The sums have the same bits whatever the registers.
    #[test]
    fn registers_do_not_show() {
        for length in [1, 3, 8, 15, 16, 17, 40, 1000] {
            let vector: Vec<f32> = (0..length).map(|at| (at as f32 * 0.7).sin()).collect();
            for wanted in [Wanted::by(&Statistic::USUAL), Wanted::by(&[Statistic::Variance])] {
                let passes = || Passes { vector: &vector, wanted };
                let found = format!("{:?}", Arch::new().dispatch(passes()));
                assert_eq!(found, format!("{:?}", Scalar.vectorize(passes())));
                assert_eq!(found, format!("{:?}", Scalar128b.vectorize(passes())));
                assert_eq!(found, format!("{:?}", Scalar256b.vectorize(passes())));
                assert_eq!(found, format!("{:?}", Scalar512b.vectorize(passes())));
            }
        }
    }

    #[test]
    fn few_values_have_few_statistics() {
        for statistic in [Statistic::Mean, Statistic::Variance, Statistic::Kurtosis] {
            assert_eq!(get(&[], statistic), None);
        }
        assert_eq!(get(&[], Statistic::L1Norm), Some(0.0));
        assert_eq!(get(&[3.0], Statistic::Variance), Some(0.0));
        assert_eq!(get(&[3.0], Statistic::SampleVariance), None);
        // 0.1 is not a sum of powers of two: the mean is off by a rounding.
        assert_eq!(get(&[0.1; 10], Statistic::Skewness), None);
    }

    #[test]
    fn nan_and_infinity_are_not_hidden() {
        for vector in [[1.0, f32::NAN, 2.0], [1.0, f32::INFINITY, 2.0]] {
            assert!(get(&vector, Statistic::Variance).unwrap().is_nan());
            assert!(get(&vector, Statistic::Skewness).unwrap().is_nan());
        }
        assert!(get(&[f32::NAN], Statistic::L1Norm).unwrap().is_nan());
        assert_eq!(get(&[f32::NEG_INFINITY, 1.0], Statistic::L2Norm), Some(f64::INFINITY));
    }
}
