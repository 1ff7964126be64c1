//! `vector_l2_distance`.

use datafusion::logical_expr::ScalarUDF;

use super::dot::sum_of_pairs;
use super::number::of_two;

pub(super) fn udf() -> ScalarUDF {
    of_two("vector_l2_distance", "The Euclidean distance of two vectors.", |a, b| {
        Some(sum_of_pairs(a, b, |a, b| (a - b).powi(2)).sqrt())
    })
}
