//! `vector_mean`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;
use crate::statistics::Statistic;

pub(super) fn udf() -> ScalarUDF {
    of_one("vector_mean", "The arithmetic mean of a vector, as numpy's `mean`.", Statistic::Mean)
}
