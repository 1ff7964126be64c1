//! `vector_l2_norm`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;
use crate::statistics::Statistic;

pub(super) fn udf() -> ScalarUDF {
    of_one(
        "vector_l2_norm",
        "The Euclidean length of a vector, as numpy's `linalg.norm`.",
        Statistic::L2Norm,
    )
}
