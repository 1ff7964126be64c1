//! Table `predictions`.

use super::ColumnType::{Float64, Int64, Utf8};
use super::{TableSchema, optional, required};

/// One row per predicted state.
pub const PREDICTIONS: TableSchema = TableSchema {
    name: "predictions",
    version: 1,
    doc: "One row per state and predictor: what was predicted of the validation and test parts, beside the truth. Sorted by (`run`, `epoch`, `model_id`) within a file.",
    columns: &[
        required("run", Utf8, "The run: `results` has its circumstances."),
        required("target", Utf8, "What was predicted: a column of `states`."),
        required("features", Utf8, "The feature set; `none` for the mean."),
        required("predictor", Utf8, "What predicted it, as in `results`."),
        required("part", Utf8, "`validation` or `test`."),
        required("model_id", Int64, "Which model."),
        required("epoch", Int64, "Its epoch."),
        optional("truth", Float64, "The number; NULL for classes."),
        optional("predicted", Float64, "What was predicted for it."),
        optional("truth_class", Utf8, "The class; NULL for numbers."),
        optional("predicted_class", Utf8, "What it was taken for."),
    ],
};
