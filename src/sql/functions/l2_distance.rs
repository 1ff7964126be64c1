//! `vector_l2_distance`.

use datafusion::logical_expr::ScalarUDF;

use super::dot::sum_of_pairs;
use super::number::of_two;

pub(super) fn udf() -> ScalarUDF {
    of_two("vector_l2_distance", "The Euclidean distance of two vectors.", |a, b| {
        Some(distance(a, b))
    })
}

/// Of two vectors of equal length.
pub(super) fn distance(a: &[f32], b: &[f32]) -> f64 {
    sum_of_pairs(a, b, |a, b| (a - b).powi(2)).sqrt()
}
