//! Table `results`.

use super::ColumnType::{Float64, Int64, Utf8};
use super::{TableSchema, optional, required};

/// One row per metric of a predictor.
pub const RESULTS: TableSchema = TableSchema {
    name: "results",
    version: 1,
    doc: "One row per metric: how well a predictor told a property of models from features of their states. Sorted by `run` within a file.",
    columns: &[
        required("run", Utf8, "The run of `predict` or `benchmark`; names sort by time."),
        required("time", Utf8, "When it was, in UTC (RFC 3339)."),
        required("version", Int64, "The commit whose models were studied."),
        required("protocol", Utf8, "`standard`, `modelzoos_v1`, `unterthiner_v1`, `nfn_v1`."),
        required(
            "split",
            Utf8,
            "How models were dealt to parts: percentages of training, validation and test, with `stratified` within each class; `file:` and eight digits of the SHA-256 of its lines; `across zoos`.",
        ),
        required("seed", Int64, "Seed of the split, of predictors and of resamples."),
        required("zoos", Utf8, "The zoos studied, separated by commas."),
        optional(
            "test_zoos",
            Utf8,
            "Those of them that were the test part; NULL if parts are of the same zoos.",
        ),
        required("epochs", Utf8, "The epochs studied: `all`, `last`, a number or a range."),
        optional("filter", Utf8, "An SQL condition on the states studied."),
        required("target", Utf8, "What was predicted: a column of `states`."),
        required("features", Utf8, "The feature set; `none` for the mean."),
        required("num_features", Int64, "Number of features."),
        required("predictor", Utf8, "`mean`, `ridge`, `softmax`, `logit_linear`, `gbt`, `statnn`."),
        optional(
            "chosen",
            Utf8,
            "Hyperparameters that were chosen on the validation part, as `name=value`; `not converged` after one whose fit is short of its minimum.",
        ),
        required("train_models", Int64, "Models of the training part."),
        required("train_states", Int64, "States of the training part."),
        required("part", Utf8, "The part judged: `validation` or `test`."),
        required("models", Int64, "Models of this part."),
        required("states", Int64, "States of this part."),
        required(
            "metric",
            Utf8,
            "For numbers `r2`, `tau` (Kendall's tau-b), `tau_ceiling` (the largest tau-b without ties in predictions), `spearman`, `l1` (mean absolute error), `mse`; for classes `accuracy`, and `confusion`: states of class `truth` taken for `predicted`.",
        ),
        optional("value", Float64, "Its value; NULL where it is not defined."),
        optional("low", Float64, "Lower end of the 95 % interval, from resampled models."),
        optional("high", Float64, "Upper end of the interval."),
        optional("truth", Utf8, "The class, for `confusion`."),
        optional("predicted", Utf8, "What it was taken for."),
        required("seconds", Float64, "Wall-clock seconds to fit and to predict: a measurement."),
    ],
};
