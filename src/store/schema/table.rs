//! The name of a stored table.

use std::fmt;

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use super::{EPOCHS, MODELS, PREDICTIONS, RESULTS, TENSORS, weights_schema};
use crate::arch::Arch;

const WEIGHTS: &str = "weights_";

/// A stored table. In the log and in SQL it is its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Table {
    /// One row per model.
    Models,
    /// One row per state: metrics.
    Epochs,
    /// The parameter layouts of the architectures in the store.
    Tensors,
    /// One row per state of one architecture: weights.
    Weights(String),
    /// One row per metric of a predictor.
    Results,
    /// One row per predicted state.
    Predictions,
    /// A table of a later zoolake, which this one leaves alone.
    Other(String),
}

impl Table {
    /// Its columns; `None` for a table that only a later zoolake knows.
    pub(crate) fn schema(&self) -> Option<SchemaRef> {
        match self {
            Self::Models => Some(MODELS.arrow()),
            Self::Epochs => Some(EPOCHS.arrow()),
            Self::Tensors => Some(TENSORS.arrow()),
            Self::Weights(arch) => Some(weights_schema(Arch::by_name(arch).ok()?.layout())),
            Self::Results => Some(RESULTS.arrow()),
            Self::Predictions => Some(PREDICTIONS.arrow()),
            Self::Other(_) => None,
        }
    }

    /// The columns by which rows are sorted inside a file.
    pub(crate) fn sorted_by(&self) -> &'static [&'static str] {
        match self {
            Self::Models => &["model_id"],
            Self::Epochs | Self::Weights(_) => &["epoch", "model_id"],
            Self::Tensors => &["arch", "position"],
            Self::Results => &["run"],
            Self::Predictions => &["run", "epoch", "model_id"],
            Self::Other(_) => &[],
        }
    }
}

impl From<String> for Table {
    fn from(name: String) -> Self {
        match name.as_str() {
            "models" => Self::Models,
            "epochs" => Self::Epochs,
            "tensors" => Self::Tensors,
            "results" => Self::Results,
            "predictions" => Self::Predictions,
            _ => match name.strip_prefix(WEIGHTS) {
                Some(arch) if !arch.is_empty() => Self::Weights(arch.to_owned()),
                _ => Self::Other(name),
            },
        }
    }
}

impl From<Table> for String {
    fn from(table: Table) -> Self {
        table.to_string()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Models => f.write_str("models"),
            Self::Epochs => f.write_str("epochs"),
            Self::Tensors => f.write_str("tensors"),
            Self::Results => f.write_str("results"),
            Self::Predictions => f.write_str("predictions"),
            Self::Weights(arch) => write!(f, "{WEIGHTS}{arch}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["models", "epochs", "tensors", "weights_cnn_s", "weights_", "results", "later"]
        {
            assert_eq!(Table::from(name.to_owned()).to_string(), name);
        }
        assert_eq!(Table::from("weights_".to_owned()), Table::Other("weights_".to_owned()));
    }
}
