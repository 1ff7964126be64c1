//! `vector_kurtosis`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;
use crate::statistics::Statistic;

pub(super) fn udf() -> ScalarUDF {
    of_one(
        "vector_kurtosis",
        "The excess kurtosis of a vector, as scipy's `kurtosis`: 0 for a normal distribution; NULL if all values are equal.",
        Statistic::Kurtosis,
    )
}
