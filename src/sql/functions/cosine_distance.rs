//! `vector_cosine_distance`.

use datafusion::logical_expr::ScalarUDF;

use super::dot::sum_of_pairs;
use super::number::of_two;

pub(super) fn udf() -> ScalarUDF {
    of_two(
        "vector_cosine_distance",
        "One minus the cosine of the angle between two vectors, in [0, 2]; NULL if one of them is zero.",
        cosine_distance,
    )
}

fn cosine_distance(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |a, b| sum_of_pairs(a, b, |a, b| a * b);
    let lengths = dot(a, a).sqrt() * dot(b, b).sqrt();
    // Rounding can take the cosine of parallel vectors past one; NaN stays NaN.
    let cosine = dot(a, b) / lengths;
    (lengths != 0.0).then_some(1.0 - cosine.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles() {
        assert_eq!(cosine_distance(&[1.0, 0.0], &[0.0, 2.0]), Some(1.0));
        assert_eq!(cosine_distance(&[1.0, 0.0], &[-3.0, 0.0]), Some(2.0));
        assert_eq!(cosine_distance(&[0.1, 0.7], &[0.1, 0.7]), Some(0.0));
        assert_eq!(cosine_distance(&[0.0, 0.0], &[1.0, 0.0]), None);
        assert!(cosine_distance(&[f32::NAN], &[1.0]).unwrap().is_nan());
    }
}
