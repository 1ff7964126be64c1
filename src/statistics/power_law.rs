//! The power law that fits the tail of a sample best.

/// A density `x^-alpha` from `xmin` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PowerLaw {
    /// The exponent: its maximum-likelihood estimate for the tail.
    pub(super) alpha: f64,
    /// The smallest value of the tail.
    pub(super) xmin: f64,
    /// How far the tail's distribution is from the law's (Kolmogorov-Smirnov).
    pub(super) distance: f64,
}

impl PowerLaw {
    /// The tail of positive `values` in ascending order with the least distance from
    /// its own law (A. Clauset, C. R. Shalizi, M. E. J. Newman, *Power-law
    /// distributions in empirical data*, SIAM Review 51, 2009, section 3): the longest of equals, and
    /// the largest value alone is no tail. None if all values are equal.
    ///
    /// As `powerlaw.Fit` and `WeightWatcher`'s own fit, the distance is taken at the
    /// values from the left: `|1 - (x_k / xmin)^(1 - alpha) - k / n|`.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
        let mut sum: f64 = logs.iter().sum();
        let mut best: Option<Self> = None;
        for start in 0..values.len().saturating_sub(1) {
            let (tail, xmin) = (&logs[start..], values[start]);
            let n = tail.len() as f64;
            let spread = sum - n * tail[0];
            sum -= tail[0];
            // Equal, or so nearly that rounding leaves no spread: no law, nor of shorter tails.
            if tail[0] == tail[tail.len() - 1] || spread <= 0.0 {
                break;
            }
            let alpha = 1.0 + n / spread;
            let limit = best.map_or(f64::INFINITY, |best| best.distance);
            if let Some(distance) = distance(tail, alpha, limit) {
                best = Some(Self { alpha, xmin, distance });
            }
        }
        best
    }
}

/// The distance of a tail, given by its logarithms, from its law, if it is less than
/// `limit`: of most tails a few values show that it is not.
fn distance(tail: &[f64], alpha: f64, limit: f64) -> Option<f64> {
    let n = tail.len() as f64;
    let mut largest: f64 = 0.0;
    for (k, log) in tail.iter().enumerate() {
        let law = -((1.0 - alpha) * (log - tail[0])).exp_m1();
        largest = largest.max((law - k as f64 / n).abs());
        if largest >= limit {
            return None;
        }
    }
    Some(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the law with alpha 3 from 2 on are fitted by it, but for the grid.
    #[test]
    fn finds_its_own_law() {
        let n = 10_000;
        let quantile = |k| 2.0 * (1.0 - (f64::from(k) + 0.5) / f64::from(n)).powf(-0.5);
        let values: Vec<f64> = (0..n).map(quantile).collect();
        let law = PowerLaw::of(&values).unwrap();
        assert!((law.alpha - 3.0).abs() < 1e-3, "{law:?}");
        assert_eq!(law.xmin, values[0]);
        assert!(law.distance < 1.0 / f64::from(n), "{law:?}");
    }

    /// Below the tail lie values of another law; the fit leaves them out.
    #[test]
    fn leaves_the_bulk_out() {
        let bulk = (0..200).map(|k| 0.5 + f64::from(k) / 400.0);
        let tail = (0..100).map(|k| (1.0 - (f64::from(k) + 0.5) / 100.0).powf(-1.0 / 1.5));
        let values: Vec<f64> = bulk.chain(tail).collect();
        let law = PowerLaw::of(&values).unwrap();
        assert!(law.xmin > 0.95, "{law:?}");
        assert!((law.alpha - 2.5).abs() < 0.1, "{law:?}");
    }

    #[test]
    fn equal_values_follow_no_law() {
        assert_eq!(PowerLaw::of(&[2.0; 12]), None);
        assert_eq!(PowerLaw::of(&[2.0]), None);
        assert_eq!(PowerLaw::of(&[]), None);
        // Two values: their law is known, and a tail of equal ones is none.
        let law = PowerLaw::of(&[1.0, std::f64::consts::E, std::f64::consts::E]).unwrap();
        assert_eq!((law.alpha, law.xmin), (2.5, 1.0));
    }
}
