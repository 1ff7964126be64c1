//! `vector_l1_norm`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;
use crate::statistics::Statistic;

pub(super) fn udf() -> ScalarUDF {
    of_one("vector_l1_norm", "The sum of the absolute values of a vector.", Statistic::L1Norm)
}
