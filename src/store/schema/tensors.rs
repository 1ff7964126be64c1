//! Table `tensors`.

use super::ColumnType::{Int64, Utf8};
use super::{TableSchema, required};

/// The parameter layouts of the architectures in the store.
pub const TENSORS: TableSchema = TableSchema {
    name: "tensors",
    version: 1,
    doc: "One row per tensor of each architecture in the store: the layout of its weights.",
    columns: &[
        required("arch", Utf8, "Architecture."),
        required("tensor", Utf8, "Name in the state dict, and of the column in `weights_<arch>`."),
        required("position", Int64, "Place in the state dict, from 0."),
        required("offset", Int64, "Index of its first value in the flattened vector."),
        required("size", Int64, "Number of values."),
        required("shape", Utf8, "Shape in C order, as JSON: `[8, 1, 5, 5]`."),
        required(
            "kind",
            Utf8,
            "`weight`, `bias`; of a batch normalisation `scale`, `shift`, and `buffer`: running statistics, which are not trained.",
        ),
    ],
};
