//! `vector_var`.

use datafusion::logical_expr::ScalarUDF;

use super::mean::{mean, sum};
use super::number::of_one;

pub(super) fn udf() -> ScalarUDF {
    of_one(
        "vector_var",
        "The population variance of a vector (divided by n), as numpy's `var`.",
        variance,
    )
}

/// Two passes: exact where the one-pass formula cancels.
pub(super) fn variance(vector: &[f32]) -> Option<f64> {
    let mean = mean(vector)?;
    let squares = sum(vector, |value| (f64::from(value) - mean).powi(2));
    Some(squares / vector.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_cancel_far_from_zero() {
        assert_eq!(variance(&[1e7, 1e7 + 1.0, 1e7 + 2.0]), Some(2.0 / 3.0));
        assert_eq!(variance(&[3.0]), Some(0.0));
        assert_eq!(variance(&[]), None);
    }
}
