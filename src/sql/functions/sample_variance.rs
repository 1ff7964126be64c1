//! `vector_var_samp`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;
use crate::statistics::Statistic;

pub(super) fn udf() -> ScalarUDF {
    of_one(
        "vector_var_samp",
        "The sample variance of a vector (divided by n - 1), as numpy's `var` with `ddof=1`; NULL for one value.",
        Statistic::SampleVariance,
    )
}
