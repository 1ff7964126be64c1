//! `vector_min`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;

pub(super) fn udf() -> ScalarUDF {
    of_one("vector_min", "The smallest value of a vector, NaN if there is one.", min)
}

fn min(vector: &[f32]) -> Option<f64> {
    vector.iter().copied().reduce(|a, b| if a < b || a.is_nan() { a } else { b }).map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_not_skipped() {
        assert_eq!(min(&[2.0, -1.0, 3.0]), Some(-1.0));
        assert!(min(&[f32::NAN, -1.0]).unwrap().is_nan());
        assert!(min(&[-1.0, f32::NAN, 5.0]).unwrap().is_nan());
        assert_eq!(min(&[]), None);
    }
}
