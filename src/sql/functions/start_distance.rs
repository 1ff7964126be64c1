//! `vector_start_distance`.

use datafusion::logical_expr::WindowUDF;

use super::measure::Measure;
use super::path::measure;

pub(super) fn udwf() -> WindowUDF {
    measure(
        "vector_start_distance",
        Measure::Start,
        "The Euclidean distance of a vector from the one in the first row.",
    )
}
