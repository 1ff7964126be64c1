//! `vector_max`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;

pub(super) fn udf() -> ScalarUDF {
    of_one("vector_max", "The largest value of a vector, NaN if there is one.", max)
}

fn max(vector: &[f32]) -> Option<f64> {
    vector.iter().copied().reduce(|a, b| if a > b || a.is_nan() { a } else { b }).map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_not_skipped() {
        assert_eq!(max(&[2.0, -1.0, 3.0]), Some(3.0));
        assert!(max(&[f32::NAN, 9.0]).unwrap().is_nan());
        assert!(max(&[9.0, f32::NAN, 5.0]).unwrap().is_nan());
        assert_eq!(max(&[]), None);
    }
}
