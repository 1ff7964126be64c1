//! What a feature set is.

use async_trait::async_trait;

use super::call::Call;
use crate::arch::Arch;
use crate::error::Result;
use crate::sql::Session;

/// A versioned set of features of a state. See [`all`](super::all).
#[async_trait]
pub trait FeatureSet: Send + Sync {
    /// The name, version included: what it yields never changes.
    fn name(&self) -> &'static str;

    /// What the features are, in a line.
    fn about(&self) -> &'static str;

    /// Where the definition comes from: paper and code.
    fn source(&self) -> &'static str;

    /// The number of features of states of `arch`; `None` if that depends on what
    /// the store holds. A vector counts as its values.
    fn dimension(&self, arch: &Arch) -> Option<usize>;

    /// Whether features are computed from weights, and so from one architecture or
    /// a common frame of several. Others hold for models of any.
    fn of_weights(&self) -> bool {
        true
    }

    /// The number that a call may give.
    fn parameter(&self) -> Option<Parameter> {
        None
    }

    /// The features of the states that `call` is about.
    ///
    /// # Errors
    /// `Invalid` if several architectures have no common frame.
    async fn frame(&self, session: &Session, call: &Call) -> Result<Frame>;
}

/// A number that makes one of several feature sets of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// What it is, in a few words.
    pub about: &'static str,
    /// Its value if none is given.
    pub default: u32,
}

/// Features as a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The features, in order.
    pub columns: Vec<Column>,
    /// A query that yields `model_id`, `epoch` and the columns: one row per state, in
    /// no particular order.
    pub query: String,
}

/// A feature, or a vector of them: a column of `Float64`, or of lists of `Float32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The tensor that it is about, if it is about one.
    pub tensor: Option<String>,
}

impl Frame {
    /// A frame of which every row has the same `columns`, which are about no tensor.
    pub(super) fn of_models(
        columns: impl IntoIterator<Item = impl Into<String>>,
        query: String,
    ) -> Self {
        let column = |name: String| Column { name, tensor: None };
        Self { columns: columns.into_iter().map(Into::into).map(column).collect(), query }
    }
}

/// A name in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Texts in SQL, with commas between.
pub(super) fn literals(texts: &[impl AsRef<str>]) -> String {
    texts.iter().map(|text| literal(text.as_ref())).collect::<Vec<_>>().join(", ")
}
