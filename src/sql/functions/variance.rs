//! `vector_var`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;
use crate::statistics::Statistic;

pub(super) fn udf() -> ScalarUDF {
    of_one(
        "vector_var",
        "The population variance of a vector (divided by n), as numpy's `var`.",
        Statistic::Variance,
    )
}
