//! Which statistics there are, by name.

use std::fmt;
use std::str::FromStr;

/// A number that says something about a vector of `n` values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Statistic {
    /// The arithmetic mean.
    Mean,
    /// The mean square of the deviations from the mean (`ddof=0`).
    Variance,
    /// The squares of the deviations divided by `n - 1` (`ddof=1`); none for one value.
    SampleVariance,
    /// The square root of the variance.
    Deviation,
    /// The third central moment over the cube of the deviation, as scipy's
    /// `skew`; none if all values are equal.
    Skewness,
    /// The fourth central moment over the square of the variance, less the 3 of
    /// a normal distribution, as scipy's `kurtosis`; none if all values are equal.
    Kurtosis,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The sum of the absolute values; 0 for no values.
    L1Norm,
    /// The square root of the sum of the squares; 0 for no values.
    L2Norm,
    /// The quantile of a fraction in [0, 1], by numpy's rule `linear`.
    Quantile(f64),
}

impl Statistic {
    /// What one asks for who does not say: the quartiles, and one of each kind.
    pub(crate) const USUAL: [Self; 12] = [
        Self::Mean,
        Self::Variance,
        Self::Deviation,
        Self::Skewness,
        Self::Kurtosis,
        Self::Min,
        Self::Quantile(0.25),
        Self::Quantile(0.5),
        Self::Quantile(0.75),
        Self::Max,
        Self::L1Norm,
        Self::L2Norm,
    ];

    /// Those without a fraction.
    const NAMED: [(&str, Self); 10] = [
        ("mean", Self::Mean),
        ("var", Self::Variance),
        ("var_samp", Self::SampleVariance),
        ("stddev", Self::Deviation),
        ("skewness", Self::Skewness),
        ("kurtosis", Self::Kurtosis),
        ("min", Self::Min),
        ("max", Self::Max),
        ("l1_norm", Self::L1Norm),
        ("l2_norm", Self::L2Norm),
    ];

    /// The quantile of a fraction in [0, 1]; -0 is 0, and has its name.
    pub(crate) fn quantile(fraction: f64) -> Self {
        Self::Quantile(fraction + 0.0)
    }

    /// The fraction of sorted values below an order statistic.
    pub(super) fn fraction(self) -> Option<f64> {
        match self {
            Self::Min => Some(0.0),
            Self::Max => Some(1.0),
            Self::Quantile(fraction) => Some(fraction),
            _ => None,
        }
    }
}

/// `mean`, `var`, …, and `q0.25` for a quantile.
impl fmt::Display for Statistic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Quantile(fraction) = self {
            return write!(formatter, "q{fraction}");
        }
        let named = Self::NAMED.iter().find(|(_, statistic)| statistic == self);
        formatter.write_str(named.map_or("", |(name, _)| name))
    }
}

/// Errors are for the end of a sentence: what is allowed.
impl FromStr for Statistic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, statistic)) = Self::NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*statistic);
        }
        let fraction = text.strip_prefix('q').and_then(|fraction| fraction.parse().ok());
        match fraction.filter(|fraction| (0.0..=1.0).contains(fraction)) {
            Some(fraction) => Ok(Self::quantile(fraction)),
            None => {
                let names = Self::NAMED.map(|(name, _)| name).join(", ");
                Err(format!("{names}, and q0.25 for a quantile of a fraction in [0, 1]"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let all = Statistic::NAMED.map(|(_, statistic)| statistic);
        for statistic in all.into_iter().chain([0.0, 0.01, 1.0 / 3.0].map(Statistic::Quantile)) {
            assert_eq!(statistic.to_string().parse(), Ok(statistic));
        }
        for wrong in ["", "q", "q1.5", "q-0.1", "qNaN", "median", "Mean"] {
            assert!(wrong.parse::<Statistic>().is_err(), "{wrong}");
        }
    }
}
