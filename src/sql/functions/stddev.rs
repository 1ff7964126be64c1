//! `vector_stddev`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;
use crate::statistics::Statistic;

pub(super) fn udf() -> ScalarUDF {
    of_one(
        "vector_stddev",
        "The population standard deviation of a vector (divided by n), as numpy's `std`.",
        Statistic::Deviation,
    )
}
