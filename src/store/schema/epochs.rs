//! Table `epochs`.

use super::ColumnType::{Float64, Int64};
use super::{TableSchema, optional, required};

/// One row per state: metrics.
pub const EPOCHS: TableSchema = TableSchema {
    name: "epochs",
    version: 1,
    doc: "One row per state, a model at one epoch: its metrics. NULL where a metric does not exist or is not finite. Sorted by (`epoch`, `model_id`) within a file.",
    columns: &[
        required("model_id", Int64, "Which model."),
        required("epoch", Int64, "0 before training, then 1, 2, …."),
        optional(
            "train_loss",
            Float64,
            "Mean cross-entropy in nats: the running mean over the epoch in train mode (dropout on, weights moving); an evaluation at epoch 0.",
        ),
        optional("train_acc", Float64, "Accuracy in [0, 1], of the same kind."),
        optional(
            "val_loss",
            Float64,
            "Mean cross-entropy on the validation split after the epoch.",
        ),
        optional("val_acc", Float64, "Accuracy on the validation split."),
        optional("test_loss", Float64, "Mean cross-entropy on the test split after the epoch."),
        optional("test_acc", Float64, "Accuracy on the test split."),
        optional("sparsity", Float64, "Fraction of weights pruned, for sparsified models."),
        optional(
            "seconds",
            Float64,
            "Wall-clock seconds of the epoch. A measurement: the only value that differs between two runs of one model.",
        ),
    ],
};
