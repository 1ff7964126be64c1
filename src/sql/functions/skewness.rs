//! `vector_skewness`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;
use crate::statistics::Statistic;

pub(super) fn udf() -> ScalarUDF {
    of_one(
        "vector_skewness",
        "The skewness of a vector, as scipy's `skew`; NULL if all values are equal.",
        Statistic::Skewness,
    )
}
