//! `vector_min`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;
use crate::statistics::Statistic;

pub(super) fn udf() -> ScalarUDF {
    of_one("vector_min", "The smallest value of a vector, NaN if there is one.", Statistic::Min)
}
