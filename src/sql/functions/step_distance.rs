//! `vector_step_distance`.

use datafusion::logical_expr::WindowUDF;

use super::measure::Measure;
use super::path::measure;

pub(super) fn udwf() -> WindowUDF {
    measure(
        "vector_step_distance",
        Measure::Step,
        "The Euclidean distance of a vector from the one in the row before; NULL in the first row.",
    )
}
