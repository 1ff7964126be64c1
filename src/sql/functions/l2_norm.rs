//! `vector_l2_norm`.

use datafusion::logical_expr::ScalarUDF;

use super::mean::sum;
use super::number::of_one;

pub(super) fn udf() -> ScalarUDF {
    of_one(
        "vector_l2_norm",
        "The Euclidean length of a vector, as numpy's `linalg.norm`.",
        |vector| Some(sum(vector, |value| f64::from(value).powi(2)).sqrt()),
    )
}
