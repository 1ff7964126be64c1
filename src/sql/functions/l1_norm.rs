//! `vector_l1_norm`.

use datafusion::logical_expr::ScalarUDF;

use super::mean::sum;
use super::number::of_one;

pub(super) fn udf() -> ScalarUDF {
    of_one("vector_l1_norm", "The sum of the absolute values of a vector.", |vector| {
        Some(sum(vector, |value| f64::from(value).abs()))
    })
}
