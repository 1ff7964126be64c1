//! `vector_start_distance`.

use datafusion::logical_expr::WindowUDF;

use super::path::{Since, distance_since};

pub(super) fn udwf() -> WindowUDF {
    distance_since(
        "vector_start_distance",
        Since::First,
        "The Euclidean distance of a vector from the one in the first row.",
    )
}
