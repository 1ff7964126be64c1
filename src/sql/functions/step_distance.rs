//! `vector_step_distance`.

use datafusion::logical_expr::WindowUDF;

use super::path::{Since, distance_since};

pub(super) fn udwf() -> WindowUDF {
    distance_since(
        "vector_step_distance",
        Since::Previous,
        "The Euclidean distance of a vector from the one in the row before; NULL in the first row.",
    )
}
