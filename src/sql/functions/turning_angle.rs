//! `vector_turning_angle`.

use datafusion::logical_expr::WindowUDF;

use super::measure::Measure;
use super::path::measure;

pub(super) fn udwf() -> WindowUDF {
    measure(
        "vector_turning_angle",
        Measure::Turn,
        "The angle in radians between the step that led to the row before and the step that leads to \
         this row: 0 straight on, π straight back; NULL in the first two rows, and beside a step of no \
         length.",
    )
}
