//! Table `models`.

use super::ColumnType::{Float64, Int64, Utf8};
use super::{TableSchema, optional, required};

/// One row per model.
pub const MODELS: TableSchema = TableSchema {
    name: "models",
    version: 1,
    doc: "One row per model: what it is and how it was trained. Sorted by `model_id` within a file.",
    columns: &[
        required(
            "model_id",
            Int64,
            "Positive; derived by hash from zoo, data set, architecture, hyperparameters and seed. Joins are on it.",
        ),
        required("zoo", Utf8, "The zoo the model belongs to."),
        required(
            "name",
            Utf8,
            "`<zoo>/<index in the grid>`, as the grid was when the model was trained: unique until a zoo's grid is changed. `model_id` always is.",
        ),
        optional("dataset", Utf8, "Data set it was trained on."),
        required("arch", Utf8, "Architecture; its weights are in `weights_<arch>`."),
        optional(
            "activation",
            Utf8,
            "`tanh`, `sigmoid`, `relu`, `gelu` (exact), `leaky_relu`, `silu`.",
        ),
        optional(
            "init",
            Utf8,
            "`uniform` (U[0, 1)), `normal`, `kaiming_uniform`, `kaiming_normal`; biases start at 0.01.",
        ),
        optional("optimizer", Utf8, "`adam`, `sgd`."),
        optional(
            "scheduler",
            Utf8,
            "Learning-rate schedule: `one_cycle` (PyTorch's `OneCycleLR` with its defaults); NULL means constant.",
        ),
        optional("lr", Float64, "Learning rate; the largest one of a schedule."),
        optional("weight_decay", Float64, "Coupled L2 factor."),
        optional("dropout", Float64, "Dropout rate, in [0, 1)."),
        optional(
            "momentum",
            Float64,
            "Momentum of `sgd`; NULL for an optimizer without, and where the schedule sets it.",
        ),
        optional("batch_size", Int64, "Images per optimiser step."),
        optional("epochs", Int64, "Training epochs; the model has one state more."),
        optional("seed", Int64, "Source of all randomness of the model."),
        required("origin", Utf8, "`trained`, `imported`, `sparsified`."),
        optional("parent_id", Int64, "`model_id` of the full twin of a sparsified model."),
        required(
            "num_params",
            Int64,
            "Number of trained parameters: tensors of the kind `buffer` do not count.",
        ),
        required(
            "status",
            Utf8,
            "`ok`, or `diverged` if a weight or loss of the last state is not finite.",
        ),
        optional("extra", Utf8, "JSON: whatever an import knows beyond these columns."),
    ],
};
